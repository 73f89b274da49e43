//! What a store keeps under a key, and how long it counts.

use std::sync::Arc;
use std::time::Duration;

use crate::data::SessionData;
use crate::id::{SessionRef, StoreKey, UserKey, Version};
use crate::time::Timestamp;

/// What a store keeps under a key. Cloning it shares the data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// A token that is new with every write. A store keeps it as it is given and compares it; it never
    /// makes one.
    pub version: Version,
    /// From this time on the record is missing, whether or not it has been swept.
    pub expires_at: Timestamp,
    /// Whether the session is alive.
    pub state: RecordState,
}

/// Whether the session under a key is alive, and what is left of it if it isn't.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RecordState {
    /// The session is alive.
    Live(LiveRecord),
    /// The id was rotated: the session lives on under another key.
    Superseded {
        /// The key that the session moved to.
        successor: StoreKey,
        /// When it moved.
        at: Timestamp,
    },
    /// The session was ended.
    Ended {
        /// When it ended.
        at: Timestamp,
    },
}

/// A live session.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LiveRecord {
    /// What the application stored.
    pub data: SessionData,
    /// When the session began. Survives rotation; the absolute timeout counts from here.
    pub created_at: Timestamp,
    /// The last activity that was written down. The idle timeout counts from here.
    pub last_active_at: Timestamp,
    /// The public handle. Survives rotation.
    pub handle: SessionRef,
    /// A lifetime of the session's own, in place of the configured one.
    pub lifetime: Option<Lifetime>,
    /// Whose session it is. Shared, so that records are small: most of what a load does is to hand one on.
    pub user: Option<Arc<UserBinding>>,
}

/// How long a session lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lifetime {
    /// How long it lives without activity.
    pub idle: Duration,
    /// How long it lives at most, however active it is.
    pub absolute: Duration,
}

/// The user that a session belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct UserBinding {
    /// The application's name for the user.
    pub name: Arc<str>,
    /// When the user proved who they are.
    pub authenticated_at: Timestamp,
    /// What the application said about the session at login, for lists.
    pub label: Option<Arc<str>>,
}

impl UserBinding {
    /// The user with this name, who proved it at that time.
    pub fn new(name: impl Into<Arc<str>>, authenticated_at: Timestamp) -> Self {
        Self {
            name: name.into(),
            authenticated_at,
            label: None,
        }
    }

    pub(crate) fn key(&self) -> UserKey {
        UserKey::of(&self.name)
    }
}

impl Record {
    /// The live session, unless the record is a tombstone.
    pub fn live(&self) -> Option<&LiveRecord> {
        match &self.state {
            RecordState::Live(live) => Some(live),
            RecordState::Superseded { .. } | RecordState::Ended { .. } => None,
        }
    }

    /// Whether the record is missing at `now`: at the very moment of expiry it already is.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }
}

impl LiveRecord {
    /// A session that begins at `created_at`, with no user and no lifetime of its own.
    pub fn new(data: SessionData, created_at: Timestamp, handle: SessionRef) -> Self {
        Self {
            data,
            created_at,
            last_active_at: created_at,
            handle,
            lifetime: None,
            user: None,
        }
    }
}

impl Lifetime {
    /// The earlier of the idle and the absolute timeout.
    pub(crate) fn expires_at(self, live: &LiveRecord) -> Timestamp {
        let Self { idle, absolute } = live.lifetime.unwrap_or(self);
        live.last_active_at
            .saturating_add(idle)
            .min(live.created_at.saturating_add(absolute))
    }
}
