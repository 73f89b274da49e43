//! PostgreSQL.

use session_core::{Clock as _, SystemClock};
use session_store_sqlx::PostgresStore;
use session_test_servers::Postgres;
use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tokio::time::sleep;

use crate::file_limit::limit_files;
use crate::load::Load;
use crate::matrix::{Cell, Engine, Fault};
use crate::random_bytes;
use crate::refusal::{RIGHT_PASSWORD, WRONG_PASSWORD, refused};
use crate::strike::{
    ACQUIRE_TIMEOUT, BETWEEN_BLOWS, BLOWS, CONNECTIONS, Expected, OUTAGE, REFUSAL, strike,
    wait_until,
};

/// A segment of the write-ahead log has as many bytes, and has to fit.
const LARGEST_FILE: u64 = 16 * 1024 * 1024;

/// So large that a row's record is stored apart, as the visitors' ballast is.
const LARGE_RECORD: usize = 64 * 1024;

/// As many as would fill a file several times.
const MOST_ROWS: u64 = 4 * LARGEST_FILE / LARGE_RECORD as u64;

const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;

const RELOAD: &str = "SELECT pg_reload_conf()";

/// One server, which trusts everybody but one.
pub(crate) struct OnePostgres(Postgres);

impl Engine for OnePostgres {
    const NAME: &'static str = "PostgreSQL";

    async fn start() -> Self {
        let postgres = Self(Postgres::start(&[]));
        postgres.ask_stranger_for_password().await;
        postgres
    }

    async fn suffer(&self, fault: Fault) -> Cell {
        match fault {
            Fault::Killed => {
                let work = async |_: &Load| self.kill_and_restart().await;
                self.strike(fault, "", work).await
            }
            Fault::Paused => {
                let work = async |_: &Load| self.pause().await;
                self.strike(fault, "", work).await
            }
            Fault::Cut => {
                let work = async |_: &Load| self.cut().await;
                self.strike(fault, "", work).await
            }
            Fault::Full => {
                let work = async |load: &Load| self.fill(fault.name(), load).await;
                self.strike(fault, "a limit on the size of files", work)
                    .await
            }
            Fault::ReadOnly => {
                let work = async |_: &Load| self.forbid_writing().await;
                self.strike(fault, "", work).await
            }
            Fault::Refused => self.refuse().await,
            Fault::Flushed => Cell::absent("no scripts"),
            Fault::Held => {
                let work = async |_: &Load| self.hold(fault.name()).await;
                self.strike(fault, "of the table", work).await
            }
            Fault::Lost => Cell::absent("one server"),
        }
    }
}

impl OnePostgres {
    async fn strike(&self, fault: Fault, how: &str, work: impl AsyncFnOnce(&Load)) -> Cell {
        let pool = pool(&self.0.url()).await.expect("the server lets us in");
        let store = PostgresStore::with_table(pool, fault.name()).expect("the name is one");
        store.migrate().await.expect("the tables can be made");
        strike(store, Expected::Failures, how, work).await
    }

    async fn kill_and_restart(&self) {
        self.0.kill();
        sleep(OUTAGE).await;
        self.0.restart();
        self.wait_until_it_answers().await;
    }

    async fn pause(&self) {
        self.0.pause();
        sleep(OUTAGE).await;
        self.0.resume();
        self.wait_until_it_answers().await;
    }

    /// Ends all connections but the one that does it, again and again.
    async fn cut(&self) {
        let mut admin = self.admin().await;
        for _ in 0..BLOWS {
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                       WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
            tell(&mut admin, end).await;
            sleep(BETWEEN_BLOWS).await;
        }
    }

    /// Fills the file in which large records are, until it may not grow any more.
    async fn fill(&self, table: &str, load: &Load) {
        let mut admin = self.admin().await;
        limit_files_of_server(&mut admin, Some(LARGEST_FILE)).await;
        let mut rows = 0;
        while add_row(&mut admin, table).await.is_ok() {
            rows += 1;
            assert!(rows < MOST_ROWS, "the file grows and grows");
        }
        load.add_ballast();
        sleep(REFUSAL).await;
        limit_files_of_server(&mut admin, None).await;
    }

