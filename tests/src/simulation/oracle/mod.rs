//! The oracle: knows what must hold, and sees whether it does.
//!
//! The scheduler tells the oracle everything that happens: a request starts or ends, a store call takes effect,
//! a response arrives or gets lost. Beside the store and the servers the oracle keeps a model of its own, from
//! which it knows what each of these may look like. A run ends at the first broken promise.
//!
//! - `promise`: every promise, in one plain sentence each.
//! - `request`: what is known about one request.
//! - `writes`: what must hold when a store call has taken effect.
//! - `commits`: what must hold when a save begins a session, changes it, or moves it to a new id.
//! - `answers`: what must hold when a request has been answered, and when its response arrives.
//! - `logins`: what must hold when a user has logged in.
//! - `index`: what must hold for the lists of users' sessions.
//! - `caps`: what must hold where a user may have a limited number of sessions.
//! - `endings`: what must hold when a session is ended, and when a user's sessions have been ended from elsewhere.
//! - `end`: what must hold when everything has come to rest.
//! - `trace`: how all this is shown.
//!
//! A few words recur. An *id* is in the cookie; the *key* is its hash, under which the store has a record. The
//! record is *live*, or a *tombstone*: that of an ended session, or that of a superseded id, which names the key
//! of the new one. A *rotation* gives a session a new id. It stores the new record, and then puts a tombstone in
//! the place of the old one.

mod answers;
mod caps;
mod commits;
mod end;
mod endings;
mod index;
mod logins;
mod promise;
mod request;
mod trace;
mod writes;

use std::collections::{BTreeMap, HashMap, HashSet};

use session_core::store::{
    AddOutcome, Expect, IndexEntry, Record, SaveOutcome, StoreKey, UserKey, Version,
};
use session_core::{SessionRef, Timestamp};

use super::calls::{Reply, StoreCall};
use super::kinds::{Answer, Data, Kind, User};
use super::mix::Terms;
use logins::SignedIn;
pub use promise::{Promise, Promises};
use request::RequestLog;
use trace::{show_answer, show_call, show_reply};

/// The model of the store, of the sessions and of the requests.
pub(super) struct Oracle {
    terms: Terms,
    /// Which promises are checked.
    checked: Promises,
    /// What happened, in order.
    pub(super) trace: Vec<String>,
    /// The first promise that was broken, and how.
    pub(super) broken: Option<(Promise, String)>,
    /// All requests, by their number.
    requests: Vec<RequestLog>,
    /// What the store must hold, expired records included.
    records: BTreeMap<StoreKey, Record>,
    /// Every session that ever began.
    sessions: HashMap<SessionRef, Lineage>,
    /// The references that logins give to visitors' sessions, each with the one before, until the old id has died.
    renamed: HashMap<SessionRef, SessionRef>,
    /// The references that visitors' sessions had before somebody logged in there, and what took their place.
    former: HashMap<SessionRef, SessionRef>,
    /// Which key followed which by a rotation. The oracle remembers it when the store's tombstone has gone.
    successors: HashMap<StoreKey, StoreKey>,
    /// The keys under which no session may ever live again, and why.
    dead: HashMap<StoreKey, &'static str>,
    /// The index of users' sessions.
    index: HashMap<StoreKey, (UserKey, IndexEntry)>,
    /// Who it was whose session lived under a key last.
    users: HashMap<StoreKey, Option<User>>,
    /// The visitors whose browser a login's response has reached.
    signed_in: HashMap<usize, SignedIn>,
    /// The versions of records that can't be read any more.
    unreadable: HashSet<Version>,
    /// Whose records those are. A request that loaded one before may still replace it.
    spoiled: HashSet<SessionRef>,
    /// Every version that a write gave a record.
    versions: HashSet<Version>,
    /// Every cookie value that was sent, and the key of the id in it.
    sent: HashMap<String, StoreKey>,
    /// The latest time that a server may have acted on. Clocks are set back now and then; what has expired by
    /// this time counts as expired.
    latest: Timestamp,
    /// The time that no server's clock is behind.
    now: Timestamp,
    /// A fault was injected. From then on the exceptions hold that the documentation makes for faults.
    faults_happened: bool,
}

