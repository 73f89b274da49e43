//! What becomes of requests when their store fails: each fault on each engine, under load, and what was found as a
//! table. Where the environment names a server to be tested in place of the distribution's, it is the only engine.
//!
//! ```text
//! cargo test -p session-engine-tests --test faults
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic fails the cell in which it happens, and says why"
)]

mod cluster;
mod file_limit;
mod load;
mod mariadb;
mod matrix;
mod postgres;
mod redis;
mod refusal;
mod sql_server;
mod sqlite;
mod strike;
mod verdict;

use std::env;
use std::io::{self, Write as _};
use std::time::Instant;

use session_test_servers::{IN_PLACE_OF_MARIADB, IN_PLACE_OF_REDIS, MariaDb, Postgres};

use crate::cluster::Cluster;
use crate::matrix::{Matrix, column};
use crate::redis::OneRedis;
use crate::sqlite::OneFile;

/// One engine after the other, so that none is slow for another one's sake. All cells are tried and shown, whatever
/// becomes of the first ones.
#[test]
fn every_engine_meets_every_fault() {
    let started = Instant::now();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("there are threads");
    // What a cell that panics leaves behind is dropped on this thread, and connections need a runtime for that.
    let _context = runtime.enter();
    let [redis, mariadb] =
        [IN_PLACE_OF_REDIS, IN_PLACE_OF_MARIADB].map(|variable| env::var_os(variable).is_some());
    let all = !redis && !mariadb;
    let mut columns = Vec::new();
    if all || redis {
        columns.extend([column::<OneRedis>(&runtime), column::<Cluster>(&runtime)]);
    }
    if all {
        columns.push(column::<Postgres>(&runtime));
    }
    if all || mariadb {
        columns.push(column::<MariaDb>(&runtime));
    }
    if all {
        columns.push(column::<OneFile>(&runtime));
    }
    let matrix = Matrix(columns);
    // Not by a macro, whose output is shown only when a test fails.
    writeln!(io::stdout(), "\n{matrix}\nIn {:?}.", started.elapsed()).expect("somebody listens");
    let problems = matrix.problems();
    assert!(
        problems.is_empty(),
        "not every fault was met as it should be:\n{}",
        problems.join("\n")
    );
}
