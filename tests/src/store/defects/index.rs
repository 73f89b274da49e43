//! The index of the broken store, and the one place in it for each defect.

use std::collections::HashSet;

use session_core::Timestamp;
use session_core::store::{
    AddOutcome, IndexEntry, Sample, StoreError, StoreKey, UserIndex, UserKey, async_trait,
};
use tokio::task::yield_now;

use super::Defect::*;
use super::store::{TestStore, lock};

#[async_trait]
impl UserIndex for TestStore {
    async fn add(
        &self,
        user: &UserKey,
        entry: IndexEntry,
        cap: Option<usize>,
        now: Timestamp,
    ) -> Result<AddOutcome, StoreError> {
        let _turn = self.turn(CapLooksFirst).await?;
        self.reach().await?;
        let entries = self.entries(user, now);
        yield_now().await;
        let others = entries
            .iter()
            .filter(|other| other.reference != entry.reference);
        let sessions: HashSet<_> = others.clone().map(|other| other.reference).collect();
        let count = match self.has(CapCountsIds) {
            true => others.count(),
            false => sessions.len(),
        };
        let count = match self.has(CapStopsCounting) {
            true => count.min(AddOutcome::COUNTED),
            false => count,
        };
        let is_full = cap.is_some_and(|cap| count >= cap);
        if !is_full || self.has(FullAddsNevertheless) {
            self.change(user, |entries| {
                entries.retain(|other| other.key != entry.key || self.has(IndexKeepsReplaced));
                entries.push(entry);
            });
        }
        self.end_turn();
        Ok(match is_full {
            true => AddOutcome::Full,
            false => AddOutcome::Added(self.entries(user, now).len()),
        })
    }

    async fn remove(&self, user: &UserKey, key: &StoreKey) -> Result<(), StoreError> {
        let _turn = self.turn(CapLooksFirst).await?;
        self.reach().await?;
        if !self.has(IndexKeepsRemoved) {
            self.change(user, |entries| entries.retain(|entry| entry.key != *key));
        }
        self.end_turn();
        Ok(())
    }

    async fn list(&self, user: &UserKey, now: Timestamp) -> Result<Vec<IndexEntry>, StoreError> {
        if let Err(error) = self.reach().await {
            return self.unless(FailedListIsEmpty, Vec::new(), error);
        }
        Ok(self.entries(user, now))
    }

    async fn sample(
        &self,
        user: &UserKey,
        sample: Sample,
        now: Timestamp,
    ) -> Result<Vec<IndexEntry>, StoreError> {
        let now = match self.has(SampleHasExpired) {
            true => Timestamp::default(),
            false => now,
        };
        let entries = self.list(user, now).await?;
        let seed = match self.has(SampleIsAlwaysTheSame) {
            true => 0,
            false => sample.seed,
        };
        Ok(Sample::new(sample.oldest, sample.random, seed).of(entries))
    }
}

impl TestStore {
    fn entries(&self, user: &UserKey, now: Timestamp) -> Vec<IndexEntry> {
        let mut entries = Vec::new();
        self.change(user, |all| entries.extend_from_slice(all));
        entries.retain(|entry| now < entry.expires_at || self.has(IndexListsExpired));
        if !self.has(IndexForgetsOrder) {
            entries.sort_by_key(|entry| entry.added_at);
        }
        entries
    }

    fn change(&self, user: &UserKey, change: impl FnOnce(&mut Vec<IndexEntry>)) {
        let user = match self.has(IndexMixesUsers) {
            true => UserKey::of("session_id", "everybody"),
            false => *user,
        };
        let mut index = lock(&self.engine.index);
        change(index.entry(user).or_default());
    }

    /// Removes up to `limit` expired entries and counts them.
    pub(super) fn sweep_index(&self, now: Timestamp, limit: usize) -> usize {
        if self.has(SweepForgetsIndex) {
            return 0;
        }
        let mut index = lock(&self.engine.index);
        let mut removed = 0;
        for entries in index.values_mut() {
            entries.retain(|entry| {
                let goes = removed < limit && now >= entry.expires_at;
                removed += usize::from(goes);
                !goes
            });
        }
        removed
    }
}
