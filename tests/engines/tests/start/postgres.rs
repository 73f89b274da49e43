use session_conformance::store::run as block_on;
use session_engine_tests::fresh_name;
use session_store_sqlx::{PostgresStore, SetupError};
use session_test_servers::Postgres;
use sqlx::postgres::{PgPool, PgPoolOptions};

use crate::{a_foreign_table_is_refused, a_missing_table_is_named, run, whole};

async fn pool(url: &str) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(2).connect(url).await;
    pool.expect("the server is there")
}

async fn store(pool: &PgPool) -> PostgresStore {
    PostgresStore::with_table(pool.clone(), &fresh_name()).expect("the name is one")
}

/// SR-8: a table of our name with other columns isn't written to.
#[test]
fn a_foreign_table_is_refused_on_postgres() {
    block_on(async {
        let pool = pool(&Postgres::shared().url()).await;
        let store = store(&pool).await;
        let foreign = [
            ("(id bigint PRIMARY KEY, data text)", "has no column"),
            (
                "(session_key text PRIMARY KEY, version bytea, expires_at bigint, last_active_at bigint, record bytea)",
                "session_key is of type text",
            ),
            (
                "(session_key bytea UNIQUE, version bytea, expires_at bigint, last_active_at bigint, record bytea)",
                "session_key is no part of the primary key",
            ),
            (
                "(session_key bytea PRIMARY KEY, version bytea, expires_at bigint, last_active_at bigint, \
                 record bytea, owner text NOT NULL)",
                "owner needs a value",
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
fn a_missing_table_is_named_on_postgres() {
    block_on(async {
        let pool = pool(&Postgres::shared().url()).await;
        let store = store(&pool).await;
        a_missing_table_is_named(&pool, store.table(), async || store.migrate().await).await;
    });
}

/// SR-8: where there is nothing to make, nobody needs the right to make it; and a right that the store does need is
/// missed at the start.
#[test]
fn rights_are_those_that_the_store_needs_on_postgres() {
    block_on(async {
        let owner = pool(&Postgres::shared().url()).await;
        let made = store(&owner).await;
        made.migrate().await.expect("the tables can be made");
        let (user, table) = (fresh_name(), made.table());
        let tables = format!("{table}, {table}_users");
        run(&owner, format!("CREATE ROLE {user} LOGIN")).await;
        run(
            &owner,
            format!("GRANT SELECT ON {tables}, {table}_schema TO {user}"),
        )
        .await;

        let url = Postgres::shared()
            .url()
            .replace("postgres@", &format!("{user}@"));
        let pool = pool(&url).await;
        let application = PostgresStore::with_table(pool.clone(), table).unwrap();
        for right in ["INSERT", "UPDATE", "DELETE"] {
            let error = application.migrate().await.expect_err(right);
            assert!(matches!(error, SetupError::Unusable(_)), "{error}");
            let text = whole(&error);
            assert!(
                text.contains("grant") && text.contains("permission denied"),
                "{text}"
            );
            run(&owner, format!("GRANT {right} ON {tables} TO {user}")).await;
        }
        application.migrate().await.expect("nothing is to be made");

        let new = PostgresStore::with_table(pool, &fresh_name()).unwrap();
        let error = new.migrate().await.unwrap_err();
        assert!(matches!(error, SetupError::Database(_)), "{error}");
        assert!(
            whole(&error).contains("permission denied"),
            "{}",
            whole(&error)
        );
    });
}
