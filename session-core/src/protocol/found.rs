//! What a request's id leads to.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Policy;
use crate::data::SessionData;
use crate::id::{SessionId, SessionRef, StoreKey, UserKey, Version};
use crate::store::{IndexEntry, LiveRecord, Record, RecordState, SessionUser, Timestamp};

/// What a request's id leads to. Shared, so that it is passed on and kept without copying what it is.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// No session: no id, or an id under which nothing lives.
    Nothing,
    Live(Arc<LiveSession>),
    /// Several live sessions came with one request. None is used.
    SeveralLive(Vec<Arc<LiveSession>>),
    /// A session that was rotated, has ended or has expired.
    Gone(Arc<GoneSession>),
}

/// A live session and the id it lives under.
#[derive(Clone, Debug)]
pub(crate) struct LiveSession {
    pub(crate) id: SessionId,
    pub(crate) stored: StoredSession,
}

/// A live session as it lies in the store.
#[derive(Clone, Debug)]
pub(crate) struct StoredSession {
    pub(crate) key: StoreKey,
    pub(crate) version: Version,
    pub(crate) expires_at: Timestamp,
    pub(crate) record: LiveRecord,
}

/// What is left of a session under an id that was rotated away or ended, or under which it has just expired.
#[derive(Clone, Debug)]
pub(crate) struct GoneSession {
    pub(crate) key: StoreKey,
    /// What lies there, if it has been seen.
    pub(crate) record: Option<Record>,
    /// The request is a straggler: its own browser rotated or ended the session so recently that the request may have
    /// been under way. It isn't a visitor without a session, and must not get a new one.
    pub(crate) is_straggler: bool,
}

impl Found {
    /// The data that is stored.
    pub(crate) fn data(&self) -> SessionData {
        match self {
            Self::Live(live) => live.record.data.clone(),
            Self::Nothing | Self::SeveralLive(_) | Self::Gone(_) => SessionData::empty(),
        }
    }

    /// A session that is found to be over while a request uses it, with what lies there, if it has been seen.
    pub(crate) fn over(key: StoreKey, record: Option<Record>) -> Self {
        Self::Gone(Arc::new(GoneSession {
            key,
            record,
            is_straggler: true,
        }))
    }

    /// The public reference of the session.
    pub(crate) fn reference(&self) -> Option<SessionRef> {
        match self {
            Self::Live(live) => Some(live.record.reference),
            Self::Nothing | Self::SeveralLive(_) | Self::Gone(_) => None,
        }
    }
}

impl Deref for LiveSession {
    type Target = StoredSession;

    fn deref(&self) -> &StoredSession {
        &self.stored
    }
}

impl StoredSession {
    /// The live session in `record`; otherwise the record.
    pub(super) fn of(key: StoreKey, record: Record) -> Result<Self, Box<Record>> {
        match record {
            Record {
                version,
                expires_at,
                state: RecordState::Live(live),
            } => Ok(Self {
                key,
                version,
                expires_at,
                record: live,
            }),
            record => Err(Box::new(record)),
        }
    }

    /// This session with a record that is to be written in place of its own.
    pub(super) fn rewritten(&self, version: Version, record: LiveRecord, policy: &Policy) -> Self {
        Self {
            key: self.key,
            version,
            expires_at: record.ends_at(policy.lifetime),
            record,
        }
    }

    /// The user in whose index the session has to be, if there are indexes.
    pub(super) fn listed_user(&self, has_index: bool, policy: &Policy) -> Option<UserKey> {
        let user = self.user()?;
        has_index.then(|| user.key(&policy.kind))
    }

    /// Its entry in that index. The session doesn't outlive its absolute end, and neither does the entry.
    pub(super) fn entry(&self, now: Timestamp) -> IndexEntry {
        let LiveRecord {
            reference,
            absolute_end,
            ..
        } = self.record;
        IndexEntry::new(self.key, reference, now, absolute_end)
    }

    /// Whether a request that changes nothing has something to write all the same: activity, or an id that is to be
    /// signed anew. Both need a response that can still carry the id, because the client's copy and the record have to
    /// get the same lifetime.
    pub(crate) fn is_touch_due(
        &self,
        sign_anew: bool,
        can_send_id: bool,
        now: Timestamp,
        policy: &Policy,
    ) -> bool {
        can_send_id && (sign_anew || self.inactivity(now) >= policy.touch_interval)
    }

    /// Whether less than half of the idle lifetime is left, so that a handler that takes its time could outlast the
    /// session unless its activity is noted at once.
    pub(crate) fn is_note_urgent(&self, now: Timestamp, policy: &Policy) -> bool {
        let idle = self.record.lifetime.unwrap_or(policy.lifetime).idle();
        let inactivity = self.inactivity(now);
        inactivity > idle / 2 && inactivity >= policy.touch_interval
    }

    fn inactivity(&self, now: Timestamp) -> Duration {
        now.saturating_since(self.record.last_active_at)
    }

    /// Notes that the session is used now. The expiry follows, and never moves backwards.
    pub(super) fn note_activity(&mut self, now: Timestamp, policy: &Policy) {
        self.record.last_active_at = self.record.last_active_at.max(now);
        self.expires_at = self.record.ends_at(policy.lifetime);
    }

    /// The record as it lies in the store.
    pub(super) fn to_record(&self) -> Record {
        let state = RecordState::Live(self.record.clone());
        Record::new(self.version, self.expires_at, state)
    }

    /// Its user.
    pub(crate) fn user(&self) -> Option<&SessionUser> {
        self.record.user.as_deref()
    }
}
