//! The MySQL store keeps the contract, in whatever time zone the database thinks that it is.
#![allow(
    clippy::expect_used,
    reason = "without a server there is no test, and a panic says why"
)]

use std::time::Duration;

use session_conformance::store::{StoreHarness, run};
use session_core::{Clock as _, OsRandom, Random as _, StoreKey, SystemClock};
use session_store_sqlx::{MySqlStore, SetupError};
use session_test_servers::MariaDb;
use sqlx::mysql::{MySqlConnection, MySqlPool, MySqlPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

/// The server has 500 for all tests that run at once, each of which has two pools.
const CONNECTIONS_MAX: u32 = 8;

const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// Each store has a table of its own, on one server.
struct InMariaDb {
    /// What each connection is told before it is used.
    greeting: Option<&'static str>,
}

impl InMariaDb {
    async fn open(&self, table: &str) -> MySqlStore {
        let greeting = self.greeting;
        let pool = MySqlPoolOptions::new()
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
            .connect(&MariaDb::shared().url())
            .await
            .expect("the server is there");
        MySqlStore::with_table(pool, table).expect("the name is one")
    }
}

impl StoreHarness for InMariaDb {
    type Store = MySqlStore;

    async fn store(&self) -> MySqlStore {
        let store = self.open(&fresh_table()).await;
        store.migrate().await.expect("the tables can be made");
        store
    }

    async fn second_client(&self, store: &MySqlStore) -> Option<MySqlStore> {
        Some(self.open(store.table()).await)
    }

    /// Leaves the pool one connection, and has the server close it.
    async fn fail_next(&self, store: &MySqlStore) -> bool {
        let id = last_connection(store.pool()).await;
        let mut other = connect().await;
        let kill = other.execute(AssertSqlSafe(format!("KILL {id}")));
        kill.await.expect("the connection is there");
        while is_connected(&mut other, id).await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        true
    }

    async fn plant(&self, store: &MySqlStore, key: &StoreKey, bytes: &[u8]) -> bool {
        let now = SystemClock.now().as_unix_millis().cast_signed();
        let insert = format!(
            "INSERT INTO {} (session_key, version, expires_at, last_active_at, record) VALUES (?, ?, ?, ?, ?)",
            store.table()
        );
        sqlx::query(AssertSqlSafe(insert))
            .bind(key.as_bytes().as_slice())
            .bind(vec![0_u8; 16])
            .bind(now + DAY_MILLIS)
            .bind(now)
            .bind(bytes)
            .execute(store.pool())
            .await
            .expect("the key is new");
        true
    }
}

/// The server's number of the only connection that the pool is left with, idle.
async fn last_connection(pool: &MySqlPool) -> u64 {
    let mut connections = Vec::new();
    // Whoever has as many as there can be has all of them.
    for _ in 0..CONNECTIONS_MAX {
        connections.push(pool.acquire().await.expect("there is a connection"));
    }
    let mut last = connections.pop().expect("there is more than one");
    for connection in connections {
        connection.close().await.expect("a connection is closed");
    }
    // MySQL says that it is unsigned, MariaDB has not always done so.
    let (id,): (u64,) = sqlx::query_as("SELECT CAST(CONNECTION_ID() AS UNSIGNED)")
        .fetch_one(&mut *last)
        .await
        .expect("the connection works");
    drop(last);
    // The pool takes it back in a task.
    while pool.num_idle() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    id
}

async fn is_connected(other: &mut MySqlConnection, id: u64) -> bool {
    let (count,): (i64,) =
        sqlx::query_as("SELECT COUNT(*) FROM information_schema.processlist WHERE id = ?")
            .bind(id)
            .fetch_one(other)
            .await
            .expect("the server knows its connections");
    count > 0
}

async fn connect() -> MySqlConnection {
    let connection = MySqlConnection::connect(&MariaDb::shared().url()).await;
    connection.expect("the server is there")
}

fn fresh_table() -> String {
    let mut bytes = [0; 8];
    OsRandom
        .fill(&mut bytes)
        .expect("the system has random numbers");
    format!("t{:016x}", u64::from_be_bytes(bytes))
}

session_conformance::store_suite!(InMariaDb { greeting: None });

/// SR-5: expiry is the same in every time zone. A new server knows zones by their distance from UTC only.
mod in_new_york {
    use super::InMariaDb;

    session_conformance::store_suite!(InMariaDb {
        greeting: Some("SET time_zone = '-05:00'")
    });
}

/// SR-5: expiry is the same in every time zone; and here rows that aren't there can't be locked.
mod in_tokyo {
    use super::InMariaDb;

    session_conformance::store_suite!(InMariaDb {
        greeting: Some(
            "SET time_zone = '+09:00'; SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
        )
    });
}

/// Servers that start at once all set up the tables, and none of them fails.
#[test]
fn tables_are_made_by_many_at_once() {
    run(async {
        let store = InMariaDb { greeting: None }.open(&fresh_table()).await;
        let migrations: Vec<_> = (0..16)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { store.migrate().await })
            })
            .collect();
        for migration in migrations {
            let migration = migration.await.expect("it doesn't panic");
            migration.expect("the tables are there, or can be made");
        }
    });
}

/// Tables of a newer version are left alone.
#[test]
fn a_newer_schema_is_refused() {
    run(async {
        let store = InMariaDb { greeting: None }.store().await;
        let newer = format!("INSERT INTO {}_schema (version) VALUES (2)", store.table());
        let insert = sqlx::query(AssertSqlSafe(newer)).execute(store.pool());
        insert.await.expect("the table is there");
        let refused = store.migrate().await;
        assert!(
            matches!(refused, Err(SetupError::NewerSchema { found: 2, .. })),
            "{refused:?}"
        );
    });
}

/// A table may lie in another database than the connection's own.
#[test]
fn a_table_can_have_a_database() {
    run(async {
        let database = fresh_table();
        let create = format!("CREATE DATABASE {database}");
        let mut connection = connect().await;
        let create = connection.execute(AssertSqlSafe(create));
        create.await.expect("the name is new");
        let store = InMariaDb { greeting: None }
            .open(&format!("{database}.visitors"))
            .await;
        for _ in 0..2 {
            store.migrate().await.expect("the tables can be made");
        }
    });
}
