//! What must hold when a save begins a session, changes it, or moves it to a new id.
//!
//! Each such save is a commit of its request, except those by which a rotation prepares its new record.

use session_core::store::{LiveRecord, Record, RecordState, StoreKey};
use session_core::{SessionRef, Timestamp};

use super::logins::user_of;
use super::promise::Promise;
use super::{Lineage, Oracle};
use crate::simulation::kinds::Data;

impl Oracle {
    /// A live record was put where nothing was. It is a new session, or the new record of a rotation.
    pub(super) fn created(
        &mut self,
        request: usize,
        key: StoreKey,
        live: &LiveRecord,
        expires_at: Timestamp,
    ) {
        self.requests[request].created.push(key);
        self.check_login(request, key, live, expires_at);
        match self.origin_of(request, live) {
            None => self.began(request, key, live),
            Some(session) => self.rotation_prepared(key, live, session),
        }
    }

    /// The session whose new record this is, by the reference that it has so far: a visitor's session gets another one
    /// when somebody logs in there.
    fn origin_of(&mut self, request: usize, live: &LiveRecord) -> Option<SessionRef> {
        if self.sessions.contains_key(&live.reference) {
            return Some(live.reference);
        }
        if let Some(before) = self.renamed.get(&live.reference) {
            return Some(*before);
        }
        if let Some(after) = self.former.get(&live.reference) {
            return Some(*after);
        }
        let log = &self.requests[request];
        log.kind.login()?;
        let loaded = log.loaded.as_ref()?.live()?;
        let before = loaded.reference;
        // Somebody else may have moved it meanwhile; then this record will be taken back.
        let is_moved = loaded.user.is_none() && loaded.created_at == live.created_at;
        is_moved.then(|| {
            self.renamed.insert(live.reference, before);
            before
        })
    }

    /// A session began.
    fn began(&mut self, request: usize, key: StoreKey, live: &LiveRecord) {
        let log = &mut self.requests[request];
        log.began_at = Some(live.created_at);
        // A logout that came late may start a session afterwards: its visitor meant to leave the old one. A login
        // starts afresh where it can't go on.
        let may_begin = log.kind.destroys() || log.kind.login().is_some();
        if log.is_late(self.terms) && !may_begin {
            self.report(
                Promise::LateRequestsStoreNothing,
                format!("#{request} came with a dead id and stored a session"),
            );
        }
        self.check_repeated_login(request);
        let kind = self.requests[request].session_kind;
        let data = self.commit(request, Data::new());
        self.check_data(key, live, &data);
        let user = user_of(live);
        let lineage = Lineage {
            created_at: live.created_at,
            absolute_from: live.absolute_from,
            user,
            users: user.into_iter().collect(),
            kind,
            key,
            data,
            undelivered: false,
        };
        self.sessions.insert(live.reference, lineage);
    }

    /// A record was taken back by the request that created it. If a session began with it, that doesn't count.
    pub(super) fn forget_beginning(&mut self, request: usize, key: StoreKey) {
        let before = self.sessions.len();
        self.sessions.retain(|_, lineage| lineage.key != key);
        if self.sessions.len() < before {
            self.requests[request].commits -= 1;
        }
    }

    /// A rotation put the session's new record under `key`, beside the one under the old key. The rotation counts
    /// only once the old id has died, so that the data isn't compared yet.
    fn rotation_prepared(&mut self, key: StoreKey, live: &LiveRecord, session: SessionRef) {
        let Some(lineage) = self.sessions.get(&session) else {
            return;
        };
        let old = self.records.get(&lineage.key).map(|record| &record.state);
        let old_is_dead = matches!(old, Some(RecordState::Superseded { .. }));
        if lineage.created_at != live.created_at {
            self.report(
                Promise::AbsoluteTimeoutHolds,
                format!("the rotation to {key} moved the session's beginning"),
            );
        } else if old_is_dead && !self.faults_happened {
            self.report(
                Promise::NewIdBeforeOldDies,
                format!("{key} was created when the old id was dead already"),
            );
        }
        // Lists show it from now on.
        if let Some(lineage) = self.sessions.get_mut(&session) {
            lineage.users.extend(user_of(live));
        }
    }

