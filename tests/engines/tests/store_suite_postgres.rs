//! The PostgreSQL store keeps the contract, in whatever time zone the database thinks that it is.
#![allow(
    clippy::expect_used,
    reason = "without a server there is no test, and a panic says why"
)]

use std::time::Duration;

use session_conformance::store::{StoreHarness, run};
use session_core::store::{Expect, SaveOutcome, SessionStore as _};
use session_core::{
    Clock as _, OsRandom, Random as _, Record, RecordState, StoreKey, SystemClock, Timestamp,
    Version,
};
use session_store_sqlx::{PostgresStore, SetupError};
use session_test_servers::Postgres;
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

/// The server has 500 for all tests that run at once, each of which has two pools.
const CONNECTIONS_MAX: u32 = 8;

const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// Each store has a table of its own, on one server.
struct InPostgres {
    /// What each connection is told before it is used.
    greeting: Option<&'static str>,
}

impl InPostgres {
    async fn open(&self, table: &str) -> PostgresStore {
        let greeting = self.greeting;
        let pool = PgPoolOptions::new()
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
            .connect(&Postgres::shared().url())
            .await
            .expect("the server is there");
        PostgresStore::with_table(pool, table).expect("the name is one")
    }
}

impl StoreHarness for InPostgres {
    type Store = PostgresStore;

    async fn store(&self) -> PostgresStore {
        let store = self.open(&fresh_table()).await;
        store.migrate().await.expect("the tables can be made");
        store
    }

    async fn second_client(&self, store: &PostgresStore) -> Option<PostgresStore> {
        Some(self.open(store.table()).await)
    }

    /// Leaves the pool one connection, and has the server close it.
    async fn fail_next(&self, store: &PostgresStore) -> bool {
        let process = last_connection(store.pool()).await;
        let mut other = connect().await;
        let (closed,): (bool,) = sqlx::query_as("SELECT pg_terminate_backend($1, 5000)")
            .bind(process)
            .fetch_one(&mut other)
            .await
            .expect("the process is there");
        assert!(closed, "the server's process has ended");
        true
    }

    async fn plant(&self, store: &PostgresStore, key: &StoreKey, bytes: &[u8]) -> bool {
        let now = SystemClock.now().as_unix_millis().cast_signed();
        let insert = format!(
            "INSERT INTO {} (session_key, version, expires_at, last_active_at, record) \
             VALUES ($1, $2, $3, $4, $5)",
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

/// The number of the server's process for the only connection that the pool is left with, idle.
async fn last_connection(pool: &PgPool) -> i32 {
    let mut connections = Vec::new();
    // Whoever has as many as there can be has all of them.
    for _ in 0..CONNECTIONS_MAX {
        connections.push(pool.acquire().await.expect("there is a connection"));
    }
    let mut last = connections.pop().expect("there is more than one");
    for connection in connections {
        connection.close().await.expect("a connection is closed");
    }
    let (process,): (i32,) = sqlx::query_as("SELECT pg_backend_pid()")
        .fetch_one(&mut *last)
        .await
        .expect("the connection works");
    drop(last);
    // The pool takes it back in a task.
    while pool.num_idle() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    process
}

async fn connect() -> PgConnection {
    let connection = PgConnection::connect(&Postgres::shared().url()).await;
    connection.expect("the server is there")
}

fn fresh_table() -> String {
    let mut bytes = [0; 8];
    OsRandom
        .fill(&mut bytes)
        .expect("the system has random numbers");
    format!("t{:016x}", u64::from_be_bytes(bytes))
}

session_conformance::store_suite!(InPostgres { greeting: None });

/// SR-5: expiry is the same in every time zone.
mod in_new_york {
    use super::InPostgres;

    session_conformance::store_suite!(InPostgres {
        greeting: Some("SET TIME ZONE 'America/New_York'")
    });
}

/// SR-5: expiry is the same in every time zone.
mod in_tokyo {
    use super::InPostgres;

    session_conformance::store_suite!(InPostgres {
        greeting: Some("SET TIME ZONE 'Asia/Tokyo'")
    });
}

/// The contract doesn't depend on what else the database is for.
mod at_the_highest_isolation {
    use super::InPostgres;

    session_conformance::store_suite!(InPostgres {
        greeting: Some("SET default_transaction_isolation TO 'serializable'")
    });
}

/// SR-5: whatever zones the connections are in, a record expires at the same millisecond for all.
#[test]
fn expiry_is_the_same_in_every_time_zone() {
    run(async {
        let zones = ["UTC", "America/New_York", "Asia/Tokyo"];
        let table = fresh_table();
        let mut stores = Vec::new();
        for zone in [
            "SET TIME ZONE 'UTC'",
            "SET TIME ZONE 'America/New_York'",
            "SET TIME ZONE 'Asia/Tokyo'",
        ] {
            let greeting = Some(zone);
            stores.push(InPostgres { greeting }.open(&table).await);
        }
        stores[0].migrate().await.expect("the tables can be made");
        let now = SystemClock.now();
        let expiry = now.saturating_add(Duration::from_secs(3600));
        for (writer, at) in stores.iter().zip(1..) {
            let key = StoreKey::from_bytes([at; 32]);
            let record = Record {
                version: Version::from_bytes([at; 16]),
                expires_at: expiry,
                state: RecordState::Ended { at: now },
            };
            let saved = writer.save(&key, record, Expect::Absent, now).await;
            assert_eq!(saved.expect("the engine works"), SaveOutcome::Saved);
            let before = Timestamp::from_unix_millis(expiry.as_unix_millis() - 1);
            for (reader, zone) in stores.iter().zip(zones) {
                let found = reader.load(&key, before).await.expect("the engine works");
                assert!(found.is_some(), "before the expiry, in {zone}");
                let found = reader.load(&key, expiry).await.expect("the engine works");
                assert!(found.is_none(), "at the expiry, in {zone}");
            }
        }
    });
}

/// Servers that start at once all set up the tables, and none of them fails.
#[test]
fn tables_are_made_by_many_at_once() {
    run(async {
        let store = InPostgres { greeting: None }.open(&fresh_table()).await;
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
        let store = InPostgres { greeting: None }.store().await;
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

/// A table may lie in a schema of its own.
#[test]
fn a_table_can_have_a_schema() {
    run(async {
        let schema = fresh_table();
        let create = format!("CREATE SCHEMA {schema}");
        let mut connection = connect().await;
        let create = connection.execute(AssertSqlSafe(create));
        create.await.expect("the name is new");
        let store = InPostgres { greeting: None }
            .open(&format!("{schema}.visitors"))
            .await;
        for _ in 0..2 {
            store.migrate().await.expect("the tables can be made");
        }
    });
}
