//! SQLite. There is no server, so that only what can happen to a file happens.

use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs};

use session_store_sqlx::SqliteStore;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{Connection as _, Executor as _};
use tokio::time::sleep;

use crate::load::Load;
use crate::matrix::{Cell, Engine, Fault};
use crate::random_text;
use crate::strike::{ACQUIRE_TIMEOUT, CONNECTIONS, Expected, OUTAGE, REFUSAL, strike};

/// As [`SqliteStore::open`] has it.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// A folder in which each fault has a file of its own.
pub(crate) struct OneFile {
    folder: PathBuf,
}

impl Engine for OneFile {
    const NAME: &'static str = "SQLite";

    async fn start() -> Self {
        let folder = env::temp_dir().join(format!("session-faults-{}", random_text(16)));
        fs::create_dir(&folder).expect("the name is new");
        Self { folder }
    }

    async fn suffer(&self, fault: Fault) -> Cell {
        match fault {
            Fault::Killed => Cell::absent("no server: it is part of the application"),
            Fault::Paused => Cell::absent("no server to pause"),
            Fault::Cut => Cell::absent("no server, and so no connections to one"),
            Fault::Full => {
                let pool = self.pool(fault).await;
                let work = async |load: &Load| fill(&pool, load).await;
                suffer_in(&pool, "max_page_count", work).await
            }
            Fault::ReadOnly => {
                let pool = self.pool(fault).await;
                let work = async |_: &Load| forbid_writing(&pool).await;
                suffer_in(&pool, "query_only", work).await
            }
            Fault::Refused => Cell::absent("no server to refuse"),
            Fault::Flushed => Cell::absent("no scripts"),
            Fault::Held => {
                let pool = self.pool(fault).await;
                let work = async |_: &Load| hold(&pool).await;
                suffer_in(&pool, "of the file", work).await
            }
            Fault::Lost => Cell::absent("one file"),
        }
    }
}

impl OneFile {
    /// With the settings of [`SqliteStore::open`], and the time limit of the other engines' pools.
    async fn pool(&self, fault: Fault) -> SqlitePool {
        let options = SqliteConnectOptions::new()
            .filename(self.folder.join(fault.name()))
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

impl Drop for OneFile {
    fn drop(&mut self) {
        // What is still open goes when it is closed; what can't be removed is the system's to clear.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

async fn suffer_in(pool: &SqlitePool, how: &str, work: impl AsyncFnOnce(&Load)) -> Cell {
    let store = SqliteStore::new(pool.clone());
    store.migrate().await.expect("the tables can be made");
    strike(store, Expected::Failures, how, work).await
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
    let begun = stranger.execute("BEGIN EXCLUSIVE").await;
    begun.expect("others have the lock for moments only");
    sleep(OUTAGE).await;
    let ended = stranger.execute("ROLLBACK").await;
    ended.expect("the transaction is open");
    stranger.close().await.expect("it is closed");
}

/// The limits of SQLite are each connection's own.
async fn tell_all(pool: &SqlitePool, statement: &'static str) {
    let mut connections = Vec::new();
    // Whoever has as many as there can be has all of them.
    for _ in 0..CONNECTIONS {
        connections.push(pool.acquire().await.expect("there is a connection"));
    }
    for connection in &mut connections {
        let told = connection.execute(statement).await;
        told.expect("every connection has this setting");
    }
}
