//! What must hold when a save begins a session, changes it, or moves it to a new id.
//!
//! Each such save is a commit of its request, except those by which a rotation prepares its new record.

use session_core::store::{LiveRecord, Record, RecordState, StoreKey};
use session_core::{SessionRef, Timestamp};

use super::promise::Promise;
use super::{Lineage, Oracle};
use crate::simulation::requests::Data;

impl Oracle {
    /// A live record was put where nothing was. It is a new session, or the new record of a rotation.
    pub(super) fn created(&mut self, request: usize, key: StoreKey, live: &LiveRecord) {
        self.requests[request].created.push(key);
        match self.sessions.get(&live.reference) {
            None => self.began(request, key, live),
            Some(lineage) => {
                let (began_at, old_key) = (lineage.created_at, lineage.key);
                self.rotation_prepared(key, live, began_at, old_key);
            }
        }
    }

    /// A session began.
    fn began(&mut self, request: usize, key: StoreKey, live: &LiveRecord) {
        let log = &mut self.requests[request];
        log.began_at = Some(live.created_at);
        // A logout that came late may start a session afterwards: its visitor meant to leave the old one.
        if log.is_late() && !log.kind.destroys() {
            self.report(
                Promise::LateRequestsStoreNothing,
                format!("#{request} came with a dead id and stored a session"),
            );
        }
        let data = self.commit(request, Data::new());
        self.check_data(key, live, &data);
        let lineage = Lineage {
            created_at: live.created_at,
            key,
            data,
            undelivered: false,
        };
        self.sessions.insert(live.reference, lineage);
    }

    /// A rotation put the session's new record under `key`, beside the one under `old_key`. The rotation counts
    /// only once the old id has died, so that the data isn't compared yet.
    fn rotation_prepared(
        &mut self,
        key: StoreKey,
        live: &LiveRecord,
        began_at: Timestamp,
        old_key: StoreKey,
    ) {
        let old = self.records.get(&old_key).map(|record| &record.state);
        let old_is_dead = matches!(old, Some(RecordState::Superseded { .. }));
        if began_at != live.created_at {
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
    }

    /// A live record was replaced by a live record.
    pub(super) fn updated(&mut self, request: usize, key: StoreKey, live: &LiveRecord) {
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
        let data = self.commit(request, self.sessions[&session].data.clone());
        match self.records.get(&successor).and_then(Record::live).cloned() {
            Some(live) => self.check_data(successor, &live, &data),
            None => self.report(
                Promise::NewIdBeforeOldDies,
                format!("{key} was superseded by {successor}, where nothing lives"),
            ),
        }
        self.requests[request].rotated = true;
        self.successors.insert(key, successor);
        if let Some(lineage) = self.sessions.get_mut(&session) {
            (lineage.key, lineage.data, lineage.undelivered) = (successor, data, true);
        }
    }

    /// The known session whose live record lies under `key`.
    fn living_at(&self, key: StoreKey) -> Option<SessionRef> {
        let reference = self.records.get(&key)?.live()?.reference;
        self.sessions.contains_key(&reference).then_some(reference)
    }

    /// Counts a commit of the request. Returns `data` with the changes that this commit had to write.
    fn commit(&mut self, request: usize, mut data: Data) -> Data {
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
