//! From a URL to where the server is, and what it takes to get in.

use redis::{ConnectionAddr, ConnectionInfo};

use crate::error::SetupError;
use crate::slots::Server;

/// What a URL says.
pub(crate) struct Address {
    /// The first server, or one that knows the cluster, and how to get in, which holds for all of them.
    pub(crate) info: ConnectionInfo,
    /// The nodes of a cluster that are named, at least one; `None` if it isn't a cluster.
    pub(crate) seeds: Option<Vec<Server>>,
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
            "unix" | "redis+unix" | "valkey+unix" => {
                let (info, seeds) = (read(url)?, None);
                return Ok(Self { info, seeds });
            }
            _ => return Err(SetupError::config(UNKNOWN_SCHEME)),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let end_of_login = authority.rfind('@').map_or(0, |at| at + 1);
        let (login, hosts) = authority.split_at(end_of_login);
        check(hosts, path, is_cluster)?;

        let (mut first, mut servers) = (None, Vec::new());
        for host in hosts.split(',') {
            // TLS is added below: a client that was built without it can't read `rediss`.
            let info = read(&format!("redis://{login}{host}{path}"))?;
            if let ConnectionAddr::Tcp(host, port) = info.addr() {
                servers.push(Server::new(host, *port));
            }
            first.get_or_insert(info);
        }
        let (Some(info), Some(server)) = (first, servers.first()) else {
            return Err(SetupError::config(NO_HOST));
        };
        let login = info.redis_settings();
        if login.username().is_some() && login.password().is_none() {
            return Err(SetupError::config(NO_PASSWORD));
        }
        Ok(Self {
            info: info.set_addr(server.address(has_tls)),
            seeds: is_cluster.then_some(servers),
        })
    }
}

const UNKNOWN_SCHEME: &str = "the URL of a Redis server has to begin with redis://, rediss:// (with TLS), \
    redis-cluster://, rediss-cluster:// or unix://; for Sentinel there is RedisStoreBuilder::resolver()";

const UNREADABLE: &str = "the Redis URL can't be read; special characters in a user or a password have to be \
    percent-encoded";

const NO_HOST: &str =
    "a Redis URL has to name a host; that of a Unix socket is unix:///path/to/socket";

const NO_PASSWORD: &str =
    "a Redis URL with a user has to have a password, too: redis://user:password@host";

fn check(hosts: &str, path: &str, is_cluster: bool) -> Result<(), SetupError> {
    let problem = if hosts.split(',').any(str::is_empty) {
        NO_HOST
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

fn read(url: &str) -> Result<ConnectionInfo, SetupError> {
    url.parse()
        .map_err(SetupError::config_because::<redis::RedisError>(UNREADABLE))
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    fn address(url: &str) -> Address {
        Address::parse(url).unwrap()
    }

    #[test]
    fn a_server_has_a_port_a_database_and_a_login() {
        let plain = address("redis://cache.internal");
        assert_eq!(plain.info.addr().to_string(), "cache.internal:6379");
        let settings = plain.info.redis_settings();
        assert_eq!((settings.db(), settings.password()), (0, None));
        assert!(plain.seeds.is_none());

        let full = address("valkey://anna:p%40ss%2Fword@10.0.0.1:7000/3");
        assert_eq!(full.info.addr().to_string(), "10.0.0.1:7000");
        let settings = full.info.redis_settings();
        assert_eq!(settings.db(), 3);
        assert_eq!(settings.username(), Some("anna"));
        assert_eq!(settings.password(), Some("p@ss/word"));
        let unnamed = address("redis://:word@host");
        assert_eq!(unnamed.info.redis_settings().username(), None);
        let tls = address("rediss://[::1]:7000");
        let ConnectionAddr::TcpTls { host, port, .. } = tls.info.addr() else {
            panic!("never in the clear where TLS was asked for");
        };
        assert_eq!((host.as_str(), *port), ("::1", 7000));
    }

    #[test]
    fn a_socket_has_a_path() {
        let socket = address("unix:///run/redis.sock?db=2&pass=word");
        assert_eq!(socket.info.addr().to_string(), "/run/redis.sock");
        let settings = socket.info.redis_settings();
        assert_eq!((settings.db(), settings.password()), (2, Some("word")));
    }

    #[test]
    fn a_cluster_has_several_hosts() {
        let cluster = address("redis-cluster://anna:word@one:7000,two,[::1]:7002");
        let seeds = cluster.seeds.unwrap();
        let shown: Vec<_> = seeds.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["one:7000", "two:6379", "[::1]:7002"]);
        let login = cluster.info.redis_settings();
        assert_eq!(login.username(), Some("anna"));
        assert!(address("valkey-cluster://one:7000/").seeds.is_some());
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
            "unix:relative",
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
            "unix:///socket?db=none&pass=secret",
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
}
