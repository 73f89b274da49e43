//! What must hold when a user has logged in.

use session_core::Timestamp;
use session_core::store::{Lifetime, LiveRecord, Record, RecordState, StoreKey};

use super::Oracle;
use super::promise::Promise;
use super::request::RequestLog;
use crate::simulation::kinds::{Kind, User};

/// A visitor whose browser a login's response has reached.
pub(super) struct SignedIn {
    user: User,
    cookie: String,
    /// The cookies that the login came with.
    came_with: Vec<String>,
}

/// Whose session a record is.
pub(super) fn user_of(live: &LiveRecord) -> Option<User> {
    let user = live.user.as_ref()?;
    User::called(&user.name)
}

impl Oracle {
    /// The handler of a request has the session, and sees this user.
    pub(in crate::simulation) fn opened(&mut self, request: usize, seen: Option<User>) {
        let terms = self.terms;
        self.requests[request].open(terms);
        let expected = self.signed_in_by(request);
        if expected.is_some() && seen != expected {
            self.report(
                Promise::LoginsSignIn,
                format!("#{request} comes from a browser that has logged in as {expected:?}, and is {seen:?}'s"),
            );
        }
    }

    /// Who the request's browser has logged in as, if the session lives and nothing came in between.
    fn signed_in_by(&self, request: usize) -> Option<User> {
        let log = &self.requests[request];
        let signed_in = self.signed_in.get(&log.visitor?)?;
        if !log.cookies.contains(&signed_in.cookie) {
            return None;
        }
        let key = self.sent.get(&signed_in.cookie)?;
        let record = self.records.get(key)?;
        let is_theirs = user_of(record.live()?) == Some(signed_in.user);
        // A live cookie that came into the browser after the login is another matter.
        let mut others = log.cookies.iter();
        let is_ambiguous = others.any(|cookie| {
            let is_new = *cookie != signed_in.cookie && !signed_in.came_with.contains(cookie);
            is_new && self.found_live(log, cookie)
        });
        (self.is_in_use(record) && is_theirs && !is_ambiguous).then_some(signed_in.user)
    }

    /// Whether the request found a live record under the id in the cookie.
    fn found_live(&self, log: &RequestLog, cookie: &str) -> bool {
        let key = self.sent.get(cookie);
        let mut found = log.found.iter();
        found.any(|found| {
            let record = found.record.as_ref();
            Some(&found.key) == key && record.is_some_and(|record| record.live().is_some())
        })
    }

    /// A login's response reaches its browser with the cookie `new`.
    pub(super) fn note_login(&mut self, request: usize, new: Option<&str>) {
        let log = &self.requests[request];
        if let (Some(visitor), Some(user), Some(new)) = (log.visitor, log.kind.login(), new) {
            let signed_in = SignedIn {
                user,
                cookie: new.to_owned(),
                came_with: log.cookies.clone(),
            };
            self.signed_in.insert(visitor, signed_in);
        }
    }

    /// Checks the record that a login creates: what came before the login doesn't shorten its life.
    pub(super) fn check_login(
        &mut self,
        request: usize,
        key: StoreKey,
        live: &LiveRecord,
        expires_at: Timestamp,
    ) {
        let login = self.requests[request].kind.login();
        let (Some(user), true) = (&live.user, login == user_of(live)) else {
            return;
        };
        // Clocks are corrected while a login is under way.
        let counts_from = live.absolute_from.saturating_add(self.terms.skew);
        if counts_from < user.authenticated_at {
            self.report(
                Promise::LoginsCountAnew,
                format!("the absolute timeout of {key} counts from before login #{request}"),
            );
        }
        let own = live.lifetime.map(Lifetime::idle);
        let idle_end = user
            .authenticated_at
            .saturating_add(own.unwrap_or(self.terms.idle));
        if expires_at.saturating_add(self.terms.skew) < idle_end {
            self.report(
                Promise::LoginsLiveTheirTime,
                format!("login #{request} lives until {expires_at:?}, and not until {idle_end:?}"),
            );
        }
    }

