//! How all connections are made.

use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::ClientLike as _;
use fred::socket2::TcpKeepalive;
use fred::types::config::{
    Config, ConnectionConfig, ReconnectPolicy, Server, ServerConfig, TcpConfig,
};

/// How long a new connection may take, and then what is sent on it first. A connection that has been given up is
/// tried again, so that this is not how long one waits for a server that is away.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest that passes between two attempts to connect, so that a server that is back is used at once.
const LONGEST_DELAY_MILLIS: u32 = 400;
const SHORTEST_DELAY_MILLIS: u32 = 20;

/// When an idle connection is probed. Firewalls forget connections that are idle for minutes.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// When a connection is given up whose other end acknowledges nothing. Left alone, a system takes a quarter of an
/// hour to find out that a machine has vanished.
#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
const VANISHED_AFTER: Duration = Duration::from_secs(3);

/// How clients are made, whatever server they are for.
pub(crate) struct Setup {
    pub(crate) config: Config,
    connection: ConnectionConfig,
    policy: ReconnectPolicy,
}

impl Setup {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            config,
            connection: connection(),
            policy: policy(),
        }
    }

    /// The setup of somebody else's client, for clients of our own.
    pub(crate) fn of(client: &Client) -> Self {
        Self {
            config: client.client_config(),
            connection: client.connection_config().clone(),
            policy: client.client_reconnect_policy().unwrap_or_else(policy),
        }
    }

    pub(crate) fn servers(&self) -> Vec<Server> {
        self.config.server.hosts()
    }

    /// A client for this server, not connected yet. One that fails fast says why its first attempt to connect failed;
    /// another one tries again.
    pub(crate) fn client(&self, server: &Server, fails_fast: bool) -> Client {
        let mut config = self.config.clone();
        config.server = ServerConfig::Centralized {
            server: self.named(server.clone()),
        };
        config.fail_fast = fails_fast;
        let (connection, policy) = (self.connection.clone(), self.policy.clone());
        Client::new(config, None, Some(connection), Some(policy))
    }

    /// The server with the name that its certificate has to have, where that isn't its address.
    #[cfg(feature = "tls")]
    fn named(&self, mut server: Server) -> Server {
        if server.tls_server_name.is_none()
            && let Some(tls) = &self.config.tls
            && let Some(seed) = self.servers().first()
        {
            let name = crate::tls::name_of(tls, &server.host, &seed.host);
            server.tls_server_name = name.map(Into::into);
        }
        server
    }

    #[cfg(not(feature = "tls"))]
    fn named(&self, server: Server) -> Server {
        server
    }
}

fn connection() -> ConnectionConfig {
    ConnectionConfig {
        connection_timeout: CONNECT_TIMEOUT,
        internal_command_timeout: CONNECT_TIMEOUT,
        max_command_attempts: 1,
        tcp: TcpConfig {
            nodelay: Some(true),
            keepalive: Some(TcpKeepalive::new().with_time(KEEPALIVE)),
            #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
            user_timeout: Some(VANISHED_AFTER),
            ..TcpConfig::default()
        },
        ..ConnectionConfig::default()
    }
}

/// Reconnects for ever.
fn policy() -> ReconnectPolicy {
    let (for_ever, base) = (0, 2);
    let mut policy = ReconnectPolicy::new_exponential(
        for_ever,
        SHORTEST_DELAY_MILLIS,
        LONGEST_DELAY_MILLIS,
        base,
    );
    policy.set_jitter(SHORTEST_DELAY_MILLIS);
    policy
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_tried_again_for_ever_and_soon() {
        let mut policy = policy();
        assert_eq!(policy.max_attempts(), 0);
        for _ in 0..1_000 {
            let delay = policy.next_delay().expect("it never gives up");
            assert!(delay <= u64::from(LONGEST_DELAY_MILLIS));
        }
        assert_eq!(connection().max_command_attempts, 1);
    }
}
