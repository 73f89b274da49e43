//! What the oracle knows about one request.

use session_core::Timestamp;
use session_core::store::{Record, RecordState, StoreKey};

use crate::simulation::requests::{Answer, Kind};
use crate::simulation::schedule::GRACE;

/// One request, from its start to its answer.
pub(super) struct RequestLog {
    pub(super) kind: Kind,
    /// The cookie that it came with.
    pub(super) cookie: Option<String>,
    /// The key of the id in that cookie: the first key that the request loaded.
    pub(super) key: Option<StoreKey>,
    /// The record that it found, alive or dead.
    pub(super) loaded: Option<Record>,
    pub(super) loaded_at: Timestamp,
    /// The keys under which it created a record, for a new session or for a rotation.
    pub(super) created: Vec<StoreKey>,
    /// When the session began that it started.
    pub(super) began_at: Option<Timestamp>,
    /// It wrote down activity of the session that it came with, by a save or by a touch.
    pub(super) extended: bool,
    /// How many of its commits took effect.
    pub(super) commits: usize,
    /// It made a session move to a new id.
    pub(super) rotated: bool,
    /// The server reported its changes as dropped.
    pub(super) dropped: bool,
    /// A request whose server crashed never has one.
    pub(super) answer: Option<Answer>,
    pub(super) answered_at: Timestamp,
}

impl RequestLog {
    pub(super) fn new(kind: Kind, cookie: Option<String>) -> Self {
        Self {
            kind,
            cookie,
            key: None,
            loaded: None,
            loaded_at: Timestamp::default(),
            created: Vec::new(),
            began_at: None,
            extended: false,
            commits: 0,
            rotated: false,
            dropped: false,
            answer: None,
            answered_at: Timestamp::default(),
        }
    }

    /// Whether the server gave an answer, and the answer wasn't an error.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.answer.as_ref().is_some_and(|answer| answer.ok)
    }

    /// Whether the request came with the id of a session that had been rotated or ended, and came within the
    /// grace time after that.
    pub(super) fn is_late(&self) -> bool {
        let state = self.loaded.as_ref().map(|record| &record.state);
        match state {
            Some(RecordState::Superseded { at, .. } | RecordState::Ended { at, .. }) => {
                self.loaded_at < at.saturating_add(GRACE)
            }
            _ => false,
        }
    }

    /// Whether the request found no session to use. Several first visits at once get a session each, as the
    /// documentation says, and so take each other's cookie away.
    pub(super) fn is_first_visit(&self) -> bool {
        let found = self.loaded.as_ref();
        let found_live =
            found.is_some_and(|record| record.live().is_some() && !self.outlasted(record));
        !found_live && !self.is_late()
    }

    /// Whether `record` had expired when the request began a session of its own in place of it.
    fn outlasted(&self, record: &Record) -> bool {
        self.began_at.is_some_and(|now| record.is_expired(now))
    }
}