/// One session, through all its rotations.
struct Lineage {
    created_at: Timestamp,
    /// Where the absolute timeout counts from: the beginning, or the last login.
    absolute_from: Timestamp,
    /// Whose session it is.
    user: Option<User>,
    /// Whose it has ever been.
    users: Vec<User>,
    /// Which kind of session it is.
    kind: usize,
    /// The key under which it lives.
    key: StoreKey,
    /// What its committed requests give when they run one after the other.
    data: Data,
    /// The response with the newest id hasn't arrived, or was overtaken. The visitor may be signed out then.
    undelivered: bool,
}

/// What the scheduler tells.
impl Oracle {
    pub(super) fn new(terms: Terms, checked: Promises) -> Self {
        Self {
            terms,
            checked,
            trace: Vec::new(),
            broken: None,
            requests: Vec::new(),
            records: BTreeMap::new(),
            sessions: HashMap::new(),
            renamed: HashMap::new(),
            former: HashMap::new(),
            successors: HashMap::new(),
            dead: HashMap::new(),
            index: HashMap::new(),
            users: HashMap::new(),
            signed_in: HashMap::new(),
            unreadable: HashSet::new(),
            spoiled: HashSet::new(),
            versions: HashSet::new(),
            sent: HashMap::new(),
            latest: Timestamp::default(),
            now: Timestamp::default(),
            faults_happened: false,
        }
    }

    /// A visitor made a request, or somebody else did. Returns its number.
    pub(super) fn starts(
        &mut self,
        visitor: Option<usize>,
        session_kind: usize,
        kind: Kind,
        cookies: Vec<String>,
    ) -> usize {
        let request = self.requests.len();
        let by = visitor.map_or("somebody".to_owned(), |visitor| {
            format!("visitor {visitor}")
        });
        self.log(format!(
            "#{request} {kind:?} starts for {by}, cookies {cookies:.12?}"
        ));
        let log = RequestLog::new(visitor, session_kind, kind, cookies);
        self.requests.push(log);
        request
    }

    /// A store call took effect and was answered at the time `now`, which no server's clock is behind.
    pub(super) fn observe(
        &mut self,
        request: usize,
        call: &StoreCall,
        reply: &Reply,
        now: Timestamp,
    ) {
        self.log(format!(
            "#{request} {} -> {}",
            show_call(call),
            show_reply(reply)
        ));
        // No earlier than the time by which the server judges the answer.
        let at = now.saturating_add(self.terms.skew);
        self.now = now;
        self.latest = self.latest.max(at);
        match (call, reply) {
            (StoreCall::Load(key, now), Reply::Loaded(found)) => {
                self.loaded(request, *key, *now, found.as_ref(), at);
            }
            (StoreCall::Save(key, record, expect, now), Reply::Outcome(outcome)) => {
                self.check_outcome(*key, *expect, *now, outcome);
                match outcome {
                    SaveOutcome::Saved => self.saved(request, *key, record, *expect),
                    _ if *expect == Expect::Absent => {
                        self.requests[request].was_ended_unborn = true;
                    }
                    _ => {}
                }
            }
            (StoreCall::Touch(key, touch, now), Reply::Outcome(SaveOutcome::Saved)) => {
                self.touched(request, *key, *touch, *now);
            }
            (StoreCall::Delete(key), Reply::Done) => self.deleted(request, *key),
            (StoreCall::AddEntry(user, entry, ..), Reply::Added(AddOutcome::Added(_))) => {
                self.index.insert(entry.key, (*user, *entry));
            }
            (StoreCall::AddEntry(user, entry, _, now), Reply::Added(AddOutcome::Full)) => {
                self.was_full(request, *user, *entry, *now);
            }
            (StoreCall::RemoveEntry(user, key), _) => self.entry_removed(*user, *key),
            (StoreCall::Entries(..), _) => self.asked_for_entries(request),
            _ => {}
        }
    }

    /// A store call met a record that can't be read any more.
    pub(super) fn unreadable(&mut self, request: usize, call: &StoreCall) {
        self.log(format!("#{request} {} -> unreadable", show_call(call)));
        let log = &mut self.requests[request];
        log.met_unreadable = true;
        if let StoreCall::Load(key, _) | StoreCall::Save(key, ..) = call {
            let is_found = log.found.iter().any(|found| found.key == *key);
            log.met_own_unreadable |= !log.is_opened || is_found || log.created.contains(key);
        }
    }

