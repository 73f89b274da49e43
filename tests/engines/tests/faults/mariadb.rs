//! MariaDB.

use session_store_sqlx::MySqlStore;
use session_test_servers::MariaDb;
use sqlx::mysql::{MySqlConnection, MySqlPool, MySqlPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tokio::time::sleep;

use crate::load::Load;
use crate::matrix::{Cell, Engine, Fault};
use crate::refusal::{RIGHT_PASSWORD, WRONG_PASSWORD, refused};
use crate::strike::{
    ACQUIRE_TIMEOUT, BETWEEN_BLOWS, BLOWS, CONNECTIONS, Expected, OUTAGE, REFUSAL, strike,
    wait_until,
};

/// One server. The store has a user of its own there, as root may write where nobody else may.
pub(crate) struct OneMariaDb(MariaDb);

impl Engine for OneMariaDb {
    const NAME: &'static str = "MariaDB";

    async fn start() -> Self {
        let server = Self(MariaDb::start(&["--skip-ssl"]));
        let mut root = server.root().await;
        let stranger =
            format!("CREATE USER 'stranger'@'127.0.0.1' IDENTIFIED BY '{RIGHT_PASSWORD}'");
        let created = root.execute(AssertSqlSafe(stranger)).await;
        created.expect("there is no such user");
        tell(&mut root, "CREATE USER 'app'@'127.0.0.1'").await;
        tell(
            &mut root,
            "GRANT ALL PRIVILEGES ON sessions.* TO 'app'@'127.0.0.1'",
        )
        .await;
        // The tables of users should survive a server that is killed without this, and must.
        tell(&mut root, "FLUSH TABLES").await;
        server
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
                self.strike(fault, "a table that may not grow", work).await
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

impl OneMariaDb {
    async fn strike(&self, fault: Fault, how: &str, work: impl AsyncFnOnce(&Load)) -> Cell {
        let url = format!("mysql://app@127.0.0.1:{}/sessions", self.0.port());
        let pool = pool(&url).await.expect("the server lets us in");
        let store = MySqlStore::with_table(pool, fault.name()).expect("the name is one");
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

    /// Ends all of the store's connections, again and again.
    async fn cut(&self) {
        let mut root = self.root().await;
        for _ in 0..BLOWS {
            let connections = "SELECT CAST(id AS UNSIGNED) FROM information_schema.processlist \
                               WHERE user = 'app'";
            let connections: Vec<(u64,)> = sqlx::query_as(connections)
                .fetch_all(&mut root)
                .await
                .expect("the server knows its connections");
            for (id,) in connections {
                // It may have ended meanwhile.
                let _ = root.execute(AssertSqlSafe(format!("KILL {id}"))).await;
            }
            sleep(BETWEEN_BLOWS).await;
        }
    }

    /// Lets the store's table grow no further than 64 KiB, and then as far as it likes. MariaDB itself ends when a
    /// tablespace of InnoDB's is full, which is the first fault of the list; tables of MyISAM have a limit each.
    async fn fill(&self, table: &str, load: &Load) {
        let mut root = self.root().await;
        let limit = |rows: u32| {
            format!(
                "ALTER TABLE {table} ENGINE = MyISAM, MAX_ROWS = {rows}, AVG_ROW_LENGTH = {rows}"
            )
        };
        let limited = root.execute(AssertSqlSafe(limit(100))).await;
        limited.expect("what is there fits");
        load.add_ballast();
        sleep(REFUSAL).await;
        let unlimited = root.execute(AssertSqlSafe(limit(100_000))).await;
        unlimited.expect("there is room on the disk");
    }

    async fn forbid_writing(&self) {
        let mut root = self.root().await;
        tell(&mut root, "SET GLOBAL read_only = ON").await;
        sleep(REFUSAL).await;
        tell(&mut root, "SET GLOBAL read_only = OFF").await;
    }

    /// Keeps everybody else from the table, readers too.
    async fn hold(&self, table: &str) {
        let mut stranger = self.root().await;
        let lock = format!("LOCK TABLES {table} WRITE");
        let locked = stranger.execute(AssertSqlSafe(lock)).await;
        locked.expect("others have it for moments only");
        sleep(OUTAGE).await;
        tell(&mut stranger, "UNLOCK TABLES").await;
    }

    async fn refuse(&self) -> Cell {
        let port = self.0.port();
        let with_password = |password| format!("mysql://stranger:{password}@127.0.0.1:{port}");
        let right = pool(&with_password(RIGHT_PASSWORD)).await;
        right.expect("the right password lets us in");

        let wrong = with_password(WRONG_PASSWORD);
        let password = refused("a password", "Access denied", pool(&wrong)).await;
        let encrypted = format!("{}?ssl-mode=REQUIRED", self.0.url());
        let tls = refused("TLS", "does not support TLS", pool(&encrypted)).await;
        password.and(tls)
    }

    async fn root(&self) -> MySqlConnection {
        let root = MySqlConnection::connect(&self.0.url()).await;
        root.expect("the server lets root in")
    }

    async fn wait_until_it_answers(&self) {
        let url = self.0.url();
        let answers = async || match MySqlConnection::connect(&url).await {
            Ok(mut connection) => connection.ping().await.is_ok(),
            Err(_) => false,
        };
        wait_until("MariaDB answers", answers).await;
    }
}

async fn pool(url: &str) -> Result<MySqlPool, sqlx::Error> {
    let options = MySqlPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT);
    options.connect(url).await
}

async fn tell(connection: &mut MySqlConnection, statement: &'static str) {
    let done = connection.execute(statement).await;
    done.unwrap_or_else(|error| panic!("{statement}: {error}"));
}
