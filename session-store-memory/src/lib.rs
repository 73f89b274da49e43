//! The embedded session store: records in this process's memory, gone when it ends.
//!
//! ```
//! use session_store_memory::MemoryStore;
//!
//! let store = MemoryStore::new(); // clones share the records
//! let bounded = MemoryStore::builder().max_sessions(1_000_000).build();
//! ```
//!
//! - Records lie in independently locked shards; no lock covers the whole store, and none is held for more
//!   than one shard's work. Loading shares a record's data and copies none of it.
//! - Expired records are invisible at once. A shard removes them itself when enough new records have come,
//!   so that memory is bounded by what is alive without any task running. To give memory back in quiet times
//!   too, run a [`Sweeper`](session_core::Sweeper): `tokio::spawn(Sweeper::new(store.clone()).run())`.
//! - With a bound, a full store makes room among the records that matter least: see
//!   [`MemoryStoreBuilder::max_sessions`].

mod shard;
mod users;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use session_core::Timestamp;
use session_core::store::{
    AddOutcome, IndexEntry, Record, Sample, SaveOptions, SaveOutcome, SessionStore, StoreError,
    StoreKey, Touch, UserIndex, UserKey, async_trait,
};

use crate::shard::{Full, Shard};
use crate::users::UserShard;

/// Enough shards that threads rarely meet, and few enough records in each that none is locked for long.
const MAX_SHARDS: usize = 256;

/// In how many parts the index of sessions by user lies.
const USER_SHARDS: usize = 64;

/// With a bound, the fewest records that a shard is made for: the bound is divided among the shards, and
/// ids don't fill them evenly.
const MIN_SHARD_BOUND: usize = 256;

/// Sessions in this process's memory. Cloning is cheap, and clones share the records.
#[derive(Clone)]
pub struct MemoryStore(Arc<Shards>);

struct Shards {
    shards: Vec<Mutex<Shard>>,
    users: Vec<Mutex<UserShard>>,
    /// The shard at which the next sweep goes on.
    next_sweep: AtomicUsize,
}

impl MemoryStore {
    /// An empty store without a bound. Starts no task.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Options for a store.
    pub fn builder() -> MemoryStoreBuilder {
        MemoryStoreBuilder { max_sessions: None }
    }

    /// How many entries there are in the index of sessions by user, expired ones that haven't been removed yet
    /// included.
    pub fn index_len(&self) -> usize {
        let users = 0..self.0.users.len();
        users.map(|at| self.lock_users(at).len()).sum()
    }

    /// How many records there are, tombstones and expired ones that haven't been removed yet included.
    pub fn len(&self) -> usize {
        (0..self.0.shards.len()).map(|at| self.lock(at).len()).sum()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The shard that `key` belongs to. Keys are hashes, so that any of their bytes spread them evenly.
    fn shard(&self, key: &StoreKey) -> MutexGuard<'_, Shard> {
        let [first, second, ..] = *key.as_bytes();
        self.lock(usize::from(u16::from_le_bytes([first, second])) % self.0.shards.len())
    }

    /// The part of the index that `user` belongs to.
    fn users(&self, user: &UserKey) -> MutexGuard<'_, UserShard> {
        let [first, ..] = *user.as_bytes();
        self.lock_users(usize::from(first) % USER_SHARDS)
    }

    fn lock_users(&self, at: usize) -> MutexGuard<'_, UserShard> {
        self.0.users[at]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self, at: usize) -> MutexGuard<'_, Shard> {
        // No operation on a shard leaves it half-done where it could panic.
        self.0.shards[at]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("records", &self.len())
            .finish_non_exhaustive()
    }
}

/// Options for a [`MemoryStore`].
#[derive(Clone, Debug)]
#[must_use = "call build() to get the store"]
pub struct MemoryStoreBuilder {
    max_sessions: Option<usize>,
}

impl MemoryStoreBuilder {
    /// The most records that are kept at once, tombstones included. Default: no bound.
    ///
    /// The bound is divided evenly among up to 256 shards, so that a store may be full a little below it and
    /// never goes over it. A full shard makes room for a new session in this order, a sixteenth of its bound
    /// at a time, the longest inactive first:
    ///
    /// 1. records that have expired;
    /// 2. visitors without a user who have never come back since their session was created;
    /// 3. other sessions without a user;
    /// 4. tombstones.
    ///
    /// Sessions that are bound to a user stay. When they fill a shard, a new session in it is refused with an
    /// error, and the request that wanted it is answered with 503.
    pub fn max_sessions(mut self, bound: usize) -> Self {
        self.max_sessions = Some(bound);
        self
    }

    /// The store.
    pub fn build(self) -> MemoryStore {
        let (count, bound) = match self.max_sessions {
            None => (MAX_SHARDS, usize::MAX),
            Some(bound) => {
                let count = (bound / MIN_SHARD_BOUND).clamp(1, MAX_SHARDS);
                (count, bound / count)
            }
        };
        let shards = (0..count).map(|_| Mutex::new(Shard::new(bound))).collect();
        let users = std::iter::repeat_with(Mutex::default);
        MemoryStore(Arc::new(Shards {
            shards,
            users: users.take(USER_SHARDS).collect(),
            next_sweep: AtomicUsize::new(0),
        }))
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn load(&self, key: &StoreKey, now: Timestamp) -> Result<Option<Record>, StoreError> {
        Ok(self.shard(key).load(key, now))
    }

    async fn save(
        &self,
        key: &StoreKey,
        record: Record,
        options: SaveOptions,
    ) -> Result<SaveOutcome, StoreError> {
        self.shard(key).save(key, record, options).map_err(|Full| {
            StoreError::not_applied("the memory store is full of sessions that are bound to users")
        })
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.shard(key).delete(key);
        Ok(())
    }

    async fn touch(
        &self,
        key: &StoreKey,
        touch: Touch,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        Ok(self.shard(key).touch(key, touch, now))
    }

    /// Goes from shard to shard, holds one lock at a time, and goes on where the last sweep stopped.
    async fn delete_expired(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let count = self.0.shards.len();
        let first = self.0.next_sweep.load(Ordering::Relaxed);
        let mut removed = 0;
        for at in (first..first + count).map(|at| at % count) {
            removed += self.lock(at).delete_expired(now, limit - removed);
            if removed == limit {
                self.0.next_sweep.store(at, Ordering::Relaxed);
                return Ok(removed);
            }
        }
        for at in 0..USER_SHARDS {
            removed += self.lock_users(at).delete_expired(now, limit - removed);
        }
        Ok(removed)
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        Some(self)
    }
}

#[async_trait]
impl UserIndex for MemoryStore {
    async fn add(
        &self,
        user: &UserKey,
        entry: IndexEntry,
        cap: Option<usize>,
        now: Timestamp,
    ) -> Result<AddOutcome, StoreError> {
        Ok(self.users(user).add(user, entry, cap, now))
    }

    async fn remove(&self, user: &UserKey, key: &StoreKey) -> Result<(), StoreError> {
        self.users(user).remove(user, key);
        Ok(())
    }

    async fn list(&self, user: &UserKey, now: Timestamp) -> Result<Vec<IndexEntry>, StoreError> {
        Ok(self.users(user).list(user, now))
    }

    async fn sample(
        &self,
        user: &UserKey,
        sample: Sample,
        now: Timestamp,
    ) -> Result<Vec<IndexEntry>, StoreError> {
        Ok(self.users(user).sample(user, sample, now))
    }
}
