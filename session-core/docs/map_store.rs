use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use session_core::store::{Expect, SaveOutcome, SessionStore, StoreError, async_trait};
use session_core::{Record, StoreKey, Timestamp};

/// A complete store: a map under a lock.
#[derive(Default)]
pub struct MapStore(Mutex<HashMap<StoreKey, Record>>);

impl MapStore {
    fn records(&self) -> MutexGuard<'_, HashMap<StoreKey, Record>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SessionStore for MapStore {
    async fn load(&self, key: &StoreKey, now: Timestamp) -> Result<Option<Record>, StoreError> {
        Ok(self
            .records()
            .get(key)
            .filter(|record| !record.is_expired(now))
            .cloned())
    }

    async fn save(
        &self,
        key: &StoreKey,
        record: Record,
        expect: Expect,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        let mut records = self.records();
        let outcome = expect.check(records.get(key).filter(|record| !record.is_expired(now)));
        if outcome == SaveOutcome::Saved {
            records.insert(*key, record);
        }
        Ok(outcome)
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.records().remove(key);
        Ok(())
    }
}
