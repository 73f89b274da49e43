//! A crowd at one session: a store's conflicts as the core gets over them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::HeaderMap;
use hyper::header::SET_COOKIE;
use session_core::adapter::CookieHeaders;
use session_core::store::{
    Record, SaveOptions, SaveOutcome, SessionStore, StoreError, StoreKey, Touch, async_trait,
};
use session_core::{Error, Session, SessionConfig, SessionManager, Timestamp};
use tokio::sync::Barrier;
use tokio::task::{JoinSet, yield_now};

use super::bench::Bench;
use super::harness::StoreHarness;

const CLIENTS: usize = 100;
const ROUNDS: usize = 10;
const INCREMENTS: usize = CLIENTS * ROUNDS;

/// Whoever saves first of those that loaded together is stored, and all others meet a conflict.
const FEWEST_CONFLICTS: usize = ROUNDS.div_ceil(2) * (CLIENTS - 1);

/// An increment loads and saves. Either its first save is in somebody's way, who tries once more and may load for it, or
/// it meets a conflict, and saves again when its turn comes.
const MOST_CALLS: usize = 4 * INCREMENTS;

/// A thousand changes of one session by a hundred clients of one process all get through, and none is lost. They cost the
/// store a few thousand calls, and not a million. CM-10.
pub async fn a_crowd_at_one_session_gets_through(harness: &impl StoreHarness) {
    let store = Bench::new(harness).await.store;
    let counted = Arc::new(Counted {
        store,
        calls: AtomicUsize::new(0),
        conflicts: AtomicUsize::new(0),
    });
    let config = SessionConfig::builder("a secret for tests, of at least 32 bytes");
    let config = config.build().expect("a secret is all that it needs");
    let manager = SessionManager::new(config, counted.clone());
    let cookie: Arc<str> = begin(&manager).await.into();
    counted.calls.store(0, Ordering::Relaxed);

    let line = Arc::new(Barrier::new(CLIENTS));
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (manager, cookie, line) = (manager.clone(), cookie.clone(), line.clone());
        clients.spawn(async move {
            let mut failures = Vec::new();
            for round in 0..ROUNDS {
                let line = round.is_multiple_of(2).then_some(&*line);
                failures.extend(increment(&manager, &cookie, line).await.err());
            }
            failures
        });
    }
    let failures: Vec<_> = clients.join_all().await.into_iter().flatten().collect();
    let calls = counted.calls.load(Ordering::Relaxed);
    let conflicts = counted.conflicts.load(Ordering::Relaxed);
    eprintln!("{INCREMENTS} increments by {CLIENTS} clients: {calls} calls, {conflicts} conflicts");
    assert!(
        failures.is_empty(),
        "{} of {INCREMENTS} increments failed, the first one with {:?}",
        failures.len(),
        failures[0]
    );
    let count = count(&manager, &cookie).await;
    assert!(
        count == Some(INCREMENTS),
        "{INCREMENTS} increments, each one a success, led to {count:?}: saves overwrite each other"
    );
    assert!(
        conflicts >= FEWEST_CONFLICTS,
        "{conflicts} conflicts, where {FEWEST_CONFLICTS} saves expected a version that was no longer current"
    );
    assert!(
        calls <= MOST_CALLS,
        "{INCREMENTS} increments cost {calls} calls, and {MOST_CALLS} have to be enough: conflicts without a cause, or \
         with a record that is no longer current"
    );
}

/// Begins a session, and gives its cookie.
async fn begin(manager: &SessionManager) -> String {
    let handle = manager.handle();
    let ((), finished) = handle
        .run(async {
            let session: Session = loaded(handle.load(&CookieHeaders(&[])).await);
            loaded(session.set("n", 0));
        })
        .await;
    let mut headers = HeaderMap::new();
    finished.apply(&mut headers);
    let cookie = headers
        .get(SET_COOKIE)
        .and_then(|value| value.to_str().ok());
    let cookie = cookie.and_then(|value| value.split(';').next());
    let cookie = cookie.unwrap_or_else(|| panic!("no session began: {:?}", finished.error()));
    cookie.to_owned()
}

/// One request. At a line it waits until all others have loaded the session too.
async fn increment(
    manager: &SessionManager,
    cookie: &str,
    line: Option<&Barrier>,
) -> Result<(), Error> {
    let handle = manager.handle();
    let ((), finished) = handle
        .run(async {
            let headers = [cookie.as_bytes()];
            let session: Session = loaded(handle.load(&CookieHeaders(&headers)).await);
            if let Some(line) = line {
                line.wait().await;
            }
            loaded(session.update("n", |n: Option<usize>| n.unwrap_or(0) + 1));
        })
        .await;
    finished.error().map_or(Ok(()), |error| Err(error.clone()))
}

async fn count(manager: &SessionManager, cookie: &str) -> Option<usize> {
    let handle = manager.handle();
    let headers = [cookie.as_bytes()];
    let session: Session = loaded(handle.load(&CookieHeaders(&headers)).await);
    loaded(session.get("n"))
}

/// Without the session nobody gets as far as the line, and all others would wait there for ever.
fn loaded<T>(answer: Result<T, Error>) -> T {
    answer.unwrap_or_else(|error| panic!("the session can't be read: {error:?}"))
}

/// The store under test. It counts its calls and lets others run before each one, so that the calls of a store that
/// never waits overlap too.
struct Counted<S> {
    store: Arc<S>,
    calls: AtomicUsize,
    conflicts: AtomicUsize,
}

impl<S> Counted<S> {
    async fn enter(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        yield_now().await;
    }
}

#[async_trait]
impl<S: SessionStore> SessionStore for Counted<S> {
    async fn load(&self, key: &StoreKey, now: Timestamp) -> Result<Option<Record>, StoreError> {
        self.enter().await;
        self.store.load(key, now).await
    }

    async fn save(
        &self,
        key: &StoreKey,
        record: Record,
        options: SaveOptions,
    ) -> Result<SaveOutcome, StoreError> {
        self.enter().await;
        let outcome = self.store.save(key, record, options).await?;
        if let SaveOutcome::Conflict(_) = outcome {
            self.conflicts.fetch_add(1, Ordering::Relaxed);
        }
        Ok(outcome)
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.enter().await;
        self.store.delete(key).await
    }

    async fn touch(
        &self,
        key: &StoreKey,
        touch: Touch,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        self.enter().await;
        self.store.touch(key, touch, now).await
    }
}
