//! The index of sessions by user.

use session_core::Timestamp;
use session_core::store::{
    AddOutcome, IndexEntry, StoreError, StoreKey, UserIndex, UserKey, async_trait,
};
use sqlx::Executor as _;

use super::{BEGIN, SqliteStore, query, query_as, store_error};
use crate::shared::{EntryColumns, Lease, admit, entries, millis, unavailable};

#[async_trait]
impl UserIndex for SqliteStore {
    /// A transaction that has the file's one write lock from before it counts.
    async fn add(
        &self,
        user: &UserKey,
        entry: IndexEntry,
        cap: Option<usize>,
        now: Timestamp,
    ) -> Result<AddOutcome, StoreError> {
        let _turn = self.turns.lock().await;
        let mut lease = Lease::take(&self.pool).await.map_err(unavailable)?;
        lease.execute(BEGIN).await.map_err(store_error)?;
        let rows: Vec<EntryColumns> = query_as(&self.sql.list)
            .bind(user.as_bytes().as_slice())
            .bind(millis(now))
            .fetch_all(&mut *lease)
            .await
            .map_err(store_error)?;
        let outcome = admit(entries(rows)?, &entry, cap, now);
        if let AddOutcome::Added(_) = outcome {
            let forget = query(&self.sql.forget)
                .bind(user.as_bytes().as_slice())
                .bind(millis(now));
            forget.execute(&mut *lease).await.map_err(store_error)?;
            let enter = query(&self.sql.enter)
                .bind(user.as_bytes().as_slice())
                .bind(entry.key.as_bytes().as_slice())
                .bind(entry.reference.as_bytes().as_slice())
                .bind(millis(entry.added_at))
                .bind(millis(entry.expires_at));
            enter.execute(&mut *lease).await.map_err(store_error)?;
        }
        lease.execute("COMMIT").await.map_err(store_error)?;
        lease.finish();
        Ok(outcome)
    }

    async fn remove(&self, user: &UserKey, key: &StoreKey) -> Result<(), StoreError> {
        let _turn = self.turns.lock().await;
        let mut connection = self.connection().await?;
        let remove = query(&self.sql.remove)
            .bind(user.as_bytes().as_slice())
            .bind(key.as_bytes().as_slice());
        remove
            .execute(&mut *connection)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    async fn list(&self, user: &UserKey, now: Timestamp) -> Result<Vec<IndexEntry>, StoreError> {
        let mut connection = self.connection().await?;
        let rows: Vec<EntryColumns> = query_as(&self.sql.list)
            .bind(user.as_bytes().as_slice())
            .bind(millis(now))
            .fetch_all(&mut *connection)
            .await
            .map_err(store_error)?;
        entries(rows)
    }
}
