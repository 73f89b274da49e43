//! Updates of one session that met a conflict, and what must not wait for them or stand in their way.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that meets the unexpected fails by panicking"
)]

use std::future::{Future as _, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use session_conformance::adapter::{Call, Gate, Mood, SECRET, SpyStore};
use session_core::adapter::CookieHeaders;
use session_core::store::SessionStore;
use session_core::{Error, ErrorKind, Session, SessionConfig, SessionManager};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Requests whose turn doesn't come take this long. It is long for a test, and short for a request that has to wait for
/// nobody.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

struct Scene {
    store: SpyStore,
    manager: SessionManager,
    cookie: Arc<str>,
}

type Request = JoinHandle<Result<(), Error>>;

impl Scene {
    /// A visitor with a session.
    async fn new() -> Self {
        let store = SpyStore::default();
        let manager = server(store.clone());
        let handle = manager.handle();
        let begins = async {
            let session: Session = handle.load(&CookieHeaders(&[])).await.unwrap();
            session.set("n", 0).unwrap();
        };
        let ((), finished) = handle.run(begins).await;
        let mut headers = http::HeaderMap::new();
        finished.apply(&mut headers);
        let cookie = headers["set-cookie"].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap().into();
        Self {
            store,
            manager,
            cookie,
        }
    }

    /// Starts a request that changes `n`.
    fn start(&self, change: impl Fn(u32) -> u32 + Send + Sync + 'static) -> Request {
        let work = move |session: &Session| {
            session.update("n", move |n: Option<u32>| change(n.unwrap()))?;
            Ok(())
        };
        tokio::spawn(request(self.manager.clone(), self.cookie.clone(), work))
    }

    /// Starts requests, and lets them collide: the first one is stored, the second one has the turn and is held at the
    /// gate with its second save, and the others wait for their turn.
    async fn collide<const N: usize>(
        &self,
        start: [&dyn Fn() -> Request; N],
    ) -> ([Request; N], Arc<Gate>) {
        let first_tries = self.store.hold(Call::Update);
        let mut requests = Vec::new();
        for start in start {
            requests.push(start());
            first_tries.wait_for(1).await;
        }
        let second_tries = self.store.hold(Call::Update);
        first_tries.open();
        second_tries.wait_for(1).await;
        self.store.set(Call::Update, Mood::Works);
        let requests = requests.try_into();
        (requests.unwrap_or_else(|_| panic!("as many")), second_tries)
    }

    async fn n(&self) -> Option<u32> {
        let handle = self.manager.handle();
        let headers = [self.cookie.as_bytes()];
        let session: Session = handle.load(&CookieHeaders(&headers)).await.unwrap();
        session.get("n").unwrap()
    }
}

/// One process of several that share a store.
fn server(store: impl SessionStore) -> SessionManager {
    let config = SessionConfig::builder(SECRET).store_timeout(STORE_TIMEOUT);
    SessionManager::new(config.build().unwrap(), store)
}

async fn request(
    manager: SessionManager,
    cookie: Arc<str>,
    work: impl FnOnce(&Session) -> Result<(), Error>,
) -> Result<(), Error> {
    let handle = manager.handle();
    let headers = [cookie.as_bytes()];
    let serves = async {
        let session: Session = handle.load(&CookieHeaders(&headers)).await?;
        work(&session)
    };
    let (result, finished) = handle.run(serves).await;
    result?;
    finished.error().map_or(Ok(()), |error| Err(error.clone()))
}

/// CM-10: whoever waits starts from what the one before it wrote, without a load.
#[tokio::test]
async fn a_record_is_handed_on() {
    let scene = Scene::new().await;
    let add = || scene.start(|n| n + 1);
    scene.store.take_calls();
    let (requests, held) = scene.collide([&add, &add, &add, &add]).await;
    held.open();
    for request in requests {
        request.await.unwrap().unwrap();
    }
    let calls = scene.store.take_calls();
    let count = |call| calls.iter().filter(|other| **other == call).count();
    // A load each, a save each, and three that were in vain.
    assert_eq!((count(Call::Load), count(Call::Update)), (4, 7));
    assert_eq!((scene.n().await, scene.store.conflicts()), (Some(4), 3));
}

/// CM-10: whoever meets another process in its turn goes on from what the conflict brought, without a load.
#[tokio::test]
async fn the_first_conflict_in_turn_costs_no_load() {
    let scene = Scene::new().await;
    let add = || scene.start(|n| n + 1);
    scene.store.take_calls();
    let (requests, held) = scene.collide([&add, &add]).await;
    let other = server(scene.store.records().clone());
    let work = |session: &Session| session.set("n", 100);
    request(other, scene.cookie.clone(), work).await.unwrap();
    held.open();
    for request in requests {
        request.await.unwrap().unwrap();
    }
    let calls = scene.store.take_calls();
    let count = |call| calls.iter().filter(|other| **other == call).count();
    assert_eq!((count(Call::Load), count(Call::Update)), (2, 4));
    assert_eq!(scene.n().await, Some(101));
}

/// CM-10: a logout and a rotation don't queue behind an update that the store keeps waiting.
#[tokio::test]
async fn endings_and_rotations_do_not_queue() {
    for ends in [true, false] {
        let scene = Scene::new().await;
        let add = || scene.start(|n| n + 1);
        let (requests, held) = scene.collide([&add, &add, &add]).await;
        let work = move |session: &Session| {
            match ends {
                true => session.destroy(),
                false => session.regenerate(),
            }
            Ok(())
        };
        let passes = request(scene.manager.clone(), scene.cookie.clone(), work);
        timeout(STORE_TIMEOUT / 2, passes).await.unwrap().unwrap();
        held.open();
        for request in requests {
            request.await.unwrap().unwrap();
        }
        assert_eq!(scene.n().await, None, "the id is dead");
    }
}

/// CM-10: a closure of the application's that panics when it is run again gives up the turn.
#[tokio::test]
async fn a_panic_gives_up_the_turn() {
    let scene = Scene::new().await;
    let runs = Arc::new(AtomicUsize::new(0));
    let add = || scene.start(|n| n + 1);
    let panics = || {
        let runs = runs.clone();
        scene.start(move |n| match runs.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => n + 10,
            _ => panic!("a closure that can't stand a third run"),
        })
    };
    let ([stored, panics, waits], held) = scene.collide([&add, &panics, &add]).await;
    // Another process is quicker than the one that has the turn.
    let other = server(scene.store.records().clone());
    let work = |session: &Session| session.set("n", 100);
    request(other, scene.cookie.clone(), work).await.unwrap();
    held.open();
    stored.await.unwrap().unwrap();
    let panicked = panics.await;
    assert!(!matches!(panicked, Ok(Ok(()))), "{panicked:?}");
    assert_eq!(runs.load(Ordering::Relaxed), 3);
    let waits = timeout(STORE_TIMEOUT / 2, waits).await;
    waits.unwrap().unwrap().unwrap();
    assert_eq!(scene.n().await, Some(101));
}

