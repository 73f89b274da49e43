//! What the middleware makes of poem's own kinds of handlers, middleware and errors. The adapter suite has what
//! every framework's adapter does alike.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that meets the unexpected fails by panicking"
)]

mod errors;
mod extract;
mod failures;
#[path = "../../../tests/tests/common/jar.rs"]
mod jar;
#[path = "../../../tests/tests/common/log.rs"]
mod log;
mod names;
mod paths;
mod store_down;
mod visitor;

use std::fmt;

use poem::endpoint::make;
use poem::error::ResponseError;
use poem::http::StatusCode;
use poem::{
    Endpoint, EndpointExt as _, FromRequest as _, IntoEndpoint, IntoResponse as _, Request,
    Response, Route, handler,
};
use session_conformance::adapter::{SECRET, SpyStore};
use session_poem::{
    Key, Session, SessionConfig, SessionConfigBuilder, SessionEndpoint, SessionMiddleware,
};

use crate::visitor::Visitor;

const NAME: Key<String> = Key::new("name");

/// What a handler does with its session.
type Change = fn(&Session);

/// What a handler returns.
type End = fn() -> poem::Result<Response>;

/// An error of the application's own, whose answer is its own too and doesn't show what `Display` says.
#[derive(Debug)]
struct NoTea;

/// The body of the answer that [`NoTea`] makes.
const COFFEE: &str = "coffee is all there is";

impl fmt::Display for NoTea {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the tea is used up")
    }
}

impl std::error::Error for NoTea {}

impl ResponseError for NoTea {
    fn status(&self) -> StatusCode {
        StatusCode::IM_A_TEAPOT
    }

    fn as_response(&self) -> Response {
        Response::builder()
            .status(StatusCode::IM_A_TEAPOT)
            .header("retry-after", "3600")
            .body(COFFEE)
    }
}

/// The configuration, for tests to vary.
fn config() -> SessionConfigBuilder {
    SessionConfig::builder(SECRET).exclude_path("/excluded/*")
}

fn sessions(store: &SpyStore) -> SessionMiddleware {
    SessionMiddleware::new(config().build().unwrap(), store.clone())
}

/// `endpoint` at `/`, a path that makes the visitor Ada, and one that shows whose session it is.
fn routes<E>(endpoint: E) -> Route
where
    E: IntoEndpoint,
    E::Endpoint: 'static,
{
    Route::new()
        .at("/", endpoint)
        .at("/ada", become_ada)
        .at("/name", show_name)
}

fn app<E>(store: &SpyStore, endpoint: E) -> SessionEndpoint<Route>
where
    E: IntoEndpoint,
    E::Endpoint: 'static,
{
    routes(endpoint).with(sessions(store))
}

/// A handler that does `change` to its session and then returns what `end` gives.
fn handler_that(change: Change, end: End) -> impl Endpoint<Output = Response> {
    make(move |request: Request| async move {
        let session: Session = Session::from_request_without_body(&request).await?;
        change(&session);
        end()
    })
}

#[handler]
fn become_ada(session: Session) -> poem::Result<&'static str> {
    session.set(NAME, "Ada")?;
    Ok("done")
}

#[handler]
fn become_eve(session: Session) -> poem::Result<&'static str> {
    session.set(NAME, "Eve")?;
    Ok("done")
}

#[handler]
fn show_name(session: Session) -> poem::Result<String> {
    Ok(session.get_or(NAME, "nobody".to_owned())?)
}

/// A change that leaves the cookie alone, where there is a session already.
fn rename(session: &Session) {
    session.set(NAME, "Eve").unwrap();
}

/// No change at all.
fn look(session: &Session) {
    assert!(session.contains("name"), "{session:?}");
}

fn done() -> poem::Result<Response> {
    Ok("done".into_response())
}

fn no_tea() -> poem::Result<Response> {
    Err(NoTea.into())
}

/// A visitor whose session has the name Ada, at an application that a test may leave for
/// [another](Visitor::at) on the same store.
async fn ada(store: &SpyStore) -> Visitor {
    let mut ada = Visitor::new(app(store, become_eve));
    ada.get("/ada").await.check(200, "done");
    store.take_calls();
    ada
}

/// The name in the visitor's session. Asking changes nothing.
async fn name(visitor: &Visitor) -> String {
    let reply = visitor.clone().get("/name").await;
    assert_eq!(reply.status, 200);
    reply.body
}
