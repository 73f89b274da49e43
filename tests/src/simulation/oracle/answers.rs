//! What must hold when a request has been answered, and when its response reaches the visitor.

use session_core::store::{RecordState, StoreKey};
use session_core::{ErrorKind, SessionRef, Timestamp};

use super::Oracle;
use super::promise::Promise;
use super::request::{RequestLog, Sighting, is_late};
use crate::simulation::kinds::Answer;

impl Oracle {
    pub(super) fn check_answer(&mut self, request: usize, answer: &Answer) {
        self.check_failure(request, answer);
        self.check_cookie(request, answer);
        self.check_effect(request, answer);
    }

    fn check_failure(&mut self, request: usize, answer: &Answer) {
        let Some(error) = answer.error else { return };
        if answer.set_cookie.is_some() && !answer.is_the_handlers {
            self.report(
                Promise::FailuresSendNoCookie,
                format!("#{request} failed and sent a cookie"),
            );
        }
        if !self.faults_happened && !self.has_cause(request, error) {
            self.report(
                Promise::FailuresHaveACause,
                format!("#{request} failed, though nothing had gone wrong"),
            );
        }
    }

    /// Whether the request may fail though no fault has happened.
    fn has_cause(&mut self, request: usize, error: ErrorKind) -> bool {
        if error == ErrorKind::TooManySessions {
            self.check_refusal(request);
            return true;
        }
        let log = &self.requests[request];
        let mut created = log.created.iter().filter_map(|key| self.records.get(key));
        let was_ended = created.any(|record| matches!(record.state, RecordState::Ended { .. }));
        let was_ended = was_ended || log.was_ended_unborn;
        let is_others = log.met_unreadable && !log.met_own_unreadable && !was_ended;
        let met_unreadable = log.met_unreadable;
        if is_others && log.kind.login().is_some() && log.dead_when_full.is_some() {
            self.report(
                Promise::BadRecordsShieldNobody,
                format!("login #{request} failed for somebody else's unreadable record"),
            );
        }
        met_unreadable || was_ended
    }

    fn check_cookie(&mut self, request: usize, answer: &Answer) {
        let log = &self.requests[request];
        let rotated = log.rotated;
        match answer.set_cookie.as_deref() {
            Some("") if !log.kind.destroys() => self.report(
                Promise::RemovalsEndTheSession,
                format!("#{request} removed the cookie without having ended the session"),
            ),
            Some("") if !log.ended_own && !log.had_fault => self.report(
                Promise::RemovalsAreEarned,
                format!("#{request} removed the cookie of a session that was dead already"),
            ),
            Some("") => {}
            Some(value) => self.check_sent_id(request, value),
            None if answer.is_ok() && rotated => self.report(
                Promise::RotationsSendTheNewId,
                format!("#{request} rotated and didn't send the new id"),
            ),
            None => {}
        }
    }

    /// Checks that the request may send the id in `value`, and remembers which key belongs to it.
    fn check_sent_id(&mut self, request: usize, value: &str) {
        let log = &self.requests[request];
        if log.cookies.iter().any(|cookie| cookie == value) {
            if !log.extended {
                self.report(
                    Promise::CookiesAreEarned,
                    format!("#{request} sent its cookie again without having extended the session"),
                );
            }
            return;
        }
        // The oracle can't read an id out of a cookie. A new value must be that of the last record that the
        // request created.
        match log.created.last() {
            Some(key) if log.commits > 0 => {
                self.sent.insert(value.to_owned(), *key);
            }
            _ => self.report(
                Promise::CookiesAreEarned,
                format!("#{request} sent an id that isn't its session's"),
            ),
        }
    }

    /// Checks that what the request wrote is there if it was acknowledged, and isn't if it came too late.
    fn check_effect(&mut self, request: usize, answer: &Answer) {
        let log = &self.requests[request];
        let (commits, dropped) = (log.commits, log.dropped);
        let groups = log.kind.groups(request);
        let wanted = groups.iter().filter(|group| !group.is_empty()).count();
        let stored_too_late =
            dropped && log.is_late(self.terms) && commits > 0 && !log.kind.destroys();
        let sends_id = answer
            .set_cookie
            .as_ref()
            .is_some_and(|value| !value.is_empty());
        let is_silent = log.kind.login().is_some() && answer.is_ok() && !sends_id;
        let loses_writes = answer.is_ok() && dropped && wanted > 0 && log.was_ended_elsewhere();
        if is_silent {
            self.report(
                Promise::LoginsSendAnId,
                format!("login #{request} was a success and sent no id"),
            );
        }
        if loses_writes {
            self.report(
                Promise::EndedElsewhereBeginsAnew,
                format!(
                    "#{request} came after its session had been ended elsewhere, and was dropped"
                ),
            );
        }
        if answer.is_ok() && !dropped && commits < wanted {
            self.report(
                Promise::AcknowledgedIsStored,
                format!(
                    "#{request} was acknowledged, and {} commits are missing",
                    wanted - commits
                ),
            );
        }
        if stored_too_late {
            self.report(
                Promise::LateRequestsStoreNothing,
                format!("#{request} came with a dead id and was stored"),
            );
        }
    }

