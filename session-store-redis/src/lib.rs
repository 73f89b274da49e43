//! Sessions in Redis 6.2 or later, Valkey, or a Redis Cluster.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use session_store_redis::RedisStore;
//!
//! # async fn run() -> Result<(), session_store_redis::SetupError> {
//! let store = RedisStore::connect("redis://127.0.0.1:6379").await?; // clones share the connection
//!
//! // With a login, and with options:
//! let store = RedisStore::builder()
//!     .key_prefix("shop:session:")
//!     .timeout(Duration::from_millis(500))
//!     .connect("redis-cluster://web:secret@10.0.0.1:6379,10.0.0.2:6379")
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! - Each store has one connection to its server, or one to each master of a cluster, which all calls share. A lost
//!   connection is made again, for ever and at intervals of less than half a second; meanwhile calls fail at once.
//! - A command whose connection is lost is never sent again: its outcome is unknown, and the error says so.
//! - Every command is on one key, which is what a cluster asks for. Redirections are followed.
//! - Several applications can share a server, each with a [key prefix](RedisStoreBuilder::key_prefix) of its own.
//!
//! # TLS, Unix sockets, and Sentinel
//!
//! `rediss://` and `rediss-cluster://` take the Cargo feature `tls`, and trust the system's root certificates, or
//! [those that the builder is given](RedisStoreBuilder::root_certificates). `unix:///run/redis.sock` leads to a Unix
//! socket; it takes `?db=`, `&user=` and `&pass=`.
//!
//! Whoever has configured a [`redis::Client`] hands it [to the builder](RedisStoreBuilder::client). Where it depends on
//! the time who is the master, the builder takes a [function that says it](RedisStoreBuilder::resolver). With the Cargo
//! feature `sentinel` that is:
//!
//! ```no_run
//! # #[cfg(feature = "sentinel")] mod example {
//! use std::sync::Arc;
//!
//! use session_store_redis::RedisStore;
//! use session_store_redis::redis::sentinel::{SentinelClient, SentinelServerType};
//! use tokio::sync::Mutex;
//!
//! async fn store() -> Result<RedisStore, Box<dyn std::error::Error>> {
//!     let sentinels = vec!["redis://10.0.0.1:26379", "redis://10.0.0.2:26379"];
//!     let master = "mymaster".to_owned();
//!     let client = SentinelClient::build(sentinels, master, None, SentinelServerType::Master)?;
//!     let client = Arc::new(Mutex::new(client));
//!     let resolve = move || {
//!         let client = client.clone();
//!         async move { client.lock().await.async_get_client().await }
//!     };
//!     Ok(RedisStore::builder().resolver(resolve).await?)
//! }
//! # }
//! ```
//!
//! Timeouts, reconnecting and attempts are this crate's own for every command, however a client is configured.
//!
//! # What a request costs
//!
//! | call | command | bytes to Redis, and back |
//! |---|---|---|
//! | load | `GET` | about 70, and the record |
//! | load of many | a `GET` for each, in one trip to each server | the same for each |
//! | create | `SET … NX` | about 90 and the record, and 5 |
//! | save | `SET … IFEQ … GET` | about 110 and both records, and the old one |
//! | | where the server doesn't know that: `EVALSHA` | about 190 and the record, and 4; on a conflict the record that is there |
//! | touch | `EVALSHA` | about 225, and 4 |
//! | delete | `DEL` | about 70, and 4 |
//! | an entry of a user's index | `EVALSHA` | about 240 |
//! | a sample of the index, or all of it | `ZRANGEBYLEX`, three of them in one trip, or one | some 75 for each entry that is looked at |
//!
//! A record is the session's data and some 70 bytes. The first time that a server is asked for a script, it is sent
//! the text instead, which costs one command more.
//!
//! Valkey from 8.1 on and Redis from 8.4 on compare values by themselves, which costs them a third of a script. Each
//! server is asked for its version when it is connected to, so that a fleet and a cluster may have servers of both kinds.
//! A script does what is left: a record of more than 4 KiB, one that has expired by our clock and is still there, and a
//! tombstone where memory is used up.
//!
//! Connecting costs one trip more than the greeting: each server is asked whether the user may do all this, by commands
//! that change nothing, under keys where nothing lies, and whether it evicts. A store that couldn't work isn't given out;
//! the error says what to grant. A Redis that evicts is a warning in the log.
//!
//! A user of Redis's access control needs `get`, `getrange`, `set`, `setrange`, `pexpire`, `pttl`, `del`, `zadd`, `zrem`,
//! `zcard`, `zrangebylex`, `evalsha`, `eval` on keys that begin with the prefix; for a numbered database `select`, and for
//! a cluster `cluster|slots` and `asking`. Scripts are needed on every version. With `info` the store notices eviction;
//! without it nothing is said.
//!
//! # Expiry
//!
//! A record's own expiry decides, by the clock of the server that asks. Redis removes a record some time after it,
//! without any sweeping, and the index of a user's sessions some time after the last of them has expired: the clock
//! tolerance and the store timeout of the sessions' configuration, 65 seconds by default.
//!
//! # What Redis takes away
//!
//! The contract of [`SessionStore`](session_core::store::SessionStore) holds for one server that keeps what it was
//! given. Some settings of Redis give that up:
//!
//! - **Eviction.** Keep `maxmemory-policy noeviction`, Redis's default. Where memory is used up, new and changed
//!   sessions are then refused (a 503), while sessions can still be ended. Everything stored here has a time to live,
//!   so that every other policy, `volatile-*` as well as `allkeys-*`, evicts sessions that are alive, tombstones and
//!   indexes:
//!   - A session that is evicted signs its visitor out.
//!   - A tombstone that is evicted leaves an unknown id. That brings nothing back, as nothing but a create stores
//!     anything under an unknown id, and creates are for ids just drawn. An ended session could come back only if
//!     its tombstone is evicted while the create that began it is still on its way to Redis. But a logout that comes
//!     with an id from before a rotation doesn't find the session any more, which then lives on; and a late request
//!     with such an id isn't known to be late, so that what it stores begins a session and replaces the cookie.
//!   - An index that is evicted hides a user's sessions: they aren't listed, not ended by "sign out everywhere", and
//!     not counted against a cap.
//! - **Persistence.** What Redis hasn't written when it crashes is undone when it starts again: a logout or a rotation
//!   that was answered may not have happened, and the old id is good again until it expires. With `appendfsync always`
//!   nothing is undone, with `everysec` the last second or two, with snapshots alone the time since the last one.
//!   Without any persistence everybody is signed out. Versions are random, so that nothing that was loaded before a
//!   crash is taken for what is there after it.
//! - **Failover.** Replicas lag behind. One that takes over, under Sentinel, in a cluster or by hand, lacks what was
//!   last answered, with the same consequences. `min-replicas-to-write` and `min-replicas-max-lag` bound the gap.
//! - **Reading from replicas** would break the contract all the time, and is never asked for. A single server
//!   that is made a replica where it is, with `REPLICAOF`, keeps its connections, and refuses writes. When it does, the
//!   store connects anew, every half second at most, and sends the refused write again, to the new master as soon as
//!   the name leads there. Until then it may read what the replica has; what is under way when it connects anew fails.
//!   Sentinel and clusters see to that by themselves.

