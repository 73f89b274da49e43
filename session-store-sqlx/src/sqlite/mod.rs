//! Sessions in SQLite.

mod index;
mod setup;
mod statements;

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use session_core::Timestamp;
use session_core::store::{
    Expect, Record, SaveOptions, SaveOutcome, SessionStore, StoreError, StoreKey, Touch, UserIndex,
    async_trait,
};
use sqlx::error::DatabaseError;
use sqlx::pool::PoolConnection;
use sqlx::query::{Query, QueryAs};
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool,
    SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{FromRow, SqlSafeStr, Sqlite};
use tokio::sync::Mutex;

use crate::shared::{
    ATTEMPTS, Columns, KeyedColumns, RESTLESS, Row, SetupError, Table, count, failed, groups,
    millis, of_each, removed, unavailable,
};
use statements::Statements;

/// How long [`SqliteStore::open`] and its connections wait for others who use the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause before a file is tried again that another process is just setting up.
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// Readers don't wait for each other, nor for the one writer; each connection is a thread.
const CONNECTIONS_MAX: u32 = 8;

/// Takes the write lock at once. A transaction that begins by reading can't be sure to get it later.
const BEGIN: &str = "BEGIN IMMEDIATE";

/// SQLite's results are a number and, above its lowest byte, the details.
const RESULT_MASK: i32 = 0xFF;
const SQLITE_BUSY: i32 = 5;
const SQLITE_IOERR: i32 = 10;

/// Sessions in a file of SQLite 3.37 or later, which several processes on one machine may share. Cloning is cheap,
/// and clones share the pool.
///
/// [`migrate`](Self::migrate) makes the tables, or the application's own migrations do:
///
/// ```sql
#[doc = include_str!("../../schema/sqlite.sql")]
/// ```
#[derive(Clone)]
pub struct SqliteStore {
    pool: SqlitePool,
    table: Table,
    sql: Arc<Statements>,
    /// Writers of this process queue here, first come, first served: those who wait in SQLite sleep, and look again
    /// now and then, while others pass them.
    turns: Arc<Mutex<()>>,
}

