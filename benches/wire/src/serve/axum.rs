//! The contenders on axum.

use std::net::TcpListener;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use session_axum::{Error, Session, SessionLayer};
use session_bench_common::{COUNTER, entries};
use session_core::SessionManager;
use session_store_redis::redis::aio::MultiplexedConnection;
use tower_sessions_redis_store::RedisStore;

use super::{TEXT, postgres, redis, tower_sessions};
use crate::Failure;
use crate::contest::{Contender, Contestant, Engine};

pub(super) fn serve(
    contestant: Contestant,
    url: &str,
    listener: TcpListener,
) -> Result<(), Failure> {
    super::runtime()?.block_on(async {
        let router = router(contestant, url).await?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        Ok(axum::serve(listener, router).await?)
    })
}

async fn router(contestant: Contestant, url: &str) -> Result<Router, Failure> {
    Ok(match (contestant.contender, contestant.engine) {
        (Contender::Bare, _) => bare(),
        (Contender::Raw, Engine::Redis) => raw(redis::with_value(url).await?),
        (Contender::Ours, engine) => ours(super::manager(engine, url).await?),
        (Contender::Peer, Engine::Memory) => tower_sessions::in_memory(),
        (Contender::Peer, Engine::Redis) => {
            tower_sessions::with_store(RedisStore::new(redis::client(url).await?))
        }
        (Contender::Peer, Engine::Postgres) => {
            tower_sessions::with_store(postgres::peer(url).await?)
        }
        _ => return Err(super::unsupported(contestant)),
    })
}

fn bare() -> Router {
    let text = || get(|| async { TEXT });
    Router::new()
        .route("/fill", text())
        .route("/read", text())
        .route("/write", text())
}

fn raw(connection: MultiplexedConnection) -> Router {
    async fn read(
        State(connection): State<MultiplexedConnection>,
    ) -> Result<&'static str, StatusCode> {
        match redis::get(connection).await {
            true => Ok(TEXT),
            false => Err(StatusCode::NOT_FOUND),
        }
    }

    Router::new()
        .route("/fill", get(|| async { TEXT }))
        .route("/read", get(read))
        .with_state(connection)
}

fn ours(manager: SessionManager) -> Router {
    async fn fill(session: Session) -> Result<&'static str, Error> {
        for (key, value) in entries() {
            session.set(key, value)?;
        }
        Ok(TEXT)
    }

    async fn read(session: Session) -> Result<Result<&'static str, StatusCode>, Error> {
        let counter = session.get::<u64>(COUNTER)?;
        Ok(counter.map(|_| TEXT).ok_or(StatusCode::NOT_FOUND))
    }

    async fn write(session: Session) -> Result<Result<&'static str, StatusCode>, Error> {
        let Some(counter) = session.get::<u64>(COUNTER)? else {
            return Ok(Err(StatusCode::NOT_FOUND));
        };
        session.set(COUNTER, counter + 1)?;
        Ok(Ok(TEXT))
    }

    Router::new()
        .route("/fill", get(fill))
        .route("/read", get(read))
        .route("/write", get(write))
        .layer(SessionLayer::from_manager(manager))
}
