//! MariaDB, or MySQL in its place.

use session_store_sqlx::MySqlStore;
use session_test_servers::MariaDb;
use sqlx::mysql::{MySql, MySqlConnection, MySqlPool};
use sqlx::{AssertSqlSafe, Executor as _};
use tokio::time::sleep;

use crate::load::Load;
use crate::refusal::RIGHT_PASSWORD;
use crate::sql_server::{SqlServer, tell};
use crate::strike::{BETWEEN_BLOWS, BLOWS, OUTAGE, REFUSAL};

/// The store has a user of its own, as root may write where nobody else may.
impl SqlServer for MariaDb {
    const NAME: &'static str = "MariaDB";
    const ADMIN: &'static str = "root";
    const USER: &'static str = "app";
    const NO_ENTRY: &'static str = "Access denied";
    const WITH_TLS: &'static str = "ssl-mode=REQUIRED";
    const HOW_FULL: &'static str = "a table that may not grow";
    const KILL_AND_RESTART: [fn(&Self); 2] = [Self::kill, Self::restart];
    const PAUSE_AND_RESUME: [fn(&Self); 2] = [Self::pause, Self::resume];

    type Database = MySql;
    type Store = MySqlStore;

    async fn start_with_stranger() -> Self {
        // MySQL has it by itself, and takes a password through nothing else.
        let args: &[&str] = if Self::is_mysql() {
            &[]
        } else {
            &["--skip-ssl"]
        };
        let server = Self::start(args);
        let root = &mut server.admin().await;
        let stranger =
            format!("CREATE USER 'stranger'@'127.0.0.1' IDENTIFIED BY '{RIGHT_PASSWORD}'");
        tell(root, &stranger).await;
        tell(root, "CREATE USER 'app'@'127.0.0.1'").await;
        let both = "'app'@'127.0.0.1', 'stranger'@'127.0.0.1'";
        tell(root, &format!("GRANT ALL ON sessions.* TO {both}")).await;
        // The tables of users should survive a server that is killed without this, and must.
        tell(root, "FLUSH TABLES").await;
        server
    }

    fn title(&self) -> String {
        self.version()
    }

    fn url_for(&self, login: &str) -> String {
        format!("mysql://{login}@127.0.0.1:{}/sessions", self.port())
    }

    async fn allow_tls(&self, root: &mut MySqlConnection, is_allowed: bool) {
        if Self::is_mysql() {
            let versions = if is_allowed { "DEFAULT" } else { "''" };
            tell(root, &format!("SET GLOBAL tls_version = {versions}")).await;
            // Without any version of it TLS doesn't work, and without this addition the old versions would be kept.
            tell(root, "ALTER INSTANCE RELOAD TLS NO ROLLBACK ON ERROR").await;
        }
    }

    async fn store(pool: MySqlPool, table: &str) -> MySqlStore {
        let store = MySqlStore::with_table(pool, table).expect("the name is one");
        store.migrate().await.expect("the tables can be made");
        store
    }

    async fn cut(&self, root: &mut MySqlConnection) {
        for _ in 0..BLOWS {
            // MariaDB has the one list switched off, and MySQL can't read the other while somebody sends bytes.
            let connections = if Self::is_mysql() {
                "SELECT processlist_id FROM performance_schema.threads WHERE processlist_user = 'app'"
            } else {
                "SELECT CAST(id AS UNSIGNED) FROM information_schema.processlist WHERE user = 'app'"
            };
            let connections: Vec<(u64,)> = sqlx::query_as(connections)
                .fetch_all(&mut *root)
                .await
                .expect("the server knows its connections");
            for (id,) in connections {
                // It may have ended meanwhile.
                let _ = root.execute(AssertSqlSafe(format!("KILL {id}"))).await;
            }
            sleep(BETWEEN_BLOWS).await;
        }
    }

    /// No further than to 64 KiB. MariaDB itself ends when a tablespace of InnoDB's is full, which is the first fault of
    /// the list; tables of MyISAM have a limit each.
    async fn fill(&self, root: &mut MySqlConnection, table: &str, load: &Load) {
        let limit = |rows: u32| {
            format!(
                "ALTER TABLE {table} ENGINE = MyISAM, MAX_ROWS = {rows}, AVG_ROW_LENGTH = {rows}"
            )
        };
        tell(root, &limit(100)).await;
        load.add_ballast();
        sleep(REFUSAL).await;
        tell(root, &limit(100_000)).await;
    }

    async fn forbid_writing(&self, root: &mut MySqlConnection) {
        tell(root, "SET GLOBAL read_only = ON").await;
        sleep(REFUSAL).await;
        tell(root, "SET GLOBAL read_only = OFF").await;
    }

    async fn hold(&self, stranger: &mut MySqlConnection, table: &str) {
        tell(stranger, &format!("LOCK TABLES {table} WRITE")).await;
        sleep(OUTAGE).await;
        tell(stranger, "UNLOCK TABLES").await;
    }
}
