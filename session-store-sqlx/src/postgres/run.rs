//! How statements are run: on connections that keep what was prepared on them, and on those that may not.

use session_core::store::StoreError;
use sqlx::error::DatabaseError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgDatabaseError, PgPool, PgRow, PgSeverity};
use sqlx::query::{Query, QueryAs};
use sqlx::{Executor as _, FromRow, Postgres};

use crate::shared::{ATTEMPTS, Sql, failed, unavailable};

/// Each statement sees what was committed before it, whatever the database's default is: those behind a lock see
/// what was done by whoever had it before.
pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// A connection, on which statements run one after the other.
///
/// sqlx has a statement prepared in one exchange with the server, and runs it in the next. Behind a pooler that gives
/// each transaction another connection of the server's, the second exchange may be one with a server that knows
/// nothing of the first, or something else under the same name. So there both are in one transaction.
pub(super) struct Link {
    connection: PoolConnection<Postgres>,
    /// Whether each statement is put into a transaction.
    has_transactions: bool,
    /// Whether there may be a transaction that hasn't ended.
    is_open: bool,
}

impl Link {
    pub(super) async fn take(pool: &PgPool, has_transactions: bool) -> Result<Self, StoreError> {
        Ok(Self {
            connection: pool.acquire().await.map_err(unavailable)?,
            has_transactions,
            is_open: false,
        })
    }

    async fn begin(&mut self) -> Result<(), sqlx::Error> {
        if self.has_transactions {
            self.is_open = true;
            self.connection.execute(BEGIN).await?;
        }
        Ok(())
    }

    async fn end(&mut self, is_done: bool) -> Result<(), sqlx::Error> {
        if self.has_transactions {
            let end = if is_done { "COMMIT" } else { "ROLLBACK" };
            self.connection.execute(end).await?;
            self.is_open = false;
        }
        Ok(())
    }
}

/// A connection whose transaction may still be open is closed, which ends that too: the call may have been dropped at
/// any await. Any other goes back to its pool.
impl Drop for Link {
    fn drop(&mut self) {
        if self.is_open {
            self.connection.close_on_drop();
        }
    }
}

pub(super) fn query<'q>(sql: &Sql) -> Query<'q, Postgres, PgArguments> {
    sqlx::query(sql).persistent(sql.is_named())
}

pub(super) fn query_as<'q, T>(sql: &Sql) -> QueryAs<'q, Postgres, T, PgArguments>
where
    T: for<'r> FromRow<'r, PgRow>,
{
    sqlx::query_as(sql).persistent(sql.is_named())
}

/// The number of rows that a statement changed. One that gave way is run again.
pub(super) async fn execute<'q>(
    link: &mut Link,
    statement: impl Fn() -> Query<'q, Postgres, PgArguments>,
) -> Result<u64, StoreError> {
    let mut more = 1..ATTEMPTS;
    loop {
        link.begin().await.map_err(unavailable)?;
        let done = statement().execute(&mut *link.connection).await;
        let ended = link.end(done.is_ok()).await;
        match done {
            Err(error) if ended.is_ok() && gave_way(&error) && more.next().is_some() => {}
            Err(error) => return Err(store_error(error)),
            Ok(done) => {
                ended.map_err(store_error)?;
                return Ok(done.rows_affected());
            }
        }
    }
}

/// The rows that a statement finds. One that gave way is run again.
pub(super) async fn fetch<'q, T>(
    link: &mut Link,
    statement: impl Fn() -> QueryAs<'q, Postgres, T, PgArguments>,
) -> Result<Vec<T>, StoreError>
where
    T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
{
    let mut more = 1..ATTEMPTS;
    loop {
        link.begin().await.map_err(unavailable)?;
        let rows = statement().fetch_all(&mut *link.connection).await;
        let ended = link.end(rows.is_ok()).await;
        match rows {
            Err(error) if ended.is_ok() && gave_way(&error) && more.next().is_some() => {}
            Err(error) => return Err(store_error(error)),
            Ok(rows) => {
                ended.map_err(store_error)?;
                return Ok(rows);
            }
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

/// Whether the server knows no statement of this name, or one already, as if others used the same connection.
pub(super) fn is_mixed_up(error: &sqlx::Error) -> bool {
    let answer = error.as_database_error();
    let code = answer.and_then(DatabaseError::code);
    matches!(code.as_deref(), Some("26000" | "42P05"))
}

pub(super) fn store_error(error: sqlx::Error) -> StoreError {
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