    /// A live record was replaced by a live record.
    pub(super) fn updated(&mut self, request: usize, key: StoreKey, live: &LiveRecord) {
        let names = [&self.renamed, &self.former];
        if names
            .iter()
            .any(|names| names.contains_key(&live.reference))
        {
            // The new record of a login, or of a rotation that a login was faster than, as below.
            return;
        }
        let Some(lineage) = self.sessions.get(&live.reference) else {
            return self.report(
                Promise::WritesFindTheirSession,
                format!("{key} was saved as a session that nobody began"),
            );
        };
        if lineage.key != key {
            // A rotation brings its new record up to date before the old id dies. That is no commit yet.
            return;
        }
        let before = self.records.get(&key).and_then(Record::live);
        let moved = before.is_some_and(|before| before.last_active_at != live.last_active_at);
        let data = self.commit(request, lineage.data.clone());
        self.check_data(key, live, &data);
        if let Some(lineage) = self.sessions.get_mut(&live.reference) {
            lineage.data = data;
        }
        self.requests[request].extended |= moved;
    }

    /// An old id died in favour of a new one. At this moment the rotation counts, and its changes with it.
    pub(super) fn superseded(&mut self, request: usize, key: StoreKey, successor: StoreKey) {
        self.dead.entry(key).or_insert("superseded");
        let Some(session) = self.living_at(key) else {
            return self.report(
                Promise::WritesFindTheirSession,
                format!("{key} was superseded, and no session lived there"),
            );
        };
        self.check_chain(request, key, successor);
        let data = self.commit(request, self.sessions[&session].data.clone());
        match self.records.get(&successor).cloned() {
            // Somebody who found the new record by way of its user may have ended it already.
            Some(new) => {
                if let Some(live) = new.live() {
                    self.check_data(successor, live, &data);
                    self.check_move(request, session, successor, live);
                }
            }
            None => self.report(
                Promise::NewIdBeforeOldDies,
                format!("{key} was superseded by {successor}, where nothing lives"),
            ),
        }
        self.requests[request].rotated = true;
        self.successors.insert(key, successor);
        let new = self.records.get(&successor).and_then(Record::live);
        let new = new.map(|live| (live.absolute_from, user_of(live)));
        let renamed = self.records.get(&successor).and_then(Record::live);
        let renamed = renamed.map(|live| live.reference);
        let session = match renamed.filter(|name| self.renamed.remove(name).is_some()) {
            Some(name) => {
                let lineage = self.sessions.remove(&session);
                self.sessions.extend(lineage.map(|lineage| (name, lineage)));
                self.former.insert(session, name);
                if self.spoiled.contains(&session) {
                    self.spoiled.insert(name);
                }
                name
            }
            None => session,
        };
        if let Some(lineage) = self.sessions.get_mut(&session) {
            (lineage.key, lineage.data, lineage.undelivered) = (successor, data, true);
            if let Some((absolute_from, user)) = new {
                (lineage.absolute_from, lineage.user) = (absolute_from, user);
                lineage.users.extend(user);
            }
        }
    }

    /// Checks what a session takes along to its new id.
    fn check_move(
        &mut self,
        request: usize,
        session: SessionRef,
        key: StoreKey,
        live: &LiveRecord,
    ) {
        let Some(lineage) = self.sessions.get(&session) else {
            return;
        };
        let (before, absolute_from) = (lineage.user, lineage.absolute_from);
        let is_login = self.requests[request].kind.login().is_some();
        if live.absolute_from != absolute_from && !is_login {
            self.report(
                Promise::AbsoluteTimeoutHolds,
                format!("the rotation to {key} moved the beginning of the absolute timeout"),
            );
        }
        if user_of(live) != before && live.reference == session {
            self.report(
                Promise::ReferencesFollowTheUser,
                format!("{key} is another user's, and has the reference of the session before"),
            );
        }
    }

    /// The known session whose live record lies under `key`.
    fn living_at(&self, key: StoreKey) -> Option<SessionRef> {
        let reference = self.records.get(&key)?.live()?.reference;
        self.sessions.contains_key(&reference).then_some(reference)
    }

    /// Counts a commit of the request. Returns `data` with the changes that this commit had to write.
    fn commit(&mut self, request: usize, mut data: Data) -> Data {
        if self.changes_user(request) {
            data.clear();
        }
        let log = &mut self.requests[request];
        let groups = log.kind.groups(request);
        let group = groups.get(log.commits);
        log.commits += 1;
        match group {
            Some(group) => group.iter().for_each(|op| op.apply(&mut data)),
            None => self.report(
                Promise::ChangesApplyOnce,
                format!("#{request} was applied more often than it asked"),
            ),
        }
        data
    }

    fn check_data(&mut self, key: StoreKey, live: &LiveRecord, expected: &Data) {
        let stored: Data = serde_json::from_slice(live.data.as_json()).unwrap_or_default();
        if stored != *expected {
            self.report(
                Promise::DataIsSerial,
                format!("{key} holds {stored:?}, but a serial order gives {expected:?}"),
            );
        }
    }
}
