//! Sessions in PostgreSQL.

mod index;
mod run;
mod setup;
mod statements;

use std::fmt;
use std::sync::Arc;

use session_core::Timestamp;
use session_core::store::{
    Expect, Record, SaveOptions, SaveOutcome, SessionStore, StoreError, StoreKey, Touch, UserIndex,
    async_trait,
};
use sqlx::postgres::PgPool;

use crate::shared::{
    ATTEMPTS, Columns, KeyedColumns, RESTLESS, Row, SetupError, Table, count, millis, of_each,
    removed,
};
use run::{BEGIN, Link, execute, fetch, query, query_as, store_error};
use statements::Statements;

/// Sessions in PostgreSQL 12 or later. Cloning is cheap, and clones share the pool.
///
/// `default_transaction_isolation` may be at any level. Above `read committed` PostgreSQL gives up one of two
/// statements that get in each other's way, and the store runs it again, up to ten times.
///
/// [`migrate`](Self::migrate) makes the tables, or the application's own migrations do:
///
/// ```sql
#[doc = include_str!("../../schema/postgres.sql")]
/// ```
#[derive(Clone)]
pub struct PostgresStore {
    pool: PgPool,
    table: Table,
    sql: Arc<Statements>,
}

impl PostgresStore {
    /// Sessions in the table `sessions`. Asks the database nothing yet.
    pub fn new(pool: PgPool) -> Self {
        Self::with_checked_table(pool, Table::default())
    }

    /// Sessions in a table of this name, before which a schema and a dot may come. The names of the other tables
    /// are made from it. It isn't quoted, so that upper case is lower case, and reserved words don't work.
    ///
    /// # Errors
    /// [`SetupError::TableName`] if it is longer than 40 characters, or anything but letters, digits and underscores.
    pub fn with_table(pool: PgPool, table: &str) -> Result<Self, SetupError> {
        Ok(Self::with_checked_table(pool, Table::new(table, true)?))
    }

    /// For a pool behind a pooler that gives each transaction another connection of the server's, and doesn't keep
    /// track of what is prepared on them: PgBouncer with `pool_mode = transaction` before version 1.21, or with
    /// `max_prepared_statements = 0`.
    ///
    /// Each statement is then a transaction of its own and has no name there. That takes four round trips in the place
    /// of one, so let the pooler keep track of them if it can; then it needs no option. (What is sent is bound as
    /// always. The simple protocol would take one round trip, and would put sessions' data into the statements' text,
    /// which servers and clients log.)
    ///
    /// sqlx sends a setting that PgBouncer refuses, unless it has `ignore_startup_parameters = extra_float_digits`,
    /// or the pool's options have `extra_float_digits(None)`.
    #[must_use]
    pub fn without_prepared_statements(self) -> Self {
        let sql = Arc::new(Statements::without_names(&self.table));
        Self { sql, ..self }
    }

    /// The pool that the store was made with.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The name of the records' table.
    pub fn table(&self) -> &str {
        self.table.as_str()
    }

    fn with_checked_table(pool: PgPool, table: Table) -> Self {
        let sql = Arc::new(Statements::on(&table));
        Self { pool, table, sql }
    }

    async fn connection(&self) -> Result<Link, StoreError> {
        Link::take(&self.pool, !self.sql.load.is_named()).await
    }

    async fn find(
        &self,
        connection: &mut Link,
        key: &StoreKey,
        now: Timestamp,
    ) -> Result<Option<Record>, StoreError> {
        let rows: Vec<Columns> = fetch(connection, || {
            query_as(&self.sql.load)
                .bind(key.as_bytes().as_slice())
                .bind(millis(now))
        })
        .await?;
        rows.into_iter().next().map(Row::read).transpose()
    }

    async fn find_many(
        &self,
        keys: &[StoreKey],
        now: Timestamp,
    ) -> Result<Vec<KeyedColumns>, StoreError> {
        let mut connection = self.connection().await?;
        let keys: Vec<_> = keys.iter().map(|key| key.as_bytes().as_slice()).collect();
        fetch(&mut connection, || {
            query_as(&self.sql.load_many).bind(&keys).bind(millis(now))
        })
        .await
    }

    /// Writes the row if what is there is what `expect` says, and says whether it did.
    async fn write(
        &self,
        connection: &mut Link,
        key: &StoreKey,
        row: &Row,
        expect: Expect,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = match expect {
            Expect::Absent => &self.sql.create,
            Expect::Version(_) => &self.sql.replace,
        };
        let written = execute(connection, || {
            let mut statement = query(sql)
                .bind(key.as_bytes().as_slice())
                .bind(row.version.as_slice())
                .bind(row.expires_at)
                .bind(row.last_active_at)
                .bind(row.record.as_slice())
                .bind(millis(now));
            if let Expect::Version(version) = &expect {
                statement = statement.bind(version.as_bytes().as_slice());
            }
            statement
        })
        .await?;
        Ok(written > 0)
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("table", &self.table())
            .finish_non_exhaustive()
    }
}

/// Every call is one statement, and a second one where a write found no row that it could change: to see why. The
/// second sees everything that was committed before it, so that what it finds was true during the call. Asking in
/// the same statement would give answers from before the write.
#[async_trait]
impl SessionStore for PostgresStore {
    async fn load(&self, key: &StoreKey, now: Timestamp) -> Result<Option<Record>, StoreError> {
        let mut connection = self.connection().await?;
        self.find(&mut connection, key, now).await
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
        let mut connection = self.connection().await?;
        for _ in 0..ATTEMPTS {
            if self.write(&mut connection, key, &row, expect, now).await? {
                return Ok(SaveOutcome::Saved);
            }
            let current = self.find(&mut connection, key, now).await?;
            match expect.check(current.as_ref()) {
                SaveOutcome::Saved => {} // It has come to be as expected just now.
                outcome => return Ok(outcome),
            }
        }
        Err(StoreError::not_applied(RESTLESS))
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        let mut connection = self.connection().await?;
        execute(&mut connection, || {
            query(&self.sql.delete).bind(key.as_bytes().as_slice())
        })
        .await?;
        Ok(())
    }

    async fn touch(
        &self,
        key: &StoreKey,
        touch: Touch,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        let mut connection = self.connection().await?;
        for _ in 0..ATTEMPTS {
            let touched = execute(&mut connection, || {
                query(&self.sql.touch)
                    .bind(key.as_bytes().as_slice())
                    .bind(touch.version.as_bytes().as_slice())
                    .bind(millis(touch.expires_at))
                    .bind(millis(touch.last_active_at))
                    .bind(touch.expected.as_bytes().as_slice())
                    .bind(millis(now))
            })
            .await?;
            if touched > 0 {
                return Ok(SaveOutcome::Saved);
            }
            match self.find(&mut connection, key, now).await? {
                None => return Ok(SaveOutcome::Missing),
                Some(current) => match touch.apply(current) {
                    Ok(_) => {} // It has come to be as expected just now.
                    Err(outcome) => return Ok(outcome),
                },
            }
        }
        Err(StoreError::not_applied(RESTLESS))
    }

    async fn delete_expired(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let mut connection = self.connection().await?;
        let mut done = 0;
        for sql in [&self.sql.sweep, &self.sql.sweep_users] {
            let left = limit.saturating_sub(done);
            if left > 0 {
                let swept = execute(&mut connection, || {
                    query(sql).bind(millis(now)).bind(count(left))
                });
                done += removed(swept.await?);
            }
        }
        Ok(done)
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        Some(self)
    }
}
