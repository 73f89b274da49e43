//! What must hold where a user may have a limited number of sessions.

use session_core::Timestamp;
use session_core::store::{IndexEntry, RecordState, UserKey};

use super::Oracle;
use super::promise::Promise;

impl Oracle {
    /// A login found all places taken.
    pub(super) fn was_full(
        &mut self,
        request: usize,
        user: UserKey,
        own: IndexEntry,
        now: Timestamp,
    ) {
        let entries = self.index.values().filter(|(owner, _)| *owner == user);
        let others = entries.filter_map(|(_, entry)| {
            let is_counted = entry.reference != own.reference && now < entry.expires_at;
            is_counted.then_some(*entry)
        });
        let dead = others.filter(|entry| !self.may_live(entry));
        self.requests[request].dead_when_full = Some(dead.collect());
    }

    /// Whether the session of an entry lives, or may turn out to live.
    fn may_live(&self, entry: &IndexEntry) -> bool {
        let margin = self.terms.margin();
        let Some(record) = self.records.get(&entry.key) else {
            // A login may be about to write its record.
            return self.now < entry.added_at.saturating_add(margin);
        };
        match &record.state {
            RecordState::Live(_) => self.now < record.expires_at.saturating_add(margin),
            _ => false,
        }
    }

    /// Whether the login that found all places taken found some of them taken by the dead, which still are.
    pub(super) fn had_room(&self, request: usize) -> bool {
        let log = &self.requests[request];
        let mut dead = log.dead_when_full.iter().flatten();
        // A fault may keep a login from freeing a dead session's place.
        let is_free = dead.any(|entry| {
            // What a rotation that lost has taken back since looks like a login that is about to write its record.
            self.index.contains_key(&entry.key) && !self.may_live(entry)
        });
        is_free && !log.had_fault
    }

    pub(super) fn check_refusal(&mut self, request: usize) {
        if self.had_room(request) {
            self.report(
                Promise::CapsCountTheLiving,
                format!("login #{request} was refused, though a place was a dead session's"),
            );
        }
    }

    /// Checks, after a login, how many sessions its user has.
    pub(super) fn check_cap(&mut self, request: usize) {
        let log = &self.requests[request];
        let (Some(user), Some((max, _)), true) =
            (log.kind.login(), self.terms.cap, log.is_acknowledged())
        else {
            return;
        };
        let kind = log.session_kind;
        let sessions = self.sessions.iter();
        let theirs =
            sessions.filter(|(_, session)| session.user == Some(user) && session.kind == kind);
        let living = theirs.filter(|(reference, session)| {
            let record = self.records.get(&session.key);
            let was_spoiled = self.spoiled.contains(*reference);
            record.is_some_and(|record| self.is_in_use(record)) && !was_spoiled
        });
        let count = living.count();
        // A record that can't be read takes no place. If it goes away at the same moment, one session more remains.
        if count > max + self.unreadable.len() {
            self.report(
                Promise::CapsHold,
                format!("after login #{request} {user:?} has {count} sessions; {max} are allowed"),
            );
        }
    }
}
