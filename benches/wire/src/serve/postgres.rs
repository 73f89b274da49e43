//! The stores on PostgreSQL.

use session_store_sqlx::PostgresStore;
use sqlx::postgres::PgPoolOptions;
use tower_sessions_sqlx_store::PostgresStore as PeerStore;
use tower_sessions_sqlx_store::sqlx::postgres::PgPoolOptions as PeerPoolOptions;

use crate::Failure;

/// How many connections each pool has at most.
const CONNECTIONS: u32 = 10;

pub(super) async fn ours(url: &str) -> Result<PostgresStore, Failure> {
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .connect(url)
        .await?;
    let store = PostgresStore::new(pool);
    store.migrate().await?;
    Ok(store)
}

/// The peer's, on the older sqlx that it is made for.
pub(super) async fn peer(url: &str) -> Result<PeerStore, Failure> {
    let pool = PeerPoolOptions::new()
        .max_connections(CONNECTIONS)
        .connect(url)
        .await?;
    let store = PeerStore::new(pool);
    store.migrate().await?;
    Ok(store)
}
