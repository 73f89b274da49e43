//! The contract between the core and whatever keeps the sessions.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::error::StoreError;
use super::index::UserIndex;
use super::record::{Record, RecordState};
use crate::id::{StoreKey, Version};
use crate::time::Timestamp;

/// A place that keeps sessions.
///
/// Three methods are required. The core makes ids, versions and expiry times and decides what happens; a
/// store keeps what it is given and answers truthfully. `now` comes with every call: a store has no clock
/// of its own.
///
/// # What every method promises
///
/// - **Expired is missing.** A record whose `expires_at` is not later than `now` does not exist, for every
///   method, whether or not it has been removed.
/// - **Tombstones are records.** A store treats [`RecordState::Superseded`] and [`RecordState::Ended`] like
///   live records in `load`, `save`, `delete` and expiry. They must last until they expire: they are what
///   keeps an ended session ended.
/// - **Bytes come back as they were.** Data, version and every other field are returned exactly as saved.
/// - **An error is an error.** A store that can't be reached answers [`StoreError`], never "missing". An
///   error says whether the write certainly did not happen ([`StoreError::not_applied`]) or nobody knows
///   ([`StoreError::unknown`]); when in doubt it is unknown. Nothing below the store resends a write whose
///   outcome is unknown.
/// - **Calls on one key are linearizable**: each takes effect at one moment between its start and its
///   answer, across all processes. Nothing is asked of calls on different keys.
/// - **Futures may be dropped** at any time. The call then either took effect or it didn't.
/// - **Waiting is done asynchronously.** The core reads the clock again only once a call was pending. A call
///   that blocks its thread instead comes back to a core that still goes by the earlier time, and may take an
///   expired session for a live one.
///
/// The suite in `session-conformance` has a test for each of these sentences; run it against your store.
///
/// # Example
///
/// A complete store, without sweeping of its own:
///
/// ```
#[doc = include_str!("../../docs/map_store.rs")]
/// ```
#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    /// The record under `key`, live or tombstone; `None` if there is none or it has expired. Changes
    /// nothing: a lookup creates no record and extends none.
    ///
    /// A record that can't be decoded is an error made from [`DecodeError`](super::DecodeError), and stays where
    /// it is.
    async fn load(&self, key: &StoreKey, now: Timestamp) -> Result<Option<Record>, StoreError>;

    /// The records under these keys, in the same order: each is what [`load`](Self::load) would answer, and one that
    /// can't be read or reached doesn't keep the others from being answered. Nothing is asked of the moments at which
    /// they are looked at.
    ///
    /// The core asks for at most 32 at a time, when it looks through a user's sessions. The default loads one after the
    /// other; a store for which each call is a way to a server and back answers them in one.
    async fn load_many(
        &self,
        keys: &[StoreKey],
        now: Timestamp,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        let mut records = Vec::with_capacity(keys.len());
        for key in keys {
            records.push(self.load(key, now).await);
        }
        records
    }

    /// Puts `record` under `key` if what is there is what [`options.expect`](SaveOptions::expect) says, in one
    /// atomic step; otherwise changes nothing. It never inserts where a version is expected and never
    /// overwrites where nothing is expected; an expired record is overwritten as if it weren't there.
    async fn save(
        &self,
        key: &StoreKey,
        record: Record,
        options: SaveOptions,
    ) -> Result<SaveOutcome, StoreError>;

    /// Puts `record` in the place of `replaced`, which the caller has read under `key`. The outcome is that of a save that
    /// expects the version of `replaced`.
    ///
    /// The default is that save, which is all that most stores need. It is for engines that can compare what lies there
    /// with the whole of `replaced` more cheaply than with its version alone. [`Record::encode`] gives the bytes that
    /// were decoded. They may differ from those that lie there though the version is the same, such as where another
    /// version of this library has written them; then the save has to happen all the same.
    fn replace<'c>(
        &'c self,
        key: &'c StoreKey,
        record: Record,
        replaced: Record,
        now: Timestamp,
    ) -> Replacing<'c> {
        let options = SaveOptions::new(Expect::Version(replaced.version), now);
        self.save(key, record, options)
    }

    /// Removes the record under `key`, whatever it is. Removing what isn't there is fine.
    ///
    /// The core calls it to take back a record that lost a race before anybody knew its id. Ending a
    /// session is a save of a tombstone.
    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError>;

    /// Notes activity: moves version, last activity and expiry of a live record without touching its data.
    ///
    /// The outcome is that of a save that expects `touch.expected`; a tombstone counts as missing. Neither
    /// time ever moves backwards. The default loads and saves; a store that can change the fields in place
    /// does so, and saves the bytes.
    async fn touch(
        &self,
        key: &StoreKey,
        touch: Touch,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        match self.load(key, now).await? {
            Some(record) => match touch.apply(record) {
                Ok(touched) => {
                    let options = SaveOptions::new(Expect::Version(touch.expected), now);
                    self.save(key, touched, options).await
                }
                Err(outcome) => Ok(outcome),
            },
            None => Ok(SaveOutcome::Missing),
        }
    }

    /// Removes up to `limit` expired records and says how many it removed; fewer than `limit` means that
    /// none are left. Never removes a record that `load` would still return.
    ///
    /// An error ends the batch, not the ability to sweep: the next call goes on. The default removes
    /// nothing, for engines that expire records themselves.
    async fn delete_expired(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let _ = (now, limit);
        Ok(0)
    }

    /// How much longer than a record lives the engine has to keep it, and an entry of the index, where the engine removes
    /// by itself what has expired. Somebody else's clock may be behind, and whoever concludes something from a missing
    /// record asks with an earlier time: the margin is the clock tolerance and the store timeout of the configuration.
    ///
    /// Each [`SessionManager`](crate::SessionManager) says it once, before its first call; of several the longest counts.
    /// The default does nothing, for engines that remove only what [`delete_expired`](Self::delete_expired) asks for: the
    /// [`Sweeper`](crate::Sweeper::margin) has that margin.
    fn keep_expired_for(&self, margin: Duration) {
        let _ = margin;
    }

    /// The store's index of sessions by user. The default has none: users can then log in and out, but not be
    /// listed, ended from elsewhere, or held to a number of sessions.
    fn user_index(&self) -> Option<&dyn UserIndex> {
        None
    }
}

