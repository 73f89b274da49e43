//! What is counted and timed, as a recorder of the crate `metrics` sees it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that can't go on panics"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use metrics::{
    Counter, CounterFn, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use session_conformance::adapter::{Call, Mood, SpyStore};
use session_core::adapter::CookieHeaders;
use session_core::{Error, Session, SessionConfig, SessionManager};
use session_store_memory::MemoryStore;

/// How often each name was counted or timed; a label is a part of the name.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<BTreeMap<String, u64>>>);

struct Of {
    counts: Counts,
    name: String,
}

impl Of {
    fn add(&self, value: u64) {
        *self
            .counts
            .0
            .lock()
            .unwrap()
            .entry(self.name.clone())
            .or_default() += value;
    }
}

impl CounterFn for Of {
    fn increment(&self, value: u64) {
        self.add(value);
    }

    fn absolute(&self, _: u64) {
        panic!("nothing is set to a value");
    }
}

impl HistogramFn for Of {
    fn record(&self, seconds: f64) {
        assert!((0.0..60.0).contains(&seconds), "{seconds}");
        self.add(1);
    }
}

impl Counts {
    fn of(&self, key: &Key) -> Arc<Of> {
        let labels = key
            .labels()
            .map(|label| format!(" {}={}", label.key(), label.value()));
        Arc::new(Of {
            counts: self.clone(),
            name: [key.name().to_owned()].into_iter().chain(labels).collect(),
        })
    }

    fn take(&self) -> Vec<(String, u64)> {
        std::mem::take(&mut *self.0.lock().unwrap())
            .into_iter()
            .collect()
    }
}

impl Recorder for Counts {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.of(key))
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.of(key))
    }
}

struct Scene {
    counts: Counts,
    manager: SessionManager,
    cookie: Option<String>,
}

impl Scene {
    /// What a request is counted as.
    fn request(&mut self, act: impl Fn(&Session)) -> Vec<(String, u64)> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        let handle = self.manager.handle();
        let header = self.cookie.clone().unwrap_or_default();
        let headers = [header.as_bytes()];
        let work = async {
            if let Ok(session) = handle.load::<Error>(&CookieHeaders(&headers)).await {
                act(&session);
            }
        };
        let finished = metrics::with_local_recorder(&self.counts, || {
            let ((), finished) = runtime.block_on(handle.run(work));
            finished
        });
        let mut headers = http::HeaderMap::new();
        finished.apply(&mut headers);
        if let Some(cookie) = headers.get("set-cookie") {
            let pair = cookie.to_str().unwrap().split(';').next().unwrap();
            self.cookie = Some(pair.to_owned());
        }
        self.counts.take()
    }
}

fn counted(names: &[&str]) -> Vec<(String, u64)> {
    names.iter().map(|name| ((*name).to_owned(), 1)).collect()
}

/// LG-3: what becomes of sessions, what is refused and what fails is counted under documented names, each time; opening
/// and committing are timed.
#[test]
fn what_happens_is_counted() {
    let config = SessionConfig::builder("a secret for tests of thirty-two bytes");
    let mut scene = Scene {
        counts: Counts::default(),
        manager: SessionManager::new(config.build().unwrap(), MemoryStore::new()),
        cookie: None,
    };
    assert_eq!(scene.request(|_| {}), []);
    let created = ["session_commit_seconds", "session_created_total"];
    assert_eq!(
        scene.request(|session| session.set("n", 1).unwrap()),
        counted(&created)
    );
    let loaded = ["session_loaded_total", "session_open_seconds"];
    assert_eq!(scene.request(|_| {}), counted(&loaded));
    let first = scene.cookie.clone();
    let with_commit = |done| {
        let mut names = vec!["session_commit_seconds", done];
        names.extend(loaded);
        names.sort_unstable();
        counted(&names)
    };
    assert_eq!(
        scene.request(|session| session.set("n", 2).unwrap()),
        with_commit("session_saved_total")
    );
    assert_eq!(
        scene.request(Session::regenerate),
        with_commit("session_rotated_total")
    );
    let current = std::mem::replace(&mut scene.cookie, first);
    let late = [
        "session_changes_dropped_total",
        "session_commit_seconds",
        "session_late_request_total",
        "session_open_seconds",
    ];
    assert_eq!(
        scene.request(|session| session.set("n", 3).unwrap()),
        counted(&late)
    );
    scene.cookie = current;
    assert_eq!(
        scene.request(Session::logout),
        with_commit("session_ended_total")
    );
    scene.cookie = Some(format!("session_id={:A<92}", "forged"));
    for _ in 0..2 {
        assert_eq!(
            scene.request(|_| {}),
            counted(&["session_id_rejected_total"])
        );
    }
}

/// LG-3: what fails is counted by its kind, and timed too: a store that is slow before it fails is seen in both.
#[test]
fn failures_are_counted_and_timed() {
    let config = SessionConfig::builder("a secret for tests of thirty-two bytes");
    let store = SpyStore::default();
    let mut scene = Scene {
        counts: Counts::default(),
        manager: SessionManager::new(config.build().unwrap(), store.clone()),
        cookie: None,
    };
    scene.request(|session| session.set("n", 1).unwrap());
    store.set(Call::Update, Mood::Fails);
    let saving = [
        "session_commit_seconds",
        "session_failed_total kind=store",
        "session_loaded_total",
        "session_open_seconds",
    ];
    assert_eq!(
        scene.request(|session| session.set("n", 2).unwrap()),
        counted(&saving)
    );
    store.set(Call::Load, Mood::Fails);
    let loading = ["session_failed_total kind=store", "session_open_seconds"];
    assert_eq!(scene.request(|_| {}), counted(&loading));
}

/// LG-3: every name is in the documentation, and nothing else is.
#[test]
fn the_documentation_has_every_name() {
    let source = include_str!("../../session-core/src/events/metrics.rs");
    let docs = include_str!("../../docs/watching.md");
    let names = source
        .split('"')
        .filter(|part| part.starts_with("session_"));
    let mut count = 0;
    for name in names {
        assert!(docs.contains(&format!("`{name}`")), "{name}");
        count += 1;
    }
    let documented = docs.lines().filter(|line| line.starts_with("| `session_"));
    assert_eq!(count, documented.count());
    assert!(count > 15);
}
