//! For those who write an adapter for a framework.
//!
//! An adapter does four things:
//!
//! 1. Its middleware [enters](crate::SessionManager::enter) the request, keeps the [`RequestSessions`] in the
//!    request's extensions, and [runs](SessionHandle::run) the rest of the request under their handle.
//! 2. Its extractor finds the handle there, and [loads](SessionHandle::load) the session from the request's headers
//!    ([`RequestHeaders`]).
//! 3. Its error is the framework's answer to an [`Error`](crate::Error).
//! 4. It puts the [`Finished`] session's headers on the response ([`ResponseHeaders`]), or answers with the error that
//!    takes the response's place.
//!
//! Everything else happens here. The suite in `session-conformance` tests an adapter over HTTP.
//!
//! ```
//! use session_core::adapter::{ResponseHeaders, SessionHandle};
//! use session_core::{Main, Session, SessionConfig, SessionManager};
//! # use session_core::store::{Record, SaveOptions, SaveOutcome, SessionStore, StoreError, StoreKey, async_trait};
//! # use session_core::Timestamp;
//! # struct Store;
//! # #[async_trait]
//! # impl SessionStore for Store {
//! #     async fn load(&self, _: &StoreKey, _: Timestamp) -> Result<Option<Record>, StoreError> { Ok(None) }
//! #     async fn save(&self, _: &StoreKey, _: Record, _: SaveOptions)
//! #         -> Result<SaveOutcome, StoreError> { Ok(SaveOutcome::Saved) }
//! #     async fn delete(&self, _: &StoreKey) -> Result<(), StoreError> { Ok(()) }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let secret = "an example secret of at least 32 bytes";
//! # let store = Store;
//! let manager = SessionManager::new(SessionConfig::builder(secret).build()?, store);
//!
//! // For each request; `sessions` is what lies in its extensions, for the extractor.
//! let Some(sessions) = manager.enter::<Main>(None, "/path")? else {
//!     return Ok(()); // an excluded path: pass the request on as it is
//! };
//! let request_headers = http::HeaderMap::new();
//! let handler = async {
//!     let handle: &SessionHandle = sessions.find::<Main>().expect("it has just been entered");
//!     let session: Session = handle.load(&request_headers).await?;
//!     session.set("theme", "dark")
//! };
//! let (result, finished) = sessions.handle().run(handler).await;
//! let mut response_headers = http::HeaderMap::new();
//! finished.apply(&mut response_headers);
//! assert!(result.is_ok() && finished.error().is_none());
//! assert!(response_headers.contains_key("set-cookie"));
//! # Ok(())
//! # }
//! ```
//!
//! # The types of an adapter's own
//!
//! A framework's traits can be implemented for an adapter's own types only, so that it has an error of its own, which
//! makes `?` work in handlers, and a session of its own, which is the extractor. [`error_newtype!`] and
//! [`session_newtype!`] define them, and [`Middleware`] is what the middleware consists of:
//!
//! ```
//! session_core::adapter::error_newtype! {
//!     /// What handlers return.
//!     Error
//! }
//! session_core::adapter::session_newtype! {
//!     /// The request's session.
//!     Session, Error
//! }
//!
//! fn handler(session: Session) -> Result<u32, Error> {
//!     Ok(session.get_or("visits", 0)?)
//! }
//! ```

mod csrf;
mod middleware;
mod newtypes;

pub use crate::newtype_of_csrf_token as csrf_token_newtype;
pub use crate::newtype_of_error as error_newtype;
pub use crate::newtype_of_session as session_newtype;
pub use crate::newtype_of_typed as typed_newtype;
pub use crate::newtype_of_user as user_newtype;
pub use crate::request::{Finished, Load, RequestSessions, Run, SessionHandle};
pub use crate::transport::{
    CookieHeaders, RequestHeader, RequestHeaders, ResponseHeader, ResponseHeaders,
};
pub use csrf::{CsrfMiddleware, CsrfStep, MAX_CSRF_FORM_LEN};
pub use middleware::{Middleware, Responder};
