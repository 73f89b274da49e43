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
//! - `end`: what must hold when everything has come to rest.
//! - `trace`: how all this is shown.
//!
//! A few words recur. An *id* is in the cookie; the *key* is its hash, under which the store has a record. The
//! record is *live*, or a *tombstone*: that of an ended session, or that of a superseded id, which names the key
//! of the new one. A *rotation* gives a session a new id. It stores the new record, and then puts a tombstone in
//! the place of the old one.

mod answers;
mod commits;
mod end;
mod promise;
mod request;
mod trace;
mod writes;

use std::collections::{BTreeMap, HashMap, HashSet};

use session_core::store::{Record, SaveOutcome, StoreKey, Version};
use session_core::{SessionRef, Timestamp};

use super::requests::{Answer, Data, Kind};
use super::world::{Reply, StoreCall};
pub(super) use promise::Promise;
use request::RequestLog;
use trace::{show_answer, show_call, show_reply};

/// The model of the store, of the sessions and of the requests.
#[derive(Default)]
pub(super) struct Oracle {
    /// What happened, in order.
    pub(super) trace: Vec<String>,
    /// The first promise that was broken, and how.
    pub(super) broken: Option<String>,
    /// All requests, by their number.
    requests: Vec<RequestLog>,
    /// What the store must hold, expired records included.
    records: BTreeMap<StoreKey, Record>,
    /// Every session that ever began.
    sessions: HashMap<SessionRef, Lineage>,
    /// Which key followed which by a rotation. The oracle remembers it when the store's tombstone has gone.
    successors: HashMap<StoreKey, StoreKey>,
    /// The keys under which no session may ever live again, and why.
    dead: HashMap<StoreKey, &'static str>,
    /// Every version that a write gave a record.
    versions: HashSet<Version>,
    /// Every cookie value that was sent, and the key of the id in it.
    sent: HashMap<String, StoreKey>,
    /// The latest time that a server may have acted on. Clocks are set back now and then; what has expired by
    /// this time counts as expired.
    latest: Timestamp,
    /// A fault was injected. From then on the exceptions hold that the documentation makes for faults.
    faults_happened: bool,
}

/// One session, through all its rotations.
struct Lineage {
    created_at: Timestamp,
    /// The key under which it lives.
    key: StoreKey,
    /// What its committed requests give when they run one after the other.
    data: Data,
    /// The response with the newest id hasn't arrived, or was overtaken. The visitor may be signed out then.
    undelivered: bool,
}

/// What the scheduler tells.
impl Oracle {
    /// A visitor made a request. Returns its number.
    pub(super) fn starts(&mut self, visitor: usize, kind: Kind, cookie: Option<String>) -> usize {
        let request = self.requests.len();
        self.log(format!(
            "#{request} {kind:?} starts for visitor {visitor}, cookie {cookie:.12?}"
        ));
        self.requests.push(RequestLog::new(kind, cookie));
        request
    }

    /// A store call took effect and was answered. `at` is no earlier than the time by which the server judges the
    /// answer.
    pub(super) fn observe(
        &mut self,
        request: usize,
        call: &StoreCall,
        reply: &Reply,
        at: Timestamp,
    ) {
        self.log(format!(
            "#{request} {} -> {}",
            show_call(call),
            show_reply(reply)
        ));
        self.latest = self.latest.max(at);
        match (call, reply) {
            (StoreCall::Load(key, now), Reply::Loaded(found)) => {
                self.loaded(request, *key, *now, found.as_ref(), at);
            }
            (StoreCall::Save(key, record, expect, now), Reply::Outcome(outcome)) => {
                self.check_outcome(*key, *expect, *now, outcome);
                if *outcome == SaveOutcome::Saved {
                    self.saved(request, *key, record, *expect);
                }
            }
            (StoreCall::Touch(key, touch, now), Reply::Outcome(SaveOutcome::Saved)) => {
                self.touched(request, *key, *touch, *now);
            }
            (StoreCall::Delete(key), Reply::Done) => self.deleted(*key),
            _ => {}
        }
    }

    /// A store call goes wrong in the way that `fault` names.
    pub(super) fn fault(&mut self, request: usize, fault: &str) {
        self.faults_happened = true;
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
        new
    }

    /// The response got lost on its way.
    pub(super) fn lost(&mut self, request: usize) {
        self.log(format!("#{request}'s response is lost"));
        self.faults_happened = true;
    }

    /// Everything has come to rest. `jars` are the cookies that the visitors hold.
    pub(super) fn finish(&mut self, jars: &[Option<String>]) {
        self.check_single_ids();
        self.check_logouts();
        for cookie in jars.iter().flatten() {
            self.check_jar(cookie);
        }
    }

    /// A promise was broken. Only the first one counts: what follows may be its consequence.
    pub(super) fn report(&mut self, promise: Promise, how: String) {
        self.broken
            .get_or_insert_with(|| format!("{how}. The promise: {promise}."));
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
}