mod builder;
mod cluster;
mod connect;
mod dial;
mod engine;
mod error;
mod node;
mod records;
mod script;
mod slots;
mod start;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "no_tls.rs"]
mod tls;
mod users;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use redis;
use redis::{Cmd, ToRedisArgs, Value};
use session_core::store::{StoreKey, UserKey};

pub use crate::builder::RedisStoreBuilder;
use crate::engine::Engine;
use crate::error::Failure;
pub use crate::error::SetupError;
use crate::node::Deadline;
use crate::records::KeepFor;
use crate::script::Script;

/// Sessions in Redis. Cloning is cheap, and clones share the connections, which end with the last of them.
#[derive(Clone)]
pub struct RedisStore(Arc<Inner>);

struct Inner {
    engine: Engine,
    key_prefix: String,
    timeout: Duration,
    keep_for: KeepFor,
}

impl RedisStore {
    /// The store at this URL, with default options: `redis://[[user]:password@]host[:port][/database]`,
    /// `redis-cluster://[[user]:password@]host[:port],…`, and the same with `rediss`, for TLS. `valkey` and `valkeys`
    /// mean the same.
    ///
    /// Special characters in user and password are percent-encoded. Not all nodes of a cluster have to be named.
    ///
    /// # Errors
    /// The URL is wrong or leads to a server of another kind, or the server can't be reached, doesn't let us in, or
    /// doesn't let this user do what the store needs. The error says what to change or to grant.
    pub async fn connect(url: &str) -> Result<Self, SetupError> {
        Self::builder().connect(url).await
    }

    /// Options for a store.
    pub fn builder() -> RedisStoreBuilder {
        RedisStoreBuilder::new()
    }

    fn record_key(&self, key: &StoreKey) -> String {
        format!("{}{key}", self.0.key_prefix)
    }

    fn user_key(&self, user: &UserKey) -> String {
        format!("{}user:{user}", self.0.key_prefix)
    }

    async fn call(&self, key: &str, command: &Cmd) -> Result<Value, Failure> {
        let deadline = Deadline::after(self.0.timeout);
        self.0.engine.call(key, command, deadline).await
    }

    /// Commands with their keys, in one trip to each server that owns some of them.
    async fn call_all(&self, calls: Vec<(String, Cmd)>) -> Vec<Result<Value, Failure>> {
        let deadline = Deadline::after(self.0.timeout);
        self.0.engine.call_all(&calls, deadline).await
    }

    async fn run(
        &self,
        script: &Script,
        key: &str,
        arguments: impl ToRedisArgs,
    ) -> Result<Value, Failure> {
        let deadline = Deadline::after(self.0.timeout);
        script.run(&self.0.engine, key, arguments, deadline).await
    }
}

impl fmt::Debug for RedisStore {
    /// Shows nothing of the login.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("key_prefix", &self.0.key_prefix)
            .field("timeout", &self.0.timeout)
            .finish_non_exhaustive()
    }
}
