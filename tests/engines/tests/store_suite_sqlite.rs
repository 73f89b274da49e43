//! The SQLite store keeps the contract, with two pools on one file.
#![allow(
    clippy::expect_used,
    reason = "without a file there is no test, and a panic says why"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, fs};

use session_conformance::store::{StoreHarness, run};
use session_core::{Clock as _, OsRandom, Random as _, StoreKey, SystemClock};
use session_store_sqlx::{SetupError, SqliteStore};
use sqlx::AssertSqlSafe;

const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// Each store has a file of its own, in a folder that goes with the harness.
struct InFiles {
    folder: PathBuf,
}

impl InFiles {
    fn new() -> Self {
        let folder = env::temp_dir().join(format!("session-store-sqlx-{}", fresh_name()));
        fs::create_dir(&folder).expect("the name is new");
        Self { folder }
    }

    async fn open(&self) -> SqliteStore {
        let file = self.folder.join(fresh_name());
        let store = SqliteStore::open(file).await;
        store.expect("a file can be made")
    }
}

impl Drop for InFiles {
    fn drop(&mut self) {
        // What is still open goes when it is closed; what can't be removed is the system's to clear.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl StoreHarness for InFiles {
    type Store = SqliteStore;

    async fn store(&self) -> SqliteStore {
        let store = self.open().await;
        store.migrate().await.expect("the tables can be made");
        store
    }

    async fn second_client(&self, store: &SqliteStore) -> Option<SqliteStore> {
        let options = store.pool().connect_options();
        let other = SqliteStore::open(options.get_filename()).await;
        Some(other.expect("the file is there"))
    }

    /// Has SQLite interrupt the next statement, on whatever connection it runs.
    async fn fail_next(&self, store: &SqliteStore) -> bool {
        let is_next = Arc::new(AtomicBool::new(true));
        let mut connections = Vec::new();
        // Whoever has as many as there can be has all of them.
        for _ in 0..store.pool().options().get_max_connections() {
            let connection = store.pool().acquire().await;
            let mut connection = connection.expect("there is a connection");
            let is_next = is_next.clone();
            let handle = connection.lock_handle().await;
            handle
                .expect("the connection works")
                .set_progress_handler(1, move || !is_next.swap(false, Ordering::Relaxed));
            connections.push(connection);
        }
        true
    }

    async fn plant(&self, store: &SqliteStore, key: &StoreKey, bytes: &[u8]) -> bool {
        let now = SystemClock.now().as_unix_millis().cast_signed();
        let insert = format!(
            "INSERT INTO {} (session_key, version, expires_at, last_active_at, record) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
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

fn fresh_name() -> String {
    let mut bytes = [0; 8];
    OsRandom
        .fill(&mut bytes)
        .expect("the system has random numbers");
    format!("{:016x}", u64::from_be_bytes(bytes))
}

session_conformance::store_suite!(InFiles::new());

/// Processes that start at once open a new file and set it up, and none of them fails.
#[test]
fn files_are_opened_and_set_up_by_many_at_once() {
    run(async {
        let harness = InFiles::new();
        let file = harness.folder.join("new");
        let starts: Vec<_> = (0..8)
            .map(|_| {
                let file = file.clone();
                tokio::spawn(async move { SqliteStore::open(file).await?.migrate().await })
            })
            .collect();
        for start in starts {
            let start = start.await.expect("it doesn't panic");
            start.expect("the file and its tables are there, or can be made");
        }
    });
}

/// What [`SqliteStore::open`] promises of its connections.
#[test]
fn writes_are_logged_ahead_and_wait_for_the_disk() {
    run(async {
        const FULL: i64 = 2;
        let harness = InFiles::new();
        let store = harness.open().await;
        let (mode,): (String,) = sqlx::query_as("PRAGMA journal_mode")
            .fetch_one(store.pool())
            .await
            .expect("every connection has one");
        let (synchronous,): (i64,) = sqlx::query_as("PRAGMA synchronous")
            .fetch_one(store.pool())
            .await
            .expect("every connection has one");
        assert_eq!((mode.as_str(), synchronous), ("wal", FULL));
    });
}

/// Tables of a newer version are left alone.
#[test]
fn a_newer_schema_is_refused() {
    run(async {
        let harness = InFiles::new();
        let store = harness.store().await;
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
