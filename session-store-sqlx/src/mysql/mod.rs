//! Sessions in MySQL and MariaDB.

mod index;
mod setup;
mod statements;

use std::fmt;
use std::sync::Arc;

use session_core::Timestamp;
use session_core::store::{
    Expect, Record, SaveOptions, SaveOutcome, SessionStore, StoreError, StoreKey, Touch, UserIndex,
    async_trait,
};
use sqlx::error::DatabaseError;
use sqlx::mysql::{MySqlArguments, MySqlConnection, MySqlPool, MySqlRow};
use sqlx::query::{Query, QueryAs};
use sqlx::{FromRow, MySql, SqlSafeStr};

use crate::shared::{
    ATTEMPTS, Columns, KeyedColumns, Lease, RESTLESS, Row, SetupError, Sql, Table, count, failed,
    groups, millis, of_each, removed, unavailable,
};
use statements::Statements;

/// How often a statement is tried that the server gives up to get others out of a deadlock. Sweeps and touches can
/// meet in one: a sweep comes from the index to the row, a touch from the row to the index.
const DEADLOCKS: usize = 10;

/// Sessions in MySQL 5.7 or later, or MariaDB 10.2 or later, with InnoDB. Cloning is cheap, and clones share the pool.
///
/// [`migrate`](Self::migrate) makes the tables, or the application's own migrations do:
///
/// ```sql
#[doc = include_str!("../../schema/mysql.sql")]
/// ```
///
/// Each statement has to be a transaction of its own, so leave `autocommit` on, as it is by default. A call that is
/// given up before its answer has come closes its connection, because the driver wouldn't find its way back into the
/// midst of an answer.
#[derive(Clone)]
pub struct MySqlStore {
    pool: MySqlPool,
    table: Table,
    sql: Arc<Statements>,
}

impl MySqlStore {
    /// Sessions in the table `sessions`. Asks the database nothing yet.
    pub fn new(pool: MySqlPool) -> Self {
        Self::with_checked_table(pool, Table::default())
    }

    /// Sessions in a table of this name, before which a database and a dot may come. The names of the other tables
    /// are made from it. It isn't quoted, so that reserved words don't work.
    ///
    /// # Errors
    /// [`SetupError::TableName`] if it is longer than 40 characters, or anything but letters, digits and underscores.
    pub fn with_table(pool: MySqlPool, table: &str) -> Result<Self, SetupError> {
        Ok(Self::with_checked_table(pool, Table::new(table, true)?))
    }

    /// The pool that the store was made with.
    pub fn pool(&self) -> &MySqlPool {
        &self.pool
    }

    /// The name of the records' table.
    pub fn table(&self) -> &str {
        self.table.as_str()
    }

    fn with_checked_table(pool: MySqlPool, table: Table) -> Self {
        let sql = Arc::new(Statements::on(&table));
        Self { pool, table, sql }
    }

    async fn lease(&self) -> Result<Lease<MySql>, StoreError> {
        Lease::take(&self.pool).await.map_err(unavailable)
    }

    async fn find(
        &self,
        connection: &mut MySqlConnection,
        key: &StoreKey,
        now: Timestamp,
    ) -> Result<Option<Columns>, StoreError> {
        query_as(&self.sql.load)
            .bind(key.as_bytes().as_slice())
            .bind(millis(now))
            .fetch_optional(connection)
            .await
            .map_err(store_error)
    }

    async fn find_many(
        &self,
        keys: &[StoreKey],
        now: Timestamp,
    ) -> Result<Vec<KeyedColumns>, StoreError> {
        let mut lease = self.lease().await?;
        let mut found = Vec::new();
        for group in groups(keys) {
            let mut statement = query_as(&self.sql.load_many).bind(millis(now));
            for key in group {
                statement = statement.bind(key);
            }
            let rows = statement.fetch_all(&mut *lease).await;
            found.extend(rows.map_err(store_error)?);
        }
        lease.finish();
        Ok(found)
    }

    /// Writes the row if what is there is what `expect` says, and says whether it did.
    async fn write(
        &self,
        connection: &mut MySqlConnection,
        key: &StoreKey,
        row: &Row,
        expect: Expect,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let with_row = |sql: &Sql| {
            query(sql)
                .bind(row.version.as_slice())
                .bind(row.expires_at)
                .bind(row.last_active_at)
                .bind(row.record.as_slice())
                .bind(key.as_bytes().as_slice())
        };
        let updated = match expect {
            Expect::Absent => {
                match execute(connection, || with_row(&self.sql.insert)).await {
                    Ok(_) => return Ok(true),
                    Err(error) if is_duplicate(&error) => {}
                    Err(error) => return Err(store_error(error)),
                }
                let replace = || with_row(&self.sql.replace_expired).bind(millis(now));
                execute(connection, replace).await
            }
            Expect::Version(version) => {
                let replace = || {
                    with_row(&self.sql.replace)
                        .bind(millis(now))
                        .bind(version.as_bytes().as_slice())
                };
                execute(connection, replace).await
            }
        };
        Ok(updated.map_err(store_error)? > 0)
    }
}

impl fmt::Debug for MySqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MySqlStore")
            .field("table", &self.table())
            .finish_non_exhaustive()
    }
}

