//! The index of sessions by user.

use session_core::Timestamp;
use session_core::store::{
    AddOutcome, IndexEntry, Sample, StoreError, StoreKey, UserIndex, UserKey, async_trait,
};
use sqlx::postgres::PgArguments;
use sqlx::query::{Query, QueryAs};
use sqlx::{Executor as _, PgConnection, Postgres};

use super::{BEGIN, PostgresStore, execute, fetch, query, query_as, store_error};
use crate::shared::{
    EntryColumns, Lease, SampleColumns, counted, entries, millis, number, sample_limits, sampled,
    unavailable,
};

#[async_trait]
impl UserIndex for PostgresStore {
    async fn add(
        &self,
        user: &UserKey,
        entry: IndexEntry,
        cap: Option<usize>,
        now: Timestamp,
    ) -> Result<AddOutcome, StoreError> {
        if let Some(cap) = cap {
            return self.add_below(cap, user, &entry, now).await;
        }
        let mut connection = self.connection().await?;
        execute(&mut connection, || self.enter(user, &entry)).await?;
        let others = fetch(&mut connection, || self.count_entries(user, &entry, cap)).await?;
        let others = others.first().map_or(0, |&(entries,)| number(entries));
        Ok(AddOutcome::Added(others + 1))
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

    async fn sample(
        &self,
        user: &UserKey,
        sample: Sample,
        now: Timestamp,
    ) -> Result<Vec<IndexEntry>, StoreError> {
        let mut connection = self.connection().await?;
        let (oldest, others) = sample_limits(sample);
        let from_key = sample.from_key();
        let rows: Vec<SampleColumns> = fetch(&mut connection, || {
            query_as(&self.sql.sample)
                .bind(user.as_bytes().as_slice())
                .bind(millis(now))
                .bind(oldest)
                .bind(others)
                .bind(from_key.as_bytes().as_slice())
        })
        .await?;
        sampled(rows, sample)
    }
}

impl PostgresStore {
    /// A transaction, in which those who add for one user take turns from before they count. The lock is a statement
    /// of its own: one that took it and counted would count what was there before it had to wait.
    ///
    /// Whoever removes an entry takes no turn: there is one session less than was counted then, and not one more.
    async fn add_below(
        &self,
        cap: usize,
        user: &UserKey,
        entry: &IndexEntry,
        now: Timestamp,
    ) -> Result<AddOutcome, StoreError> {
        let mut lease = Lease::take(&self.pool).await.map_err(unavailable)?;
        lease.execute(BEGIN).await.map_err(store_error)?;
        let lock = query(&self.sql.lock).bind(lock_of(user));
        lock.execute(&mut *lease).await.map_err(store_error)?;
        let others = self.count_entries(user, entry, Some(cap));
        let (others,) = others.fetch_one(&mut *lease).await.map_err(store_error)?;
        let others = number(others);
        let is_full = others >= cap && {
            let sessions = self.count_sessions(&mut lease, user, entry, cap, now);
            sessions.await? >= cap
        };
        if !is_full {
            let enter = self.enter(user, entry);
            enter.execute(&mut *lease).await.map_err(store_error)?;
        }
        lease.execute("COMMIT").await.map_err(store_error)?;
        lease.finish();
        Ok(match is_full {
            true => AddOutcome::Full,
            false => AddOutcome::Added(others + 1),
        })
    }

    fn enter<'q>(
        &self,
        user: &'q UserKey,
        entry: &'q IndexEntry,
    ) -> Query<'q, Postgres, PgArguments> {
        query(&self.sql.enter)
            .bind(user.as_bytes().as_slice())
            .bind(entry.key.as_bytes().as_slice())
            .bind(entry.reference.as_bytes().as_slice())
            .bind(millis(entry.added_at))
            .bind(millis(entry.expires_at))
    }

    /// How many entries other than this one the user has, expired ones included.
    fn count_entries<'q>(
        &self,
        user: &'q UserKey,
        entry: &'q IndexEntry,
        cap: Option<usize>,
    ) -> QueryAs<'q, Postgres, (i64,), PgArguments> {
        query_as(&self.sql.count_entries)
            .bind(user.as_bytes().as_slice())
            .bind(entry.key.as_bytes().as_slice())
            .bind(counted(cap))
    }

    /// How many other sessions the user has, up to the cap.
    async fn count_sessions(
        &self,
        connection: &mut PgConnection,
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

/// The advisory lock of a user. Their keys are hashes, of which eight bytes tell enough users apart: two who share a
/// lock only wait for each other.
fn lock_of(user: &UserKey) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = *user.as_bytes();
    i64::from_be_bytes([a, b, c, d, e, f, g, h])
}
