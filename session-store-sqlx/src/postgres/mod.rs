//! Sessions in PostgreSQL.

mod index;
mod statements;

use std::fmt;
use std::sync::Arc;

use session_core::Timestamp;
use session_core::store::{
    Expect, Record, SaveOptions, SaveOutcome, SessionStore, StoreError, StoreKey, Touch, UserIndex,
    async_trait,
};
use sqlx::error::DatabaseError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnection, PgDatabaseError, PgPool, PgRow, PgSeverity};
use sqlx::query::{Query, QueryAs};
use sqlx::{Executor as _, FromRow, Postgres, SqlSafeStr};

use crate::shared::{
    ATTEMPTS, Columns, KeyedColumns, Lease, RESTLESS, Row, SetupError, Table, count, failed,
    is_current, millis, of_each, removed, unavailable,
};
use statements::Statements;

/// Each statement sees what was committed before it, whatever the database's default is: those behind a lock see
/// what was done by whoever had it before.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// The advisory lock of those who set up tables: "sessions" in ASCII.
const MIGRATION_LOCK: i64 = i64::from_be_bytes(*b"sessions");

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

    /// Makes the tables, unless they are there. Several processes may do this at once.
    ///
    /// It needs the right to create tables in the schema, even where they are there already.
    ///
    /// # Errors
    /// [`SetupError::NewerSchema`] if a newer version of this library has made them, and
    /// [`SetupError::Database`] if the database can't be reached, or refuses.
    pub async fn migrate(&self) -> Result<(), SetupError> {
        let mut lease = Lease::take(&self.pool).await?;
        lease.execute(BEGIN).await?;
        // Without the lock `IF NOT EXISTS` fails for all but one of those who find nothing at the same time.
        let lock = query("SELECT pg_advisory_xact_lock($1)").bind(MIGRATION_LOCK);
        lock.execute(&mut *lease).await?;
        lease.execute(&self.sql.versions).await?;
        let (found,): (Option<i64>,) = query_as(&self.sql.version).fetch_one(&mut *lease).await?;
        if !is_current(found)? {
            lease.execute(&self.sql.schema).await?;
        }
        lease.execute("COMMIT").await?;
        lease.finish();
        Ok(())
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

    async fn connection(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        self.pool.acquire().await.map_err(unavailable)
    }

    async fn find(
        &self,
        connection: &mut PgConnection,
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
        connection: &mut PgConnection,
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

fn query<'q>(sql: impl SqlSafeStr) -> Query<'q, Postgres, PgArguments> {
    sqlx::query(sql)
}

fn query_as<'q, T>(sql: impl SqlSafeStr) -> QueryAs<'q, Postgres, T, PgArguments>
where
    T: for<'r> FromRow<'r, PgRow>,
{
    sqlx::query_as(sql)
}

/// The number of rows that a statement changed. One that gave way is run again.
async fn execute<'q>(
    connection: &mut PgConnection,
    statement: impl Fn() -> Query<'q, Postgres, PgArguments>,
) -> Result<u64, StoreError> {
    let mut more = 1..ATTEMPTS;
    loop {
        match statement().execute(&mut *connection).await {
            Err(error) if gave_way(&error) && more.next().is_some() => {}
            done => return Ok(done.map_err(store_error)?.rows_affected()),
        }
    }
}

/// The rows that a statement finds. One that gave way is run again.
async fn fetch<'q, T>(
    connection: &mut PgConnection,
    statement: impl Fn() -> QueryAs<'q, Postgres, T, PgArguments>,
) -> Result<Vec<T>, StoreError>
where
    T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    let mut more = 1..ATTEMPTS;
    loop {
        match statement().fetch_all(&mut *connection).await {
            Err(error) if gave_way(&error) && more.next().is_some() => {}
            rows => return rows.map_err(store_error),
        }
    }
}

/// Whether the server gave a statement up for the sake of another one: a serialisation failure, as there is above
/// `read committed`, or a deadlock. It has done nothing, so that to run it again is no second time.
fn gave_way(error: &sqlx::Error) -> bool {
    let answer = error.as_database_error();
    let code = answer.and_then(DatabaseError::code);
    matches!(code.as_deref(), Some("40001" | "40P01"))
}

fn store_error(error: sqlx::Error) -> StoreError {
    failed(error, is_refusal)
}

/// Whether nothing was done because the server said no. An error that ends the connection (a shutdown, say) may take
/// the place of the answer to a commit that went well, and so says nothing.
fn is_refusal(answer: &(dyn DatabaseError + 'static)) -> bool {
    let code = answer.code().unwrap_or_default();
    let ends_the_connection = ["08", "57P", "58"]
        .iter()
        .any(|class| code.starts_with(class));
    let server = answer.try_downcast_ref::<PgDatabaseError>();
    let panicked = server.is_some_and(|error| matches!(error.severity(), PgSeverity::Panic));
    !(ends_the_connection || panicked || code == "40003")
}
