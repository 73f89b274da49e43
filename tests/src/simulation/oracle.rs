//! What must hold: the promises, checked at every write and once more at the end.

use std::collections::{BTreeMap, HashMap, HashSet};

use session_core::store::{Expect, SaveOutcome};
use session_core::{LiveRecord, Record, RecordState, SessionRef, StoreKey, Timestamp, Version};

use super::requests::{Answer, Data, Kind};
use super::schedule::{ABSOLUTE, GRACE};
use super::world::{Reply, StoreCall};

/// Follows every write with a model of its own, and every request to its end.
#[derive(Default)]
pub(super) struct Oracle {
    pub(super) requests: Vec<RequestLog>,
    pub(super) trace: Vec<String>,
    /// The first promise that was broken.
    pub(super) broken: Option<String>,
    /// What the store must hold, expired records included.
    records: BTreeMap<StoreKey, Record>,
    sessions: HashMap<SessionRef, Lineage>,
    /// Which key followed which, also where the store has forgotten it.
    successors: HashMap<StoreKey, StoreKey>,
    /// Keys under which nothing may ever live again, and why.
    dead: HashMap<StoreKey, &'static str>,
    versions: HashSet<Version>,
    /// Cookie values that left in a response, and the key of the id in each.
    produced: HashMap<String, StoreKey>,
    /// The latest time that a server may have acted on. Clocks are set back now and then; what has expired by this
    /// time counts as expired.
    latest: Timestamp,
    /// A fault was injected: the exceptions that the documentation names may apply.
    pub(super) faults_happened: bool,
}

/// One session, through all its rotations.
struct Lineage {
    created_at: Timestamp,
    /// The key under which it lives.
    head: StoreKey,
    /// What a serial order of the committed requests gives.
    data: Data,
    /// The response with the newest id was lost, or never made: the visitor may be signed out.
    undelivered: bool,
}

/// What is known about one request.
pub(super) struct RequestLog {
    pub(super) kind: Kind,
    pub(super) cookie: Option<String>,
    /// The key of the id that the cookie holds.
    pub(super) key: Option<StoreKey>,
    /// The session that it loaded.
    loaded: Option<Record>,
    loaded_at: Timestamp,
    /// Records that it created.
    created: Vec<StoreKey>,
    /// When the session began that it started.
    began_at: Option<Timestamp>,
    /// A write of its own that moved the activity of the session it came with took effect.
    extended: bool,
    commits: usize,
    rotated: bool,
    /// Its changes were reported as dropped.
    pub(super) dropped: bool,
    pub(super) answer: Option<Answer>,
    answered_at: Timestamp,
}

impl RequestLog {
    pub(super) fn new(kind: Kind, cookie: Option<String>) -> Self {
        Self {
            kind,
            cookie,
            key: None,
            loaded: None,
            loaded_at: Timestamp::default(),
            created: Vec::new(),
            began_at: None,
            extended: false,
            commits: 0,
            rotated: false,
            dropped: false,
            answer: None,
            answered_at: Timestamp::default(),
        }
    }

    /// It found no session, nor one that had died a moment ago: an ordinary first visit. Several of them at
    /// once get a session each, as the documentation says.
    fn is_first_visit(&self) -> bool {
        let expired = |record: &Record| self.began_at.is_some_and(|now| record.is_expired(now));
        let found_live = |record: &Record| record.live().is_some() && !expired(record);
        !self.loaded.as_ref().is_some_and(found_live) && !self.is_straggler()
    }

    fn is_straggler(&self) -> bool {
        self.loaded
            .as_ref()
            .is_some_and(|record| match record.state {
                RecordState::Live(_) => false,
                RecordState::Superseded { at, .. } | RecordState::Ended { at } => {
                    self.loaded_at < at.saturating_add(GRACE)
                }
            })
    }
}

