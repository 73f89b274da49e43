//! The SQLite store keeps the contract, with two pools on one file.
#![allow(
    clippy::expect_used,
    reason = "without a file there is no test, and a panic says why"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use session_conformance::store::{StoreHarness, run};
use session_core::store::StoreKey;
use session_engine_tests::{Folder, fresh_name, sql};
use session_store_sqlx::SqliteStore;

/// Each store has a file of its own, in a folder that goes with the harness.
struct InFiles {
    folder: Folder,
}

impl InFiles {
    fn new() -> Self {
        Self {
            folder: Folder::fresh(),
        }
    }

    async fn open(&self) -> SqliteStore {
        let file = self.folder.path().join(fresh_name());
        let store = SqliteStore::open(file).await;
        store.expect("a file can be made")
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
        sql::plant(store.pool(), store.table(), "X'", key, bytes).await;
        true
    }
}

session_conformance::store_suite!(InFiles::new());

/// Processes that start at once open a new file and set it up, and none of them fails.
#[test]
fn files_are_opened_and_set_up_by_many_at_once() {
    run(async {
        let harness = InFiles::new();
        let file = harness.folder.path().join("new");
        let starts = (0..8).map(|_| {
            let file = file.clone();
            async move { SqliteStore::open(file).await?.migrate().await }
        });
        sql::all_succeed(starts).await;
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

#[test]
fn a_newer_schema_is_refused() {
    run(async {
        let harness = InFiles::new();
        let store = harness.store().await;
        sql::a_newer_schema_is_refused(store.pool(), store.table(), store.migrate()).await;
    });
}
