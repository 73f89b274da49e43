//! SR-8: what can't work doesn't start, and the error says why. What has nothing to do needs no rights for it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that meets the unexpected fails by panicking"
)]

mod mysql;
mod pgbouncer;
mod postgres;
mod sqlite;

use session_store_sqlx::SetupError;
use sqlx::{AssertSqlSafe, Executor};

/// Runs statements that have to go well.
async fn run<'c>(executor: impl Executor<'c>, sql: String) {
    let done = executor.execute(AssertSqlSafe(sql.clone())).await;
    done.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Tables of our names that were made by somebody else. `foreign` has what stands behind their name, and what the error
/// says of such a table in the place of that of the records. Nothing is made beside them.
async fn a_foreign_table_is_refused<'c, E>(
    executor: E,
    table: &str,
    foreign: &[(&str, &str)],
    migrate: impl AsyncFn() -> Result<(), SetupError>,
) where
    E: Executor<'c> + Copy,
{
    for (definition, problem) in foreign {
        for ending in ["", "_users", "_schema"] {
            let name = format!("{table}{ending}");
            run(executor, format!("CREATE TABLE {name} {definition}")).await;
            let error = migrate().await.expect_err(definition);
            assert!(matches!(error, SetupError::ForeignTable { .. }), "{error}");
            let text = error.to_string();
            let says = |part: &str| text.contains(part);
            assert!(
                says(&format!("table {name} isn't")) && says("with_table"),
                "{text}"
            );
            assert!(!ending.is_empty() || says(problem), "{text}");
            run(executor, format!("DROP TABLE {name}")).await;
            for other in ["", "_users", "_schema"] {
                let look = format!("SELECT 1 FROM {table}{other}");
                let look = executor.execute(AssertSqlSafe(look)).await;
                assert!(look.is_err(), "{table}{other} was made");
            }
        }
    }
    migrate().await.expect("there is nothing in the way");
}

/// Each of the tables is missed, though their version says that they were made.
async fn a_missing_table_is_named<'c, E>(
    executor: E,
    table: &str,
    migrate: impl AsyncFn() -> Result<(), SetupError>,
) where
    E: Executor<'c> + Copy,
{
    migrate().await.expect("the tables can be made");
    for ending in ["", "_users"] {
        let (name, away) = (format!("{table}{ending}"), format!("{table}_away"));
        run(executor, format!("ALTER TABLE {name} RENAME TO {away}")).await;
        let error = migrate().await.expect_err("a table is missing");
        assert!(matches!(error, SetupError::MissingTable { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&format!("table {name} is missing")), "{text}");
        run(executor, format!("ALTER TABLE {away} RENAME TO {name}")).await;
        migrate().await.expect("all are there again");
    }
}

/// An error with its sources, as an application would log it.
fn whole(error: &SetupError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
