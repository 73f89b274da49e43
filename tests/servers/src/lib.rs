//! Private database servers for tests: on loopback, in temporary folders, on free ports.
//!
//! ```no_run
//! use session_test_servers::{Postgres, Redis};
//!
//! // One server for all tests of a test program, started by the first of them that asks.
//! let url = Redis::shared().url();
//!
//! // A server of one's own, to be treated badly. It is gone when this is dropped.
//! let postgres = Postgres::start(&[("synchronous_commit", "off")]);
//! postgres.kill();
//! postgres.restart();
//! ```
//!
//! A server ends with the process that started it, however that ends: with its last test, by a panic, by Ctrl-C, or
//! killed by the system. Shared servers sit in statics, which are never dropped, so nothing here relies on `Drop`
//! alone: each folder has a caretaker, a small shell process that waits for our end at the other end of a pipe.
//!
//! A server that isn't installed is a panic that names the Debian package. No test is skipped for the lack of one.
//!
//! The servers are the distribution's own, unless the environment names others: [`IN_PLACE_OF_REDIS`] for Valkey or
//! another Redis, [`IN_PLACE_OF_MARIADB`] for MySQL. `cargo xtask test --engines` sets them.
//!
//! Pausing and killing a server with all its processes reads `/proc`, so this crate needs Linux.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test without its server fails by panicking"
)]

mod certificates;
mod cluster;
mod folder;
mod mariadb;
mod pgbouncer;
mod ports;
mod postgres;
mod processes;
mod redis;
mod supervisor;

pub use certificates::Certificates;
pub use cluster::RedisCluster;
pub use mariadb::MariaDb;
pub use pgbouncer::PgBouncer;
pub use postgres::Postgres;
pub use redis::Redis;

/// The environment variable with the path of the program that [`Redis`] runs, and [`RedisCluster`], in place of the
/// distribution's `redis-server`: that of another Redis, or Valkey's.
pub const IN_PLACE_OF_REDIS: &str = "SESSION_TEST_REDIS";

/// The environment variable with the path of the program that [`MariaDb`] runs in place of the distribution's
/// `mariadbd`: MySQL's `mysqld`.
pub const IN_PLACE_OF_MARIADB: &str = "SESSION_TEST_MYSQL";
