//! The contenders on poem.

use std::net::TcpListener;

use poem::listener::TcpAcceptor;
use poem::session::{CookieConfig, MemoryStorage, RedisStorage, ServerSession, SessionStorage};
use poem::web::cookie::CookieKey;
use poem::{Endpoint, EndpointExt as _, IntoEndpoint, Route, Server, get, handler};
use redis::Client;
use redis::aio::ConnectionManager;
use session_poem::SessionMiddleware;

use super::{LIFETIME, SECRET, TEXT};
use crate::Failure;
use crate::contest::{Contender, Contestant, Engine};

pub(super) fn serve(
    contestant: Contestant,
    url: &str,
    listener: TcpListener,
) -> Result<(), Failure> {
    super::runtime()?.block_on(async {
        match (contestant.contender, contestant.engine) {
            (Contender::Bare, _) => run(listener, bare()).await,
            (Contender::Ours, engine) => {
                let sessions = SessionMiddleware::from_manager(super::manager(engine, url).await?);
                run(listener, with_ours::routes().with(sessions)).await
            }
            (Contender::Peer, Engine::Memory) => run(listener, peer(MemoryStorage::new())).await,
            (Contender::Peer, Engine::Redis) => {
                let connection = ConnectionManager::new(Client::open(url)?).await?;
                run(listener, peer(RedisStorage::new(connection))).await
            }
            _ => Err(super::unsupported(contestant)),
        }
    })
}

async fn run<E>(listener: TcpListener, endpoint: E) -> Result<(), Failure>
where
    E: IntoEndpoint,
    E::Endpoint: 'static,
{
    let acceptor = TcpAcceptor::from_std(listener)?;
    Ok(Server::new_with_acceptor(acceptor).run(endpoint).await?)
}

fn bare() -> Route {
    #[handler]
    fn text() -> &'static str {
        TEXT
    }

    Route::new()
        .at("/fill", get(text))
        .at("/read", get(text))
        .at("/write", get(text))
}

fn peer(storage: impl SessionStorage + 'static) -> impl Endpoint + 'static {
    let config = CookieConfig::signed(CookieKey::from(SECRET))
        .secure(false)
        .max_age(LIFETIME);
    with_peer::routes().with(ServerSession::new(config, storage))
}

mod with_ours {
    use poem::http::StatusCode;
    use poem::{Error, Result, Route, get, handler};
    use session_bench_common::{COUNTER, entries};
    use session_poem::Session;

    use crate::serve::TEXT;

    pub(super) fn routes() -> Route {
        Route::new()
            .at("/fill", get(fill))
            .at("/read", get(read))
            .at("/write", get(write))
    }

    #[handler]
    async fn fill(session: Session) -> Result<&'static str> {
        for (key, value) in entries() {
            session.set(key, value)?;
        }
        Ok(TEXT)
    }

    #[handler]
    async fn read(session: Session) -> Result<&'static str> {
        let counter = session.get::<u64>(COUNTER)?;
        counter
            .map(|_| TEXT)
            .ok_or_else(|| Error::from_status(StatusCode::NOT_FOUND))
    }

    #[handler]
    async fn write(session: Session) -> Result<&'static str> {
        let counter = session.get::<u64>(COUNTER)?;
        let counter = counter.ok_or_else(|| Error::from_status(StatusCode::NOT_FOUND))?;
        session.set(COUNTER, counter + 1)?;
        Ok(TEXT)
    }
}

mod with_peer {
    use poem::http::StatusCode;
    use poem::session::Session;
    use poem::{Error, Result, Route, get, handler};
    use session_bench_common::{COUNTER, entries};

    use crate::serve::TEXT;

    pub(super) fn routes() -> Route {
        Route::new()
            .at("/fill", get(fill))
            .at("/read", get(read))
            .at("/write", get(write))
    }

    #[handler]
    async fn fill(session: &Session) -> &'static str {
        for (key, value) in entries() {
            session.set(key, value);
        }
        TEXT
    }

    #[handler]
    async fn read(session: &Session) -> Result<&'static str> {
        let counter = session.get::<u64>(COUNTER);
        counter
            .map(|_| TEXT)
            .ok_or_else(|| Error::from_status(StatusCode::NOT_FOUND))
    }

    #[handler]
    async fn write(session: &Session) -> Result<&'static str> {
        let counter = session.get::<u64>(COUNTER);
        let counter = counter.ok_or_else(|| Error::from_status(StatusCode::NOT_FOUND))?;
        session.set(COUNTER, counter + 1);
        Ok(TEXT)
    }
}
