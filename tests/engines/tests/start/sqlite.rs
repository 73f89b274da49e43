use std::fs;
use std::path::Path;

use session_conformance::store::run as block_on;
use session_engine_tests::Folder;
use session_store_sqlx::{SetupError, SqliteStore};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

use crate::{a_foreign_table_is_refused, a_missing_table_is_named};

/// SR-8: a database that each connection has for itself is refused when the store is opened, or set up.
#[test]
fn a_database_of_each_connection_is_refused() {
    block_on(async {
        for path in [":memory:", ""] {
            let error = SqliteStore::open(path).await.expect_err(path);
            let text = error.to_string();
            assert!(matches!(error, SetupError::PrivateDatabase), "{text}");
            assert!(text.contains("name a file"), "{text}");
        }
        for url in ["sqlite::memory:", "sqlite://?mode=memory", "sqlite:"] {
            for connections in [1, 4] {
                let pool = SqlitePoolOptions::new().max_connections(connections);
                let pool = pool.connect(url).await.expect("it needs no file");
                let error = SqliteStore::new(pool).migrate().await.expect_err(url);
                assert!(matches!(error, SetupError::PrivateDatabase), "{error}");
            }
        }
    });
}

async fn pool(file: &Path) -> SqlitePool {
    let options = SqliteConnectOptions::new().create_if_missing(true);
    let pool = SqlitePoolOptions::new().max_connections(1);
    let pool = pool.connect_with(options.filename(file));
    pool.await.expect("a file can be made")
}

/// SR-8: a table of our name with other columns isn't written to.
#[test]
fn a_foreign_table_is_refused_on_sqlite() {
    block_on(async {
        let folder = Folder::fresh();
        let pool = pool(&folder.path().join("foreign.db")).await;
        let store = SqliteStore::new(pool.clone());
        let foreign = [
            ("(id INTEGER PRIMARY KEY, data TEXT)", "has no column"),
            (
                "(session_key TEXT PRIMARY KEY, version BLOB, expires_at INTEGER, last_active_at INTEGER, record BLOB)",
                "session_key is of type TEXT",
            ),
            (
                "(session_key BLOB, version BLOB, expires_at INTEGER, last_active_at INTEGER, record BLOB)",
                "session_key is no part of the primary key",
            ),
        ];
        let migrate = || store.migrate();
        a_foreign_table_is_refused(&pool, store.table(), &foreign, async || migrate().await).await;
    });
}

/// SR-8: a table that was dropped is missed at the start.
#[test]
fn a_missing_table_is_named_on_sqlite() {
    block_on(async {
        let folder = Folder::fresh();
        let pool = pool(&folder.path().join("missing.db")).await;
        let store = SqliteStore::new(pool.clone());
        a_missing_table_is_named(&pool, store.table(), async || store.migrate().await).await;
    });
}

/// SR-8: a file that can't be written isn't taken.
#[test]
fn a_file_that_cannot_be_written_is_refused() {
    block_on(async {
        let folder = Folder::fresh();
        let file = folder.path().join("read-only.db");
        let writable = pool(&file).await;
        let made = SqliteStore::new(writable.clone()).migrate().await;
        made.expect("the tables can be made");
        writable.close().await;
        assert!(fs::exists(&file).unwrap());
        let options = SqliteConnectOptions::new().filename(&file).read_only(true);
        let read_only = SqlitePool::connect_with(options).await.unwrap();
        let error = SqliteStore::new(read_only).migrate().await.unwrap_err();
        assert!(matches!(error, SetupError::Unusable(_)), "{error:?}");
    });
}
