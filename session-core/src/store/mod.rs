//! What stores keep, and the contract between them and the core.

mod contract;
mod encoding;
mod error;
mod index;
mod record;
mod sweeper;

pub use async_trait::async_trait;

pub use crate::data::{ParseDataError, SessionData};
pub use crate::id::{SessionRef, StoreKey, UserKey, Version};
pub use crate::time::Timestamp;
pub use contract::{Expect, Replacing, SaveOptions, SaveOutcome, SessionStore, Touch};
pub use encoding::DecodeError;
pub use error::{StoreError, StoreErrorKind};
pub use index::{AddOutcome, IndexEntry, Sample, UserIndex};
pub use record::{
    EndedBy, FormerSession, Lifetime, LiveRecord, MAX_RESERVED_LEN, MoveCause, Record, RecordFlags,
    RecordState, SessionUser,
};
pub use sweeper::Sweeper;
