//! Where the demo keeps its sessions.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use session_core::store::SessionStore;
use session_store_memory::MemoryStore;

use crate::not_in_this_build;

/// A store that the command line names and this build has.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// In this process.
    Memory,
    /// A server or a cluster of Redis's, with the whole URL.
    #[cfg(feature = "redis")]
    Redis(String),
    /// PostgreSQL, with the whole URL.
    #[cfg(feature = "postgres")]
    Postgres(String),
    /// PostgreSQL behind a pooler that keeps no track of prepared statements, with the URL as it would be without one.
    #[cfg(feature = "postgres")]
    PostgresPooler(String),
    /// MySQL or MariaDB, with the whole URL.
    #[cfg(feature = "mysql")]
    MySql(String),
    /// SQLite, with the file's path.
    #[cfg(feature = "sqlite")]
    Sqlite(String),
}

impl StoreUrl {
    /// Reads what stands behind `--store`. The error is a line that shows nothing of the URL but its scheme: the
    /// rest may hold a password.
    pub fn parse(url: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = url.split_once(':') else {
            return Err("--store needs a URL such as memory: or redis://127.0.0.1".to_owned());
        };
        match scheme {
            "memory" if rest.is_empty() => Ok(Self::Memory),
            #[cfg(feature = "redis")]
            "redis" | "rediss" | "redis-cluster" => Ok(Self::Redis(url.to_owned())),
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => Ok(Self::Postgres(url.to_owned())),
            #[cfg(feature = "postgres")]
            "postgres-pooler" => Ok(Self::PostgresPooler(format!("postgres:{rest}"))),
            #[cfg(feature = "mysql")]
            "mysql" => Ok(Self::MySql(url.to_owned())),
            #[cfg(feature = "sqlite")]
            "sqlite" if !rest.is_empty() => Ok(Self::Sqlite(rest.to_owned())),
            _ => Err(match missing_feature(scheme) {
                Some(feature) => not_in_this_build(&format!("--store {scheme}:…"), feature),
                None => format!(
                    "--store {scheme}:… is unknown: use memory:, redis://, rediss://, redis-cluster://, postgres:// \
                     (or postgresql://), postgres-pooler://, mysql:// or sqlite:PATH"
                ),
            }),
        }
    }

    /// Opens the store, with its tables made, within `timeout`.
    pub async fn open(&self, timeout: Duration) -> Result<Arc<dyn SessionStore>, String> {
        match tokio::time::timeout(timeout, self.connect()).await {
            Ok(Ok(store)) => Ok(store),
            Ok(Err(error)) => Err(format!("--store {self}: {}", one_line(&*error))),
            Err(_) => Err(format!("--store {self}: no answer within {timeout:?}")),
        }
    }

    async fn connect(&self) -> Result<Arc<dyn SessionStore>, Box<dyn std::error::Error>> {
        Ok(match self {
            Self::Memory => Arc::new(MemoryStore::new()),
            #[cfg(feature = "redis")]
            Self::Redis(url) => Arc::new(session_store_redis::RedisStore::connect(url).await?),
            #[cfg(feature = "postgres")]
            Self::Postgres(url) => postgres(url, false).await?,
            #[cfg(feature = "postgres")]
            Self::PostgresPooler(url) => postgres(url, true).await?,
            #[cfg(feature = "mysql")]
            Self::MySql(url) => {
                let pool =
                    session_store_sqlx::sqlx::mysql::MySqlPoolOptions::new().max_connections(POOL);
                let store = session_store_sqlx::MySqlStore::new(pool.connect(url).await?);
                store.migrate().await?;
                Arc::new(store)
            }
            #[cfg(feature = "sqlite")]
            Self::Sqlite(path) => {
                let store = session_store_sqlx::SqliteStore::open(path).await?;
                store.migrate().await?;
                Arc::new(store)
            }
        })
    }
}

/// Opens a store in PostgreSQL.
#[cfg(feature = "postgres")]
async fn postgres(
    url: &str,
    is_behind_pooler: bool,
) -> Result<Arc<dyn SessionStore>, Box<dyn std::error::Error>> {
    use session_store_sqlx::PostgresStore;
    use session_store_sqlx::sqlx::postgres::{PgConnectOptions, PgPoolOptions};

    let pool = PgPoolOptions::new().max_connections(POOL);
    let mut options: PgConnectOptions = url.parse()?;
    if is_behind_pooler {
        // PgBouncer refuses a client with this setting, which is about numbers that sessions don't have.
        options = options.extra_float_digits(None);
    }
    let mut store = PostgresStore::new(pool.connect_with(options).await?);
    if is_behind_pooler {
        store = store.without_prepared_statements();
    }
    store.migrate().await?;
    Ok(Arc::new(store))
}

/// How many connections to a database the demo has.
#[cfg(any(feature = "postgres", feature = "mysql"))]
const POOL: u32 = 16;

/// The feature of this crate with which a store would be there.
fn missing_feature(scheme: &str) -> Option<&'static str> {
    match scheme {
        "redis" | "rediss" | "redis-cluster" if !cfg!(feature = "redis") => Some("redis"),
        "postgres" | "postgresql" | "postgres-pooler" if !cfg!(feature = "postgres") => {
            Some("postgres")
        }
        "mysql" if !cfg!(feature = "mysql") => Some("mysql"),
        "sqlite" if !cfg!(feature = "sqlite") => Some("sqlite"),
        _ => None,
    }
}

/// An error with its sources, on one line.
fn one_line(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let text = error.to_string();
        if !line.contains(&text) {
            line = format!("{line}: {text}");
        }
        source = error.source();
    }
    line.replace(['\n', '\r'], " ")
}

/// The scheme alone: the rest of a URL may hold a password.
impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory:",
            #[cfg(feature = "redis")]
            Self::Redis(_) => "redis:…",
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "postgres:…",
            #[cfg(feature = "postgres")]
            Self::PostgresPooler(_) => "postgres-pooler:…",
            #[cfg(feature = "mysql")]
            Self::MySql(_) => "mysql:…",
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "sqlite:…",
        })
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SR-8: PostgreSQL's own tools take both names, and so does the demo.
    #[cfg(feature = "postgres")]
    #[test]
    fn postgres_has_two_names() {
        for scheme in ["postgres", "postgresql"] {
            let url = format!("{scheme}://app:word@localhost/app");
            assert!(
                StoreUrl::parse(&url) == Ok(StoreUrl::Postgres(url)),
                "{scheme}"
            );
        }
        let behind = StoreUrl::parse("postgres-pooler://app@localhost/app");
        let url = "postgres://app@localhost/app".to_owned();
        assert!(behind == Ok(StoreUrl::PostgresPooler(url)));
    }

    #[test]
    fn what_is_not_there_is_explained() {
        for scheme in ["postgres", "postgresql", "postgres-pooler"] {
            let parsed = StoreUrl::parse(&format!("{scheme}://app:word@localhost"));
            assert_eq!(parsed.is_ok(), cfg!(feature = "postgres"), "{scheme}");
            if let Err(line) = parsed {
                let says = line.contains("--features postgres") && !line.contains("word");
                assert!(says, "{line}");
            }
        }
    }

    /// SR-8: SQLite in memory would be a database for each connection. The line says what to use instead.
    #[cfg(feature = "sqlite")]
    #[tokio::test]
    async fn sqlite_in_memory_is_refused() {
        let store = StoreUrl::parse("sqlite::memory:").unwrap();
        let line = store.open(Duration::from_secs(5)).await.err().unwrap();
        assert!(
            line.contains("name a file") && !line.contains('\n'),
            "{line}"
        );
    }
}
