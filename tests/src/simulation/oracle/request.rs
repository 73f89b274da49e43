//! What the oracle knows about one request.

use session_core::store::{EndedBy, IndexEntry, LiveRecord, Record, RecordState, StoreKey};
use session_core::{SessionRef, Timestamp};

use crate::simulation::kinds::{Answer, Ending, Kind};
use crate::simulation::mix::Terms;

/// What a request found under the id in one of its cookies.
pub(super) struct Sighting {
    pub(super) key: StoreKey,
    pub(super) record: Option<Record>,
    pub(super) at: Timestamp,
}

/// One request, from its start to its answer.
pub(super) struct RequestLog {
    pub(super) kind: Kind,
    /// Who waits for the response.
    pub(super) visitor: Option<usize>,
    /// Which kind of sessions the request is about.
    pub(super) session_kind: usize,
    /// The cookies that it came with.
    pub(super) cookies: Vec<String>,
    /// What it found under their ids.
    pub(super) found: Vec<Sighting>,
    /// The server has looked at the cookies, and the handler has the session.
    pub(super) is_opened: bool,
    /// The key of the session that the request was about.
    pub(super) key: Option<StoreKey>,
    /// The record that it found there, alive or dead.
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
    /// It put a tombstone over a session that it came with.
    pub(super) ended_own: bool,
    /// Which sessions it is to end or to list, and which of those lived when it asked.
    pub(super) ending: Option<Ending>,
    pub(super) meant: Vec<Meant>,
    /// Its login found the user's places taken, some of them by what was certainly dead.
    pub(super) dead_when_full: Option<Vec<IndexEntry>>,
    /// Somebody ended the session before its record was there.
    pub(super) was_ended_unborn: bool,
    /// It met a record that can't be read.
    pub(super) met_unreadable: bool,
    /// One such record was that of its own session.
    pub(super) met_own_unreadable: bool,
    /// One of its store calls went wrong.
    pub(super) had_fault: bool,
    /// The server reported its changes as dropped.
    pub(super) dropped: bool,
    /// A request whose server crashed never has one.
    pub(super) answer: Option<Answer>,
    pub(super) answered_at: Timestamp,
}

impl RequestLog {
    pub(super) fn new(
        visitor: Option<usize>,
        session_kind: usize,
        kind: Kind,
        cookies: Vec<String>,
    ) -> Self {
        Self {
            kind,
            visitor,
            session_kind,
            cookies,
            found: Vec::new(),
            is_opened: false,
            key: None,
            loaded: None,
            loaded_at: Timestamp::default(),
            created: Vec::new(),
            began_at: None,
            extended: false,
            commits: 0,
            rotated: false,
            ended_own: false,
            ending: None,
            meant: Vec::new(),
            dead_when_full: None,
            was_ended_unborn: false,
            met_unreadable: false,
            met_own_unreadable: false,
            had_fault: false,
            dropped: false,
            answer: None,
            answered_at: Timestamp::default(),
        }
    }

    /// Decides which of the sessions that were found the request is about: the one that lives; none if several do;
    /// otherwise one that died a moment ago, or else the last one.
    pub(super) fn open(&mut self, terms: Terms) {
        self.is_opened = true;
        let lives = |found: &&Sighting| {
            let record = found.record.as_ref();
            record.is_some_and(|record| record.live().is_some())
        };
        let mut live = self.found.iter().filter(lives);
        let chosen = match (live.next(), live.next()) {
            (Some(_), Some(_)) => None,
            (Some(only), None) => Some(only),
            (None, _) => {
                let late = |found: &&Sighting| is_late(found.record.as_ref(), found.at, terms);
                let known = |found: &&Sighting| found.record.is_some();
                self.found
                    .iter()
                    .find(late)
                    .or_else(|| self.found.iter().rfind(known))
            }
        };
        if let Some(Sighting { key, record, at }) = chosen {
            (self.key, self.loaded, self.loaded_at) = (Some(*key), record.clone(), *at);
        }
    }

    /// Whether the server gave an answer, and the answer wasn't an error.
    pub(super) fn is_acknowledged(&self) -> bool {
        self.answer.as_ref().is_some_and(Answer::is_ok)
    }

    /// Whether the request came with the id of a session that had been rotated, or ended by a request of its own
    /// browser, and came within the grace time after that.
    pub(super) fn is_late(&self, terms: Terms) -> bool {
        is_late(self.loaded.as_ref(), self.loaded_at, terms)
    }

    /// Whether the request came with the id of a session that somebody else had ended.
    pub(super) fn was_ended_elsewhere(&self) -> bool {
        let state = self.loaded.as_ref().map(|record| &record.state);
        matches!(state, Some(RecordState::Ended { by, .. }) if *by != EndedBy::OwnRequest)
    }

    /// Whether the request found no session to use. Several first visits at once get a session each, as the
    /// documentation says, and so take each other's cookie away.
    pub(super) fn is_first_visit(&self, terms: Terms) -> bool {
        let found = self.loaded.as_ref();
        let found_live = found.is_some_and(|record| {
            // By a clock that was set back since, a session can be dated too far ahead.
            let is_in_time = |live: &LiveRecord| {
                live.last_active_at <= self.loaded_at.saturating_add(terms.tolerance)
            };
            record.live().is_some_and(is_in_time) && !self.outlasted(record)
        });
        !found_live && !self.is_late(terms)
    }

    /// Whether `record` had expired, by the server's clock, when the request began a session of its own in place of
    /// it. That clock may have been set back between the load and the beginning.
    fn outlasted(&self, record: &Record) -> bool {
        let expired = |now| record.is_expired(now) || record.is_expired(self.loaded_at);
        self.began_at.is_some_and(expired)
    }
}

/// Whether what was found under an id at that time makes the request one that came too late.
pub(super) fn is_late(found: Option<&Record>, at: Timestamp, terms: Terms) -> bool {
    let died_at = match found.map(|record| &record.state) {
        Some(RecordState::Superseded { at, .. }) => *at,
        Some(RecordState::Ended {
            at,
            by: EndedBy::OwnRequest,
            ..
        }) => *at,
        _ => return false,
    };
    at < died_at.saturating_add(terms.grace)
}

/// A session that lived when a request asked for a user's sessions, and is among those that it is about.
#[derive(Clone, Copy)]
pub(super) struct Meant {
    pub(super) reference: SessionRef,
    pub(super) key: StoreKey,
    /// When it was to expire.
    pub(super) expires_at: Timestamp,
}
