//! What must hold when a session is ended, and when a user's sessions have been ended from elsewhere.

use session_core::store::{EndedBy, Record, StoreKey};
use session_core::{SessionRef, Timestamp};

use super::logins::user_of;
use super::promise::Promise;
use super::request::Meant;
use super::{Lineage, Oracle};
use crate::simulation::kinds::{Ending, User};

impl Ending {
    /// Whose sessions are to end.
    fn user(self) -> Option<User> {
        match self {
            Self::None => None,
            Self::One(user, _) | Self::Others(user, _) | Self::All(user) => Some(user),
        }
    }

    fn includes(self, reference: SessionRef) -> bool {
        match self {
            Self::None | Self::All(_) => true,
            Self::One(_, one) => reference == one,
            Self::Others(_, own) => reference != own,
        }
    }
}

impl Oracle {
    /// The calls of a request that follow are to end these sessions, or to list all.
    pub(in crate::simulation) fn ends(&mut self, request: usize, ending: Ending) {
        self.requests[request].ending = Some(ending);
    }

    /// A request asks for a user's entries. What lives now is what it is about.
    pub(super) fn asked_for_entries(&mut self, request: usize) {
        let log = &self.requests[request];
        let Some(ending) = log.ending else { return };
        let own = log.loaded.as_ref().and_then(Record::live).and_then(user_of);
        let user = ending.user().or(log.kind.administrates()).or(own);
        let sessions = self.sessions.iter();
        let meant = sessions.filter(|(reference, session)| {
            let is_theirs = user.is_some() && session.user == user;
            is_theirs && session.kind == log.session_kind && ending.includes(**reference)
        });
        let living = meant.filter(|(reference, session)| {
            self.lives(session) && !self.spoiled.contains(reference)
        });
        let living = living.map(|(reference, session)| Meant {
            reference: *reference,
            key: session.key,
            expires_at: self
                .records
                .get(&session.key)
                .map_or(Timestamp::default(), |record| record.expires_at),
        });
        self.requests[request].meant = living.collect();
    }

    /// Whether the session lives by some clock.
    fn lives(&self, session: &Lineage) -> bool {
        let record = self.records.get(&session.key);
        record.is_some_and(|record| record.live().is_some() && !record.is_expired(self.now))
    }

    /// Looks for a session that lives on after it was ended from elsewhere. This is checked after every answer, and
    /// once more at the end: nothing may bring the session back later.
    pub(super) fn check_endings(&mut self) {
        let mut survivors = self.requests.iter().enumerate().filter_map(|(id, log)| {
            let user = log.ending?.user()?;
            let answer = log.answer.as_ref()?;
            let promise = match (answer.is_ok(), log.met_unreadable) {
                (true, _) => Promise::EndingsReachAll,
                (false, true) => Promise::BadRecordsShieldNobody,
                (false, false) => return None,
            };
            let mut meant = log.meant.iter();
            let survivor = meant.find(|meant| {
                let session = self.sessions.get(&meant.reference);
                session.is_some_and(|session| {
                    let record = self.records.get(&session.key);
                    let is_in_use = record.is_some_and(|record| self.is_in_use(record));
                    // What couldn't be read, another request may have replaced since.
                    let was_spoiled = self.spoiled.contains(&meant.reference);
                    session.user == Some(user) && is_in_use && !was_spoiled
                })
            })?;
            Some((promise, id, survivor.reference))
        });
        if let Some((promise, request, reference)) = survivors.next() {
            self.report(
                promise,
                format!("#{request} ended {reference}, which lives on"),
            );
        }
    }

    /// A tombstone was put where a session lived, or where nothing did.
    pub(super) fn ended(&mut self, request: usize, key: StoreKey, by: EndedBy) {
        if by == EndedBy::OwnRequest {
            self.requests[request].ended_own = true;
        }
        let before = self.records.get(&key);
        let Some(live) = before.and_then(Record::live) else {
            return;
        };
        let (user, reference) = (user_of(live), live.reference);
        match by {
            EndedBy::OwnRequest => self.check_own_ending(request, key, user),
            EndedBy::Cap => {
                self.check_foreign_ending(request, key, user, self.requests[request].kind.login());
                let is_alive = before_is_alive(self, key);
                if is_alive && self.had_room(request) {
                    self.report(
                        Promise::CapsCountTheLiving,
                        format!(
                            "login #{request} ended {key}, though a place was a dead session's"
                        ),
                    );
                }
            }
            EndedBy::Expiry => {}
            _ => {
                let ending = self.requests[request].ending;
                let meant = ending.and_then(Ending::user);
                self.check_foreign_ending(request, key, user, meant);
                if ending.is_some_and(|ending| !ending.includes(reference)) {
                    self.report(
                        Promise::EndingsSpareTheRest,
                        format!("#{request} ended {reference}, which it was to spare"),
                    );
                }
            }
        }
        self.check_kind(request, reference);
    }

    /// Checks that a request that came with an id ended what that id still gives a right to.
    fn check_own_ending(&mut self, request: usize, key: StoreKey, user: Option<User>) {
        let log = &self.requests[request];
        let found = log.found.iter().map(|found| found.key);
        let mut origins: Vec<_> = found.chain(log.created.iter().copied()).collect();
        origins.retain(|origin| self.leads_to(*origin, key));
        if origins.is_empty() {
            return self.report(
                Promise::OthersAreLeftAlone,
                format!("#{request} ended {key}, to which none of its ids leads"),
            );
        }
        let may_end_users = log.kind.destroys() || log.kind.login().is_some();
        let mut owners = origins
            .iter()
            .map(|origin| self.users.get(origin).copied().flatten());
        let gives_right = owners.any(|from| from == user);
        if !gives_right || (user.is_some() && !may_end_users) {
            self.report(
                Promise::PlantedIdsEndNothing,
                format!("#{request} ended {key} of {user:?} with the id of somebody else"),
            );
        }
    }

    /// Whether the session that was under `origin` has moved to `key`.
    pub(super) fn leads_to(&self, mut origin: StoreKey, key: StoreKey) -> bool {
        while origin != key {
            match self.successors.get(&origin) {
                Some(successor) => origin = *successor,
                None => return false,
            }
        }
        true
    }

    /// Checks that a session that is ended from elsewhere is that of the user `meant`.
    fn check_foreign_ending(
        &mut self,
        request: usize,
        key: StoreKey,
        user: Option<User>,
        meant: Option<User>,
    ) {
        if user != meant {
            self.report(
                Promise::OthersAreLeftAlone,
                format!("#{request} ended {key} of {user:?} in place of a session of {meant:?}"),
            );
        }
    }

    fn check_kind(&mut self, request: usize, reference: SessionRef) {
        let kind = self.requests[request].session_kind;
        let session = self.sessions.get(&reference);
        if session.is_some_and(|session| session.kind != kind) {
            self.report(
                Promise::KindsAreApart,
                format!("#{request} ended {reference}, which is of another kind"),
            );
        }
    }
}

/// Whether the session under `key` lives by every clock.
fn before_is_alive(oracle: &Oracle, key: StoreKey) -> bool {
    let record = oracle.records.get(&key);
    record.is_some_and(|record| oracle.is_in_use(record))
}
