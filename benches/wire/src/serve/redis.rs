//! Clients for Redis: the one that a peer is built on, and the one that session-store-redis is, for bare commands.

use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::ClientLike as _;
use fred::socket2::TcpKeepalive;
use fred::types::config::{Config, ConnectionConfig, ReconnectPolicy, TcpConfig};
use session_store_redis::redis::aio::MultiplexedConnection;
use session_store_redis::redis::{self, AsyncConnectionConfig};

use crate::Failure;

/// The length of the value that is read: that of a stored session and what a store adds to it.
const VALUE_LEN: usize = 450;

/// As long as the key of a session in session-store-redis.
const KEY: &str = "session:kq3Zt8VbXw0LrNcYpHgDfJsAeUiOmT5R7x1B2v4n6M9";

/// A connected client for the peer, which fails as soon as session-store-redis does.
pub(super) async fn client(url: &str) -> Result<Client, Failure> {
    let connection = ConnectionConfig {
        connection_timeout: Duration::from_secs(1),
        internal_command_timeout: Duration::from_secs(1),
        max_command_attempts: 1,
        tcp: TcpConfig {
            nodelay: Some(true),
            keepalive: Some(TcpKeepalive::new().with_time(Duration::from_secs(15))),
            user_timeout: Some(Duration::from_secs(3)),
            ..TcpConfig::default()
        },
        ..ConnectionConfig::default()
    };
    let policy = ReconnectPolicy::new_exponential(0, 20, 400, 2);
    let config = Config::from_url_centralized(url)?;
    let client = Client::new(config, None, Some(connection), Some(policy));
    // The task goes on by itself, as long as there is a client.
    let _task = client.init().await?;
    Ok(client)
}

/// A connection as session-store-redis has one, to a server that has the value for [`get`].
pub(super) async fn with_value(url: &str) -> Result<MultiplexedConnection, Failure> {
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(2)));
    let client = redis::Client::open(url)?;
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    let value = "x".repeat(VALUE_LEN);
    let mut command = redis::cmd("SET");
    command.arg(KEY).arg(value);
    command.exec_async(&mut connection).await?;
    Ok(connection)
}

/// Sends the command that reads a session, and says whether the value came.
pub(super) async fn get(mut connection: MultiplexedConnection) -> bool {
    let mut command = redis::cmd("GET");
    let answer = command.arg(KEY).query_async(&mut connection).await;
    answer.is_ok_and(|value: Vec<u8>| value.len() == VALUE_LEN)
}