impl SqliteStore {
    /// Opens a file, and makes it if it isn't there, with settings that suit sessions:
    ///
    /// - A write-ahead log, so that readers never wait for a writer. The file stays in this mode.
    /// - `synchronous = FULL`: each write waits for the disk. `NORMAL` would be quicker and keep all that was answered
    ///   when the process is killed, as what it has written is the system's to keep; but a loss of power would undo
    ///   the last writes, and sessions that were ended would live again. Who prefers that makes a pool with it for
    ///   [`SqliteStore::new`].
    /// - Whoever finds the file locked waits for up to five seconds.
    ///
    /// Everybody who may read the file can read the sessions' data, so give its folder the right permissions.
    ///
    /// # Errors
    /// [`SetupError::PrivateDatabase`] for what is no file (`:memory:`, and the empty name), and
    /// [`SetupError::Database`] if the file can't be opened.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, SetupError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT);
        let started = Instant::now();
        loop {
            let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS_MAX);
            match pool.connect_with(options.clone()).await {
                Ok(pool) => {
                    setup::refuse_private(&mut *pool.acquire().await?).await?;
                    return Ok(Self::new(pool));
                }
                // SQLite doesn't wait for others when it changes to the write-ahead log, which happens once in a
                // file's life.
                Err(error) if is_busy(&error) && started.elapsed() < BUSY_TIMEOUT => {
                    tokio::time::sleep(BUSY_PAUSE).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sessions in the table `sessions`. Asks the database nothing yet. The pool should have the settings of
    /// [`SqliteStore::open`]: a write-ahead log, and a time for which its connections wait for others. It has to be
    /// one on a file; of a database in memory [`migrate`](Self::migrate) says so.
    pub fn new(pool: SqlitePool) -> Self {
        Self::with_checked_table(pool, Table::default())
    }

    /// Sessions in a table of this name. The names of the other tables are made from it. It isn't quoted, so that
    /// reserved words don't work.
    ///
    /// # Errors
    /// [`SetupError::TableName`] if it is longer than 40 characters, or anything but letters, digits and underscores.
    pub fn with_table(pool: SqlitePool, table: &str) -> Result<Self, SetupError> {
        Ok(Self::with_checked_table(pool, Table::new(table, false)?))
    }

    /// The pool that the store was made with, or has made.
    pub fn pool(&self) -> &SqlitePool {
        &self.pool
    }

    /// The name of the records' table.
    pub fn table(&self) -> &str {
        self.table.as_str()
    }

    fn with_checked_table(pool: SqlitePool, table: Table) -> Self {
        Self {
            pool,
            sql: Arc::new(Statements::on(&table)),
            table,
            turns: Arc::default(),
        }
    }

    async fn connection(&self) -> Result<PoolConnection<Sqlite>, StoreError> {
        self.pool.acquire().await.map_err(unavailable)
    }

    async fn find(
        &self,
        connection: &mut SqliteConnection,
        key: &StoreKey,
        now: Timestamp,
    ) -> Result<Option<Record>, StoreError> {
        let row: Option<Columns> = query_as(&self.sql.load)
            .bind(key.as_bytes().as_slice())
            .bind(millis(now))
            .fetch_optional(connection)
            .await
            .map_err(store_error)?;
        row.map(Row::read).transpose()
    }

    async fn find_many(
        &self,
        keys: &[StoreKey],
        now: Timestamp,
    ) -> Result<Vec<KeyedColumns>, StoreError> {
        let mut connection = self.connection().await?;
        let mut found = Vec::new();
        for group in groups(keys) {
            let mut statement = query_as(&self.sql.load_many).bind(millis(now));
            for key in group {
                statement = statement.bind(key);
            }
            let rows = statement.fetch_all(&mut *connection).await;
            found.extend(rows.map_err(store_error)?);
        }
        Ok(found)
    }

    /// Writes the row if what is there is what `expect` says, and says whether it did.
    async fn write(
        &self,
        connection: &mut SqliteConnection,
        key: &StoreKey,
        row: &Row,
        expect: Expect,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = match expect {
            Expect::Absent => &self.sql.create,
            Expect::Version(_) => &self.sql.replace,
        };
        let mut statement = query(sql)
            .bind(key.as_bytes().as_slice())
            .bind(row.version.as_slice())
            .bind(row.expires_at)
            .bind(row.last_active_at)
            .bind(row.record.as_slice())
            .bind(millis(now));
        if let Expect::Version(version) = expect {
            statement = statement.bind(version.as_bytes().as_slice());
        }
        let done = statement.execute(connection).await.map_err(store_error)?;
        Ok(done.rows_affected() > 0)
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("table", &self.table())
            .finish_non_exhaustive()
    }
}

/// Every call is one statement, and a second one where a write found no row that it could change: to see why. The
/// second sees everything that was committed before it, so that what it finds was true during the call.
#[async_trait]
impl SessionStore for SqliteStore {
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
        let _turn = self.turns.lock().await;
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
        let _turn = self.turns.lock().await;
        let mut connection = self.connection().await?;
        let delete = query(&self.sql.delete).bind(key.as_bytes().as_slice());
        delete
            .execute(&mut *connection)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    async fn touch(
        &self,
        key: &StoreKey,
        touch: Touch,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        let _turn = self.turns.lock().await;
        let mut connection = self.connection().await?;
        for _ in 0..ATTEMPTS {
            let update = query(&self.sql.touch)
                .bind(key.as_bytes().as_slice())
                .bind(touch.version.as_bytes().as_slice())
                .bind(millis(touch.expires_at))
                .bind(millis(touch.last_active_at))
                .bind(touch.expected.as_bytes().as_slice())
                .bind(millis(now));
            let done = update
                .execute(&mut *connection)
                .await
                .map_err(store_error)?;
            if done.rows_affected() > 0 {
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
        let _turn = self.turns.lock().await;
        let mut connection = self.connection().await?;
        let mut done = 0;
        for sql in [&self.sql.sweep, &self.sql.sweep_users] {
            let left = limit.saturating_sub(done);
            if left > 0 {
                let sweep = query(sql).bind(millis(now)).bind(count(left));
                let swept = sweep.execute(&mut *connection).await.map_err(store_error)?;
                done += removed(swept.rows_affected());
            }
        }
        Ok(done)
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        Some(self)
    }
}

fn query<'q>(sql: impl SqlSafeStr) -> Query<'q, Sqlite, SqliteArguments> {
    sqlx::query(sql)
}

fn query_as<'q, T>(sql: impl SqlSafeStr) -> QueryAs<'q, Sqlite, T, SqliteArguments>
where
    T: for<'r> FromRow<'r, SqliteRow>,
{
    sqlx::query_as(sql)
}

fn store_error(error: sqlx::Error) -> StoreError {
    failed(error, is_refusal)
}

/// Whether nothing was done because SQLite said no. If the disk failed, even a commit that failed may be found
/// complete when the file is opened again.
fn is_refusal(answer: &(dyn DatabaseError + 'static)) -> bool {
    result(answer).is_some_and(|result| result != SQLITE_IOERR)
}

fn is_busy(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(result) == Some(SQLITE_BUSY)
}

fn result(answer: &(dyn DatabaseError + 'static)) -> Option<i32> {
    let code: i32 = answer.code()?.parse().ok()?;
    Some(code & RESULT_MASK)
}