/// What [`SessionStore::replace`] returns: the future of a save, which a store that leaves it as it is has made already.
pub type Replacing<'c> = Pin<Box<dyn Future<Output = Result<SaveOutcome, StoreError>> + Send + 'c>>;

/// What a save goes by. Later versions of this library may add to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SaveOptions {
    /// What has to be there for the save to happen.
    pub expect: Expect,
    /// The time by which it is decided what has expired.
    pub now: Timestamp,
}

impl SaveOptions {
    /// A save at `now` that happens if `expect` holds.
    pub const fn new(expect: Expect, now: Timestamp) -> Self {
        Self { expect, now }
    }
}

/// What a save expects to find under its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Expect {
    /// Nothing: the save creates the record.
    Absent,
    /// A record of this version.
    Version(Version),
}

impl Expect {
    /// How a save with this expectation ends when `current` is what lies under the key; expired records
    /// must have been left out. For stores that can look before they write, under a lock of their own.
    pub fn check(self, current: Option<&Record>) -> SaveOutcome {
        match (self, current) {
            (Self::Absent, None) => SaveOutcome::Saved,
            (Self::Version(version), Some(record)) if record.version == version => {
                SaveOutcome::Saved
            }
            (_, Some(record)) => SaveOutcome::Conflict(Some(Box::new(record.clone()))),
            (Self::Version(_), None) => SaveOutcome::Missing,
        }
    }
}

/// How a save or a touch ended.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum SaveOutcome {
    /// The record is stored.
    Saved,
    /// Something else than expected lies under the key. Nothing was changed. A store that knows for
    /// certain what lies there now hands it out, which saves the core a load; what it hands out never has
    /// the expected version.
    Conflict(Option<Box<Record>>),
    /// Nothing lies under the key, or it has expired. Nothing was changed.
    Missing,
}

/// What a touch changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Touch {
    /// The version that the record must have.
    pub expected: Version,
    /// The version that it gets.
    pub version: Version,
    /// The last activity; an earlier one than the record's is ignored.
    pub last_active_at: Timestamp,
    /// The expiry; an earlier one than the record's is ignored.
    pub expires_at: Timestamp,
}

impl Touch {
    /// A touch of the record of version `expected`, which gets `version` and these times.
    pub const fn new(
        expected: Version,
        version: Version,
        last_active_at: Timestamp,
        expires_at: Timestamp,
    ) -> Self {
        Self {
            expected,
            version,
            last_active_at,
            expires_at,
        }
    }

    /// `record` with this touch applied, or how the touch ends without having changed anything.
    pub fn apply(&self, mut record: Record) -> Result<Record, SaveOutcome> {
        let RecordState::Live(live) = &mut record.state else {
            return Err(SaveOutcome::Missing);
        };
        if record.version != self.expected {
            return Err(SaveOutcome::Conflict(Some(Box::new(record))));
        }
        live.last_active_at = live.last_active_at.max(self.last_active_at);
        record.expires_at = record.expires_at.max(self.expires_at);
        record.version = self.version;
        Ok(record)
    }
}

/// Shared stores are stores, so that an application can keep a handle of its own.
#[async_trait]
impl<S: SessionStore + ?Sized> SessionStore for Arc<S> {
    async fn load(&self, key: &StoreKey, now: Timestamp) -> Result<Option<Record>, StoreError> {
        (**self).load(key, now).await
    }

    async fn load_many(
        &self,
        keys: &[StoreKey],
        now: Timestamp,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        (**self).load_many(keys, now).await
    }

    async fn save(
        &self,
        key: &StoreKey,
        record: Record,
        options: SaveOptions,
    ) -> Result<SaveOutcome, StoreError> {
        (**self).save(key, record, options).await
    }

    fn replace<'c>(
        &'c self,
        key: &'c StoreKey,
        record: Record,
        replaced: Record,
        now: Timestamp,
    ) -> Replacing<'c> {
        (**self).replace(key, record, replaced, now)
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        (**self).delete(key).await
    }

    async fn touch(
        &self,
        key: &StoreKey,
        touch: Touch,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        (**self).touch(key, touch, now).await
    }

    async fn delete_expired(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        (**self).delete_expired(now, limit).await
    }

    fn keep_expired_for(&self, margin: Duration) {
        (**self).keep_expired_for(margin);
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        (**self).user_index()
    }
}
