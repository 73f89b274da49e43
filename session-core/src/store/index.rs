//! The contract of the index of sessions by user, which a store may have.

use async_trait::async_trait;

use super::error::StoreError;
use crate::id::{SessionRef, StoreKey, UserKey};
use crate::time::Timestamp;

/// Which sessions a user has: an index beside the records, for lists of devices, "sign out everywhere else",
/// and a cap on sessions per user. A store that has one says so in
/// [`SessionStore::user_index`](super::SessionStore::user_index).
///
/// # What every method promises
///
/// - **Calls for one user are linearizable**, across all processes, like calls on one key of the records.
///   Nothing is asked of calls for different users, and nothing of an entry and the record that it stands
///   for: the core writes an entry before the record exists and removes it after the record has died, and
///   copes with what a crash leaves between the two.
/// - **Expired is missing.** An entry whose `expires_at` is not later than `now` is neither listed nor counted,
///   whether or not it has been removed.
/// - **Nothing is left behind.** Entries that have expired go by themselves, or with
///   [`delete_expired`](super::SessionStore::delete_expired), which counts them too.
/// - **An error is an error**, of the same two kinds as those of the records.
#[async_trait]
pub trait UserIndex: Send + Sync + 'static {
    /// Adds an entry, in place of one with the same key.
    ///
    /// With a `cap`, only if the entries of fewer than `cap` other sessions are there: those whose reference
    /// is another one, each reference counted once. Otherwise nothing is changed. One atomic step, also for
    /// callers in several processes at once.
    async fn add(
        &self,
        user: &UserKey,
        entry: IndexEntry,
        cap: Option<usize>,
        now: Timestamp,
    ) -> Result<AddOutcome, StoreError>;

    /// Removes the entry with this key. Removing what isn't there is fine.
    async fn remove(&self, user: &UserKey, key: &StoreKey) -> Result<(), StoreError>;

    /// All entries of the user as they are at one moment, in order of `added_at`.
    async fn list(&self, user: &UserKey, now: Timestamp) -> Result<Vec<IndexEntry>, StoreError>;

    /// Up to `limit` of the user's entries, each as likely as any other, in no particular order; `seed` is random. The
    /// default lists all entries and chooses among them. A store in which a user may have very many entries looks at
    /// `limit` of them alone.
    async fn sample(
        &self,
        user: &UserKey,
        limit: usize,
        seed: u64,
        now: Timestamp,
    ) -> Result<Vec<IndexEntry>, StoreError> {
        let mut entries = self.list(user, now).await?;
        choose(&mut entries, limit, seed);
        Ok(entries)
    }
}

/// One id of one of a user's sessions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct IndexEntry {
    /// Where the record lies, or is about to be written, or has lain.
    pub key: StoreKey,
    /// The session's public reference, which stays the same over rotation.
    pub reference: SessionRef,
    /// When the entry was added.
    pub added_at: Timestamp,
    /// From this time on the entry is missing. The session doesn't outlive it.
    pub expires_at: Timestamp,
}

impl IndexEntry {
    /// The entry of the session `reference` under `key`, added and missing at these times.
    pub const fn new(
        key: StoreKey,
        reference: SessionRef,
        added_at: Timestamp,
        expires_at: Timestamp,
    ) -> Self {
        Self {
            key,
            reference,
            added_at,
            expires_at,
        }
    }
}

/// Keeps `count` of these, each as likely as any other. A store can use it for [`UserIndex::sample`].
pub fn choose<T>(from: &mut Vec<T>, count: usize, seed: u64) {
    // SplitMix64: the choice has to be fair, not secret.
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    };
    for at in 0..count.min(from.len()) {
        let rest = u64::try_from(from.len() - at).unwrap_or(u64::MAX);
        let offset = usize::try_from(next() % rest).unwrap_or(0);
        from.swap(at, at + offset);
    }
    from.truncate(count);
}

/// How adding an entry ended.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum AddOutcome {
    /// The entry is there, and with it the user has this many entries.
    Added(usize),
    /// The cap is reached; nothing was changed. These are the user's entries, in order of `added_at`.
    Full(Vec<IndexEntry>),
}
