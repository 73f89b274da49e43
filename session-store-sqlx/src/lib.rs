//! Session stores in SQL databases, on the application's own [sqlx](https://docs.rs/sqlx) pool.
//!
//! | feature | store | for |
//! |---|---|---|
//! | `postgres` | `PostgresStore` | PostgreSQL |
//! | `mysql` | `MySqlStore` | MySQL and MariaDB |
//! | `sqlite` | `SqliteStore` | a file of SQLite, which comes along |
//! | `tls` | | encrypted connections to servers, checked against the certificates that the system trusts |
//!
//! None is on by default. Each store has an index of sessions by user.
//!
//! PostgreSQL:
//!
//! ```no_run
//! # #[cfg(feature = "postgres")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use session_store_sqlx::PostgresStore;
//! use session_store_sqlx::sqlx::postgres::PgPoolOptions;
//!
//! let pool = PgPoolOptions::new().max_connections(16).connect("postgres://app@localhost/app").await?;
//! let store = PostgresStore::new(pool); // or with_table(pool, "app.visitors")?
//! store.migrate().await?;
//! # Ok(())
//! # }
//! ```
//!
//! MySQL or MariaDB. Without TLS, MySQL's usual way of logging in needs the feature `mysql-rsa` of sqlx:
//!
//! ```no_run
//! # #[cfg(feature = "mysql")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use session_store_sqlx::MySqlStore;
//! use session_store_sqlx::sqlx::mysql::MySqlPoolOptions;
//!
//! let pool = MySqlPoolOptions::new().max_connections(16).connect("mysql://app@localhost/app").await?;
//! let store = MySqlStore::new(pool);
//! store.migrate().await?;
//! # Ok(())
//! # }
//! ```
//!
//! SQLite:
//!
//! ```no_run
//! # #[cfg(feature = "sqlite")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use session_store_sqlx::SqliteStore;
//!
//! let store = SqliteStore::open("sessions.db").await?;
//! store.migrate().await?;
//! # Ok(())
//! # }
//! ```
//!
//! Expired records are invisible at once, and stay in the table until they are swept. Any number of servers may do it
//! at once:
//!
//! ```no_run
//! # fn example(store: std::sync::Arc<dyn session_core::store::SessionStore>) {
//! tokio::spawn(session_core::Sweeper::new(store.clone()).run());
//! # }
//! ```
//!
//! # Tables
//!
//! `migrate` makes three, or nothing if they are there: `sessions` for the records, `sessions_users` for the index,
//! and `sessions_schema` for the version of them all. With another table's name, theirs change with it. The statements
//! are on the page of each store, and in the folder `schema` of this crate, for those who have migrations of their own.
//! Where the tables are there, `migrate` needs no right to make any. So call it at each start: it finds out what
//! couldn't work, and the error says what to do.
//!
//! | what it finds | `SetupError` |
//! |---|---|
//! | tables of a newer version of this library | `NewerSchema` |
//! | a table of such a name with other columns, types or another primary key; on MySQL, another engine than InnoDB | `ForeignTable` |
//! | a table that was dropped | `MissingTable` |
//! | no right to read or write the tables; a file or a server that can't be written | `Unusable` |
//! | SQLite in memory, where each connection has a database of its own | `PrivateDatabase` |
//! | PostgreSQL behind a pooler that mixes up prepared statements, see `PostgresStore::without_prepared_statements` | `MixedStatements` |
//!
//! Tables may have more columns, if a row can be written without a value for them.
//!
//! A record is one row: the bytes that `session-core` encodes it as, and beside them in columns what a touch changes,
//! which therefore writes no data. All times are numbers, milliseconds since the Unix epoch, so that the time zone of
//! the server, the session or the machine means nothing. They are those of the servers that ask; the database's clock
//! is never asked.
//!
//! # Statements
//!
//! | for | PostgreSQL | MySQL, MariaDB | SQLite |
//! |---|---|---|---|
//! | a request that only reads | 1 | 1 | 1 |
//! | a touch, a save, or a new session | 1 | 1 | 1 |
//! | one of these that found something else, or nothing | 2 | 2 | 2 |
//! | a new session over an expired record | 1 | 2 | 1 |
//! | a rotation, or a logout: besides, in the index, to remove an entry | 1 | 3 | 1 |
//! | a login, or a rotation: besides, in the index, to add an entry | 6 | 5 | 5 |
//! | a list of a user's sessions | 1 | 1 | 1 |
//! | a batch of a sweep | 2 | 2 | 2 |
//!
//! Behind a pooler that needs `without_prepared_statements`, each statement on PostgreSQL is four round trips: a
//! transaction begins, the statement is parsed, it runs, and the transaction ends.
//!
//! sqlx asks the server for a sign of life before each use of a connection. `test_before_acquire(false)` on the pool's
//! options saves that round trip, at the price of an error for the first requests after a server has restarted.
//!
//! # What is certain
//!
//! Each write is one statement, or one transaction where it has to be, and says under which condition it writes. A
//! statement whose outcome is unknown is never sent again. One that the server gave up for the sake of another is, as
//! it certainly did nothing: to end a deadlock in MySQL, and in PostgreSQL above the isolation level `read committed`.
//! A call that is dropped leaves nothing half-written. Records that can't be read are left alone until they expire.
//!
//! How long a write lasts that was answered depends on the engine's settings. Only with `synchronous_commit`
//! off, or `innodb_flush_log_at_trx_commit = 0`, is it lost when the process of the database is killed. When the
//! machine loses power, or the database fails over to a replica that lagged, what is lost with the last writes
//! includes the endings of sessions, which then live again:
//!
//! - **PostgreSQL** keeps all with `fsync` and `synchronous_commit` on, as they are by default. With a standby, only
//!   what `synchronous_standby_names` waits for survives a failover.
//! - **MySQL and MariaDB** keep all with `innodb_flush_log_at_trx_commit = 1`, which is the default, and, where
//!   there is a binary log, `sync_binlog = 1`, which isn't MariaDB's. Replicas lag unless replication is
//!   semi-synchronous at least, with a timeout so long that it never falls back to asynchronous. In a cluster in
//!   which several servers can be written to, let the sessions use one of them.
//! - **SQLite** keeps all as `SqliteStore::open` sets it up. The file has to be on a disk of the machine, not on one
//!   of the network.
//!
//! The pool has to be one of the primary server: a replica that may be read shows the past, in which sessions
//! live that have been ended. A primary that is made a replica where it is has to lose its connections with
//! that.

#[cfg(feature = "mysql")]
mod mysql;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
mod shared;
#[cfg(feature = "sqlite")]
mod sqlite;

#[cfg(feature = "mysql")]
pub use mysql::MySqlStore;
#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
#[cfg(any(feature = "mysql", feature = "postgres", feature = "sqlite"))]
pub use shared::SetupError;
#[cfg(feature = "sqlite")]
pub use sqlite::SqliteStore;
/// The database client whose pools the stores take. A new major version of it is one of this crate too.
pub use sqlx;
