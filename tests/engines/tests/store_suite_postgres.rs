//! The PostgreSQL store keeps the contract, in whatever time zone the database thinks that it is.
#![allow(
    clippy::expect_used,
    reason = "without a server there is no test, and a panic says why"
)]

use std::time::Duration;

use session_conformance::store::run;
use session_core::store::{
    EndedBy, Expect, FormerSession, Record, RecordState, SaveOptions, SaveOutcome,
    SessionStore as _, StoreKey, Version,
};
use session_core::{Clock as _, SystemClock, Timestamp};
use session_engine_tests::fresh_name;
use session_engine_tests::sql::InServer;
use session_store_sqlx::PostgresStore;
use session_test_servers::Postgres;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

const IN_POSTGRES: InServer<sqlx::Postgres, PostgresStore> = InServer {
    url: || Postgres::shared().url(),
    greeting: None,
    with_table: PostgresStore::with_table,
    migrate: |store| Box::pin(store.migrate()),
    pool: PostgresStore::pool,
    table: PostgresStore::table,
    before_hex: "'\\x",
    number: |connection| Box::pin(number(connection)),
    close: |number| Box::pin(close(number)),
};

/// That of the server's process for the connection.
async fn number(connection: &mut PgConnection) -> i64 {
    let (number,) = sqlx::query_as("SELECT pg_backend_pid()::bigint")
        .fetch_one(connection)
        .await
        .expect("the connection works");
    number
}

async fn close(number: i64) {
    let other = PgConnection::connect(&Postgres::shared().url()).await;
    let mut other = other.expect("the server is there");
    let (closed,): (bool,) = sqlx::query_as("SELECT pg_terminate_backend($1::integer, 5000)")
        .bind(number)
        .fetch_one(&mut other)
        .await
        .expect("the process is there");
    assert!(closed, "the server's process has ended");
}

session_conformance::store_suite!(IN_POSTGRES);

/// SR-5: expiry is the same in every time zone.
mod in_new_york {
    use super::{IN_POSTGRES, InServer};

    session_conformance::store_suite!(InServer {
        greeting: Some("SET TIME ZONE 'America/New_York'"),
        ..IN_POSTGRES
    });
}

/// SR-5: expiry is the same in every time zone.
mod in_tokyo {
    use super::{IN_POSTGRES, InServer};

    session_conformance::store_suite!(InServer {
        greeting: Some("SET TIME ZONE 'Asia/Tokyo'"),
        ..IN_POSTGRES
    });
}

/// The contract doesn't depend on what else the database is for.
mod at_the_highest_isolation {
    use super::{IN_POSTGRES, InServer};

    session_conformance::store_suite!(InServer {
        greeting: Some("SET default_transaction_isolation TO 'serializable'"),
        ..IN_POSTGRES
    });
}

/// Behind a pooler that gives each transaction another connection. (To close one is to close the pooler's, of which a
/// client learns only in the midst of a transaction: so no clause here makes the engine fail.)
mod through_pgbouncer {
    use session_conformance::store::StoreHarness;
    use session_core::store::StoreKey;
    use session_store_sqlx::PostgresStore;
    use session_test_servers::PgBouncer;

    use super::{IN_POSTGRES, InServer};

    struct Through(InServer<sqlx::Postgres, PostgresStore>);

    impl StoreHarness for Through {
        type Store = PostgresStore;

        async fn store(&self) -> PostgresStore {
            self.0.store().await
        }

        async fn second_client(&self, store: &PostgresStore) -> Option<PostgresStore> {
            self.0.second_client(store).await
        }

        async fn plant(&self, store: &PostgresStore, key: &StoreKey, bytes: &[u8]) -> bool {
            self.0.plant(store, key, bytes).await
        }
    }

    session_conformance::store_suite!(Through(InServer {
        url: || PgBouncer::shared().url(),
        with_table: |pool, table| {
            let store = PostgresStore::with_table(pool, table);
            store.map(PostgresStore::without_prepared_statements)
        },
        ..IN_POSTGRES
    }));
}

/// SR-5: whatever zones the connections are in, a record expires at the same millisecond for all.
#[test]
fn expiry_is_the_same_in_every_time_zone() {
    run(async {
        let zones = ["UTC", "America/New_York", "Asia/Tokyo"];
        let table = fresh_name();
        let mut stores = Vec::new();
        for zone in [
            "SET TIME ZONE 'UTC'",
            "SET TIME ZONE 'America/New_York'",
            "SET TIME ZONE 'Asia/Tokyo'",
        ] {
            let greeting = Some(zone);
            stores.push(
                InServer {
                    greeting,
                    ..IN_POSTGRES
                }
                .open(&table)
                .await,
            );
        }
        stores[0].migrate().await.expect("the tables can be made");
        let now = SystemClock.now();
        let expiry = now.saturating_add(Duration::from_secs(3600));
        for (writer, at) in stores.iter().zip(1..) {
            let key = StoreKey::from_bytes([at; 32]);
            let record = Record::new(
                Version::from_bytes([at; 16]),
                expiry,
                RecordState::ended(now, EndedBy::OwnRequest, FormerSession::default()),
            );
            let saved = writer
                .save(&key, record, SaveOptions::new(Expect::Absent, now))
                .await;
            assert_eq!(saved.expect("the engine works"), SaveOutcome::Saved);
            let before = Timestamp::from_unix_millis(expiry.as_unix_millis() - 1);
            for (reader, zone) in stores.iter().zip(zones) {
                let found = reader.load(&key, before).await.expect("the engine works");
                assert!(found.is_some(), "before the expiry, in {zone}");
                let found = reader.load(&key, expiry).await.expect("the engine works");
                assert!(found.is_none(), "at the expiry, in {zone}");
            }
        }
    });
}

#[test]
fn tables_are_made_by_many_at_once() {
    run(IN_POSTGRES.tables_are_made_by_many_at_once());
}

#[test]
fn a_newer_schema_is_refused() {
    run(IN_POSTGRES.a_newer_schema_is_refused());
}

#[test]
fn a_table_can_have_a_schema() {
    run(IN_POSTGRES.a_table_can_have_its_own("SCHEMA"));
}
