use session_conformance::store::run as block_on;
use session_engine_tests::fresh_name;
use session_store_sqlx::{MySqlStore, SetupError};
use session_test_servers::MariaDb;
use sqlx::mysql::{MySqlPool, MySqlPoolOptions};

use crate::{a_foreign_table_is_refused, a_missing_table_is_named, run, whole};

async fn pool(url: &str) -> MySqlPool {
    let pool = MySqlPoolOptions::new()
        .max_connections(2)
        .connect(url)
        .await;
    pool.expect("the server is there")
}

async fn store(pool: &MySqlPool) -> MySqlStore {
    MySqlStore::with_table(pool.clone(), &fresh_name()).expect("the name is one")
}

/// SR-8: a table of our name with other columns isn't written to, nor one without transactions.
#[test]
fn a_foreign_table_is_refused_on_mariadb() {
    block_on(async {
        let pool = pool(&MariaDb::shared().url()).await;
        let store = store(&pool).await;
        let foreign = [
            ("(id BIGINT PRIMARY KEY, data TEXT)", "has no column"),
            (
                "(session_key BINARY(16) PRIMARY KEY, version BINARY(16), expires_at BIGINT, last_active_at BIGINT, \
                 record LONGBLOB)",
                "session_key is of type binary(16)",
            ),
            (
                "(session_key BINARY(32) UNIQUE, version BINARY(16), expires_at BIGINT, last_active_at BIGINT, \
                 record LONGBLOB)",
                "session_key is no part of the primary key",
            ),
            (
                "(session_key BINARY(32) PRIMARY KEY, version BINARY(16), expires_at BIGINT, last_active_at BIGINT, \
                 record LONGBLOB) ENGINE = MyISAM",
                "engine is MyISAM",
            ),
        ];
        a_foreign_table_is_refused(&pool, store.table(), &foreign, async || {
            store.migrate().await
        })
        .await;
    });
}

/// SR-8: a table that was dropped is missed at the start.
#[test]
fn a_missing_table_is_named_on_mariadb() {
    block_on(async {
        let pool = pool(&MariaDb::shared().url()).await;
        let store = store(&pool).await;
        a_missing_table_is_named(&pool, store.table(), async || store.migrate().await).await;
    });
}

/// SR-8: where there is nothing to make, nobody needs the right to make it; and a right that the store does need is
/// missed at the start.
#[test]
fn rights_are_those_that_the_store_needs_on_mariadb() {
    block_on(async {
        let owner = pool(&MariaDb::shared().url()).await;
        let made = store(&owner).await;
        made.migrate().await.expect("the tables can be made");
        let (user, table) = (fresh_name(), made.table());
        let grant = async |right: &str, ending: &str| {
            let grant =
                format!("GRANT {right} ON sessions.{table}{ending} TO '{user}'@'127.0.0.1'");
            run(&owner, grant).await;
        };
        run(&owner, format!("CREATE USER '{user}'@'127.0.0.1'")).await;
        for ending in ["", "_users", "_schema"] {
            grant("SELECT", ending).await;
        }

        let url = MariaDb::shared()
            .url()
            .replace("root@", &format!("{user}@"));
        let pool = pool(&url).await;
        let application = MySqlStore::with_table(pool.clone(), table).unwrap();
        for right in ["INSERT", "UPDATE", "DELETE"] {
            let error = application.migrate().await.expect_err(right);
            assert!(matches!(error, SetupError::Unusable(_)), "{error}");
            let text = whole(&error);
            assert!(text.contains("grant") && text.contains("denied"), "{text}");
            grant(right, "").await;
            grant(right, "_users").await;
        }
        application.migrate().await.expect("nothing is to be made");

        let new = MySqlStore::with_table(pool, &fresh_name()).unwrap();
        let error = new.migrate().await.unwrap_err();
        assert!(matches!(error, SetupError::Database(_)), "{error}");
        assert!(whole(&error).contains("denied"), "{}", whole(&error));
    });
}
