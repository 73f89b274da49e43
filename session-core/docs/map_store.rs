use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use session_core::store::{
    Record, SaveOptions, SaveOutcome, SessionStore, StoreError, StoreKey, Timestamp, async_trait,
};

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
        let records = self.records();
        let record = records.get(key).filter(|record| !record.is_expired(now));
        Ok(record.cloned())
    }

    async fn save(
        &self,
        key: &StoreKey,
        record: Record,
        options: SaveOptions,
    ) -> Result<SaveOutcome, StoreError> {
        let mut records = self.records();
        let there = records
            .get(key)
            .filter(|there| !there.is_expired(options.now));
        let outcome = options.expect.check(there);
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