    /// Whether the request logs in somebody else than the user whose session it came with.
    pub(super) fn changes_user(&self, request: usize) -> bool {
        let log = &self.requests[request];
        let found = log.loaded.as_ref().and_then(Record::live);
        let before = found.and_then(user_of);
        let login = log.kind.login();
        before.is_some() && login.is_some() && before != login
    }

    /// Checks that a login that begins a session couldn't go on with that of the same login form.
    pub(super) fn check_repeated_login(&mut self, request: usize) {
        let log = &self.requests[request];
        let repeats = self.repeated_login(log);
        // Somebody ended what it had begun, before the old id died.
        let mut created = log.created.iter().filter_map(|key| self.records.get(key));
        let was_ended = created.any(|record| matches!(record.state, RecordState::Ended { .. }));
        // What it had come with has expired by its server's clock.
        let loaded = log.loaded.as_ref();
        let has_expired = loaded.is_some_and(|record| record.is_expired(self.latest));
        if repeats.is_some() && !log.had_fault && !was_ended && !has_expired {
            self.report(
                Promise::RepeatedLoginsAreOne,
                format!("login #{request} began a session beside that of the same form"),
            );
        }
    }

    /// The key of the session that an equal login, of the same browser and moments ago, left, if nobody has used it.
    fn repeated_login(&self, log: &RequestLog) -> Option<StoreKey> {
        let user = log.kind.login()?;
        let [found] = log.found.as_slice() else {
            return None;
        };
        let came_in_time = log.is_late(self.terms) || log.loaded.as_ref()?.live().is_some();
        let old = self.records.get(&found.key)?;
        let RecordState::Superseded {
            successor,
            successor_version,
            at,
            ..
        } = &old.state
        else {
            return None;
        };
        let first = self.requests.iter().find(|other| {
            other.rotated && other.created.last() == Some(successor) && !other.had_fault
        })?;
        let is_recent = came_in_time && self.latest < at.saturating_add(self.terms.grace);
        let is_alike = first.kind == log.kind && matches!(log.kind, Kind::LogIn(_));
        let was_theirs = self
            .users
            .get(&found.key)?
            .is_none_or(|other| other == user);
        let new = self.records.get(successor)?;
        let is_untouched = new.version == *successor_version && self.is_in_use(new);
        (is_recent && is_alike && was_theirs && is_untouched).then_some(*successor)
    }

    /// Checks that the id that a session leaves leads to the same user's session, and that a login that came with an
    /// older id goes on only from a session that nobody has used.
    pub(super) fn check_chain(&mut self, request: usize, key: StoreKey, successor: StoreKey) {
        let before = self.users.get(&key).copied().flatten();
        let after = self.users.get(&successor).copied().flatten();
        if before.is_some() && before != after {
            self.report(
                Promise::ChainsStayWithTheUser,
                format!("{key} of {before:?} leads to {successor} of {after:?}"),
            );
        }
        let log = &self.requests[request];
        let came_with_it = log.found.iter().any(|found| found.key == key);
        if log.kind.login().is_some() && !came_with_it && !self.may_be_followed(log, key) {
            self.report(
                Promise::SessionsInUseAreNotTakenOver,
                format!("login #{request} went on from {key}, which it hadn't come with"),
            );
        }
    }

    /// Whether a login may go on from `key`, to which the session under its own id has moved: nobody has used it.
    fn may_be_followed(&self, log: &RequestLog, key: StoreKey) -> bool {
        let Some(record) = self.records.get(&key) else {
            return false;
        };
        let leads_here = log.found.iter().any(|found| self.leads_to(found.key, key));
        let left_by_rotation = self.records.values().any(|old| {
            matches!(
                &old.state,
                RecordState::Superseded { successor, successor_version, .. }
                    if *successor == key && *successor_version == record.version
            )
        });
        let by = self
            .requests
            .iter()
            .find(|other| other.created.contains(&key));
        let got_only_its_user = by.is_some_and(|by| !matches!(by.kind, Kind::LogInAndSet(_)));
        let is_theirs = self.users.get(&key).copied().flatten() == log.kind.login();
        leads_here && left_by_rotation && got_only_its_user && is_theirs
    }
}