    /// For all sessions but the one that does it, those that are open as well.
    async fn forbid_writing(&self) {
        let mut admin = self.admin().await;
        tell(&mut admin, "SET default_transaction_read_only = off").await;
        let forbid = "ALTER SYSTEM SET default_transaction_read_only = on";
        tell(&mut admin, forbid).await;
        tell(&mut admin, RELOAD).await;
        sleep(REFUSAL).await;
        tell(
            &mut admin,
            "ALTER SYSTEM RESET default_transaction_read_only",
        )
        .await;
        tell(&mut admin, RELOAD).await;
        wait_until("writing is allowed", async || self.may_write().await).await;
    }

    /// What holds for a new session.
    async fn may_write(&self) -> bool {
        let mut session = self.admin().await;
        let (is_read_only,): (String,) = sqlx::query_as("SHOW default_transaction_read_only")
            .fetch_one(&mut session)
            .await
            .expect("there is such a setting");
        is_read_only == "off"
    }

    /// A transaction that keeps everybody else from the table, readers too.
    async fn hold(&self, table: &str) {
        let mut stranger = self.admin().await;
        tell(&mut stranger, "BEGIN").await;
        let lock = format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
        let locked = stranger.execute(AssertSqlSafe(lock)).await;
        locked.expect("others have it for moments only");
        sleep(OUTAGE).await;
        tell(&mut stranger, "ROLLBACK").await;
    }

    async fn refuse(&self) -> Cell {
        let port = self.0.port();
        let with_password =
            |password| format!("postgres://stranger:{password}@127.0.0.1:{port}/postgres");
        let right = pool(&with_password(RIGHT_PASSWORD)).await;
        right.expect("the right password lets us in");

        let wrong = with_password(WRONG_PASSWORD);
        let reason = "password authentication failed";
        let password = refused("a password", reason, pool(&wrong)).await;
        let encrypted = format!("{}?sslmode=require", self.0.url());
        let tls = refused("TLS", "does not support TLS", pool(&encrypted)).await;
        password.and(tls)
    }

    /// By its rules of who may come how, which the server replaces itself.
    async fn ask_stranger_for_password(&self) {
        let mut admin = self.admin().await;
        let create = format!("CREATE ROLE stranger LOGIN PASSWORD '{RIGHT_PASSWORD}'");
        let created = admin.execute(AssertSqlSafe(create)).await;
        created.expect("there is no such role");
        let (file,): (String,) = sqlx::query_as("SHOW hba_file")
            .fetch_one(&mut admin)
            .await
            .expect("there is such a setting");
        let rules = format!(
            "COPY (VALUES ('host all stranger 127.0.0.1/32 scram-sha-256'), \
             ('host all all 127.0.0.1/32 trust')) TO '{file}'"
        );
        let written = admin.execute(AssertSqlSafe(rules)).await;
        written.expect("the file is the server's own");
        tell(&mut admin, RELOAD).await;
    }

    async fn admin(&self) -> PgConnection {
        let admin = PgConnection::connect(&self.0.url()).await;
        admin.expect("the server lets us in")
    }

    async fn wait_until_it_answers(&self) {
        let url = self.0.url();
        let answers = async || match PgConnection::connect(&url).await {
            Ok(mut connection) => connection.ping().await.is_ok(),
            Err(_) => false,
        };
        wait_until("PostgreSQL answers", answers).await;
    }
}

async fn pool(url: &str) -> Result<PgPool, sqlx::Error> {
    let options = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT);
    options.connect(url).await
}

async fn tell(connection: &mut PgConnection, statement: &'static str) {
    let done = connection.execute(statement).await;
    done.unwrap_or_else(|error| panic!("{statement}: {error}"));
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
