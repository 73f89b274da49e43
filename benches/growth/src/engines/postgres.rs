//! PostgreSQL with few sessions and with many.

use std::sync::Arc;
use std::time::{Duration, Instant};

use session_bench_common::{Rounds, Table};
use session_core::store::SessionStore as _;
use session_core::{Clock as _, SystemClock};
use session_store_sqlx::PostgresStore;
use session_test_servers::Postgres;
use sqlx::postgres::{PgPool, PgPoolOptions};

use super::calls::{self, Call, micros};
use super::fill::{alive_until, fill, fill_many};
use super::{FEW, requests, table};
use crate::Result;
use crate::sessions::Template;

/// Connections while the tables are filled. Calls that are measured come one after the other.
const CONNECTIONS: u32 = 16;

/// How many sessions expire, and what `session_core::Sweeper` removes at once.
const EXPIRING: u64 = 10_000;
const BATCH: usize = 1_000;

/// The first number of the sessions that expire beside few others.
const FIRST_EXPIRING: u64 = 1 << 42;

/// PostgreSQL's processes hand on what they have counted after ten idle seconds at the latest.
const COUNTED: Duration = Duration::from_secs(11);

pub(super) async fn report(sessions: u64) -> Result<()> {
    let server = Postgres::start(&[("shared_buffers", "256MB"), ("max_wal_size", "4GB")]);
    let pool = pool(&server, CONNECTIONS).await?;
    let store = PostgresStore::new(pool.clone());
    store.migrate().await?;
    let template = Arc::new(Template::new().await?);

    fill(&store, &template, 0..FEW, alive_until()).await?;
    fill_many(&store, &template).await?;
    vacuum(&pool).await?;
    let mut few = calls::measure(&store, FEW).await?;
    let few_statements = statements(&server).await?;
    let expiring = FIRST_EXPIRING..FIRST_EXPIRING + EXPIRING;
    fill(&store, &template, expiring, SystemClock.now()).await?;
    few.extend(sweep(&store).await?);

    fill(&store, &template, FEW..sessions, alive_until()).await?;
    vacuum(&pool).await?;
    let sizes = [
        size(&pool, "sessions").await?,
        size(&pool, "sessions_users").await?,
    ];
    let mut many = calls::measure(&store, sessions).await?;
    let many_statements = statements(&server).await?;
    // All over the table, as sessions are that end where many others go on.
    let count = EXPIRING.min(sessions / 2);
    let expiring = (0..sessions).step_by((sessions / count) as usize);
    calls::expire(&store, expiring.take(count as usize)).await?;
    many.extend(sweep(&store).await?);

    let title = "PostgreSQL: medians of calls, µs (fsync off, shared_buffers 256 MB)";
    println!("{}", table(title, "call", sessions, &few, &many));
    let title = "PostgreSQL: statements of one request";
    let table = table(
        title,
        "request",
        sessions,
        &few_statements,
        &many_statements,
    );
    println!("{table}");
    let columns = [
        "sessions",
        "table `sessions`, bytes each",
        "table `sessions_users`, bytes each",
    ];
    let mut table = Table::new("PostgreSQL: tables with their indexes", &columns);
    let [records, entries] = sizes.map(|bytes| format!("{:.0}", bytes / sessions as f64));
    table.row([sessions.to_string(), records, entries]);
    println!("{table}");
    Ok(())
}

async fn pool(server: &Postgres, connections: u32) -> Result<PgPool> {
    let options = PgPoolOptions::new()
        .max_connections(connections)
        .test_before_acquire(false);
    Ok(options.connect(&server.url()).await?)
}

/// Does at a known time what the server would do by itself at some time, so that its plans fit the tables.
async fn vacuum(pool: &PgPool) -> Result<()> {
    sqlx::raw_sql("VACUUM ANALYZE").execute(pool).await?;
    Ok(())
}

/// Removes what has expired, first the records and then their entries in the index.
async fn sweep(store: &PostgresStore) -> Result<[Call; 2]> {
    let now = SystemClock.now().saturating_add(Duration::from_secs(60));
    let mut times = Vec::new();
    loop {
        let started = Instant::now();
        let removed = store.delete_expired(now, BATCH).await?;
        if removed < BATCH {
            break;
        }
        times.push(micros(started));
    }
    let median = |times: &[f64]| {
        let mut rounds = Rounds::default();
        times.iter().for_each(|time| rounds.push(*time));
        rounds.median()
    };
    let (records, entries) = times.split_at(times.len() / 2);
    Ok([
        Call {
            name: "remove 1,000 expired records",
            figure: median(records),
        },
        Call {
            name: "remove 1,000 expired entries",
            figure: median(entries),
        },
    ])
}

/// Each statement of a request is a transaction of its own, and those are what PostgreSQL counts.
async fn statements(server: &Postgres) -> Result<[Call; 2]> {
    // One connection, so that the process that counts is the one that hands its counts on when it is asked to. What
    // others have done before has to be counted by then.
    let pool = pool(server, 1).await?;
    tokio::time::sleep(COUNTED).await;
    let store = PostgresStore::new(pool.clone());
    let counted = requests::count(store, ["read", "write"], async || -> Result<f64> {
        let flush = sqlx::query::<sqlx::Postgres>("SELECT pg_stat_force_next_flush()");
        flush.execute(&pool).await?;
        let count = sqlx::query_scalar::<sqlx::Postgres, i64>(
            "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()",
        );
        let count = count.fetch_one(&pool).await?;
        Ok(count as f64)
    });
    let counted = counted.await?;
    pool.close().await;
    Ok(counted)
}

/// What a table takes with its indexes, and with what lies apart.
async fn size(pool: &PgPool, table: &'static str) -> Result<f64> {
    let size =
        sqlx::query_scalar::<sqlx::Postgres, i64>("SELECT pg_total_relation_size($1::regclass)")
            .bind(table);
    let size = size.fetch_one(pool).await?;
    Ok(size as f64)
}
