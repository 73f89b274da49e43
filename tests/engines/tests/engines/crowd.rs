//! What a crowd at one session costs, counted between the store and the server.

use std::collections::BTreeMap;
use std::sync::Arc;

use session_core::store::SessionStore;
use session_core::{Session, SessionManager};
use session_engine_tests::fresh_name;
use session_store_redis::RedisStore;
use session_store_sqlx::PostgresStore;
use session_test_servers::{Postgres, Redis};
use sqlx::postgres::PgPoolOptions;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::wire::Wire;
use crate::{CONNECTIONS_MAX, PATIENCE, config, request};

const CLIENTS: usize = 100;
const ROUNDS: usize = 10;
const INCREMENTS: usize = CLIENTS * ROUNDS;

/// What an increment may cost on average: a load, a save that meets a conflict, a save when its turn comes, and one that
/// somebody who hasn't met a conflict yet got in the way of.
const MOST_COMMANDS: usize = 4 * INCREMENTS;

/// The same in statements: a save that meets a conflict is two, as it looks for what is there.
const MOST_STATEMENTS: usize = 6 * INCREMENTS;

/// CM-10: a thousand increments of one session by a hundred clients of one process, in commands to Redis. A conflict
/// brings the fresh record along.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_costs_redis_a_few_commands_each() {
    let wire = Wire::to_redis(Redis::shared().port());
    let store = RedisStore::builder()
        .key_prefix(format!("{}:", fresh_name()))
        .timeout(PATIENCE)
        .connect(&format!("redis://127.0.0.1:{}", wire.port))
        .await
        .expect("the server is behind the wire");
    let commands = crowd(Arc::new(store), &wire).await;
    assert!(
        (2 * INCREMENTS..=MOST_COMMANDS).contains(&commands),
        "{commands}"
    );
}

/// CM-10: the same in statements to PostgreSQL.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_costs_postgres_a_few_statements_each() {
    let server = Postgres::shared();
    let wire = Wire::to_postgres(server.port());
    let behind = format!(":{}/", server.port());
    let url = server.url().replace(&behind, &format!(":{}/", wire.port));
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS_MAX)
        .test_before_acquire(false)
        .connect(&url)
        .await
        .expect("the server is behind the wire");
    let store = PostgresStore::with_table(pool, &fresh_name()).expect("the name is one");
    store.migrate().await.expect("the tables can be made");
    let statements = crowd(Arc::new(store), &wire).await;
    assert!(
        (2 * INCREMENTS..=MOST_STATEMENTS).contains(&statements),
        "{statements}"
    );
}

/// How many commands the increments cost.
async fn crowd(store: Arc<dyn SessionStore>, wire: &Wire) -> usize {
    let manager = SessionManager::new(config().build().expect("a good configuration"), store);
    let begins = |session: Session| async move { session.set("n", 1) };
    let ((), cookie) = request(&manager, "", begins).await.expect("a new session");
    // Has the server see the script, and its statements prepared.
    let saves = |session: Session| async move { session.set("n", 0) };
    request(&manager, &cookie, saves).await.expect("a save");
    wire.take();

    let (cookie, line) = (Arc::<str>::from(cookie), Arc::new(Barrier::new(CLIENTS)));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (manager, cookie, line) = (manager.clone(), cookie.clone(), line.clone());
        clients.spawn(async move {
            for round in 0..ROUNDS {
                let line = round.is_multiple_of(2).then_some(&line);
                let work = |session: Session| async move {
                    // All have loaded the same record, so that all saves but one meet a conflict.
                    if let Some(line) = line {
                        line.wait().await;
                    }
                    session.update("n", |n: Option<usize>| n.unwrap_or(0) + 1)
                };
                request(&manager, &cookie, work)
                    .await
                    .expect("an increment");
            }
        });
    }
    clients.join_all().await;
    let mut counts = BTreeMap::new();
    let commands = wire.take();
    for command in &commands {
        *counts.entry(command.as_str()).or_insert(0) += 1;
    }
    println!("{INCREMENTS} increments: {} {counts:?}", commands.len());

    let read = |session: Session| async move { session.get::<usize>("n") };
    let (n, _) = request(&manager, &cookie, read).await.expect("a read");
    assert_eq!(n, Some(INCREMENTS), "none is lost");
    commands.len()
}
