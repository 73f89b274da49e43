//! Server-side sessions for poem: [`SessionMiddleware`] around the routes, [`Session`] in the handlers.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use poem::listener::TcpListener;
//! use poem::{EndpointExt as _, Route, Server, get, handler};
//! use session_poem::{Key, Session, SessionConfig, SessionMiddleware};
//! use session_store_memory::MemoryStore;
//!
//! const VISITS: Key<u64> = Key::new("visits");
//!
//! #[handler]
//! async fn visits(session: Session) -> poem::Result<String> {
//!     let n = session.update(VISITS, |n| n.unwrap_or(0) + 1)?;
//!     Ok(format!("visit {n}"))
//! }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let config = SessionConfig::builder(std::env::var("SESSION_SECRET")?)
//!         .max_age(Duration::from_secs(3600))
//!         .exclude_path("/health")
//!         .build()?;
//!     let sessions = SessionMiddleware::new(config, MemoryStore::new());
//!     let app = Route::new().at("/", get(visits)).with(sessions);
//!     Server::new(TcpListener::bind("127.0.0.1:3000")).run(app).await?;
//!     Ok(())
//! }
//! ```
//!
//! # In other middleware
//!
//! [`Session`] is an ordinary extractor. A middleware inside this one, which means that it is applied to the
//! routes before it, extracts it from the request:
//!
//! ```
//! use poem::http::StatusCode;
//! use poem::{Endpoint, EndpointExt as _, FromRequest as _, Request, Route};
//! use session_poem::Session;
//!
//! async fn only_members<E: Endpoint>(next: E, request: Request) -> poem::Result<E::Output> {
//!     let session: Session = Session::from_request_without_body(&request).await?;
//!     match session.user().is_some() {
//!         true => next.call(request).await,
//!         false => Err(StatusCode::UNAUTHORIZED.into()),
//!     }
//! }
//! # use session_poem::SessionMiddleware;
//! # fn app(sessions: SessionMiddleware) {
//! let app = Route::new().around(only_members).with(sessions);
//! # let _ = app;
//! # }
//! ```
//!
//! # Errors, and who catches them
//!
//! What was wanted of the session is committed when a handler, or a middleware inside this one, fails. A
//! `poem::Error` has no place for headers, so that this middleware changes the errors of requests that have
//! used their session:
//!
//! - Where the cookie has to go out, because the session was created, rotated or ended, the error becomes its
//!   response here. A `catch_error` or `catch_all_error` outside doesn't see it.
//! - Otherwise the error goes on as an [`InnerError`], for `Vary`. It looks the same, and has the same
//!   status and response; to a `catch_error` outside its type is another one.
//!
//! A message that somebody outside sets on an [`InnerError`] (`set_error_message`) isn't what its response
//! says. So put `catch_error` inside: `routes.catch_error(not_found).with(sessions)`. Errors of requests that haven't
//! used their session pass as they are.
//!
//! # Headers of others
//!
//! poem's `Cors` replaces `Vary` by its own where it is outside of this middleware, and responses then no
//! longer say that they depend on the cookie. Put it inside: `routes.with(Cors::new()).with(sessions)`.
//!
//! # Responses that go on after the handler
//!
//! The session is committed when the handler has returned, before the response head leaves. A WebSocket, an
//! event stream or a streaming body that changes the session later calls
//! [`commit`](session_core::Session::commit) after the last change. A new session's cookie travels in the
//! head: store something (or commit) before returning the response.
//!
//! # Visitors who leave, and stopping
//!
//! A commit that has begun, and an ending that a handler asked for, go on as a task of the runtime when the visitor leaves.
//! At shutdown, when the server has stopped, [`SessionMiddleware::manager`] gives what waits for them:
//! [`drain`](session_core::SessionManager::drain).

mod csrf;
mod error;
mod extract;
mod middleware;

pub use csrf::{CsrfEndpoint, CsrfMiddleware};
pub use error::{Error, InnerError};
pub use extract::{CsrfToken, Fresh, Peek, Session, Typed, User};
pub use middleware::{SessionEndpoint, SessionMiddleware};
/// The core, whose names are here too.
pub use session_core;
#[doc(inline)]
pub use session_core::*;
