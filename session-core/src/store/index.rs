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
    ///
    /// A user may have very many entries. Without a cap, or with fewer entries than the cap, there is no need to look at
    /// any of them: their plain number tells enough.
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

    /// Some of the user's entries: those that were added first, and some of the others. None comes twice, and their
    /// order doesn't matter.
    ///
    /// The default lists all entries and chooses among them. A store in which a user may have very many entries looks at
    /// these alone; keys are hashes, so that a few neighbours from a random place on are a fair choice.
    async fn sample(
        &self,
        user: &UserKey,
        sample: Sample,
        now: Timestamp,
    ) -> Result<Vec<IndexEntry>, StoreError> {
        Ok(sample.of(self.list(user, now).await?))
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

/// Which of a user's entries [`UserIndex::sample`] gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Sample {
    /// How many of those that were added first.
    pub oldest: usize,
    /// How many of the others, each about as likely as any other.
    pub random: usize,
    /// A random number by which these are chosen.
    pub seed: u64,
}

impl Sample {
    /// Up to `oldest` entries that were added first, and up to `random` others, chosen by `seed`.
    pub const fn new(oldest: usize, random: usize, seed: u64) -> Self {
        Self {
            oldest,
            random,
            seed,
        }
    }

    /// The sample of all of a user's entries, which are in order of `added_at`.
    pub fn of(self, mut entries: Vec<IndexEntry>) -> Vec<IndexEntry> {
        let oldest = self.oldest.min(entries.len());
        let chosen = self.random.min(entries.len() - oldest);
        // SplitMix64: the choice has to be fair, not secret.
        let mut state = self.seed;
        let mut next = || {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^ (mixed >> 31)
        };
        for at in oldest..oldest + chosen {
            let rest = u64::try_from(entries.len() - at).unwrap_or(u64::MAX);
            let offset = usize::try_from(next() % rest).unwrap_or(0);
            entries.swap(at, at + offset);
        }
        entries.truncate(oldest + chosen);
        entries
    }

    /// The key from which a store that keeps entries in order of their keys goes on, round the end, until it has enough
    /// of them.
    pub fn from_key(self) -> StoreKey {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.seed.to_be_bytes());
        StoreKey::from_bytes(bytes)
    }
}

/// How adding an entry ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum AddOutcome {
    /// The entry is there, and with it the user has this many entries. A store may count those that have expired and
    /// haven't been removed yet, and needn't count beyond [`AddOutcome::COUNTED`].
    Added(usize),
    /// The cap is reached; nothing was changed.
    Full,
}

impl AddOutcome {
    /// Up to this many entries a store has to count when one is added.
    pub const COUNTED: usize = 32;
}
