//! The client for Redis that session-store-redis is built on, for the peer that has the same, and for bare commands.

use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::{ClientLike as _, KeysInterface as _};
use fred::socket2::TcpKeepalive;
use fred::types::Value;
use fred::types::config::{Config, ConnectionConfig, Options, ReconnectPolicy, TcpConfig};

use crate::Failure;

/// The length of the value that is read: that of a stored session and what a store adds to it.
const VALUE_LEN: usize = 450;

/// As long as the key of a session in session-store-redis.
const KEY: &str = "session:kq3Zt8VbXw0LrNcYpHgDfJsAeUiOmT5R7x1B2v4n6M9";

/// A connected client, configured as session-store-redis configures its own.
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

/// A client whose server has the value for [`get`].
pub(super) async fn with_value(url: &str) -> Result<Client, Failure> {
    let client = client(url).await?;
    let value = "x".repeat(VALUE_LEN);
    client
        .set::<(), _, _>(KEY, value, None, None, false)
        .await?;
    Ok(client)
}

/// Sends the command that reads a session, and says whether the value came.
pub(super) async fn get(client: &Client) -> bool {
    let answer: Result<Value, _> = client.with_options(&options()).get(KEY).await;
    answer.is_ok_and(|value| value.as_bytes().map(<[u8]>::len) == Some(VALUE_LEN))
}

/// What session-store-redis sends its commands with.
fn options() -> Options {
    Options {
        max_attempts: Some(1),
        fail_fast: true,
        timeout: Some(Duration::from_secs(2)),
        ..Options::default()
    }
}
