//! What must hold whenever a store call has taken effect, whatever its purpose.
//!
//! Each function compares the call with the model first, and then brings the model up to date.

use session_core::Timestamp;
use session_core::store::{
    Expect, Lifetime, LiveRecord, Record, RecordState, SaveOutcome, StoreKey, Touch,
};

use super::Oracle;
use super::logins::user_of;
use super::promise::Promise;
use super::request::Sighting;

impl Oracle {
    pub(super) fn loaded(
        &mut self,
        request: usize,
        key: StoreKey,
        now: Timestamp,
        found: Option<&Record>,
        at: Timestamp,
    ) {
        if self.unexpired(key, now) != found {
            self.report(
                Promise::StoreIsTruthful,
                format!("a load of {key} isn't what was saved"),
            );
        }
        let log = &mut self.requests[request];
        // A commit loads too, for instance after an error. What it finds isn't what the request came with.
        let is_new = log.found.iter().all(|found| found.key != key);
        if !log.is_opened && is_new {
            let record = found.cloned();
            log.found.push(Sighting { key, record, at });
        }
    }

    pub(super) fn saved(&mut self, request: usize, key: StoreKey, record: &Record, expect: Expect) {
        match (&record.state, expect) {
            (RecordState::Live(live), Expect::Absent) => {
                self.created(request, key, live, record.expires_at);
            }
            (RecordState::Live(live), Expect::Version(_)) => self.updated(request, key, live),
            (RecordState::Superseded { successor, .. }, _) => {
                self.superseded(request, key, *successor);
            }
            (RecordState::Ended { by, .. }, _) => {
                self.dead.entry(key).or_insert("ended");
                self.ended(request, key, *by);
            }
            _ => {}
        }
        self.written(key, record.clone());
    }

    pub(super) fn touched(&mut self, request: usize, key: StoreKey, touch: Touch, now: Timestamp) {
        let expect = Expect::Version(touch.expected);
        self.check_outcome(key, expect, now, &SaveOutcome::Saved);
        let record = self.records.get(&key).cloned();
        let Some(Ok(touched)) = record.map(|record| touch.apply(record)) else {
            return self.report(
                Promise::WritesFindTheirSession,
                format!("a touch landed on {key}, where no such record lives"),
            );
        };
        self.written(key, touched);
        self.requests[request].extended = true;
    }

    pub(super) fn deleted(&mut self, request: usize, key: StoreKey) {
        self.records.remove(&key);
        self.forget_beginning(request, key);
        self.dead.entry(key).or_insert("taken back");
    }

    /// Checks that the store's answer to a conditional write follows from what lies under the key.
    pub(super) fn check_outcome(
        &mut self,
        key: StoreKey,
        expect: Expect,
        now: Timestamp,
        outcome: &SaveOutcome,
    ) {
        let expected = expect.check(self.unexpired(key, now));
        // What a conflict carries may be left out.
        let alike = matches!(
            (&expected, outcome),
            (SaveOutcome::Saved, SaveOutcome::Saved)
                | (SaveOutcome::Missing, SaveOutcome::Missing)
                | (SaveOutcome::Conflict(_), SaveOutcome::Conflict(_))
        );
        if !alike {
            self.report(
                Promise::StoreIsTruthful,
                format!("a write of {key} was answered {outcome:?}, not {expected:?}"),
            );
        }
    }

    /// What holds for every write, whatever its purpose.
    fn written(&mut self, key: StoreKey, record: Record) {
        if !self.versions.insert(record.version) {
            self.report(
                Promise::VersionsAreUnique,
                format!("a version was used twice, now for {key}"),
            );
        }
        if let Some(live) = record.live() {
            self.check_life(key, record.expires_at, live);
            self.users.insert(key, user_of(live));
        }
        self.records.insert(key, record);
        self.check_listed(key);
    }

    /// What holds for every write that leaves a session alive until `expires_at`.
    fn check_life(&mut self, key: StoreKey, expires_at: Timestamp, live: &LiveRecord) {
        if let Some(why) = self.dead.get(&key) {
            self.report(
                Promise::TheDeadStayDead,
                format!("{key} lives again; it was {why}"),
            );
        }
        let absolute = live
            .lifetime
            .map_or(self.terms.absolute, Lifetime::absolute);
        if expires_at > live.absolute_from.saturating_add(absolute) {
            self.report(
                Promise::AbsoluteTimeoutHolds,
                format!("{key} outlives the absolute timeout"),
            );
        }
        // A rotation may bring its new record up to date with a clock that has been set back; nobody knows it yet.
        let session = self.sessions.get(&live.reference);
        let is_known = session.is_some_and(|session| session.key == key);
        let before = self.records.get(&key);
        let shortens = before.is_some_and(|before| {
            let is_same = before
                .live()
                .is_some_and(|old| old.reference == live.reference);
            is_same && is_known && expires_at < before.expires_at
        });
        if shortens {
            self.report(
                Promise::NoLifeIsShortened,
                format!("a write shortened the life of {key}"),
            );
        }
    }
}
