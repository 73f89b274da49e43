//! The store that the servers are given: each call waits until the scheduler lets it happen.

use session_core::Timestamp;
use session_core::store::{
    AddOutcome, IndexEntry, Record, SaveOptions, SaveOutcome, SessionStore, StoreError, StoreKey,
    Touch, UserIndex, UserKey, async_trait,
};

use super::calls::{Reply, StoreCall};
use super::world::{What, World};

/// The store that the servers are given.
pub(super) struct ScheduledStore(pub(super) World);

#[async_trait]
impl SessionStore for ScheduledStore {
    async fn load(&self, key: &StoreKey, now: Timestamp) -> Result<Option<Record>, StoreError> {
        match self
            .0
            .wait_for(What::Store(Box::new(StoreCall::Load(*key, now))))
            .await?
        {
            Reply::Loaded(record) => Ok(record),
            other => panic!("a load was answered with {other:?}"),
        }
    }

    async fn save(
        &self,
        key: &StoreKey,
        record: Record,
        options: SaveOptions,
    ) -> Result<SaveOutcome, StoreError> {
        let SaveOptions { expect, now, .. } = options;
        outcome(
            self.0
                .wait_for(What::Store(Box::new(StoreCall::Save(
                    *key, record, expect, now,
                ))))
                .await,
        )
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.0
            .wait_for(What::Store(Box::new(StoreCall::Delete(*key))))
            .await
            .map(|_| ())
    }

    async fn touch(
        &self,
        key: &StoreKey,
        touch: Touch,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        outcome(
            self.0
                .wait_for(What::Store(Box::new(StoreCall::Touch(*key, touch, now))))
                .await,
        )
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        Some(self)
    }
}

#[async_trait]
impl UserIndex for ScheduledStore {
    async fn add(
        &self,
        user: &UserKey,
        entry: IndexEntry,
        cap: Option<usize>,
        now: Timestamp,
    ) -> Result<AddOutcome, StoreError> {
        let call = StoreCall::AddEntry(*user, entry, cap, now);
        match self.0.wait_for(What::Store(Box::new(call))).await? {
            Reply::Added(outcome) => Ok(outcome),
            other => panic!("an entry was answered with {other:?}"),
        }
    }

    async fn remove(&self, user: &UserKey, key: &StoreKey) -> Result<(), StoreError> {
        let call = StoreCall::RemoveEntry(*user, *key);
        self.0
            .wait_for(What::Store(Box::new(call)))
            .await
            .map(|_| ())
    }

    async fn list(&self, user: &UserKey, now: Timestamp) -> Result<Vec<IndexEntry>, StoreError> {
        let call = StoreCall::Entries(*user, now);
        match self.0.wait_for(What::Store(Box::new(call))).await? {
            Reply::Entries(entries) => Ok(entries),
            other => panic!("a listing was answered with {other:?}"),
        }
    }
}

fn outcome(reply: Result<Reply, StoreError>) -> Result<SaveOutcome, StoreError> {
    match reply? {
        Reply::Outcome(outcome) => Ok(outcome),
        other => panic!("a write was answered with {other:?}"),
    }
}
