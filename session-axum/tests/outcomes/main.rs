//! What `session-axum` makes of axum's and tower's own: extractors, layers, services, streaming bodies and requests
//! that are given up. The adapter suite has what every framework's adapter does alike.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that meets the unexpected fails by panicking"
)]

mod commits;
mod common;
mod cookies;
#[path = "../../../tests/tests/common/jar.rs"]
mod jar;
mod late;
mod layers;
#[path = "../../../tests/tests/common/log.rs"]
mod log;
mod store_down;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{any, get};
use session_axum::{Error, Key, Session, SessionLayer};

use crate::common::{Visitor, config};
use session_conformance::adapter::SpyStore;

const NAME: Key<String> = Key::new("name");

/// What a handler does with its session.
type Change = fn(&Session);

fn layer(store: &SpyStore) -> SessionLayer {
    SessionLayer::new(config().build().unwrap(), store.clone())
}

/// `handler` at `/`, and `/name` to see and to set what the session holds.
fn routes<H: Handler<T, ()>, T: 'static>(handler: H) -> Router {
    let read = async |session: Session| session.get_or(NAME, "nobody".to_owned());
    let write = async |session: Session, name: String| session.set(NAME, name);
    Router::new()
        .route("/", any(handler))
        .route("/name", get(read).put(write))
}

fn app<H: Handler<T, ()>, T: 'static>(store: &SpyStore, handler: H) -> Router {
    routes(handler).layer(layer(store))
}

/// A visitor whose session has the name Ada.
async fn ada(app: &Router, store: &SpyStore) -> Visitor {
    let mut ada = Visitor::new(app);
    assert_eq!(ada.send("PUT /name", "Ada").await.status, 200);
    store.take_calls();
    ada
}

/// The name in the visitor's session. Asking changes nothing.
async fn name(visitor: &Visitor) -> String {
    let reply = visitor.clone().send("GET /name", "").await;
    assert_eq!(reply.status, 200);
    reply.text().to_owned()
}

/// A handler that only changes the name.
async fn become_eve(session: Session) -> Result<&'static str, Error> {
    session.set(NAME, "Eve")?;
    Ok("done")
}