impl Oracle {
    fn broken(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    pub(super) fn log(&mut self, line: String) {
        self.trace.push(line);
    }

    /// Sees a store call that took effect, and its answer.
    /// `at` is no earlier than the time by which the server judges the answer.
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
            (StoreCall::Load(key, now), Reply::Loaded(record)) => {
                let expected = self
                    .records
                    .get(key)
                    .filter(|record| !record.is_expired(*now));
                if expected != record.as_ref() {
                    self.broken(format!("store: load of {key} isn't what was saved"));
                }
                let log = &mut self.requests[request];
                if log.loaded.is_none() && log.created.is_empty() {
                    (log.loaded, log.loaded_at) = (record.clone(), at);
                    log.key.get_or_insert(*key);
                }
            }
            (StoreCall::Save(key, record, expect, now), Reply::Outcome(outcome)) => {
                self.check_outcome(*key, *expect, *now, outcome);
                if *outcome == SaveOutcome::Saved {
                    self.saved(request, *key, record.clone(), *expect);
                }
            }
            (StoreCall::Touch(key, touch, now), Reply::Outcome(SaveOutcome::Saved)) => {
                self.check_outcome(
                    *key,
                    Expect::Version(touch.expected),
                    *now,
                    &SaveOutcome::Saved,
                );
                let Some(Ok(touched)) = self
                    .records
                    .get(key)
                    .cloned()
                    .map(|record| touch.apply(record))
                else {
                    return self.broken(format!(
                        "(i) a touch landed on {key}, where no such record lives"
                    ));
                };
                self.written(*key, touched);
                self.requests[request].extended = true;
            }
            (StoreCall::Delete(key), Reply::Done) => {
                self.records.remove(key);
                self.dead.entry(*key).or_insert("taken back");
            }
            _ => {}
        }
    }

    /// The store's answer must follow from what it holds.
    fn check_outcome(
        &mut self,
        key: StoreKey,
        expect: Expect,
        now: Timestamp,
        outcome: &SaveOutcome,
    ) {
        let current = self
            .records
            .get(&key)
            .filter(|record| !record.is_expired(now));
        let expected = expect.check(current);
        let alike = matches!(
            (&expected, outcome),
            (SaveOutcome::Saved, SaveOutcome::Saved)
                | (SaveOutcome::Missing, SaveOutcome::Missing)
                | (SaveOutcome::Conflict(_), SaveOutcome::Conflict(_))
        );
        if !alike {
            self.broken(format!(
                "store: a write of {key} was answered {outcome:?}, not {expected:?}"
            ));
        }
    }

    fn saved(&mut self, request: usize, key: StoreKey, record: Record, expect: Expect) {
        match (&record.state, expect) {
            (RecordState::Live(live), Expect::Absent) => self.created(request, key, live),
            (RecordState::Live(live), Expect::Version(_)) => self.updated(request, key, live),
            (RecordState::Superseded { successor, .. }, _) => {
                self.superseded(request, key, *successor);
            }
            (RecordState::Ended { .. }, _) => {
                self.dead.entry(key).or_insert("ended");
            }
        }
        self.written(key, record);
    }

    /// What holds for every write.
    fn written(&mut self, key: StoreKey, record: Record) {
        if !self.versions.insert(record.version) {
            self.broken(format!("(v) a version was used twice, now for {key}"));
        }
        let before = self
            .records
            .get(&key)
            .and_then(|record| Some((record.expires_at, record.live()?.handle)));
        if let Some(live) = record.live() {
            if let Some(why) = self.dead.get(&key) {
                self.broken(format!("(a) {key} lives again; it was {why}"));
            }
            if record.expires_at > live.created_at.saturating_add(ABSOLUTE) {
                self.broken(format!("(g) {key} outlives the absolute timeout"));
            }
            if before
                .is_some_and(|(expiry, handle)| handle == live.handle && record.expires_at < expiry)
            {
                self.broken(format!("(i) a write shortened the life of {key}"));
            }
        }
        self.records.insert(key, record);
    }

    /// A record under a new id: a new session, or a rotation's new record, which doesn't count yet.
    fn created(&mut self, request: usize, key: StoreKey, live: &LiveRecord) {
        self.requests[request].created.push(key);
        if let Some(Lineage {
            created_at, head, ..
        }) = self.sessions.get(&live.handle)
        {
            let old = self.records.get(head).map(|record| &record.state);
            let old_is_dead = matches!(old, Some(RecordState::Superseded { .. }));
            if *created_at != live.created_at {
                self.broken(format!(
                    "(g) rotation to {key} moved the session's beginning"
                ));
            } else if old_is_dead && !self.faults_happened {
                self.broken(format!(
                    "(7) {key} was created when the old id was dead already"
                ));
            }
            return;
        }
        if self.requests[request].is_straggler() && !self.requests[request].kind.destroys() {
            self.broken(format!(
                "(8) #{request} came with a dead id and stored a session"
            ));
        }
        self.requests[request].began_at = Some(live.created_at);
        let data = self.commit(request, Data::new());
        self.check_data(key, live, &data);
        let created_at = live.created_at;
        self.sessions.insert(
            live.handle,
            Lineage {
                created_at,
                head: key,
                data,
                undelivered: false,
            },
        );
    }

    fn updated(&mut self, request: usize, key: StoreKey, live: &LiveRecord) {
        let Some(lineage) = self.sessions.get(&live.handle) else {
            return self.broken(format!("{key} was saved as a session that nobody began"));
        };
        if lineage.head != key {
            // A rotation brings its new record up to date before it counts.
            return;
        }
        let before = self.records.get(&key).and_then(Record::live);
        let moved = before.is_some_and(|before| before.last_active_at != live.last_active_at);
        let data = self.commit(request, lineage.data.clone());
        self.check_data(key, live, &data);
        if let Some(lineage) = self.sessions.get_mut(&live.handle) {
            lineage.data = data;
        }
        self.requests[request].extended |= moved;
    }

    /// The moment at which a rotation counts.
    fn superseded(&mut self, request: usize, key: StoreKey, successor: StoreKey) {
        self.dead.entry(key).or_insert("superseded");
        let handle = self
            .records
            .get(&key)
            .and_then(Record::live)
            .map(|live| live.handle);
        let Some(lineage) = handle.and_then(|handle| self.sessions.get(&handle)) else {
            return self.broken(format!("{key} was superseded, and no session lived there"));
        };
        let data = self.commit(request, lineage.data.clone());
        match self.records.get(&successor).and_then(Record::live).cloned() {
            Some(live) => self.check_data(successor, &live, &data),
            None => self.broken(format!(
                "(7) {key} was superseded by {successor}, where nothing lives"
            )),
        }
        self.requests[request].rotated = true;
        self.successors.insert(key, successor);
        if let Some(lineage) = handle.and_then(|handle| self.sessions.get_mut(&handle)) {
            (lineage.head, lineage.data, lineage.undelivered) = (successor, data, true);
        }
    }

    /// Applies what the request's next commit writes.
    fn commit(&mut self, request: usize, mut data: Data) -> Data {
        let log = &mut self.requests[request];
        let groups = log.kind.groups(request);
        match groups.get(log.commits) {
            Some(group) => group.iter().for_each(|op| op.apply(&mut data)),
            None => self.broken(format!(
                "(d) #{request} was applied more often than it asked"
            )),
        }
        self.requests[request].commits += 1;
        data
    }

    fn check_data(&mut self, key: StoreKey, live: &LiveRecord, expected: &Data) {
        let stored: Data = serde_json::from_slice(live.data.as_json()).unwrap_or_default();
        if stored != *expected {
            self.broken(format!(
                "(b) {key} holds {stored:?}, but a serial order gives {expected:?}"
            ));
        }
    }

    /// Sees a request's end; `None` when its server crashed.
    pub(super) fn answered(&mut self, request: usize, answer: Option<Answer>) {
        let log = &self.requests[request];
        let (kind, straggler, commits) = (log.kind, log.is_straggler(), log.commits);
        self.trace.push(format!(
            "#{request} {kind:?} ends: {}",
            show_answer(answer.as_ref(), log.dropped)
        ));
        let Some(answer) = answer else {
            return;
        };
        if !answer.ok && answer.set_cookie.is_some() {
            self.broken(format!("(10) #{request} failed and sent a cookie"));
        }
        if !answer.ok && !self.faults_happened {
            self.broken(format!(
                "(10) #{request} failed, though nothing had gone wrong"
            ));
        }
        match answer.set_cookie.as_deref() {
            Some("") if !kind.destroys() => {
                self.broken(format!(
                    "(5) #{request} removed the cookie without having ended the session"
                ));
            }
            Some(value) if !value.is_empty() => self.sent(request, value.to_owned()),
            _ => {}
        }
        if answer.ok && self.requests[request].rotated && answer.set_cookie.is_none() {
            self.broken(format!("(7) #{request} rotated and didn't send the new id"));
        }
        let wanted = kind
            .groups(request)
            .iter()
            .filter(|group| !group.is_empty())
            .count();
        let dropped = self.requests[request].dropped;
        if answer.ok && !dropped && commits < wanted {
            self.broken(format!(
                "(b) #{request} was acknowledged, and {} commits are missing",
                wanted - commits
            ));
        }
        if dropped && straggler && commits > 0 && !kind.destroys() {
            self.broken(format!("(8) #{request} came with a dead id and was stored"));
        }
        self.requests[request].answer = Some(answer);
        self.requests[request].answered_at = self.latest;
        self.check_logouts();
    }

    /// Sees a cookie leave in a response.
    fn sent(&mut self, request: usize, value: String) {
        let log = &self.requests[request];
        if log.cookie.as_ref() == Some(&value) {
            if !log.extended {
                self.broken(format!(
                    "(9) #{request} sent its cookie again without having extended the session"
                ));
            }
            return;
        }
        match (log.created.last(), log.commits > 0) {
            (Some(key), true) => {
                self.produced.insert(value, *key);
            }
            _ => self.broken(format!(
                "(9) #{request} sent an id that isn't its session's"
            )),
        }
    }

    /// Sees a response reach a visitor, whose cookie is `jar`. Returns the cookie that the visitor has then.
    pub(super) fn delivered(&mut self, request: usize, jar: Option<String>) -> Option<String> {
        let log = &self.requests[request];
        let Some(value) = log
            .answer
            .as_ref()
            .and_then(|answer| answer.set_cookie.clone())
        else {
            return jar;
        };
        self.trace.push(format!("#{request}'s response arrives"));
        let new = Some(value).filter(|value| !value.is_empty());
        let (kind, came_with, rotated) = (log.kind, log.cookie.clone(), log.rotated);
        let excused = kind.destroys()
            || rotated
            || log.is_first_visit()
            || (new.is_some() && new == came_with);
        let replaces_live =
            jar.as_ref().is_some_and(|jar| self.is_live(jar)) && jar != came_with && jar != new;
        if replaces_live && !excused {
            self.broken(format!("(5) #{request} took a live cookie away"));
        }
        let handle = new.as_ref().and_then(|value| self.session_of(value));
        if let Some(lineage) = handle.and_then(|handle| self.sessions.get_mut(&handle)) {
            let is_newest =
                new.as_ref().and_then(|value| self.produced.get(value)) == Some(&lineage.head);
            // A response that was overtaken by a rotation's brings the old id back to the browser.
            lineage.undelivered = !is_newest;
        }
        new
    }

    /// Sees a response get lost on its way.
    pub(super) fn lost(&mut self, request: usize) {
        self.trace.push(format!("#{request}'s response is lost"));
        self.faults_happened = true;
    }

    fn session_of(&self, cookie: &str) -> Option<SessionRef> {
        let mut key = *self.produced.get(cookie)?;
        loop {
            match &self.records.get(&key)?.state {
                RecordState::Live(live) => return Some(live.handle),
                RecordState::Superseded { successor, .. } => key = *successor,
                RecordState::Ended { .. } => return None,
            }
        }
    }

    fn is_live(&self, cookie: &str) -> bool {
        let key = self.produced.get(cookie);
        key.and_then(|key| self.records.get(key))
            .is_some_and(|record| record.live().is_some())
    }

    /// Where the session went that began under `key`, and what is there.
    fn end_of_chain(&self, mut key: StoreKey) -> (StoreKey, Option<&Record>) {
        while let Some(successor) = self.successors.get(&key) {
            key = *successor;
        }
        (key, self.records.get(&key))
    }

    /// What must hold when everything has come to rest.
    pub(super) fn finish(&mut self, jars: &[Option<String>]) {
        let now = self.latest;
        self.check_single_ids(now);
        self.check_logouts();
        for jar in jars.iter().flatten() {
            self.check_jar(jar, now);
        }
    }

    /// (c): no session lives under two ids that visitors know, and without faults not under two at all.
    fn check_single_ids(&mut self, now: Timestamp) {
        let known: HashSet<_> = self.produced.values().collect();
        let mut ids: HashMap<SessionRef, (usize, usize)> = HashMap::new();
        for (key, record) in &self.records {
            if let (Some(live), false) = (record.live(), record.is_expired(now)) {
                let (all, produced) = ids.entry(live.handle).or_default();
                *all += 1;
                *produced += usize::from(known.contains(key));
            }
        }
        let split =
            |(all, produced): &(usize, usize)| *produced > 1 || (*all > 1 && !self.faults_happened);
        if let Some((handle, (all, produced))) = ids.iter().find(|(_, counts)| split(counts)) {
            let what =
                format!("(c) session {handle} lives under {all} ids, {produced} of them known");
            self.broken(what);
        }
    }

    /// (a): a logout that was acknowledged ended the session, wherever it had moved.
    fn check_logouts(&mut self) {
        let now = self.latest;
        let survives = |log: &RequestLog| {
            let acknowledged = log.answer.as_ref().is_some_and(|answer| answer.ok);
            let loaded = log
                .loaded
                .as_ref()
                .filter(|_| log.kind.destroys() && acknowledged)?;
            // Slower than the session's own life: its tombstone may have gone when it would have. What such a
            // logout ends leads nowhere for the next one.
            let leads_nowhere = matches!(loaded.state, RecordState::Ended { .. });
            if loaded.is_expired(log.answered_at) || leads_nowhere {
                return None;
            }
            let (key, record) = self.end_of_chain(log.key?);
            let alive =
                record.is_some_and(|record| record.live().is_some() && !record.is_expired(now));
            alive.then_some(key)
        };
        let survivor = self
            .requests
            .iter()
            .enumerate()
            .find_map(|(id, log)| Some((id, survives(log)?)));
        if let Some((request, key)) = survivor {
            self.broken(format!(
                "(a) logout #{request} was acknowledged, and the session lives under {key}"
            ));
        }
    }

    /// (f): a visitor whose session goes on holds its id, unless the response that brought it got lost.
    fn check_jar(&mut self, jar: &str, now: Timestamp) {
        let Some(key) = self.produced.get(jar).copied() else {
            return;
        };
        let (end, record) = self.end_of_chain(key);
        if end == key {
            return;
        }
        match record {
            None => self.broken(format!(
                "(f) {key} was superseded by {end}, where nothing is"
            )),
            Some(record) if !record.is_expired(now) => {
                let handle = record.live().map(|live| live.handle);
                let lineage = handle.and_then(|handle| self.sessions.get(&handle));
                if lineage.is_some_and(|lineage| !lineage.undelivered) {
                    self.broken(format!(
                        "(f) a visitor holds {key}, and the session lives under {end}"
                    ));
                }
            }
            Some(_) => {}
        }
    }
}

