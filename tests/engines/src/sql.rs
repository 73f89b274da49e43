//! What the suites over stores in SQL have in common: a server as their harness, and the tests of setting up tables.

use std::pin::Pin;
use std::time::Duration;

use session_conformance::store::StoreHarness;
use session_core::store::{SessionStore, StoreKey};
use session_core::{Clock as _, SystemClock};
use session_store_sqlx::SetupError;
use sqlx::pool::{PoolConnection, PoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, Database, Executor, Pool};

use crate::{fresh_name, hex};

/// The server has 500 for all tests that run at once, each of which has two pools.
const CONNECTIONS_MAX: u32 = 8;

const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// What an `async fn` gives, where it is a field.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A server on which each store has a table of its own. The fields are what PostgreSQL and MySQL do each in its way.
#[derive(Debug)]
pub struct InServer<DB: Database, S> {
    /// Where it is.
    pub url: fn() -> String,
    /// What each connection is told before it is used.
    pub greeting: Option<&'static str>,
    /// A store on a pool and a table.
    pub with_table: fn(Pool<DB>, &str) -> Result<S, SetupError>,
    /// Makes a store's tables.
    pub migrate: fn(&S) -> Boxed<'_, Result<(), SetupError>>,
    /// A store's pool.
    pub pool: fn(&S) -> &Pool<DB>,
    /// A store's table.
    pub table: fn(&S) -> &str,
    /// What bytes begin with in a statement, before their hexadecimal digits and a quotation mark.
    pub before_hex: &'static str,
    /// The server's own number of a connection.
    pub number: fn(&mut DB::Connection) -> Boxed<'_, i64>,
    /// Has the server close the connection of that number, and waits until it is closed.
    pub close: fn(i64) -> Boxed<'static, ()>,
}

impl<DB, S> StoreHarness for InServer<DB, S>
where
    DB: Database,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    S: SessionStore + Clone,
{
    type Store = S;

    async fn store(&self) -> S {
        let store = self.open(&fresh_name()).await;
        let made = (self.migrate)(&store).await;
        made.expect("the tables can be made");
        store
    }

    async fn second_client(&self, store: &S) -> Option<S> {
        Some(self.open((self.table)(store)).await)
    }

    /// Leaves the pool one connection, and has the server close it.
    async fn fail_next(&self, store: &S) -> bool {
        let pool = (self.pool)(store);
        let mut last = last_connection(pool).await;
        let number = (self.number)(&mut last).await;
        drop(last);
        // The pool takes it back in a task.
        while pool.num_idle() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        (self.close)(number).await;
        true
    }

    async fn plant(&self, store: &S, key: &StoreKey, bytes: &[u8]) -> bool {
        let (pool, table) = ((self.pool)(store), (self.table)(store));
        plant(pool, table, self.before_hex, key, bytes).await;
        true
    }
}

impl<DB, S> InServer<DB, S>
where
    DB: Database,
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    S: SessionStore + Clone,
{
    /// A store on a pool of its own, on a table that may not be there yet.
    pub async fn open(&self, table: &str) -> S {
        let greeting = self.greeting;
        let pool = PoolOptions::<DB>::new()
            .max_connections(CONNECTIONS_MAX)
            // Otherwise a connection that was closed would be replaced before anybody notices.
            .test_before_acquire(false)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if let Some(greeting) = greeting {
                        connection.execute(greeting).await?;
                    }
                    Ok(())
                })
            })
            .connect(&(self.url)())
            .await
            .expect("the server is there");
        (self.with_table)(pool, table).expect("the name is one")
    }

    /// Servers that start at once all set up the tables, and none of them fails.
    pub async fn tables_are_made_by_many_at_once(&self) {
        let store = self.open(&fresh_name()).await;
        let migrate = self.migrate;
        let migrations = (0..16).map(|_| {
            let store = store.clone();
            async move { migrate(&store).await }
        });
        all_succeed(migrations).await;
    }

    /// Tables of a newer version are left alone.
    pub async fn a_newer_schema_is_refused(&self) {
        let store = self.store().await;
        let (pool, table) = ((self.pool)(&store), (self.table)(&store));
        a_newer_schema_is_refused(pool, table, (self.migrate)(&store)).await;
    }

    /// A table may lie in a schema, or in a database, of its own. `what` is the word for it.
    pub async fn a_table_can_have_its_own(&self, what: &str) {
        let name = fresh_name();
        let connection = DB::Connection::connect(&(self.url)()).await;
        let mut connection = connection.expect("the server is there");
        let create = format!("CREATE {what} {name}");
        let created = connection.execute(AssertSqlSafe(create)).await;
        created.expect("the name is new");
        let store = self.open(&format!("{name}.visitors")).await;
        for _ in 0..2 {
            let made = (self.migrate)(&store).await;
            made.expect("the tables can be made");
        }
    }
}

/// Puts bytes where a record would lie, with an expiry that is a day away. `before_hex` is as in [`InServer`].
pub async fn plant<'c>(
    executor: impl Executor<'c>,
    table: &str,
    before_hex: &str,
    key: &StoreKey,
    bytes: &[u8],
) {
    let now = SystemClock.now().as_unix_millis().cast_signed();
    let literal = |bytes| format!("{before_hex}{}'", hex(bytes));
    let insert = format!(
        "INSERT INTO {table} (session_key, version, expires_at, last_active_at, record) \
         VALUES ({}, {}, {}, {now}, {})",
        literal(key.as_bytes()),
        literal(&[0; 16]),
        now + DAY_MILLIS,
        literal(bytes)
    );
    let planted = executor.execute(AssertSqlSafe(insert)).await;
    planted.expect("the key is new");
}

/// Says that the tables are of a newer version, and then begins to migrate them.
pub async fn a_newer_schema_is_refused<'c>(
    executor: impl Executor<'c>,
    table: &str,
    migration: impl Future<Output = Result<(), SetupError>>,
) {
    let newer = format!("INSERT INTO {table}_schema (version) VALUES (2)");
    let inserted = executor.execute(AssertSqlSafe(newer)).await;
    inserted.expect("the table is there");
    let refused = migration.await;
    assert!(
        matches!(refused, Err(SetupError::NewerSchema { found: 2, .. })),
        "{refused:?}"
    );
}

/// Runs all at once.
pub async fn all_succeed<F>(starts: impl Iterator<Item = F>)
where
    F: Future<Output = Result<(), SetupError>> + Send + 'static,
{
    let starts: Vec<_> = starts.map(tokio::spawn).collect();
    for start in starts {
        let start = start.await.expect("it doesn't panic");
        start.expect("everything is there, or can be made");
    }
}

/// Leaves the pool one connection, which it has to be given back.
async fn last_connection<DB: Database>(pool: &Pool<DB>) -> PoolConnection<DB> {
    let mut connections = Vec::new();
    // Whoever has as many as there can be has all of them.
    for _ in 0..CONNECTIONS_MAX {
        connections.push(pool.acquire().await.expect("there is a connection"));
    }
    let last = connections.pop().expect("there is more than one");
    for connection in connections {
        connection.close().await.expect("a connection is closed");
    }
    last
}
