//! How a commit ended.

use std::sync::Arc;

use super::found::{Found, LiveSession};
use crate::events::{Done, DropReason};
use crate::id::StoreKey;
use crate::store::Record;

/// How a commit ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What the session is from now on.
    pub(crate) found: Found,
    pub(crate) client: ClientChange,
    pub(crate) done: Done,
    pub(crate) dropped: Option<DropReason>,
}

/// What a commit does to the id that the client holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ClientChange {
    Keep,
    /// Send the session's id, to be kept until the session expires.
    Send,
    Remove,
}

impl Outcome {
    pub(super) fn unchanged(found: Found) -> Self {
        Self {
            found,
            client: ClientChange::Keep,
            done: Done::Nothing,
            dropped: None,
        }
    }

    /// The session is stored like this.
    pub(super) fn stored(session: Arc<LiveSession>, client: ClientChange, done: Done) -> Self {
        Self {
            found: Found::Live(session),
            client,
            done,
            dropped: None,
        }
    }

    /// The session that came along is over. Only the request that ended it takes the client's id away: another request's
    /// response may have given it a new one meanwhile.
    pub(super) fn ended(has_ended: bool) -> Self {
        let (client, done) = match has_ended {
            true => (ClientChange::Remove, Done::Ended),
            false => (ClientChange::Keep, Done::Nothing),
        };
        Self {
            found: Found::Nothing,
            client,
            done,
            dropped: None,
        }
    }

    /// The session was ended or rotated, or it expired, while this request was under way. What the request
    /// wanted is dropped, and so is whatever it may still want: it must not start another session in place of
    /// the one that somebody ended or rotated.
    pub(super) fn lost(key: StoreKey, record: Option<Record>) -> Self {
        Self {
            dropped: Some(DropReason::LostRace),
            ..Self::gone(key, record)
        }
    }

    /// The session was ended or rotated, or it expired, while this request was under way. The request wanted
    /// nothing of it.
    pub(super) fn gone(key: StoreKey, record: Option<Record>) -> Self {
        Self {
            done: Done::FoundGone,
            ..Self::unchanged(Found::over(key, record))
        }
    }
}