/// Every call is one statement; a second one where a create meets an expired record; and another where a write found
/// no row that it could change: to see why. Each is a transaction of its own, so that it sees what was committed
/// before it, and what it finds was true during the call.
#[async_trait]
impl SessionStore for MySqlStore {
    async fn load(&self, key: &StoreKey, now: Timestamp) -> Result<Option<Record>, StoreError> {
        let mut lease = self.lease().await?;
        let row = self.find(&mut lease, key, now).await?;
        lease.finish();
        row.map(Row::read).transpose()
    }

    async fn load_many(
        &self,
        keys: &[StoreKey],
        now: Timestamp,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        let rows = self.find_many(keys, now).await;
        of_each(keys, rows)
    }

    async fn save(
        &self,
        key: &StoreKey,
        record: Record,
        options: SaveOptions,
    ) -> Result<SaveOutcome, StoreError> {
        let SaveOptions { expect, now, .. } = options;
        let row = Row::of(&record);
        let mut lease = self.lease().await?;
        for _ in 0..ATTEMPTS {
            if self.write(&mut lease, key, &row, expect, now).await? {
                lease.finish();
                return Ok(SaveOutcome::Saved);
            }
            let current = self.find(&mut lease, key, now).await?;
            let current = current.map(Row::read).transpose()?;
            match expect.check(current.as_ref()) {
                SaveOutcome::Saved => {} // It has come to be as expected just now.
                outcome => {
                    lease.finish();
                    return Ok(outcome);
                }
            }
        }
        lease.finish();
        Err(StoreError::not_applied(RESTLESS))
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        let mut lease = self.lease().await?;
        let delete = || query(&self.sql.delete).bind(key.as_bytes().as_slice());
        execute(&mut lease, delete).await.map_err(store_error)?;
        lease.finish();
        Ok(())
    }

    async fn touch(
        &self,
        key: &StoreKey,
        touch: Touch,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        let mut lease = self.lease().await?;
        let update = || {
            query(&self.sql.touch)
                .bind(touch.version.as_bytes().as_slice())
                .bind(millis(touch.expires_at))
                .bind(millis(touch.last_active_at))
                .bind(key.as_bytes().as_slice())
                .bind(touch.expected.as_bytes().as_slice())
                .bind(millis(now))
        };
        for _ in 0..ATTEMPTS {
            if execute(&mut lease, update).await.map_err(store_error)? > 0 {
                lease.finish();
                return Ok(SaveOutcome::Saved);
            }
            let current = self.find(&mut lease, key, now).await?;
            let touched = match current.map(Row::read).transpose()? {
                None => Err(SaveOutcome::Missing),
                Some(current) => touch.apply(current),
            };
            match touched {
                Ok(_) => {} // It has come to be as expected just now.
                Err(outcome) => {
                    lease.finish();
                    return Ok(outcome);
                }
            }
        }
        lease.finish();
        Err(StoreError::not_applied(RESTLESS))
    }

    async fn delete_expired(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let mut lease = self.lease().await?;
        let mut done = 0;
        for sql in [&self.sql.sweep, &self.sql.sweep_users] {
            let left = limit.saturating_sub(done);
            if left > 0 {
                let sweep = || query(sql).bind(millis(now)).bind(count(left));
                let swept = execute(&mut lease, sweep).await.map_err(store_error)?;
                done += removed(swept);
            }
        }
        lease.finish();
        Ok(done)
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        Some(self)
    }
}

/// Runs a statement that writes, and says how many rows it found. When the server gave it up because of a deadlock,
/// it certainly did nothing, and is run again.
async fn execute<'q>(
    connection: &mut MySqlConnection,
    statement: impl Fn() -> Query<'q, MySql, MySqlArguments>,
) -> Result<u64, sqlx::Error> {
    let mut deadlocks = 0;
    loop {
        match statement().execute(&mut *connection).await {
            Ok(done) => return Ok(done.rows_affected()),
            Err(error) if is_deadlock(&error) && deadlocks < DEADLOCKS => deadlocks += 1,
            Err(error) => return Err(error),
        }
    }
}

fn query<'q>(sql: impl SqlSafeStr) -> Query<'q, MySql, MySqlArguments> {
    sqlx::query(sql)
}

fn query_as<'q, T>(sql: impl SqlSafeStr) -> QueryAs<'q, MySql, T, MySqlArguments>
where
    T: for<'r> FromRow<'r, MySqlRow>,
{
    sqlx::query_as(sql)
}

fn store_error(error: sqlx::Error) -> StoreError {
    failed(error, is_refusal)
}

/// Whether nothing was done because the server said no. If the server or the connection was shut down, or the
/// statement interrupted, it may have been done before.
fn is_refusal(answer: &(dyn DatabaseError + 'static)) -> bool {
    let code = answer.code().unwrap_or_default();
    !(code.starts_with("08") || code.starts_with("70"))
}

fn is_deadlock(error: &sqlx::Error) -> bool {
    let answer = error.as_database_error();
    answer.is_some_and(|answer| answer.code().is_some_and(|code| code == "40001"))
}

fn is_duplicate(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(DatabaseError::is_unique_violation)
}
