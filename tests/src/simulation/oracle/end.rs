//! What must hold when everything has come to rest.

use std::collections::{HashMap, HashSet};

use session_core::SessionRef;

use super::Oracle;
use super::promise::Promise;

/// Under how many ids a session lives.
#[derive(Default)]
struct Ids {
    all: usize,
    /// Those of them that were sent to a visitor.
    known: usize,
}

impl Oracle {
    /// Checks that no session was split in two.
    pub(super) fn check_single_ids(&mut self) {
        let is_undisturbed = !self.faults_happened && self.unreadable.is_empty();
        let split = self.ids_by_session().into_iter().find(|(_, ids)| {
            // A fault may keep a rotation from taking its new record back. Nobody has that record's id.
            ids.known > 1 || (ids.all > 1 && is_undisturbed)
        });
        if let Some((reference, Ids { all, known })) = split {
            self.report(
                Promise::OneIdPerSession,
                format!("session {reference} lives under {all} ids, {known} of them known"),
            );
        }
    }

    fn ids_by_session(&self) -> HashMap<SessionRef, Ids> {
        let known: HashSet<_> = self.sent.values().collect();
        let mut ids: HashMap<_, Ids> = HashMap::new();
        for (key, record) in &self.records {
            if let (Some(live), false) = (record.live(), record.is_expired(self.latest)) {
                let ids = ids.entry(live.reference).or_default();
                ids.all += 1;
                ids.known += usize::from(known.contains(key));
            }
        }
        ids
    }

    /// Checks that the visitor with this cookie wasn't left behind by a rotation.
    pub(super) fn check_jar(&mut self, visitor: usize, cookie: &str) {
        let Some(held) = self.sent.get(cookie).copied() else {
            return;
        };
        let (newest, record) = self.newest(held);
        if newest == held {
            return;
        }
        let Some(record) = record else {
            return self.report(
                Promise::VisitorsKeepUp,
                format!("{held} was superseded by {newest}, where nothing is"),
            );
        };
        if record.is_expired(self.latest) {
            return;
        }
        let lineage = record
            .live()
            .and_then(|live| self.sessions.get(&live.reference));
        // Where two visitors have a cookie, because one has copied it, the response goes to one of them.
        let mut rotations = self.requests.iter();
        let was_moved_by_another = rotations.any(|log| {
            let moved = log.rotated && log.created.last() == Some(&newest);
            moved && log.visitor != Some(visitor)
        });
        if lineage.is_some_and(|lineage| !lineage.undelivered) && !was_moved_by_another {
            self.report(
                Promise::VisitorsKeepUp,
                format!("a visitor holds {held}, and the session lives under {newest}"),
            );
        }
    }
}
