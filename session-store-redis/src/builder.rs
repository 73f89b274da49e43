//! Options for a store, and what they must be like.

use std::sync::Arc;
use std::time::Duration;

use fred::clients::Client;
use fred::interfaces::ClientLike as _;

use crate::engine::Engine;
use crate::error::SetupError;
use crate::{Inner, RedisStore};

/// What all keys begin with, unless another prefix is chosen.
const DEFAULT_KEY_PREFIX: &str = "session:";

/// A healthy server answers in milliseconds. This is less than half of the five seconds that the core gives all calls
/// of a commit together by default, so that one call that gets lost doesn't use them up.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);

const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Each key repeats the prefix, in memory and on the wire.
const LONGEST_KEY_PREFIX: usize = 64;

/// Options for a [`RedisStore`].
#[derive(Clone, Debug)]
#[must_use = "call connect() or client() to get the store"]
pub struct RedisStoreBuilder {
    key_prefix: String,
    timeout: Duration,
}

impl RedisStoreBuilder {
    pub(crate) fn new() -> Self {
        Self {
            key_prefix: DEFAULT_KEY_PREFIX.to_owned(),
            timeout: DEFAULT_TIMEOUT,
        }
    }

    /// What all keys begin with: 1 to 64 printable ASCII characters, neither spaces nor braces. Default: `session:`.
    ///
    /// Stores with the same prefix on the same server share their sessions. Braces would put all keys on one node of
    /// a cluster.
    pub fn key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.key_prefix = prefix.into();
        self
    }

    /// How long a call may take, a redirection in a cluster included; at most a minute. Default: two seconds.
    ///
    /// A call that takes longer is an error whose outcome is unknown.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Connects to what is at this URL; see [`RedisStore::connect`].
    ///
    /// # Errors
    /// The URL or an option is wrong, or the server can't be reached or doesn't let us in.
    pub async fn connect(self, url: &str) -> Result<RedisStore, SetupError> {
        self.check()?;
        let engine = Engine::connect(url).await?;
        Ok(self.build(engine))
    }

    /// Takes a client, which goes on to be its owner's. It has to have a reconnection policy, and to be connected
    /// (`init`) before the store is used; one for a cluster need not be connected.
    ///
    /// # Errors
    /// An option is wrong, or the client would not connect again after it has lost its connection.
    pub fn client(self, client: Client) -> Result<RedisStore, SetupError> {
        self.check()?;
        if !client.has_reconnect_policy() && !client.is_clustered() {
            return Err(SetupError::config(
                "the Redis client has no reconnection policy: it would never connect again",
            ));
        }
        Ok(self.build(Engine::of(client)))
    }

    fn check(&self) -> Result<(), SetupError> {
        let is_of_a_key = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'{' | b'}');
        let problem = if self.key_prefix.is_empty() || self.key_prefix.len() > LONGEST_KEY_PREFIX {
            "the key prefix has to have 1 to 64 characters"
        } else if !self.key_prefix.bytes().all(is_of_a_key) {
            "the key prefix has to consist of printable ASCII characters, without spaces and braces"
        } else if self.timeout.is_zero() || self.timeout > LONGEST_TIMEOUT {
            "the timeout of a call has to be more than nothing and at most a minute"
        } else {
            return Ok(());
        };
        Err(SetupError::config(problem))
    }

    fn build(self, engine: Engine) -> RedisStore {
        RedisStore(Arc::new(Inner {
            engine,
            key_prefix: self.key_prefix,
            timeout: self.timeout,
        }))
    }
}

#[cfg(test)]
mod tests {
    use fred::types::config::{Config, ReconnectPolicy};

    use super::*;

    fn client(policy: Option<ReconnectPolicy>) -> Client {
        let config = Config {
            password: Some("secret".into()),
            ..Config::default()
        };
        Client::new(config, None, None, policy)
    }

    #[test]
    fn wrong_options_are_told() {
        let builder = RedisStore::builder;
        let long = "x".repeat(LONGEST_KEY_PREFIX + 1);
        for wrong in [
            builder().key_prefix(""),
            builder().key_prefix(long),
            builder().key_prefix("our session:"),
            builder().key_prefix("{session}:"),
            builder().key_prefix("s\u{e9}ance:"),
            builder().timeout(Duration::ZERO),
            builder().timeout(LONGEST_TIMEOUT + Duration::from_nanos(1)),
        ] {
            let shown = format!("{wrong:?}");
            let error = wrong.client(client(Some(ReconnectPolicy::default())));
            assert!(error.is_err_and(|error| error.is_config()), "{shown}");
        }
    }

    #[test]
    fn a_client_that_gives_up_is_refused() {
        assert!(RedisStore::new(client(None)).is_err_and(|error| error.is_config()));
        assert!(RedisStore::new(client(Some(ReconnectPolicy::default()))).is_ok());
    }

    /// LG-1: a store shows nothing of its login.
    #[test]
    fn debug_shows_no_password() {
        let store = RedisStore::new(client(Some(ReconnectPolicy::default()))).unwrap();
        let shown = format!("{store:?}");
        assert!(
            shown.contains("session:") && !shown.contains("secret"),
            "{shown}"
        );
    }
}
