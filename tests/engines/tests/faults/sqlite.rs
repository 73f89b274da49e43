//! SQLite. There is no server, so that only what can happen to a file happens.

use std::time::Duration;

use session_engine_tests::Folder;
use session_store_sqlx::SqliteStore;
use sqlx::Connection as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use tokio::time::sleep;

use crate::load::Load;
use crate::matrix::{Cell, Engine, Fault};
use crate::sql_server::tell;
use crate::strike::{ACQUIRE_TIMEOUT, CONNECTIONS, Expected, OUTAGE, REFUSAL, strike, strike_with};

/// As [`SqliteStore::open`] has it.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A folder in which each fault has a file of its own.
pub(crate) struct OneFile(Folder);

impl Engine for OneFile {
    const NAME: &'static str = "SQLite";

    async fn start() -> Self {
        Self(Folder::fresh())
    }

    async fn suffer(&self, fault: Fault) -> Cell {
        let pool = self.pool(fault).await;
        let fails = Expected::Failures;
        match fault {
            Fault::Killed => Cell::absent("no server: it is part of the application"),
            Fault::Paused => Cell::absent("no server to pause"),
            Fault::Cut => Cell::absent("no server, and so no connections to one"),
            Fault::Full => {
                let work = async |load: &Load| fill(&pool, load).await;
                strike_with(store(&pool).await, fails, "max_page_count", work).await
            }
            Fault::ReadOnly => {
                let work = forbid_writing(&pool);
                strike(store(&pool).await, fails, "query_only", work).await
            }
            Fault::Refused => Cell::absent("no server to refuse"),
            Fault::Flushed => Cell::absent("no scripts"),
            Fault::Held => strike(store(&pool).await, fails, "of the file", hold(&pool)).await,
            Fault::Lost => Cell::absent("one file"),
        }
    }
}

impl OneFile {
    /// With the settings of [`SqliteStore::open`], and the time limit of the other engines' pools.
    async fn pool(&self, fault: Fault) -> SqlitePool {
        let options = SqliteConnectOptions::new()
            .filename(self.0.path().join(fault.name()))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT);
        let pool = SqlitePoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_with(options);
        pool.await.expect("a file can be made")
    }
}

async fn store(pool: &SqlitePool) -> SqliteStore {
    let store = SqliteStore::new(pool.clone());
    store.migrate().await.expect("the tables can be made");
    store
}

/// Allows no page beyond those that the file has: a lower limit than that doesn't exist.
async fn fill(pool: &SqlitePool, load: &Load) {
    tell_all(pool, "PRAGMA max_page_count = 1").await;
    load.add_ballast();
    sleep(REFUSAL).await;
    tell_all(pool, "PRAGMA max_page_count = 1000000").await;
}

/// SQLite then answers as it does where it may only read the file. Taking the right away wouldn't do: it is asked for
/// when a file is opened, and never of root.
async fn forbid_writing(pool: &SqlitePool) {
    tell_all(pool, "PRAGMA query_only = ON").await;
    sleep(REFUSAL).await;
    tell_all(pool, "PRAGMA query_only = OFF").await;
}

/// Somebody else writes, and takes long over it.
async fn hold(pool: &SqlitePool) {
    let options = pool.connect_options();
    let stranger = SqliteConnection::connect_with(&options).await;
    let mut stranger = stranger.expect("the file is there");
    tell(&mut stranger, "BEGIN EXCLUSIVE").await;
    sleep(OUTAGE).await;
    tell(&mut stranger, "ROLLBACK").await;
    stranger.close().await.expect("it is closed");
}

/// The limits of SQLite are each connection's own.
async fn tell_all(pool: &SqlitePool, statement: &str) {
    let mut connections = Vec::new();
    // Whoever has as many as there can be has all of them.
    for _ in 0..CONNECTIONS {
        connections.push(pool.acquire().await.expect("there is a connection"));
    }
    for connection in &mut connections {
        tell(&mut **connection, statement).await;
    }
}
