//! The index of sessions by user.

use session_core::Timestamp;
use session_core::store::{
    AddOutcome, IndexEntry, Sample, StoreError, StoreKey, UserIndex, UserKey, async_trait,
};
use sqlx::{MySql, MySqlConnection};

use super::{MySqlStore, execute, query, query_as, store_error};
use crate::shared::{
    EntryColumns, Lease, SampleColumns, counted, entries, millis, number, sample_limits, sampled,
};

/// How many seconds an addition waits for others for the same user.
const LOCK_WAIT_SECS: i64 = 5;

#[async_trait]
impl UserIndex for MySqlStore {
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
        let mut lease = self.lease().await?;
        self.enter(&mut lease, user, &entry).await?;
        let others = self.count_entries(&mut lease, user, &entry, cap).await?;
        lease.finish();
        Ok(AddOutcome::Added(others + 1))
    }

    async fn remove(&self, user: &UserKey, key: &StoreKey) -> Result<(), StoreError> {
        let mut lease = self.lease().await?;
        let remove = || {
            query(&self.sql.remove)
                .bind(user.as_bytes().as_slice())
                .bind(key.as_bytes().as_slice())
        };
        execute(&mut lease, remove).await.map_err(store_error)?;
        lease.finish();
        Ok(())
    }

    async fn list(&self, user: &UserKey, now: Timestamp) -> Result<Vec<IndexEntry>, StoreError> {
        let mut lease = self.lease().await?;
        let rows: Vec<EntryColumns> = query_as(&self.sql.list)
            .bind(user.as_bytes().as_slice())
            .bind(millis(now))
            .fetch_all(&mut *lease)
            .await
            .map_err(store_error)?;
        lease.finish();
        entries(rows)
    }

    async fn sample(
        &self,
        user: &UserKey,
        sample: Sample,
        now: Timestamp,
    ) -> Result<Vec<IndexEntry>, StoreError> {
        let mut lease = self.lease().await?;
        let (oldest, others) = sample_limits(sample);
        let from_key = sample.from_key();
        let mut sampling = query_as(&self.sql.sample)
            .bind(user.as_bytes().as_slice())
            .bind(millis(now))
            .bind(oldest);
        for _onwards_and_round_the_end in 0..2 {
            sampling = sampling
                .bind(user.as_bytes().as_slice())
                .bind(millis(now))
                .bind(from_key.as_bytes().as_slice())
                .bind(others);
        }
        let rows: Vec<SampleColumns> =
            sampling.fetch_all(&mut *lease).await.map_err(store_error)?;
        lease.finish();
        sampled(rows, sample)
    }
}

impl MySqlStore {
    /// Those who add for one user take turns, so that what was counted isn't less than what is there when it adds.
    ///
    /// Whoever removes an entry takes no turn: there is one session less than was counted then, and not one more.
    async fn add_below(
        &self,
        cap: usize,
        user: &UserKey,
        entry: &IndexEntry,
        now: Timestamp,
    ) -> Result<AddOutcome, StoreError> {
        let mut lease = self.lock(user).await?;
        let others = self
            .count_entries(&mut lease, user, entry, Some(cap))
            .await?;
        let is_full = others >= cap && {
            let sessions = self.count_sessions(&mut lease, user, entry, cap, now);
            sessions.await? >= cap
        };
        if !is_full {
            self.enter(&mut lease, user, entry).await?;
        }
        unlock(lease, user).await;
        Ok(match is_full {
            true => AddOutcome::Full,
            false => AddOutcome::Added(others + 1),
        })
    }

    async fn enter(
        &self,
        connection: &mut MySqlConnection,
        user: &UserKey,
        entry: &IndexEntry,
    ) -> Result<(), StoreError> {
        let enter = || {
            query(&self.sql.enter)
                .bind(user.as_bytes().as_slice())
                .bind(entry.key.as_bytes().as_slice())
                .bind(entry.reference.as_bytes().as_slice())
                .bind(millis(entry.added_at))
                .bind(millis(entry.expires_at))
                .bind(entry.reference.as_bytes().as_slice())
                .bind(millis(entry.added_at))
                .bind(millis(entry.expires_at))
        };
        execute(connection, enter).await.map_err(store_error)?;
        Ok(())
    }

    /// How many entries other than this one the user has, expired ones included.
    async fn count_entries(
        &self,
        connection: &mut MySqlConnection,
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
        connection: &mut MySqlConnection,
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

    /// Waits until nobody else adds for the user. Nobody does until the lease is unlocked, or closed.
    ///
    /// A lock by name, because rows can't serve: a user without sessions has none, and the gaps that InnoDB locks in
    /// their place are shared with other users, and depend on the isolation level.
    async fn lock(&self, user: &UserKey) -> Result<Lease<MySql>, StoreError> {
        let mut lease = self.lease().await?;
        let (granted,): (Option<i64>,) = query_as("SELECT GET_LOCK(?, ?)")
            .bind(lock_of(user))
            .bind(LOCK_WAIT_SECS)
            .fetch_one(&mut *lease)
            .await
            .map_err(store_error)?;
        if granted == Some(1) {
            return Ok(lease);
        }
        lease.finish();
        Err(StoreError::not_applied(
            "others have been adding to the same user's sessions for too long",
        ))
    }
}

/// Lets the others go on. If that fails, closing the connection does it.
async fn unlock(mut lease: Lease<MySql>, user: &UserKey) {
    let unlock = query("DO RELEASE_LOCK(?)").bind(lock_of(user));
    if unlock.execute(&mut *lease).await.is_ok() {
        lease.finish();
    }
}

/// The name of a user's lock: 56 characters, of which 64 are allowed. The server ignores their case; two users who
/// differ in nothing else would only wait for each other.
fn lock_of(user: &UserKey) -> String {
    format!("session user {user}")
}
