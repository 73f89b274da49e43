//! The embedded session store: records in this process's memory, gone when it ends.
//!
//! ```
//! use session_store_memory::MemoryStore;
//!
//! let store = MemoryStore::new(); // clones share the records, which take 256 MiB at most
//! let larger = MemoryStore::builder().max_bytes(8 << 30).build();
//! let unlimited = MemoryStore::builder().unlimited_bytes().build();
//! ```
//!
//! - Records lie in independently locked shards; no lock covers the whole store, and none is held for more
//!   than one shard's work. Loading shares a record's data and copies none of it.
//! - Expired records are invisible at once. A shard removes them itself when enough new records have come,
//!   so that memory is bounded by what is alive without any task running. To give memory back in quiet times
//!   too, run a [`Sweeper`](session_core::Sweeper): `tokio::spawn(Sweeper::new(store.clone()).run())`.
//! - The store has a bound. A full one makes room among the records that matter least, and no account can use it up at
//!   the expense of others: see [`MemoryStoreBuilder`].

mod entry;
mod room;
mod shard;
mod users;

use std::fmt;
use std::hash::RandomState;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use session_core::Timestamp;
use session_core::store::{
    AddOutcome, IndexEntry, Record, Sample, SaveOptions, SaveOutcome, SessionStore, StoreError,
    StoreKey, Touch, UserIndex, UserKey, async_trait,
};

use crate::room::Amount;
use crate::shard::Shard;
use crate::users::UserShard;

/// Enough shards that threads rarely meet, and few enough records in each that none is locked for long.
const MAX_SHARDS: usize = 256;

/// In how many parts the index of sessions by user lies.
const USER_SHARDS: usize = 64;

/// The fewest records, and the fewest bytes, that a shard is made for, unless the store's bound is lower: the bound is
/// divided among the shards, and ids don't fill them evenly.
const MIN_SHARD_SESSIONS: usize = 256;
const MIN_SHARD_BYTES: usize = 2 * 1024 * 1024;

/// The default bound: 256 MiB. It is half of what the smallest machines that services commonly run on have, so that a
/// flood of visitors fills the store and not the machine, whose kernel would end the process and with it all sessions.
/// It is enough for a quarter of a million users' sessions with 300 bytes of JSON each.
pub const DEFAULT_MAX_BYTES: usize = 256 * 1024 * 1024;

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
    /// An empty store with the default bound, [`DEFAULT_MAX_BYTES`]. Starts no task.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Options for a store.
    pub fn builder() -> MemoryStoreBuilder {
        MemoryStoreBuilder {
            max_sessions: None,
            max_bytes: Some(DEFAULT_MAX_BYTES),
        }
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

    /// How many bytes the records take, as [`MemoryStoreBuilder::max_bytes`] counts them.
    pub fn len_bytes(&self) -> usize {
        let shards = 0..self.0.shards.len();
        shards.map(|at| self.lock(at).len_bytes()).sum()
    }

    /// How many records have been given up for others since the store was made, because it was full. Expired ones
    /// aren't counted. Where this number grows, the bound is too low, or somebody floods the application.
    pub fn evicted(&self) -> u64 {
        let shards = 0..self.0.shards.len();
        shards.map(|at| self.lock(at).evicted()).sum()
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
///
/// # What a full store does
///
/// A bound is divided evenly among up to 256 shards, each of which has room for 256 records or 2 MiB at least. So a
/// store may be full a little below its bound, and never goes over it. A full shard makes room for a new or larger
/// record in this order, and goes no further than it has to:
///
/// 1. Records that have expired.
/// 2. What anybody has above their **share**, a thirty-second of the shard: an account with all its sessions and
///    tombstones, or a session without a user with its tombstones. The tombstones go first, then the sessions that have
///    been idle longest. So no rotations and no logins push out what others have.
/// 3. Visitors without a user who have never come back since their session was created, and tombstones of sessions
///    without a user.
/// 4. Other sessions without a user.
/// 5. Tombstones of users' sessions.
/// 6. Only for a user's record: sessions of the account that has most in the shard, those that have been idle longest.
///    Nobody's only session in the shard is given up.
///
/// In the steps 3 to 5 that goes first which has been idle longest, each counted by its bytes: with a hundred times as
/// much data a session goes in a hundredth of the time. These steps free a sixteenth of the shard at once, and step 6 a
/// sixty-fourth, so that a flood doesn't look through the shard for each of its records.
///
/// If all that isn't enough, the record is refused with an error that says so, and the request that wanted it is
/// answered with 503. Endings of sessions that are there are never refused. A record that is larger than a shard is
/// refused too.
///
/// A record that was given up is missing, so that its visitor is a new one. **What was ended stays ended**: nothing
/// brings a session back whose tombstone was given up. What a tombstone is for besides gets lost with it. A late request
/// of its browser is an ordinary visitor's, and a logout that arrives with an id from before a rotation no longer finds
/// the session.
///
/// Accounts are told apart by their users' names, and visitors without a user not at all: who may have any number of
/// accounts has as many shares. The core's cap on sessions per user ends an account's sessions long before a store of
/// the default size does.
#[derive(Clone, Debug)]
#[must_use = "call build() to get the store"]
pub struct MemoryStoreBuilder {
    max_sessions: Option<usize>,
    max_bytes: Option<usize>,
}

impl MemoryStoreBuilder {
    /// The most records that are kept at once, tombstones included. Default: no bound but that in bytes, which holds
    /// beside this one.
    pub fn max_sessions(mut self, bound: usize) -> Self {
        self.max_sessions = Some(bound);
        self
    }

    /// The most bytes that the records may take. Default: 256 MiB ([`DEFAULT_MAX_BYTES`]).
    ///
    /// A record counts with its data, the library's own entries, its user's name and label, and what it takes besides:
    /// some 220 bytes, and 320 for the entry of a user's session in the index. Allocations are rounded up as common
    /// allocators do it, and what several records share counts with each, so that the process takes a little less than
    /// is counted. Records that requests are working on, or that an allocator keeps for later, come on top.
    pub fn max_bytes(mut self, bound: usize) -> Self {
        self.max_bytes = Some(bound);
        self
    }

    /// Lets the records take any number of bytes.
    pub fn unlimited_bytes(mut self) -> Self {
        self.max_bytes = None;
        self
    }

    /// The store.
    pub fn build(self) -> MemoryStore {
        let fit = [
            self.max_sessions.map(|bound| bound / MIN_SHARD_SESSIONS),
            self.max_bytes.map(|bound| bound / MIN_SHARD_BYTES),
        ];
        let fewest = fit.into_iter().flatten().min().unwrap_or(MAX_SHARDS);
        let count = fewest.clamp(1, MAX_SHARDS);
        let limit = |bound: Option<usize>| bound.map_or(usize::MAX, |bound| bound / count);
        let limits = Amount {
            records: limit(self.max_sessions),
            bytes: limit(self.max_bytes),
        };
        let hasher = RandomState::new();
        let shards = (0..count).map(|_| Mutex::new(Shard::new(limits, hasher.clone())));
        let users = std::iter::repeat_with(Mutex::default);
        MemoryStore(Arc::new(Shards {
            shards: shards.collect(),
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
        let saved = self.shard(key).save(key, record, options);
        saved.map_err(StoreError::not_applied)
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
