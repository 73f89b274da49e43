use session_conformance::store::run as block_on;
use session_core::store::{SessionStore as _, StoreKey};
use session_core::{Clock as _, SystemClock};
use session_engine_tests::fresh_name;
use session_store_sqlx::{PostgresStore, SetupError};
use session_test_servers::{PgBouncer, Postgres};
use sqlx::postgres::{PgPool, PgPoolOptions};

async fn pool(url: &str) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(4).connect(url).await;
    pool.expect("the server is there")
}

/// SR-8: a pooler that mixes up what was prepared is noticed at the start, and the error names the option with which
/// the store works nevertheless.
#[test]
fn a_pooler_that_mixes_statements_up_is_noticed() {
    block_on(async {
        // One of its own, which gives each client what the one before it has put back.
        let bouncer = PgBouncer::in_front_of(Postgres::shared());
        let store = PostgresStore::with_table(pool(&bouncer.url()).await, &fresh_name()).unwrap();
        let error = store.migrate().await.unwrap_err();
        assert!(matches!(error, SetupError::MixedStatements), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("without_prepared_statements"), "{text}");

        let store = store.without_prepared_statements();
        store.migrate().await.expect("nothing is prepared");
        let key = StoreKey::from_bytes([1; 32]);
        let mut in_use = Vec::new();
        for _ in 0..3 {
            let nothing = store.load(&key, SystemClock.now()).await;
            assert!(nothing.unwrap().is_none());
            // So that the next one is on another connection, and asks the same server.
            in_use.push(store.pool().acquire().await.unwrap());
        }

        // The server itself keeps clients apart, whatever else is prepared on it.
        let direct =
            PostgresStore::with_table(pool(&Postgres::shared().url()).await, store.table());
        direct
            .unwrap()
            .migrate()
            .await
            .expect("nothing is mixed up");
    });
}
