//! What must hold for the lists of users' sessions.

use session_core::SessionRef;
use session_core::store::{StoreKey, UserKey};

use super::Oracle;
use super::promise::Promise;
use crate::simulation::kinds::User;

impl Oracle {
    pub(super) fn entry_removed(&mut self, user: UserKey, key: StoreKey) {
        if self.index.get(&key).is_some_and(|(of, _)| *of == user) {
            self.index.remove(&key);
            self.check_listed(key);
        }
    }

    /// Checks that the session under `key` is in its user's index, if it is a live session of a user.
    pub(super) fn check_listed(&mut self, key: StoreKey) {
        let Some(record) = self.records.get(&key) else {
            return;
        };
        let is_users = record.live().is_some_and(|live| live.user.is_some());
        if !is_users || record.is_expired(self.latest) {
            return;
        }
        let entry = self.index.get(&key);
        if entry.is_none_or(|(_, entry)| entry.expires_at < record.expires_at) {
            self.report(
                Promise::LiveSessionsAreListed,
                format!("{key} lives and isn't listed"),
            );
        }
    }

    /// A list showed these sessions.
    pub(in crate::simulation) fn listed(
        &mut self,
        request: usize,
        user: User,
        shown: Vec<SessionRef>,
    ) {
        let kind = self.requests[request].session_kind;
        for reference in &shown {
            let Some(session) = self.sessions.get(reference) else {
                continue;
            };
            let (is_of_kind, is_users) = (session.kind == kind, session.users.contains(&user));
            if !is_users {
                self.report(
                    Promise::ListsShowOnesOwn,
                    format!("#{request} was shown {reference}, which never was {user:?}'s"),
                );
            }
            if !is_of_kind {
                self.report(
                    Promise::KindsAreApart,
                    format!("#{request} was shown {reference}, which is of another kind"),
                );
            }
        }
        let mut meant = self.requests[request].meant.iter();
        let missing = meant.find(|meant| {
            let stayed = self.sessions.get(&meant.reference);
            let stayed = stayed.is_some_and(|session| session.key == meant.key);
            let record = self.records.get(&meant.key);
            let is_in_use = record.is_some_and(|record| self.is_in_use(record));
            // What one clock says has expired, a request of another server may have kept alive since.
            let is_fresh = meant.expires_at > self.latest;
            let was_spoiled = self.spoiled.contains(&meant.reference);
            let can_be_shown = stayed && is_in_use && is_fresh && !was_spoiled;
            can_be_shown && !shown.contains(&meant.reference)
        });
        let had_fault = self.requests[request].had_fault;
        if let Some(meant) = missing.filter(|_| !had_fault) {
            let how = format!("#{request} wasn't shown {}", meant.reference);
            self.report(Promise::ListsAreComplete, how);
        }
    }
}
