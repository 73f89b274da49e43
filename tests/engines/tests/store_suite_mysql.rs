//! The MySQL store keeps the contract, in whatever time zone the database thinks that it is.
#![allow(
    clippy::expect_used,
    reason = "without a server there is no test, and a panic says why"
)]

use std::time::Duration;

use session_conformance::store::run;
use session_engine_tests::sql::InServer;
use session_store_sqlx::MySqlStore;
use session_test_servers::MariaDb;
use sqlx::mysql::{MySql, MySqlConnection};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

const IN_MARIADB: InServer<MySql, MySqlStore> = InServer {
    url: || MariaDb::shared().url(),
    greeting: None,
    with_table: MySqlStore::with_table,
    migrate: |store| Box::pin(store.migrate()),
    pool: MySqlStore::pool,
    table: MySqlStore::table,
    before_hex: "X'",
    number: |connection| Box::pin(number(connection)),
    close: |number| Box::pin(close(number)),
};

async fn number(connection: &mut MySqlConnection) -> i64 {
    // MySQL's own type is unsigned, MariaDB's has not always been so.
    let (number,) = sqlx::query_as("SELECT CAST(CONNECTION_ID() AS SIGNED)")
        .fetch_one(connection)
        .await
        .expect("the connection works");
    number
}

async fn close(number: i64) {
    let other = MySqlConnection::connect(&MariaDb::shared().url()).await;
    let mut other = other.expect("the server is there");
    let mut kill = async || other.execute(AssertSqlSafe(format!("KILL {number}"))).await;
    kill().await.expect("the connection is there");
    // It can be killed until it has ended. MySQL's list of connections can't be read while others send bytes.
    let error = loop {
        match kill().await {
            Ok(_) => tokio::time::sleep(Duration::from_millis(1)).await,
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("Unknown thread id"), "{error}");
}

session_conformance::store_suite!(IN_MARIADB);

/// SR-5: expiry is the same in every time zone. A new server knows zones by their distance from UTC only.
mod in_new_york {
    use super::{IN_MARIADB, InServer};

    session_conformance::store_suite!(InServer {
        greeting: Some("SET time_zone = '-05:00'"),
        ..IN_MARIADB
    });
}

/// SR-5: expiry is the same in every time zone; and here rows that aren't there can't be locked.
mod in_tokyo {
    use super::{IN_MARIADB, InServer};

    session_conformance::store_suite!(InServer {
        greeting: Some(
            "SET time_zone = '+09:00'; SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
        ),
        ..IN_MARIADB
    });
}

#[test]
fn tables_are_made_by_many_at_once() {
    run(IN_MARIADB.tables_are_made_by_many_at_once());
}

#[test]
fn a_newer_schema_is_refused() {
    run(IN_MARIADB.a_newer_schema_is_refused());
}

/// The table may lie in another database than the connection's own.
#[test]
fn a_table_can_have_a_database() {
    run(IN_MARIADB.a_table_can_have_its_own("DATABASE"));
}
