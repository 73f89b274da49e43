//! The framework-agnostic core of a server-side HTTP session library.
//!
//! Applications use an adapter, such as `session-axum`, which brings this crate along. Authors of adapters
//! and stores build on it directly:
//!
//! - A **store** implements [`store::SessionStore`], whose documentation is the contract and has a complete
//!   example.
//! - An **adapter** does four things: it keeps a [`SessionHandle`] in the request ([`SessionManager::enter`]),
//!   takes the request's Cookie headers in, offers its framework's extractor around [`SessionHandle::load`],
//!   and puts headers on the response ([`Finished::apply`]). Everything else happens in
//!   [`SessionHandle::run`].
//!
//! ```
//! use session_core::{Main, SessionConfig, SessionManager};
//! # use session_core::store::{Expect, SaveOutcome, SessionStore, StoreError, async_trait};
//! # use session_core::{Error, Record, Session, StoreKey, Timestamp};
//! # struct Store;
//! # #[async_trait]
//! # impl SessionStore for Store {
//! #     async fn load(&self, _: &StoreKey, _: Timestamp) -> Result<Option<Record>, StoreError> { Ok(None) }
//! #     async fn save(&self, _: &StoreKey, _: Record, _: Expect, _: Timestamp)
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
//! let cookie_headers: [&[u8]; 1] = [b"theme=dark"];
//! let handler = async {
//!     let handle = sessions.find::<Main>().expect("it has just been entered");
//!     let session: Session = handle.load(cookie_headers).await?;
//!     session.set("user_id", 123)
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
//! What this crate does not do: it parses no HTTP, knows no framework, spawns no task and keeps no session.

mod codec;
mod config;
mod cookie;
mod data;
mod error;
mod handle;
mod headers;
mod id;
mod index;
mod key;
mod load;
mod login;
mod manager;
mod oplog;
mod plan;
mod random;
mod record;
mod request;
mod run;
mod scan;
mod secret;
mod session;
mod sign;
mod state;
pub mod store;
mod sweeper;
mod time;
mod view;

pub use codec::DecodeError;
pub use config::{
    DEFAULT_ABSOLUTE_TIMEOUT, DEFAULT_GRACE, DEFAULT_MAX_AGE, DEFAULT_PAYLOAD_LIMIT,
    DEFAULT_REMEMBER_MAX_AGE, DEFAULT_STORE_TIMEOUT, DroppedChanges, MAX_PAYLOAD_LIMIT,
    SessionConfig, SessionConfigBuilder,
};
pub use cookie::SameSite;
pub use data::SessionData;
pub use error::{ConfigError, Error, ErrorKind};
pub use handle::{Finished, SessionHandle};
pub use headers::{ResponseHeader, ResponseHeaders};
pub use id::{ParseRefError, SessionRef, StoreKey, UserKey, Version};
pub use key::{Key, SessionKey, WriteKey};
pub use load::Load;
pub use login::{Login, SessionInfo};
pub use manager::SessionManager;
pub use plan::{DropReason, WhenFull};
pub use random::{OsRandom, Random, RandomError};
pub use record::{Lifetime, LiveRecord, Record, RecordState, UserBinding};
pub use request::{Main, RequestSessions};
pub use run::Run;
pub use secret::{MIN_SECRET_LEN, Secret};
pub use session::{CommitStatus, Session};
pub use sweeper::Sweeper;
pub use time::{Clock, SystemClock, Timestamp};
