//! What `session-actix` makes of actix-web's own: extractors, guards, errors of middleware and workers, asked in
//! process. The adapter suite has what every framework's adapter does alike.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that meets the unexpected fails by panicking"
)]

mod common;
mod errors;
mod extract;
mod guards;
mod headers;
mod inner;
#[path = "../../../tests/tests/common/jar.rs"]
mod jar;
#[path = "../../../tests/tests/common/log.rs"]
mod log;
mod several;
mod store_down;
mod workers;

use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::ErrorBadGateway;
use actix_web::middleware::Next;
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, FromRequest, Handler, HttpResponse, Responder};
use session_actix::{Error, Key, Session, SessionConfig, SessionConfigBuilder, SessionMiddleware};
use session_conformance::adapter::{SECRET, SpyStore};

use crate::common::{Site, Visitor};

const NAME: Key<String> = Key::new("name");

/// What the middleware that fails says.
const OUTAGE: &str = "nobody is there";

/// A second session beside the main one.
enum Admin {}

/// What a handler does with its session before something goes wrong.
type Change = fn(&Session);

/// The configuration that tests vary.
fn config() -> SessionConfigBuilder {
    SessionConfig::builder(SECRET).exclude_path("/excluded/*")
}

fn sessions(store: &SpyStore) -> SessionMiddleware {
    SessionMiddleware::new(config().build().unwrap(), store.clone())
}

/// `handler` at `/`, and `/name` to see the session's name and to make it Ada.
fn routes<F, Args>(handler: F) -> impl FnOnce(&mut ServiceConfig)
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    move |config: &mut ServiceConfig| {
        config
            .route("/", web::to(handler))
            .service(web::resource("/name").get(read_name).put(become_ada));
    }
}

async fn app<F, Args>(store: &SpyStore, handler: F) -> Site
where
    F: Handler<Args>,
    Args: FromRequest + 'static,
    F::Output: Responder + 'static,
{
    let routes = App::new().configure(routes(handler));
    Site::new(routes.wrap(sessions(store))).await
}

async fn read_name(session: Session) -> Result<String, Error> {
    session.get_or(NAME, "nobody".to_owned())
}

async fn become_ada(session: Session) -> Result<(), Error> {
    session.set(NAME, "Ada")
}

/// A handler that only changes the name.
async fn become_eve(session: Session) -> actix_web::Result<&'static str> {
    session.set(NAME, "Eve")?;
    Ok("done")
}

/// A handler that must not be reached.
async fn unreachable(_: Session) -> &'static str {
    panic!("the handler was called")
}

/// A middleware that lets the handler do its work, and then fails.
async fn fail_afterwards<B>(
    request: ServiceRequest,
    next: Next<B>,
) -> actix_web::Result<ServiceResponse<B>> {
    next.call(request).await?;
    Err(ErrorBadGateway(OUTAGE))
}

/// An answer with headers that are none of the session's business.
fn with_other_headers(cache_control: &str) -> HttpResponse {
    HttpResponse::Ok()
        .append_header(("set-cookie", "theirs=1"))
        .append_header(("vary", "Accept"))
        .append_header(("cache-control", cache_control))
        .body("all is well")
}

/// A visitor whose session has the name Ada. The store's notes are empty.
async fn ada(site: &Site, store: &SpyStore) -> Visitor {
    let mut ada = Visitor::new(site);
    assert_eq!(ada.send("PUT /name").await.status, 204);
    store.take_calls();
    ada
}

/// The name in the visitor's session. Asking changes nothing.
async fn name(visitor: &Visitor) -> String {
    let reply = visitor.clone().send("GET /name").await;
    assert_eq!(reply.status, 200);
    reply.body
}
