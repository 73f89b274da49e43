//! What shows only with real engines: the commands that a request costs, what a dump of the storage holds, what is left
//! of a hundred thousand sessions, encrypted connections, and users whose devices are at it in several processes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that meets the unexpected fails by panicking, and its counts are for whoever runs it with \
              --nocapture"
)]

/// Makes a check a test on every engine. The check is a function that takes the place in which it can work.
macro_rules! on_every_engine {
    ($check:ident) => {
        mod $check {
            use crate::Place;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_redis() {
                super::$check(&Place::redis()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_a_redis_cluster() {
                super::$check(&Place::redis_cluster()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                super::$check(&Place::postgres()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_mariadb() {
                super::$check(&Place::mariadb()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                super::$check(&Place::sqlite()).await;
            }
        }
    };
}

mod crowd;
mod demoted;
mod dump;
mod expiry;
mod tls;
mod users;
mod wire;

use std::slice;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use session_conformance::adapter::SECRET;
use session_core::adapter::CookieHeaders;
use session_core::store::SessionStore;
use session_core::{Error, Session, SessionConfig, SessionConfigBuilder, SessionManager};
use session_engine_tests::{Folder, fresh_name};
use session_store_redis::RedisStore;
use session_store_sqlx::{MySqlStore, PostgresStore, SqliteStore};
use session_test_servers::{MariaDb, Postgres, Redis, RedisCluster};
use sqlx::mysql::{MySqlPool, MySqlPoolOptions};
use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

/// How long a call, or all calls of one commit, may take. No visitor would wait so long; but here many tasks want the
/// same rows at once, and the machine may have other things to do.
const PATIENCE: Duration = Duration::from_secs(30);

/// What each client of a server may have. The server has 500 for all tests that run at once.
const CONNECTIONS_MAX: u32 = 16;

/// Where the sessions of one test are: in an engine, with a key prefix, a table or a file that no other test uses.
enum Place {
    Redis {
        /// The server, or the masters of the cluster.
        nodes: &'static [Redis],
        url: String,
        prefix: String,
    },
    Postgres {
        table: String,
    },
    MariaDb {
        table: String,
    },
    Sqlite {
        folder: Folder,
    },
}

impl Place {
    fn redis() -> Self {
        let server = Redis::shared();
        Self::Redis {
            nodes: slice::from_ref(server),
            url: server.url(),
            prefix: format!("{}:", fresh_name()),
        }
    }

    fn redis_cluster() -> Self {
        let cluster = RedisCluster::shared();
        Self::Redis {
            nodes: cluster.masters(),
            url: cluster.url(),
            prefix: format!("{}:", fresh_name()),
        }
    }

    fn postgres() -> Self {
        Self::Postgres {
            table: fresh_name(),
        }
    }

    fn mariadb() -> Self {
        Self::MariaDb {
            table: fresh_name(),
        }
    }

    fn sqlite() -> Self {
        Self::Sqlite {
            folder: Folder::fresh(),
        }
    }

    /// A client with connections of its own, as another process would have one.
    async fn open(&self) -> Arc<dyn SessionStore> {
        match self {
            Self::Redis { url, prefix, .. } => {
                let builder = RedisStore::builder().key_prefix(prefix).timeout(PATIENCE);
                Arc::new(builder.connect(url).await.expect("the server is there"))
            }
            Self::Postgres { table } => {
                let store = PostgresStore::with_table(postgres_pool().await, table);
                let store = store.expect("the name is one");
                store.migrate().await.expect("the tables can be made");
                Arc::new(store)
            }
            Self::MariaDb { table } => {
                let store = MySqlStore::with_table(mariadb_pool().await, table);
                let store = store.expect("the name is one");
                store.migrate().await.expect("the tables can be made");
                Arc::new(store)
            }
            Self::Sqlite { folder } => {
                let store = SqliteStore::new(sqlite_pool(folder).await);
                store.migrate().await.expect("the tables can be made");
                Arc::new(store)
            }
        }
    }
}

async fn postgres_pool() -> PgPool {
    PgPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .test_before_acquire(false)
        .connect(&Postgres::shared().url())
        .await
        .expect("the server is there")
}

async fn mariadb_pool() -> MySqlPool {
    MySqlPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .test_before_acquire(false)
        .connect(&MariaDb::shared().url())
        .await
        .expect("the server is there")
}

/// A pool that doesn't wait for the disk, unlike one that the store opens: no test here is about a loss of power, and
/// some write hundreds of thousands of times.
async fn sqlite_pool(folder: &Folder) -> SqlitePool {
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("sessions.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Off)
        .busy_timeout(PATIENCE);
    SqlitePoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .connect_with(options)
        .await
        .expect("a file can be made")
}

/// The configuration that tests vary.
fn config() -> SessionConfigBuilder {
    SessionConfig::builder(SECRET).store_timeout(PATIENCE)
}

/// Runs a request with this cookie, or with none if it is empty. Gives what `work` gave, and the cookie that the
/// browser has afterwards.
async fn request<T, W>(
    manager: &SessionManager,
    cookie: &str,
    work: impl FnOnce(Session) -> W,
) -> Result<(T, String), Error>
where
    W: Future<Output = Result<T, Error>>,
{
    let handle = manager.handle();
    let handler = async {
        let session: Session = handle.load(&CookieHeaders(&[cookie.as_bytes()])).await?;
        work(session).await
    };
    let (result, finished) = handle.run(handler).await;
    let output = result?;
    if let Some(error) = finished.error() {
        return Err(error.clone());
    }
    let mut headers = HeaderMap::new();
    finished.apply(&mut headers);
    Ok((output, cookie_after(cookie, &headers)))
}

fn cookie_after(cookie: &str, headers: &HeaderMap) -> String {
    let Some(set) = headers.get("set-cookie") else {
        return cookie.to_owned();
    };
    let set = set.to_str().expect("a cookie is ASCII");
    let pair = set.split(';').next().unwrap_or_default();
    // A removal gives the cookie an empty value.
    if pair.ends_with('=') {
        String::new()
    } else {
        pair.to_owned()
    }
}