fn show_call(call: &StoreCall) -> String {
    match call {
        StoreCall::Load(key, now) => format!("load {key} at {}", now.as_unix_millis()),
        StoreCall::Save(key, record, expect, _) => {
            let state = match &record.state {
                RecordState::Live(live) => {
                    format!("{:?}", String::from_utf8_lossy(live.data.as_json()))
                }
                RecordState::Superseded { successor, .. } => format!("superseded by {successor}"),
                RecordState::Ended { .. } => "ended".to_owned(),
            };
            format!(
                "save {key} {state} until {} expecting {expect:?}",
                record.expires_at.as_unix_millis()
            )
        }
        StoreCall::Touch(key, touch, _) => {
            format!("touch {key} until {}", touch.expires_at.as_unix_millis())
        }
        StoreCall::Delete(key) => format!("delete {key}"),
    }
}

fn show_reply(reply: &Reply) -> &'static str {
    match reply {
        Reply::Loaded(None) => "nothing",
        Reply::Loaded(Some(record)) if record.live().is_some() => "a live record",
        Reply::Loaded(Some(_)) => "a tombstone",
        Reply::Outcome(SaveOutcome::Saved) => "saved",
        Reply::Outcome(SaveOutcome::Conflict(_)) => "conflict",
        Reply::Outcome(SaveOutcome::Missing) => "missing",
        Reply::Done => "done",
    }
}

fn show_answer(answer: Option<&Answer>, dropped: bool) -> String {
    match answer {
        None => "crashed".to_owned(),
        Some(Answer { ok, set_cookie }) => {
            let cookie = match set_cookie.as_deref() {
                None => "no cookie",
                Some("") => "removal",
                Some(_) => "cookie",
            };
            format!(
                "{} with {cookie}{}",
                if *ok { 200 } else { 503 },
                if dropped { ", dropped" } else { "" }
            )
        }
    }
}
