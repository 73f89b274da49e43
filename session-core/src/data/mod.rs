//! A session's data: encoded, with a request's changes laid over it, and the log of what the request did.

mod encoded;
mod json;
mod key;
mod log;
mod view;
#[cfg(test)]
mod work;

pub use encoded::SessionData;
pub use json::ParseDataError;

#[cfg(test)]
pub(crate) use encoded::Piece;
pub(crate) use encoded::ValueRef;
pub(crate) use key::EscapedKey;
pub(crate) use log::{Op, OpLog, Recast, Recompute};
pub(crate) use view::{Encoded, View};
