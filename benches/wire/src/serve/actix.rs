//! The contenders on actix-web.

use std::net::TcpListener;

use actix_session::SessionMiddleware as PeerMiddleware;
use actix_session::config::{CookieContentSecurity, PersistentSession, TtlExtensionPolicy};
use actix_session::storage::{RedisSessionStore, SessionStore};
use actix_web::cookie::{Key, time::Duration};
use actix_web::rt::System;
use actix_web::{App, HttpServer, web};
use session_actix::SessionMiddleware;
use session_core::SessionManager;

use super::actix_memory::MemoryStore;
use super::{LIFETIME, SECRET, TEXT};
use crate::Failure;
use crate::contest::{Contender, Contestant, Engine};

/// Connections to stores are served by the thread that asks for them, which isn't the worker's: ours and the peer's.
pub(super) fn serve(
    contestant: Contestant,
    url: &str,
    listener: TcpListener,
) -> Result<(), Failure> {
    System::new().block_on(async {
        use TtlExtensionPolicy::{OnEveryRequest, OnStateChanges};
        match (contestant.contender, contestant.engine) {
            (Contender::Bare, _) => bare(listener).await,
            (Contender::Ours, engine) => ours(listener, super::manager(engine, url).await?).await,
            (Contender::Peer, Engine::Memory) => {
                peer(listener, MemoryStore::default(), OnStateChanges).await
            }
            (Contender::Peer, Engine::Redis) => {
                peer(listener, RedisSessionStore::new(url).await?, OnStateChanges).await
            }
            (Contender::Sliding, Engine::Redis) => {
                peer(listener, RedisSessionStore::new(url).await?, OnEveryRequest).await
            }
            _ => Err(super::unsupported(contestant)),
        }
    })
}

async fn bare(listener: TcpListener) -> Result<(), Failure> {
    async fn text() -> &'static str {
        TEXT
    }

    let server = HttpServer::new(|| {
        App::new()
            .route("/fill", web::get().to(text))
            .route("/read", web::get().to(text))
            .route("/write", web::get().to(text))
    });
    Ok(server.workers(1).listen(listener)?.run().await?)
}

async fn ours(listener: TcpListener, manager: SessionManager) -> Result<(), Failure> {
    let sessions = SessionMiddleware::from_manager(manager);
    let server = HttpServer::new(move || {
        App::new()
            .route("/fill", web::get().to(with_ours::fill))
            .route("/read", web::get().to(with_ours::read))
            .route("/write", web::get().to(with_ours::write))
            .wrap(sessions.clone())
    });
    Ok(server.workers(1).listen(listener)?.run().await?)
}

async fn peer<S>(listener: TcpListener, store: S, policy: TtlExtensionPolicy) -> Result<(), Failure>
where
    S: SessionStore + Clone + Send + 'static,
{
    let lifetime = PersistentSession::default()
        .session_ttl(Duration::seconds(LIFETIME.as_secs().cast_signed()))
        .session_ttl_extension_policy(policy);
    let server = HttpServer::new(move || {
        let sessions = PeerMiddleware::builder(store.clone(), Key::from(SECRET))
            .cookie_secure(false)
            .cookie_content_security(CookieContentSecurity::Signed)
            .session_lifecycle(lifetime.clone())
            .build();
        App::new()
            .route("/fill", web::get().to(with_peer::fill))
            .route("/read", web::get().to(with_peer::read))
            .route("/write", web::get().to(with_peer::write))
            .wrap(sessions)
    });
    Ok(server.workers(1).listen(listener)?.run().await?)
}

mod with_ours {
    use actix_web::Result;
    use actix_web::error::ErrorNotFound;
    use session_actix::Session;
    use session_bench_common::{COUNTER, entries};

    use crate::serve::TEXT;

    pub(super) async fn fill(session: Session) -> Result<&'static str> {
        for (key, value) in entries() {
            session.set(key, value)?;
        }
        Ok(TEXT)
    }

    pub(super) async fn read(session: Session) -> Result<&'static str> {
        let counter = session.get::<u64>(COUNTER)?;
        counter.map(|_| TEXT).ok_or_else(|| ErrorNotFound(COUNTER))
    }

    pub(super) async fn write(session: Session) -> Result<&'static str> {
        let counter = session.get::<u64>(COUNTER)?;
        let counter = counter.ok_or_else(|| ErrorNotFound(COUNTER))?;
        session.set(COUNTER, counter + 1)?;
        Ok(TEXT)
    }
}

mod with_peer {
    use actix_session::Session;
    use actix_web::Result;
    use actix_web::error::ErrorNotFound;
    use session_bench_common::{COUNTER, entries};

    use crate::serve::TEXT;

    pub(super) async fn fill(session: Session) -> Result<&'static str> {
        for (key, value) in entries() {
            session.insert(key, value)?;
        }
        Ok(TEXT)
    }

    pub(super) async fn read(session: Session) -> Result<&'static str> {
        let counter = session.get::<u64>(COUNTER)?;
        counter.map(|_| TEXT).ok_or_else(|| ErrorNotFound(COUNTER))
    }

    pub(super) async fn write(session: Session) -> Result<&'static str> {
        let counter = session.get::<u64>(COUNTER)?;
        let counter = counter.ok_or_else(|| ErrorNotFound(COUNTER))?;
        session.insert(COUNTER, counter + 1)?;
        Ok(TEXT)
    }
}