    /// Looks for a session that lives on after a logout. This is checked after every answer, and once more at
    /// the end: nothing may bring the session back later.
    pub(super) fn check_logouts(&mut self) {
        let logs = self.requests.iter().enumerate();
        let mut survivors = logs.filter_map(|(id, log)| Some((id, self.survivor_of(log)?)));
        if let Some((request, key)) = survivors.next() {
            self.report(
                Promise::LogoutsEndTheSession,
                format!("logout #{request} was acknowledged, and the session lives under {key}"),
            );
        }
    }

    /// The key under which a session lives that this request has ended, as far as its visitor knows.
    fn survivor_of(&self, log: &RequestLog) -> Option<StoreKey> {
        if !log.kind.destroys() || !log.is_acknowledged() {
            return None;
        }
        let found = log.found.iter();
        let mut meant = found.filter(|found| {
            let record = found.record.as_ref();
            log.key == Some(found.key) || record.is_some_and(|record| record.live().is_some())
        });
        meant.find_map(|found| self.survivor(found, log.answered_at))
    }

    fn survivor(&self, found: &Sighting, answered_at: Timestamp) -> Option<StoreKey> {
        let loaded = found.record.as_ref()?;
        // A tombstone lasts as long as the record that it replaced would have. A logout that takes longer may find
        // the tombstone gone, and with it the way to the session's new id.
        if loaded.is_expired(answered_at) {
            return None;
        }
        // After the grace time an id that was superseded is a stranger's.
        let is_superseded = matches!(loaded.state, RecordState::Superseded { .. });
        if is_superseded && !is_late(Some(loaded), found.at, self.terms) {
            return None;
        }
        // The tombstone of an ended session names no new id. A logout as slow as that leaves one behind, and then
        // no other can follow the session either.
        if matches!(loaded.state, RecordState::Ended { .. }) {
            return None;
        }
        let (key, record) = self.newest(found.key);
        // Who had the id before its owner logged in doesn't sign the owner out with it.
        if self.users.get(&key) != self.users.get(&found.key) {
            return None;
        }
        self.is_in_use(record?).then_some(key)
    }

    /// Checks the cookie in a response that reaches a visitor, and notes whether the visitor now has the
    /// newest id. `held` is the cookie that the visitor has so far, and `new` the one that replaces it.
    pub(super) fn check_delivery(&mut self, request: usize, held: Option<&str>, new: Option<&str>) {
        let log = &self.requests[request];
        let came_with = |cookie: &str| log.cookies.iter().any(|other| other == cookie);
        // A browser that got a newer cookie while the request was under way must not lose that one.
        let takes_away =
            held.is_some_and(|held| self.is_live(held) && !came_with(held)) && held != new;
        let sends_its_own_again = new.is_some_and(came_with);
        let may_take_away = log.kind.destroys()
            || log.kind.login().is_some()
            || log.rotated
            || log.is_first_visit(self.terms)
            || sends_its_own_again;
        if takes_away && !may_take_away {
            self.report(
                Promise::LiveCookiesStay,
                format!("#{request} took a live cookie away"),
            );
        }
        let Some(new) = new else { return };
        let Some(session) = self.session_of(new) else {
            return;
        };
        if let Some(lineage) = self.sessions.get_mut(&session) {
            // A response that was overtaken by a rotation's brings the old id back to the browser.
            lineage.undelivered = self.sent.get(new) != Some(&lineage.key);
        }
    }

    /// The session that a cookie leads to, as a server would find it: through the tombstones.
    fn session_of(&self, cookie: &str) -> Option<SessionRef> {
        let mut key = *self.sent.get(cookie)?;
        loop {
            match &self.records.get(&key)?.state {
                RecordState::Live(live) => return Some(live.reference),
                RecordState::Superseded { successor, .. } => key = *successor,
                _ => return None,
            }
        }
    }

    /// Whether a live record lies under the id in the cookie itself.
    pub(super) fn is_live(&self, cookie: &str) -> bool {
        let key = self.sent.get(cookie);
        let record = key.and_then(|key| self.records.get(key));
        record.is_some_and(|record| record.live().is_some())
    }
}
