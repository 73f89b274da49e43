//! What a login, a list and the end of all sessions cost for users with few sessions and with very many.

use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;
use session_bench_common::{Rounds, Table, ratio};
use session_core::adapter::CookieHeaders;
use session_core::store::SessionStore;
use session_core::{Session, SessionConfig, SessionConfigBuilder, SessionManager, WhenFull};
use session_store_memory::MemoryStore;
use session_store_redis::RedisStore;
use session_store_sqlx::{PostgresStore, SqliteStore};
use session_test_servers::{Postgres, Redis};
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::Result;
use crate::engines::{alive_until, fill_for};
use crate::sessions::{LIFETIME, Template, check};

/// How many sessions the users have. The limit is as many, or one.
const COUNTS: [u64; 3] = [0, 1_000, 100_000];

/// How many sessions are listed, and ended.
const LISTED: u64 = 1_000;

const ROUNDS: usize = 9;
const LOGINS: u32 = 20;

pub(crate) async fn report() -> Result<()> {
    println!("{}", table("in memory", MemoryStore::new()).await?);
    println!("{}", sqlite().await?);
    let redis = Redis::start(&[]);
    let store = RedisStore::connect(&redis.url()).await?;
    println!("{}", table("in Redis", store).await?);
    let postgres = Postgres::start(&[]);
    let pool = PgPoolOptions::new().test_before_acquire(false);
    let store = PostgresStore::new(pool.connect(&postgres.url()).await?);
    store.migrate().await?;
    println!("{}", table("in PostgreSQL (fsync off)", store).await?);
    Ok(())
}

/// In a file that isn't synchronised with the disk, of which the figures would otherwise be.
async fn sqlite() -> Result<Table> {
    let file = std::env::temp_dir().join(format!("session-bench-{}.db", std::process::id()));
    let options = SqliteConnectOptions::new()
        .filename(&file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Off);
    let pool = SqlitePoolOptions::new().connect_with(options).await?;
    let store = SqliteStore::new(pool.clone());
    store.migrate().await?;
    let table = table("in SQLite (synchronous off)", store).await;
    pool.close().await;
    for ending in ["", "-wal", "-shm"] {
        let mut name = file.clone().into_os_string();
        name.push(ending);
        // Two of the three may not be there.
        let _ = std::fs::remove_file(name);
    }
    table
}

/// Logins of users with these numbers of sessions, in turn in each round.
async fn table<S: SessionStore + Clone>(place: &str, store: S) -> Result<Table> {
    let template = Arc::new(Template::new().await?);
    let mut first = 0;
    for count in COUNTS {
        for user in [unlimited(count), limited(count)] {
            let numbers = first..first + count;
            fill_for(&store, &template, numbers, &user, alive_until()).await?;
            first += count;
        }
    }
    let manager = manager(&store, SessionConfigBuilder::unlimited_sessions_per_user)?;
    let mut figures = vec![(Rounds::default(), Rounds::default()); COUNTS.len()];
    for round in 0..ROUNDS {
        for (count, (without, with)) in COUNTS.iter().zip(&mut figures) {
            let started = Instant::now();
            for login in 0..LOGINS {
                // A login is one session more, so that each is a user's first where there have to be none.
                let user = match count {
                    0 => format!("new {round} {login}"),
                    _ => unlimited(*count),
                };
                log_in(&manager, &user).await?;
            }
            without.push(micros(started));
            let limit = usize::try_from(*count)?.max(1);
            let at_the_limit = self::manager(&store, |config| {
                config.max_sessions_per_user(limit, WhenFull::EndOldest)
            })?;
            let started = Instant::now();
            for _ in 0..LOGINS {
                log_in(&at_the_limit, &limited(*count)).await?;
            }
            with.push(micros(started));
        }
    }
    let title = format!("Logins of users with many sessions, {place}");
    let columns = [
        "sessions of the user",
        "no limit, µs",
        "× fewest",
        "at the limit, µs",
        "× fewest",
    ];
    let mut table = Table::new(&title, &columns);
    let (fewest_without, fewest_with) = (figures[0].0.median(), figures[0].1.median());
    for (count, (without, with)) in COUNTS.iter().zip(&figures) {
        table.row([
            count.to_string(),
            format!("{:.0}", without.median()),
            ratio(without.median(), fewest_without, None),
            format!("{:.0}", with.median()),
            ratio(with.median(), fewest_with, None),
        ]);
    }
    let listed = "listed and ended";
    let numbers = first..first + LISTED;
    fill_for(&store, &template, numbers, listed, alive_until()).await?;
    let started = Instant::now();
    let sessions = manager.list_sessions(listed).await?;
    let list = started.elapsed().as_secs_f64() * 1e3;
    let started = Instant::now();
    let ended = manager.end_all_sessions(listed).await?;
    let end = started.elapsed().as_secs_f64() * 1e3;
    if sessions.len() as u64 != LISTED || ended as u64 != LISTED {
        return Err(format!("{} were listed and {ended} ended", sessions.len()).into());
    }
    println!("{LISTED} sessions {place}: listed in {list:.1} ms, ended in {end:.1} ms");
    Ok(table)
}

fn unlimited(count: u64) -> String {
    format!("{count} sessions, no limit")
}

fn limited(count: u64) -> String {
    format!("{count} sessions, at the limit")
}

fn micros(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1e6 / f64::from(LOGINS)
}

fn manager(
    store: &(impl SessionStore + Clone),
    limit: impl FnOnce(SessionConfigBuilder) -> SessionConfigBuilder,
) -> Result<SessionManager> {
    let config = SessionConfig::builder("a secret for measurements, long enough for the check")
        .max_age(LIFETIME)
        .absolute_timeout(LIFETIME);
    Ok(SessionManager::new(limit(config).build()?, store.clone()))
}

async fn log_in(manager: &SessionManager, user: &str) -> Result<()> {
    let handle = manager.handle();
    let work = async {
        let session: Session = handle.load(&CookieHeaders(&[])).await?;
        session.login(user)
    };
    let (result, finished) = handle.run(work).await;
    result?;
    check(&finished)?;
    let mut headers = HeaderMap::new();
    finished.apply(&mut headers);
    headers.get("set-cookie").ok_or("no cookie came")?;
    Ok(())
}
