//! The index of sessions by user.

use session_core::Timestamp;
use session_core::store::{
    AddOutcome, IndexEntry, Sample, StoreError, StoreKey, UserIndex, UserKey, async_trait,
};
use sqlx::{Executor as _, SqliteConnection};

use super::{BEGIN, SqliteStore, query, query_as, store_error};
use crate::shared::{
    EntryColumns, Lease, SampleColumns, counted, entries, millis, number, sample_limits, sampled,
    unavailable,
};

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
        let others = self.count_entries(&mut lease, user, &entry, cap).await?;
        let is_full = match cap {
            Some(cap) if others >= cap => {
                let sessions = self.count_sessions(&mut lease, user, &entry, cap, now);
                sessions.await? >= cap
            }
            _ => false,
        };
        if !is_full {
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
        Ok(match is_full {
            true => AddOutcome::Full,
            false => AddOutcome::Added(others + 1),
        })
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

    async fn sample(
        &self,
        user: &UserKey,
        sample: Sample,
        now: Timestamp,
    ) -> Result<Vec<IndexEntry>, StoreError> {
        let mut connection = self.connection().await?;
        let (oldest, others) = sample_limits(sample);
        let rows: Vec<SampleColumns> = query_as(&self.sql.sample)
            .bind(user.as_bytes().as_slice())
            .bind(millis(now))
            .bind(oldest)
            .bind(others)
            .bind(sample.from_key().as_bytes().as_slice())
            .fetch_all(&mut *connection)
            .await
            .map_err(store_error)?;
        sampled(rows, sample)
    }
}

impl SqliteStore {
    /// How many entries other than this one the user has, expired ones included.
    async fn count_entries(
        &self,
        connection: &mut SqliteConnection,
        user: &UserKey,
        entry: &IndexEntry,
        cap: Option<usize>,
    ) -> Result<usize, StoreError> {
        let (entries,): (i64,) = query_as(&self.sql.count_entries)
            .bind(user.as_bytes().as_slice())
            .bind(entry.key.as_bytes().as_slice())
            .bind(counted(cap))
            .fetch_one(connection)
            .await
            .map_err(store_error)?;
        Ok(number(entries))
    }

    /// How many other sessions the user has, up to the cap.
    async fn count_sessions(
        &self,
        connection: &mut SqliteConnection,
        user: &UserKey,
        entry: &IndexEntry,
        cap: usize,
        now: Timestamp,
    ) -> Result<usize, StoreError> {
        let (sessions,): (i64,) = query_as(&self.sql.count_sessions)
            .bind(user.as_bytes().as_slice())
            .bind(millis(now))
            .bind(entry.reference.as_bytes().as_slice())
            .bind(counted(Some(cap)))
            .fetch_one(connection)
            .await
            .map_err(store_error)?;
        Ok(number(sessions))
    }
}
