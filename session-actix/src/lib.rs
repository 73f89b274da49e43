//! Server-side sessions for actix-web: [`SessionMiddleware`] around the routes, [`Session`] in the handlers.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use actix_web::{App, HttpServer, web};
//! use session_actix::{Key, Session, SessionConfig, SessionMiddleware};
//! use session_store_memory::MemoryStore;
//!
//! const VISITS: Key<u64> = Key::new("visits");
//!
//! async fn visits(session: Session) -> actix_web::Result<String> {
//!     let n = session.update(VISITS, |n| n.unwrap_or(0) + 1)?;
//!     Ok(format!("visit {n}"))
//! }
//!
//! #[actix_web::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let config = SessionConfig::builder(std::env::var("SESSION_SECRET")?)
//!         .max_age(Duration::from_secs(3600))
//!         .exclude_path("/health")
//!         .build()?;
//!     // Outside the closure, which runs once for each worker: they share the store.
//!     let sessions = SessionMiddleware::new(config, MemoryStore::new());
//!     HttpServer::new(move || App::new().route("/", web::get().to(visits)).wrap(sessions.clone()))
//!         .bind("127.0.0.1:3000")?
//!         .run()
//!         .await?;
//!     Ok(())
//! }
//! ```
//!
//! # In other middleware
//!
//! [`Session`] is an ordinary extractor. A function that is a middleware takes it like a handler does, and
//! others write `request.extract::<Session>().await`. A middleware has to be inside this one, which means
//! that it is wrapped around the routes before it:
//!
//! ```
//! use actix_web::body::MessageBody;
//! use actix_web::dev::{ServiceRequest, ServiceResponse};
//! use actix_web::middleware::{Next, from_fn};
//! use actix_web::{App, Error, error};
//! use session_actix::Session;
//!
//! async fn only_members<B: MessageBody>(
//!     session: Session,
//!     request: ServiceRequest,
//!     next: Next<B>,
//! ) -> Result<ServiceResponse<B>, Error> {
//!     match session.user().is_some() {
//!         true => next.call(request).await,
//!         false => Err(error::ErrorUnauthorized("members only")),
//!     }
//! }
//! # use session_actix::SessionMiddleware;
//! # fn app(sessions: SessionMiddleware) {
//! let app = App::new().wrap(from_fn(only_members)).wrap(sessions);
//! # let _ = app;
//! # }
//! ```
//!
//! Guards can't wait for a session to be loaded: [`SessionMiddleware::load_eagerly`] loads it beforehand, and
//! [`SessionExt`] hands it out.
//!
//! # Errors of middleware
//!
//! When a middleware between this one and the handler fails, what was wanted of the session is committed all
//! the same. The error goes on as it is, and takes the session's headers along. Where the cookie has to go
//! out, because the session was created, rotated or ended, it goes on as an [`InnerError`], which looks the
//! same, so that no way from an error to a response loses the cookie.
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
mod future;
mod headers;
mod middleware;

pub use csrf::{CsrfMiddleware, CsrfService};
pub use error::{Error, InnerError};
pub use extract::{CsrfToken, Extracting, Fresh, Peek, Session, SessionExt, Typed, User};
pub use future::ResponseFuture;
pub use middleware::{SessionMiddleware, SessionService};
/// The core, whose names are here too.
pub use session_core;
#[doc(inline)]
pub use session_core::*;
