//! Server-side sessions for axum: [`SessionLayer`] around the routes, [`Session`] in the handlers.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use axum::{Router, routing::get};
//! use session_axum::{Key, Session, SessionConfig, SessionLayer};
//! use session_store_memory::MemoryStore;
//!
//! const VISITS: Key<u64> = Key::new("visits");
//!
//! async fn visits(session: Session) -> Result<String, session_axum::Error> {
//!     let n = session.update(VISITS, |n| n.unwrap_or(0) + 1)?;
//!     Ok(format!("visit {n}"))
//! }
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let config = SessionConfig::builder(std::env::var("SESSION_SECRET")?)
//!     .max_age(Duration::from_secs(3600))
//!     .exclude_path("/health")
//!     .build()?;
//! let app = Router::new().route("/", get(visits)).layer(SessionLayer::new(config, MemoryStore::new()));
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
//! axum::serve(listener, app).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # In other middleware
//!
//! [`Session`] is an ordinary extractor, so that a middleware inside the layer takes it like a handler does.
//! In a `Router` the layer that is added last is the outermost: [`SessionLayer`] comes after all that use the
//! session. (In a `tower::ServiceBuilder` the order is the other way round.)
//!
//! ```
//! use axum::{Router, extract::Request, http::StatusCode, middleware::{Next, from_fn}, response::Response};
//! use session_axum::{Session, SessionLayer};
//!
//! async fn only_members(session: Session, request: Request, next: Next) -> Result<Response, StatusCode> {
//!     match session.user().is_some() {
//!         true => Ok(next.run(request).await),
//!         false => Err(StatusCode::UNAUTHORIZED),
//!     }
//! }
//!
//! fn app(routes: Router, sessions: SessionLayer) -> Router {
//!     routes.layer(from_fn(only_members)).layer(sessions)
//! }
//! ```
//!
//! A `tower` service with a request in hand writes `request.extract_parts::<Session>().await`, with
//! `axum::RequestExt` in scope.
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
//! At shutdown, when the server has stopped, [`SessionLayer::manager`] gives what waits for them:
//! [`drain`](session_core::SessionManager::drain).
//!
//! # Where an error takes the cookie with it
//!
//! axum's handlers can't fail, only answer. A `tower` service inside the layer can: what it wanted of the
//! session is committed, but its `Err` has no headers that could carry the cookie.

mod csrf;
mod error;
mod extract;
mod future;
mod layer;
mod path;

pub use csrf::{CsrfLayer, CsrfService};
pub use error::Error;
pub use extract::{CsrfToken, Fresh, Peek, Session, Typed, User};
pub use future::ResponseFuture;
pub use layer::{SessionLayer, SessionService};
/// The core, whose names are here too.
pub use session_core;
#[doc(inline)]
pub use session_core::*;
