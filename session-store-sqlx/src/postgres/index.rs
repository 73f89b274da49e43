//! The index of sessions by user.

use session_core::Timestamp;
use session_core::store::{
    AddOutcome, IndexEntry, StoreError, StoreKey, UserIndex, UserKey, async_trait,
};
use sqlx::Executor as _;

use super::{BEGIN, PostgresStore, execute, fetch, query, query_as, store_error};
use crate::shared::{EntryColumns, Lease, admit, entries, millis, unavailable};

#[async_trait]
impl UserIndex for PostgresStore {
    /// A transaction, in which those who add for one user take turns from before they count. The lock is a statement
    /// of its own: one that took it and counted would count what was there before it had to wait.
    async fn add(
        &self,
        user: &UserKey,
        entry: IndexEntry,
        cap: Option<usize>,
        now: Timestamp,
    ) -> Result<AddOutcome, StoreError> {
        let mut lease = Lease::take(&self.pool).await.map_err(unavailable)?;
        lease.execute(BEGIN).await.map_err(store_error)?;
        let lock = query(&self.sql.lock).bind(lock_of(user));
        lock.execute(&mut *lease).await.map_err(store_error)?;
        // The rows are locked too, so that none of them is removed before the one is there that is counted with them.
        let rows: Vec<EntryColumns> = query_as(&self.sql.list_locked)
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
        let mut connection = self.connection().await?;
        execute(&mut connection, || {
            query(&self.sql.remove)
                .bind(user.as_bytes().as_slice())
                .bind(key.as_bytes().as_slice())
        })
        .await?;
        Ok(())
    }

    async fn list(&self, user: &UserKey, now: Timestamp) -> Result<Vec<IndexEntry>, StoreError> {
        let mut connection = self.connection().await?;
        let rows: Vec<EntryColumns> = fetch(&mut connection, || {
            query_as(&self.sql.list)
                .bind(user.as_bytes().as_slice())
                .bind(millis(now))
        })
        .await?;
        entries(rows)
    }
}

/// The advisory lock of a user. Their keys are hashes, of which eight bytes tell enough users apart: two who share a
/// lock only wait for each other.
fn lock_of(user: &UserKey) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = *user.as_bytes();
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}