    /// The record of this version can't be read any more.
    pub(super) fn spoiled(&mut self, version: Version) {
        self.log("a record becomes unreadable".to_owned());
        let live = self.records.values().filter_map(|record| {
            let live = record.live()?;
            (record.version == version).then_some(live.reference)
        });
        self.spoiled.extend(live);
        self.unreadable.insert(version);
    }

    /// A store call goes wrong in the way that `fault` names.
    pub(super) fn fault(&mut self, request: usize, fault: &str) {
        self.faults_happened = true;
        self.requests[request].had_fault = true;
        self.log(format!("#{request} store call: {fault}"));
    }

    /// The server reported that it dropped the request's changes.
    pub(super) fn dropped(&mut self, request: usize) {
        self.requests[request].dropped = true;
    }

    /// The request ended, without an answer if its server crashed.
    pub(super) fn answered(&mut self, request: usize, answer: Option<Answer>) {
        let RequestLog { kind, dropped, .. } = self.requests[request];
        self.log(format!(
            "#{request} {kind:?} ends: {}",
            show_answer(answer.as_ref(), dropped)
        ));
        let Some(answer) = answer else { return };
        self.check_answer(request, &answer);
        let log = &mut self.requests[request];
        (log.answer, log.answered_at) = (Some(answer), self.latest);
        self.check_logouts();
        self.check_endings();
        self.check_cap(request);
    }

    /// The response reached its visitor, who had the cookie `held`. Returns the cookie that the visitor has now.
    pub(super) fn delivered(&mut self, request: usize, held: Option<String>) -> Option<String> {
        let answer = self.requests[request].answer.as_ref();
        let Some(value) = answer.and_then(|answer| answer.set_cookie.clone()) else {
            return held;
        };
        self.log(format!("#{request}'s response arrives"));
        let new = Some(value).filter(|value| !value.is_empty());
        self.check_delivery(request, held.as_deref(), new.as_deref());
        self.note_login(request, new.as_deref());
        new
    }

    /// The response got lost on its way.
    pub(super) fn lost(&mut self, request: usize) {
        self.log(format!("#{request}'s response is lost"));
        self.faults_happened = true;
    }

    /// Everything has come to rest. `cookies` are those that the visitors hold.
    pub(super) fn finish<'c>(&mut self, cookies: impl Iterator<Item = (usize, &'c str)>) {
        self.check_single_ids();
        self.check_logouts();
        self.check_endings();
        for (visitor, cookie) in cookies {
            self.check_jar(visitor, cookie);
        }
    }

    /// A promise was broken. Only the first one counts: what follows may be its consequence.
    pub(super) fn report(&mut self, promise: Promise, how: String) {
        if self.checked.contain(promise) {
            self.broken.get_or_insert((promise, how));
        }
    }
}

/// What the checks share.
impl Oracle {
    fn log(&mut self, line: String) {
        self.trace.push(line);
    }

    /// What a store call at `now` must find.
    fn unexpired(&self, key: StoreKey, now: Timestamp) -> Option<&Record> {
        self.records
            .get(&key)
            .filter(|record| !record.is_expired(now))
    }

    /// The key to which rotations have moved the session that once lived under `key`, and what lies there.
    fn newest(&self, mut key: StoreKey) -> (StoreKey, Option<&Record>) {
        while let Some(successor) = self.successors.get(&key) {
            key = *successor;
        }
        (key, self.records.get(&key))
    }

    /// Whether `record` is that of a session that can be used, by whichever clock.
    fn is_in_use(&self, record: &Record) -> bool {
        record.live().is_some()
            && !record.is_expired(self.latest)
            && !self.unreadable.contains(&record.version)
    }
}

/// What the scheduler asks.
impl Oracle {
    /// When live sessions expire, in milliseconds.
    pub(super) fn expiries(&self) -> impl Iterator<Item = u64> {
        let live = self
            .records
            .values()
            .filter(|record| record.live().is_some());
        live.map(|record| record.expires_at.as_unix_millis())
    }

    /// The versions of the live records of users.
    pub(super) fn versions_of_users(&self) -> Vec<Version> {
        let records = self.records.values();
        let of_users = records.filter(|record| {
            let live = record.live();
            live.is_some_and(|live| live.user.is_some())
        });
        of_users.map(|record| record.version).collect()
    }
}
