//! The framework-agnostic core of a server-side HTTP session library.
//!
//! Applications use an adapter, such as `session-axum`, which brings this crate along. What they need is here, at the
//! root. What others need has a module of its own:
//!
//! - [`store`]: a store implements [`store::SessionStore`], whose documentation is the contract and has a complete
//!   example.
//! - [`adapter`]: an adapter for a framework.
//!
//! Code that works with the session of any adapter is generic in the error that its methods return; the adapters'
//! sessions deref to what it takes:
//!
//! ```
//! use session_core::{Error, Key, Session};
//!
//! const CART: Key<Vec<u32>> = Key::new("cart");
//!
//! fn add_to_cart<E: From<Error>>(session: &Session<E>, article: u32) -> Result<usize, E> {
//!     let cart = session.update(CART, move |cart| {
//!         let mut cart = cart.unwrap_or_default();
//!         cart.push(article);
//!         cart
//!     })?;
//!     Ok(cart.len())
//! }
//! ```
//!
//! What those who watch are told are `tracing` events under the target `session`. What a client can cause as often as it
//! likes is told once a second at most, for each kind and manager; the next such event says in its field `suppressed`
//! how many were left out.
//!
//! What this crate does not do: it parses no HTTP, knows no framework and keeps no session. It spawns a task only where
//! a request is dropped while its session is being committed, so that the commit comes to its end.

pub mod adapter;
mod config;
mod data;
mod error;
mod events;
mod id;
mod manager;
mod protocol;
mod random;
mod request;
mod session;
mod spawn;
pub mod store;
mod time;
mod transport;

pub use config::{
    CsrfConfig, CsrfConfigBuilder, DEFAULT_ABSOLUTE_TIMEOUT, DEFAULT_CLOCK_TOLERANCE,
    DEFAULT_GRACE, DEFAULT_MAX_AGE, DEFAULT_MAX_SESSIONS_PER_USER, DEFAULT_PAYLOAD_LIMIT,
    DEFAULT_REMEMBER_ABSOLUTE_TIMEOUT, DEFAULT_REMEMBER_MAX_AGE, DEFAULT_STORE_TIMEOUT,
    MAX_PAYLOAD_LIMIT, SessionConfig, SessionConfigBuilder, WhenFull,
};
pub use error::{ConfigError, Error, ErrorKind};
pub use events::{DropReason, DroppedChanges};
pub use id::{ParseRefError, SessionRef};
pub use manager::{SessionManager, SessionManagerBuilder};
pub use protocol::SessionInfo;
pub use random::{OsRandom, Random, RandomError};
pub use request::{CommitStatus, Main, Refreshed};
pub use session::{
    CsrfToken, Draft, Flash, FlashLevel, Key, KeyName, Login, MAX_FLASH_LEN, MAX_LABEL_LEN,
    MAX_USER_NAME_LEN, Place, Session, SessionKey, Typed, TypedData, WriteKey,
};
pub use spawn::{Spawner, Task, TokioSpawner};
pub use store::{SessionUser, Sweeper};
pub use time::{Clock, SystemClock, Timestamp};
pub use transport::{MIN_SECRET_LEN, SameSite, Secret};
