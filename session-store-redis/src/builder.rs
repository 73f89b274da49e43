//! Options for a store, and what they must be like.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::{Client, RedisResult};

use crate::dial::Place;
use crate::engine::Engine;
use crate::error::SetupError;
use crate::node::Deadline;
use crate::records::KeepFor;
use crate::tls::Tls;
use crate::{Inner, RedisStore, start};

/// What all keys begin with, unless another prefix is chosen.
const DEFAULT_KEY_PREFIX: &str = "session:";

/// A healthy server answers in milliseconds. This is less than half of the five seconds that the core gives all calls
/// of a commit together by default, so that one call that gets lost doesn't use them up.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(2);

const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Each key repeats the prefix, in memory and on the wire.
const LONGEST_KEY_PREFIX: usize = 64;

/// Options for a [`RedisStore`].
#[derive(Clone)]
#[must_use = "call connect(), client() or resolver() to get the store"]
pub struct RedisStoreBuilder {
    key_prefix: String,
    timeout: Duration,
    tls: Tls,
}

impl RedisStoreBuilder {
    pub(crate) fn new() -> Self {
        Self {
            key_prefix: DEFAULT_KEY_PREFIX.to_owned(),
            timeout: DEFAULT_TIMEOUT,
            tls: Tls::default(),
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

    /// The authorities that encrypted connections trust, as certificates in PEM, in place of the system's.
    ///
    /// # Errors
    /// These are no certificates.
    #[cfg(feature = "tls")]
    pub fn root_certificates(mut self, pem: &[u8]) -> Result<Self, SetupError> {
        self.tls.trust(pem)?;
        Ok(self)
    }

    /// What this client shows to servers that ask for a certificate: its own and those up to the authority, and the
    /// private key, in PEM.
    ///
    /// # Errors
    /// They can't be read.
    #[cfg(feature = "tls")]
    pub fn client_certificate(
        mut self,
        chain_pem: &[u8],
        key_pem: &[u8],
    ) -> Result<Self, SetupError> {
        self.tls.identify(chain_pem, key_pem)?;
        Ok(self)
    }

    /// The name that the servers' certificates have to have. Default: the host that is connected to, which in a
    /// cluster is what the nodes call one another, and so often an address that no certificate has.
    ///
    /// # Errors
    /// No certificate can have this name.
    #[cfg(feature = "tls")]
    pub fn server_name(mut self, name: impl Into<String>) -> Result<Self, SetupError> {
        self.tls.expect_name(name.into())?;
        Ok(self)
    }

    /// Connects to what is at this URL; see [`RedisStore::connect`].
    ///
    /// # Errors
    /// The URL or an option is wrong, or the server can't be reached or doesn't let us in.
    pub async fn connect(self, url: &str) -> Result<RedisStore, SetupError> {
        self.check()?;
        let engine = Engine::connect(url, self.tls.clone()).await?;
        self.start(engine).await
    }

    /// Connects to the server that a client is for. Of the client are taken the address, the login, the database, and
    /// the keepalive and timeout of TCP; connections are the store's own. Certificates are the builder's.
    ///
    /// # Errors
    /// An option is wrong, or the server can't be reached or doesn't let us in.
    pub async fn client(self, client: Client) -> Result<RedisStore, SetupError> {
        let place = Place::Known(Box::new(client.get_connection_info().clone()));
        self.single(place).await
    }

    /// Connects to the server that `resolve` names, and asks again before each new connection: for Sentinel, or another
    /// registry of who is the master. It may take five seconds.
    ///
    /// # Errors
    /// An option is wrong, or the server isn't named, can't be reached or doesn't let us in.
    pub async fn resolver<F>(
        self,
        resolve: impl Fn() -> F + Send + Sync + 'static,
    ) -> Result<RedisStore, SetupError>
    where
        F: Future<Output = RedisResult<Client>> + Send + 'static,
    {
        let place = Place::Asked(Arc::new(move || Box::pin(resolve())));
        self.single(place).await
    }

    async fn single(self, place: Place) -> Result<RedisStore, SetupError> {
        self.check()?;
        let engine = Engine::single(place, self.tls.clone()).await?;
        self.start(engine).await
    }

    async fn start(self, engine: Engine) -> Result<RedisStore, SetupError> {
        let deadline = Deadline::after(self.timeout);
        start::check(&engine, &self.key_prefix, deadline).await?;
        Ok(self.build(engine))
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
            keep_for: KeepFor::by_default(),
        }))
    }
}

impl fmt::Debug for RedisStoreBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStoreBuilder")
            .field("key_prefix", &self.key_prefix)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dial::Dialer;
    use crate::node::Node;

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
            assert!(wrong.check().is_err_and(|error| error.is_config()));
        }
        let longest = builder().key_prefix("x".repeat(LONGEST_KEY_PREFIX));
        let right = longest.timeout(LONGEST_TIMEOUT);
        assert!(right.check().is_ok());
    }

    /// LG-1: a store and its builder show nothing of a login.
    #[tokio::test]
    async fn debug_shows_no_password() {
        let info = "redis://:secret@127.0.0.1:1".parse().unwrap();
        let dialer = Dialer {
            place: Place::Known(Box::new(info)),
            tls: Tls::default(),
        };
        let engine = Engine::Single(Node::start(dialer));
        let shown = format!("{:?}", RedisStore::builder().build(engine));
        assert!(
            shown.contains("session:") && !shown.contains("secret"),
            "{shown}"
        );
    }

    /// Never in the clear where TLS was asked for.
    #[cfg(not(feature = "tls"))]
    #[tokio::test]
    async fn tls_without_its_feature_is_refused() {
        for url in ["rediss://host", "valkeys-cluster://host"] {
            let refused = RedisStore::connect(url).await;
            assert!(refused.is_err_and(|error| error.is_config()), "{url}");
        }
    }
}
