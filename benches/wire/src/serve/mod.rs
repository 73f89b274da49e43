//! One server: a framework with a contender and a store.
//!
//! `/fill` begins a session with all entries, `/read` reads the counter, and `/write` counts it up. Each answers the
//! same short text, or an error if the session or the counter isn't there, so that a contender that loses sessions
//! isn't taken for a fast one.

mod actix;
mod actix_memory;
mod axum;
mod poem;
mod postgres;
mod redis;
mod tower_sessions;

use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use session_core::{SessionConfig, SessionManager};
use session_store_memory::MemoryStore;
use session_store_redis::RedisStore;
use tokio::runtime::{Builder, Runtime};

use crate::Failure;
use crate::contest::{Contestant, Engine, Framework, Word as _};

/// What every request is answered with.
const TEXT: &str = "ok";

/// The secret of all who sign cookies: 64 bytes, which is what the peers ask for.
const SECRET: &[u8; 64] = b"0u9Yp3kQm7RzTfXbLcVd1sWgHj5eNaKi8oUq2tMyPx4rBwDvZlGhEnJf6CcSkOaT";

/// How long sessions live without use.
const LIFETIME: Duration = Duration::from_secs(3_600);

/// Serves until it is killed. The first line of the output is the port.
pub(crate) fn serve(contestant: Contestant, url: &str) -> Result<(), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    // Those who connect from now on wait in the listener's queue until the server is there.
    println!("{}", listener.local_addr()?.port());
    match contestant.framework {
        Framework::Axum => axum::serve(contestant, url, listener),
        Framework::Actix => actix::serve(contestant, url, listener),
        Framework::Poem => poem::serve(contestant, url, listener),
    }
}

/// A runtime whose only worker is the thread that asks for it.
fn runtime() -> Result<Runtime, Failure> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// Our sessions in a store.
async fn manager(engine: Engine, url: &str) -> Result<SessionManager, Failure> {
    let config = SessionConfig::builder(SECRET)
        .cookie_secure(false)
        .max_age(LIFETIME)
        .build()?;
    Ok(match engine {
        Engine::Memory => SessionManager::new(config, MemoryStore::new()),
        Engine::Redis => SessionManager::new(config, RedisStore::connect(url).await?),
        Engine::Postgres => SessionManager::new(config, postgres::ours(url).await?),
    })
}

/// That a combination isn't measured.
fn unsupported(contestant: Contestant) -> Failure {
    let Contestant {
        framework,
        contender,
        engine,
    } = contestant;
    let words = [framework.word(), contender.word(), engine.word()];
    format!("there is nothing to serve for {}", words.join(", ")).into()
}