/// CM-10: an update that the store keeps waiting gives up its turn at its deadline, and nobody after it waits for it.
#[tokio::test]
async fn the_deadline_gives_up_the_turn() {
    let scene = Scene::new().await;
    let add = || scene.start(|n| n + 1);
    // Its own deadline is later.
    let add_later = || {
        std::thread::sleep(STORE_TIMEOUT / 4);
        add()
    };
    let ([stored, hangs, waits], _never_opened) = scene.collide([&add, &add, &add_later]).await;
    stored.await.unwrap().unwrap();
    let error = hangs.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    waits.await.unwrap().unwrap();
    assert_eq!(scene.n().await, Some(2));
}

/// CM-4, CM-10: an update that waits for its turn outlives its request, as every commit does.
#[tokio::test]
async fn whoever_waits_outlives_its_request() {
    let scene = Scene::new().await;
    let add = || scene.start(|n| n + 1);
    let (requests, held) = scene.collide([&add, &add, &add]).await;
    let [stored, has_turn, waits] = requests;
    stored.await.unwrap().unwrap();
    waits.abort();
    assert!(waits.await.unwrap_err().is_cancelled());
    held.open();
    has_turn.await.unwrap().unwrap();
    scene.manager.drain().await;
    assert_eq!(scene.n().await, Some(3));
}

/// CM-10: a commit that has begun and that nobody polls any more doesn't keep the request for ever, nor the server that
/// is shut down after it.
#[tokio::test]
async fn a_commit_that_was_put_aside_keeps_nobody_for_ever() {
    let scene = Scene::new().await;
    let held = scene.store.hold(Call::Update);
    let handle = scene.manager.handle();
    let headers = [scene.cookie.as_bytes()];
    let mut put_aside = None;
    let request = async {
        let session: Session = handle.load(&CookieHeaders(&headers)).await.unwrap();
        session.set("n", 7).unwrap();
        let mut commit = Box::pin({
            let session = session.clone();
            async move { session.commit().await }
        });
        let polled = poll_fn(|cx| Poll::Ready(commit.as_mut().poll(cx)));
        assert!(polled.await.is_pending());
        put_aside = Some(commit);
    };
    let ((), finished) = timeout(STORE_TIMEOUT * 4, handle.run(request))
        .await
        .unwrap();
    let error = finished.error().unwrap();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    // Once it is given up it goes on by itself.
    drop(put_aside);
    held.open();
    timeout(STORE_TIMEOUT * 4, scene.manager.drain())
        .await
        .unwrap();
    assert_eq!(scene.n().await, Some(7));
}
