//! The index of sessions by user.

use session_core::Timestamp;
use session_core::store::{
    AddOutcome, IndexEntry, StoreError, StoreKey, UserIndex, UserKey, async_trait,
};
use sqlx::MySql;

use super::{MySqlStore, execute, query, query_as, store_error};
use crate::shared::{EntryColumns, Lease, admit, entries, millis};

/// How many seconds a change waits for others that change the same user's entries.
const LOCK_WAIT_SECS: i64 = 5;

/// Those who change one user's entries take turns, so that what an `add` counted still is there when it adds.
#[async_trait]
impl UserIndex for MySqlStore {
    async fn add(
        &self,
        user: &UserKey,
        entry: IndexEntry,
        cap: Option<usize>,
        now: Timestamp,
    ) -> Result<AddOutcome, StoreError> {
        let mut lease = self.lock(user).await?;
        let rows: Vec<EntryColumns> = query_as(&self.sql.list)
            .bind(user.as_bytes().as_slice())
            .bind(millis(now))
            .fetch_all(&mut *lease)
            .await
            .map_err(store_error)?;
        let outcome = admit(entries(rows)?, &entry, cap, now);
        if let AddOutcome::Added(_) = outcome {
            let forget = || {
                query(&self.sql.forget)
                    .bind(user.as_bytes().as_slice())
                    .bind(millis(now))
            };
            execute(&mut lease, forget).await.map_err(store_error)?;
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
            execute(&mut lease, enter).await.map_err(store_error)?;
        }
        unlock(lease, user).await;
        Ok(outcome)
    }

    async fn remove(&self, user: &UserKey, key: &StoreKey) -> Result<(), StoreError> {
        let mut lease = self.lock(user).await?;
        let remove = || {
            query(&self.sql.remove)
                .bind(user.as_bytes().as_slice())
                .bind(key.as_bytes().as_slice())
        };
        execute(&mut lease, remove).await.map_err(store_error)?;
        unlock(lease, user).await;
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
}

impl MySqlStore {
    /// Waits until nobody else changes the user's entries. Nobody does until the lease is unlocked, or
    /// closed.
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
            "others have been changing the index entries of the same user for too long",
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
