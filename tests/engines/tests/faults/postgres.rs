//! PostgreSQL.

use session_core::{Clock as _, SystemClock};
use session_engine_tests::random_bytes;
use session_store_sqlx::PostgresStore;
use session_test_servers::Postgres;
use sqlx::AssertSqlSafe;
use sqlx::postgres::{PgConnection, PgPool};
use tokio::time::sleep;

use crate::file_limit::limit_files;
use crate::load::Load;
use crate::refusal::RIGHT_PASSWORD;
use crate::sql_server::{SqlServer, tell};
use crate::strike::{BETWEEN_BLOWS, BLOWS, OUTAGE, REFUSAL, wait_until};

/// A segment of the write-ahead log has as many bytes, and has to fit.
const LARGEST_FILE: u64 = 16 * 1024 * 1024;

/// So large that a row's record is stored apart, as the visitors' ballast is.
const LARGE_RECORD: usize = 64 * 1024;

/// As many as would fill a file several times.
const MOST_ROWS: u64 = 4 * LARGEST_FILE / LARGE_RECORD as u64;

const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

const RELOAD: &str = "SELECT pg_reload_conf()";

/// It trusts everybody but the stranger.
impl SqlServer for Postgres {
    const NAME: &'static str = "PostgreSQL";
    const ADMIN: &'static str = "postgres";
    const USER: &'static str = "postgres";
    const NO_ENTRY: &'static str = "password authentication failed";
    const WITH_TLS: &'static str = "sslmode=require";
    const HOW_FULL: &'static str = "a limit on the size of files";
    const KILL_AND_RESTART: [fn(&Self); 2] = [Self::kill, Self::restart];
    const PAUSE_AND_RESUME: [fn(&Self); 2] = [Self::pause, Self::resume];

    type Database = sqlx::Postgres;
    type Store = PostgresStore;

    async fn start_with_stranger() -> Self {
        let server = Self::start(&[]);
        ask_stranger_for_password(&mut server.admin().await).await;
        server
    }

    fn url_for(&self, login: &str) -> String {
        format!("postgres://{login}@127.0.0.1:{}/postgres", self.port())
    }

    async fn store(pool: PgPool, table: &str) -> PostgresStore {
        let store = PostgresStore::with_table(pool, table).expect("the name is one");
        store.migrate().await.expect("the tables can be made");
        store
    }

    /// Ends all connections but the one that does it.
    async fn cut(&self, admin: &mut PgConnection) {
        for _ in 0..BLOWS {
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                       WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
            tell(admin, end).await;
            sleep(BETWEEN_BLOWS).await;
        }
    }

    /// Fills the file in which large records are, until it may not grow any more.
    async fn fill(&self, admin: &mut PgConnection, table: &str, load: &Load) {
        limit_files_of_server(admin, Some(LARGEST_FILE)).await;
        let mut rows = 0;
        while add_row(admin, table).await.is_ok() {
            rows += 1;
            assert!(rows < MOST_ROWS, "the file grows and grows");
        }
        load.add_ballast();
        sleep(REFUSAL).await;
        limit_files_of_server(admin, None).await;
    }

    /// For all sessions but the one that does it, those that are open as well.
    async fn forbid_writing(&self, admin: &mut PgConnection) {
        tell(admin, "SET default_transaction_read_only = off").await;
        let forbid = "ALTER SYSTEM SET default_transaction_read_only = on";
        tell(admin, forbid).await;
        tell(admin, RELOAD).await;
        sleep(REFUSAL).await;
        let allow = "ALTER SYSTEM RESET default_transaction_read_only";
        tell(admin, allow).await;
        tell(admin, RELOAD).await;
        let may_write = async || may_write(&mut self.admin().await).await;
        wait_until("writing is allowed", may_write).await;
    }

    async fn hold(&self, stranger: &mut PgConnection, table: &str) {
        tell(stranger, "BEGIN").await;
        let lock = format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
        tell(stranger, &lock).await;
        sleep(OUTAGE).await;
        tell(stranger, "ROLLBACK").await;
    }
}

/// By the server's rules of who may come how, which it replaces itself.
async fn ask_stranger_for_password(admin: &mut PgConnection) {
    let create = format!("CREATE ROLE stranger LOGIN PASSWORD '{RIGHT_PASSWORD}'");
    tell(admin, &create).await;
    let (file,): (String,) = sqlx::query_as("SHOW hba_file")
        .fetch_one(&mut *admin)
        .await
        .expect("there is such a setting");
    let rules = format!(
        "COPY (VALUES ('host all stranger 127.0.0.1/32 scram-sha-256'), \
         ('host all all 127.0.0.1/32 trust')) TO '{file}'"
    );
    tell(admin, &rules).await;
    tell(admin, RELOAD).await;
}

/// What holds for a new session.
async fn may_write(session: &mut PgConnection) -> bool {
    let (is_read_only,): (String,) = sqlx::query_as("SHOW default_transaction_read_only")
        .fetch_one(session)
        .await
        .expect("there is such a setting");
    is_read_only == "off"
}

/// The first process goes first, so that there are none that it has started with another limit meanwhile.
async fn limit_files_of_server(admin: &mut PgConnection, bytes: Option<u64>) {
    let first = "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::integer";
    let of_clients = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'";
    for statement in [first, of_clients] {
        let processes: Vec<(i32,)> = sqlx::query_as(statement)
            .fetch_all(&mut *admin)
            .await
            .expect("the server knows its processes");
        for (process,) in processes {
            limit_files(process, bytes);
        }
    }
}

/// Adds a session of nobody.
async fn add_row(connection: &mut PgConnection, table: &str) -> Result<(), sqlx::Error> {
    let now = SystemClock.now().as_unix_millis().cast_signed();
    let insert = format!(
        "INSERT INTO {table} (session_key, version, expires_at, last_active_at, record) \
         VALUES ($1, $2, $3, $4, $5)"
    );
    let insert = sqlx::query(AssertSqlSafe(insert))
        .bind(random_bytes(32))
        .bind(random_bytes(16))
        .bind(now + DAY_MILLIS)
        .bind(now)
        .bind(random_bytes(LARGE_RECORD));
    insert.execute(connection).await.map(drop)
}
