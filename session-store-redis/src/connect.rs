//! From a URL to where the server is, and what it takes to get in.

use fred::types::config::{Config, Server};

use crate::error::SetupError;
use crate::setup::Setup;

/// Where the server or the cluster is, and how to get in.
pub(crate) struct Address {
    pub(crate) setup: Setup,
    /// At least one; exactly one if it isn't a cluster.
    pub(crate) servers: Vec<Server>,
    pub(crate) is_cluster: bool,
}

impl Address {
    pub(crate) fn parse(url: &str) -> Result<Self, SetupError> {
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| SetupError::config(UNKNOWN_SCHEME))?;
        let (has_tls, is_cluster) = match scheme {
            "redis" | "valkey" => (false, false),
            "rediss" | "valkeys" => (true, false),
            "redis-cluster" | "valkey-cluster" => (false, true),
            "rediss-cluster" | "valkeys-cluster" => (true, true),
            _ => return Err(SetupError::config(UNKNOWN_SCHEME)),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let end_of_login = authority.rfind('@').map_or(0, |at| at + 1);
        let (login, hosts) = authority.split_at(end_of_login);
        check(hosts, path, is_cluster)?;

        let mut configs = hosts
            .split(',')
            .map(|host| parse_one(login, host, path))
            .collect::<Result<Vec<_>, _>>()?;
        let servers = configs.iter().flat_map(|config| config.server.hosts());
        let servers = servers.collect();
        // All of them have the same login and database; there is one at least, as splitting gives one part or more.
        let mut config = configs.swap_remove(0);
        if config.username.is_some() && config.password.is_none() {
            return Err(SetupError::config(NO_PASSWORD));
        }
        if has_tls {
            add_tls(&mut config)?;
        }
        Ok(Self {
            setup: Setup::new(config),
            servers,
            is_cluster,
        })
    }
}

const UNKNOWN_SCHEME: &str = "the URL of a Redis server has to begin with redis://, rediss:// (with TLS), \
    redis-cluster:// or rediss-cluster://";

const UNREADABLE: &str = "the Redis URL can't be read; special characters in a user or a password have to be \
    percent-encoded";

const NO_PASSWORD: &str =
    "a Redis URL with a user has to have a password, too: redis://user:password@host";

fn check(hosts: &str, path: &str, is_cluster: bool) -> Result<(), SetupError> {
    let problem = if hosts.split(',').any(str::is_empty) {
        "a Redis URL has to name a host"
    } else if hosts.contains(',') && !is_cluster {
        "only the URL of a cluster, redis-cluster://, has several hosts"
    } else if is_cluster && !matches!(path, "" | "/") {
        "a Redis cluster has no numbered databases: its URL ends after the hosts"
    } else if path.contains(['?', '#']) {
        "options don't belong into a Redis URL: use RedisStore::builder()"
    } else {
        return Ok(());
    };
    Err(SetupError::config(problem))
}

/// Has fred read a URL with one host. TLS is added by us: without its feature, fred would connect in the clear.
fn parse_one(login: &str, host: &str, path: &str) -> Result<Config, SetupError> {
    Config::from_url_centralized(&format!("redis://{login}{host}{path}"))
        .map_err(|error| SetupError::config(UNREADABLE).with_source(error))
}

#[cfg(feature = "tls")]
fn add_tls(config: &mut Config) -> Result<(), SetupError> {
    config.tls = Some(crate::tls::config()?);
    Ok(())
}

#[cfg(not(feature = "tls"))]
fn add_tls(_: &mut Config) -> Result<(), SetupError> {
    Err(SetupError::config(
        "TLS needs the Cargo feature `tls` of session-store-redis",
    ))
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    fn address(url: &str) -> Address {
        Address::parse(url).unwrap()
    }

    fn shown(servers: &[Server]) -> Vec<String> {
        servers.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_server_has_a_port_a_database_and_a_login() {
        let plain = address("redis://cache.internal");
        assert_eq!(shown(&plain.servers), ["cache.internal:6379"]);
        assert_eq!(plain.setup.config.database, None);
        assert!(!plain.is_cluster && plain.setup.config.password.is_none());

        let full = address("valkey://anna:p%40ss%2Fword@10.0.0.1:7000/3");
        assert_eq!(shown(&full.servers), ["10.0.0.1:7000"]);
        let config = &full.setup.config;
        assert_eq!(config.database, Some(3));
        assert_eq!(config.username.as_deref(), Some("anna"));
        assert_eq!(config.password.as_deref(), Some("p@ss/word"));
        assert_eq!(address("redis://:word@host").setup.config.username, None);
        assert_eq!(
            shown(&address("redis://[::1]:7000").servers),
            ["[::1]:7000"]
        );
    }

    #[test]
    fn a_cluster_has_several_hosts() {
        let cluster = address("redis-cluster://anna:word@one:7000,two,[::1]:7002");
        assert!(cluster.is_cluster);
        assert_eq!(
            shown(&cluster.servers),
            ["one:7000", "two:6379", "[::1]:7002"]
        );
        assert_eq!(cluster.setup.config.username.as_deref(), Some("anna"));
        assert!(address("valkey-cluster://one:7000/").is_cluster);
    }

    #[test]
    fn other_urls_are_refused() {
        for url in [
            "",
            "localhost:6379",
            "http://localhost",
            "redis-sentinel://localhost",
            "redis://",
            "redis://user:word@",
            "redis://one,two",
            "redis-cluster://one,,two",
            "redis-cluster://one/3",
            "redis://host/database",
            "redis://host:port",
            "redis://host?timeout=3",
            "redis://user@host",
            "redis://user:@host",
        ] {
            let error = Address::parse(url).err().expect(url);
            assert!(error.is_config(), "{url}: {error}");
        }
    }

    /// LG-1: what is wrong with a URL is told without its password.
    #[test]
    fn errors_show_no_password() {
        for url in [
            "redis://user:secret@host:port",
            "redis://user:sec/ret@host",
            "redis://user:%FFsecret@host",
            "http://user:secret@host",
        ] {
            let error = Address::parse(url).err().expect(url);
            let source = error.source().map(ToString::to_string);
            let shown = format!("{error} {error:?} {source:?}");
            assert!(
                !shown.contains("secret") && !shown.contains("sec/ret"),
                "{shown}"
            );
        }
    }

    /// Never in the clear where TLS was asked for.
    #[cfg(not(feature = "tls"))]
    #[test]
    fn tls_without_its_feature_is_refused() {
        for url in ["rediss://host", "valkeys-cluster://host"] {
            assert!(
                Address::parse(url).is_err_and(|error| error.is_config()),
                "{url}"
            );
        }
    }
}
