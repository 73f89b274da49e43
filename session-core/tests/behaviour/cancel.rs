//! Requests that are dropped half-way, at every point where they can be.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use session_core::adapter::CookieHeaders;
use session_core::store::{
    Record, SaveOptions, SaveOutcome, SessionStore, StoreError, StoreKey, Touch, async_trait,
};
use session_core::{Clock, Error, Session, SessionManager, Timestamp};

use crate::scene::{MapStore, Response, TestClock, config};

/// A store that gives way before and after each effect, so that a request can be dropped at either point.
#[derive(Clone, Default)]
struct SteppingStore(Arc<(MapStore, Mutex<BTreeSet<StoreKey>>)>);

impl SteppingStore {
    async fn live_records(&self, now: Timestamp) -> usize {
        let keys: Vec<_> = self.0.1.lock().unwrap().iter().copied().collect();
        let mut live = 0;
        for key in keys {
            let record = self.0.0.load(&key, now).await.unwrap();
            live += usize::from(record.is_some_and(|record| record.live().is_some()));
        }
        live
    }
}

#[async_trait]
impl SessionStore for SteppingStore {
    async fn load(&self, key: &StoreKey, now: Timestamp) -> Result<Option<Record>, StoreError> {
        give_way().await;
        let loaded = self.0.0.load(key, now).await;
        give_way().await;
        loaded
    }

    async fn save(
        &self,
        key: &StoreKey,
        record: Record,
        options: SaveOptions,
    ) -> Result<SaveOutcome, StoreError> {
        let SaveOptions { expect, now, .. } = options;
        give_way().await;
        self.0.1.lock().unwrap().insert(*key);
        let saved = self
            .0
            .0
            .save(key, record, SaveOptions::new(expect, now))
            .await;
        give_way().await;
        saved
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        give_way().await;
        let deleted = self.0.0.delete(key).await;
        give_way().await;
        deleted
    }

    async fn touch(
        &self,
        key: &StoreKey,
        touch: Touch,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        give_way().await;
        let touched = self.0.0.touch(key, touch, now).await;
        give_way().await;
        touched
    }
}

async fn give_way() {
    let mut given = false;
    poll_fn(|cx| {
        cx.waker().wake_by_ref();
        if std::mem::replace(&mut given, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

struct Server {
    manager: SessionManager,
    store: SteppingStore,
    clock: TestClock,
}

impl Server {
    fn new() -> Self {
        let (store, clock) = (SteppingStore::default(), TestClock::new());
        let manager = SessionManager::builder(config().build().unwrap(), store.clone())
            .clock(clock.clone())
            .build()
            .unwrap();
        Self {
            manager,
            store,
            clock,
        }
    }

    async fn request(&self, cookie: Option<String>, act: impl Fn(&Session)) -> Response {
        let header = cookie.map(|value| format!("session_id={value}"));
        let handle = self.manager.handle();
        let work = async {
            let session: Session = handle
                .load(&CookieHeaders(
                    &header.iter().map(String::as_bytes).collect::<Vec<_>>(),
                ))
                .await
                .unwrap();
            act(&session);
        };
        let ((), finished) = handle.run(work).await;
        Response::new(&finished)
    }

    /// A request that is dropped when it has waited `waits` times; `None` if it ended before that.
    fn dropped_request(
        &self,
        cookie: Option<String>,
        act: impl Fn(&Session),
        waits: usize,
    ) -> Option<()> {
        let mut request = pin!(self.request(cookie, act));
        let mut cx = Context::from_waker(Waker::noop());
        (0..=waits)
            .all(|_| request.as_mut().poll(&mut cx).is_pending())
            .then_some(())
    }

    async fn snapshot(&self, cookie: &str) -> (bool, Vec<String>) {
        let seen = Mutex::new((false, Vec::new()));
        self.request(Some(cookie.to_owned()), |session| {
            *seen.lock().unwrap() = (session.reference().is_some(), session.keys());
        })
        .await;
        seen.into_inner().unwrap()
    }
}

/// What a request does, and what is there when it is over: how many records live, and what its cookie leads to.
struct Case {
    name: &'static str,
    act: fn(&Session),
    live: usize,
    found: (bool, &'static [&'static str]),
    waits: usize,
}

/// How often a request waits before its commit begins: before and after the effect of its load.
const WAITS_OF_THE_LOAD: usize = 2;

/// CM-4: a request that is dropped before its commit has begun leaves the session as it was. A commit that has begun
/// runs to its end without the request. Nothing stays locked.
#[tokio::test]
async fn a_dropped_request_leaves_old_or_new() {
    let cases = [
        Case {
            name: "read",
            act: |session| assert!(session.contains("n")),
            live: 1,
            found: (true, &["n"]),
            waits: 4,
        },
        Case {
            name: "write",
            act: |session| session.set("new", 1).unwrap(),
            live: 1,
            found: (true, &["n", "new"]),
            waits: 4,
        },
        Case {
            name: "rotate",
            act: Session::regenerate,
            live: 1,
            found: (false, &[]),
            waits: 6,
        },
        Case {
            name: "end",
            act: Session::destroy,
            live: 0,
            found: (false, &[]),
            waits: 4,
        },
        Case {
            name: "end and begin",
            act: |session| {
                session.destroy();
                session.set("new", 1).unwrap();
            },
            live: 1,
            found: (false, &[]),
            waits: 6,
        },
    ];
    for Case {
        name,
        act,
        live,
        found,
        waits,
    } in cases
    {
        for dropped_at in 0..=waits {
            let server = Server::new();
            let created = server
                .request(None, |session| session.set("n", 1).unwrap())
                .await;
            let cookie = created.cookie().unwrap();
            // Activity is due, so that a read writes too.
            server.clock.advance(Duration::from_secs(600));
            let dropped = server.dropped_request(Some(cookie.clone()), act, dropped_at);
            let when = format!("{name}, dropped after {dropped_at} waits");
            assert_eq!(dropped.is_some(), dropped_at < waits, "{when}");
            server.manager.drain().await;
            let (live, found) = match dropped_at < WAITS_OF_THE_LOAD {
                true => (1, (true, &["n"][..])),
                false => (live, found),
            };
            let count = server.store.live_records(server.clock.now()).await;
            assert_eq!(count, live, "{when}");
            let (alive, keys) = server.snapshot(&cookie).await;
            assert_eq!(
                (alive, keys.iter().map(String::as_str).collect::<Vec<_>>()),
                (found.0, found.1.to_vec()),
                "{when}"
            );
            if alive {
                let next = server
                    .request(Some(cookie.clone()), |session| {
                        session.set("next", 1).unwrap()
                    })
                    .await;
                assert!(next.error.is_none());
                let (_, keys) = server.snapshot(&cookie).await;
                assert!(keys.contains(&"next".to_owned()), "{when}");
            }
        }
    }
}

/// CM-4: an ending that a handler asked for is carried out, though its visitor left while the handler went on. What else
/// it wanted isn't.
#[tokio::test]
async fn a_visitor_who_leaves_cannot_undo_an_ending() {
    for ends in [true, false] {
        let server = Server::new();
        let created = server
            .request(None, |session| session.set("n", 1).unwrap())
            .await;
        let cookie = created.cookie().unwrap();
        let header = format!("session_id={cookie}");
        let handle = server.manager.handle();
        {
            let mut request = pin!(handle.run(async {
                let headers = [header.as_bytes()];
                let session: Session = handle.load(&CookieHeaders(&headers)).await.unwrap();
                session.set("new", 1).unwrap();
                if ends {
                    session.destroy();
                }
                std::future::pending::<()>().await;
            }));
            let mut cx = Context::from_waker(Waker::noop());
            (0..5).for_each(|_| assert!(request.as_mut().poll(&mut cx).is_pending()));
        }
        server.manager.drain().await;
        let keys: &[&str] = if ends { &[] } else { &["n"] };
        let (alive, found) = server.snapshot(&cookie).await;
        assert_eq!((alive, found.len()), (!ends, keys.len()));
    }
}

/// CM-2: a destructor that panics when the handler is over is a panic of the handler's: an ending holds.
#[tokio::test]
async fn a_panicking_destructor_leaves_the_ending() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    /// What is left of it when the work is done goes with the future.
    struct Work<F>(F, Panics);
    impl<F: Future<Output = ()> + Unpin> Future for Work<F> {
        type Output = ();
        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            Pin::new(&mut self.0).poll(cx)
        }
    }
    let server = Server::new();
    let created = server
        .request(None, |session| session.set("n", 1).unwrap())
        .await;
    let cookie = created.cookie().unwrap();
    let header = format!("session_id={cookie}");
    let handle = server.manager.handle();
    let for_work = handle.clone();
    let request = tokio::spawn(async move {
        let work = Box::pin(async {
            let headers = [header.as_bytes()];
            let session: Session = for_work.load(&CookieHeaders(&headers)).await.unwrap();
            session.destroy();
        });
        handle.run(Work(work, Panics)).await
    });
    assert!(request.await.unwrap_err().is_panic());
    server.manager.drain().await;
    assert_eq!(server.snapshot(&cookie).await, (false, Vec::new()));
}

/// CM-4: without a runtime a commit that was cut off stays cut off, and the session stays as it was or as it was to be.
#[test]
fn without_a_runtime_a_cut_commit_stays_cut() {
    let server = Server::new();
    let mut cx = Context::from_waker(Waker::noop());
    for dropped_at in 0..2 {
        let dropped =
            server.dropped_request(None, |session| session.set("n", 1).unwrap(), dropped_at);
        assert!(dropped.is_some());
    }
    assert!(pin!(server.manager.drain()).poll(&mut cx).is_ready());
}

/// CM-4: without a runtime nobody knows what a commit wrote that was cut off. The request's own commit doesn't repeat it:
/// the request fails.
#[test]
fn a_commit_that_was_cut_is_not_repeated() {
    let server = Server::new();
    let handle = server.manager.handle();
    let mut request = pin!(handle.run(async {
        let session: Session = handle.load(&CookieHeaders(&[])).await.unwrap();
        session.set("n", 1).unwrap();
        let mut commit = Box::pin(session.commit());
        let polled = poll_fn(|cx| Poll::Ready(commit.as_mut().poll(cx))).await;
        assert!(polled.is_pending());
    }));
    let mut cx = Context::from_waker(Waker::noop());
    let finished = (0..9).find_map(|_| match request.as_mut().poll(&mut cx) {
        Poll::Ready(((), finished)) => Some(finished),
        Poll::Pending => None,
    });
    assert!(finished.expect("it ends").error().is_some());
}

/// CM-4: a first request dropped at any point leaves nothing or a session that nobody knows.
#[tokio::test]
async fn a_dropped_first_request_leaves_at_most_one_record() {
    for dropped_at in 0..=2 {
        let server = Server::new();
        let dropped =
            server.dropped_request(None, |session| session.set("n", 1).unwrap(), dropped_at);
        assert_eq!(dropped.is_some(), dropped_at < 2);
        server.manager.drain().await;
        assert_eq!(server.store.live_records(server.clock.now()).await, 1);
    }
}

/// CM-4: an explicit commit that nobody waits for any more goes on, and the request's own commit comes after it: the
/// increment is stored once.
#[tokio::test]
async fn an_abandoned_commit_goes_on() {
    let server = Server::new();
    let cookie = server
        .request(None, |session| session.set("n", 1).unwrap())
        .await
        .cookie()
        .unwrap();
    let header = format!("session_id={cookie}");
    for waits in 0..2 {
        let handle = server.manager.handle();
        let work = async {
            let session: Session = handle.load(&CookieHeaders(&[header.as_bytes()])).await?;
            session.update("n", |n: Option<i64>| n.unwrap_or(0) + 1)?;
            let mut commit = Box::pin(session.commit());
            for _ in 0..=waits {
                assert!(
                    poll_fn(|cx| Poll::Ready(commit.as_mut().poll(cx)))
                        .await
                        .is_pending()
                );
            }
            drop(commit);
            Ok::<_, Error>(())
        };
        let (result, finished) = handle.run(work).await;
        result.unwrap();
        assert!(finished.error().is_none());
    }
    let n = Mutex::new(None);
    server
        .request(Some(cookie), |session| {
            *n.lock().unwrap() = session.get::<i64>("n").unwrap()
        })
        .await;
    assert_eq!(n.into_inner().unwrap(), Some(3));
}

/// CM-4: a middleware inside that gives up, as for a timeout, may keep what it gave up. A commit in there goes on by
/// itself, or the request's own one would wait for it for ever.
#[tokio::test]
async fn a_commit_that_was_given_up_is_not_waited_for() {
    let server = Server::new();
    let cookie = server
        .request(None, |session| session.set("n", 1).unwrap())
        .await
        .cookie()
        .unwrap();
    let header = format!("session_id={cookie}");
    let handle = server.manager.handle();
    let is_committing = AtomicBool::new(false);
    let mut given_up = Box::pin(async {
        let session: Session = handle.load(&CookieHeaders(&[header.as_bytes()])).await?;
        session.set("n", 2)?;
        is_committing.store(true, Ordering::Relaxed);
        session.commit().await
    });
    let committing = &is_committing;
    let work = poll_fn(move |cx| {
        assert!(given_up.as_mut().poll(cx).is_pending());
        match committing.load(Ordering::Relaxed) {
            true => Poll::Ready("late"),
            false => Poll::Pending,
        }
    });
    let ran = tokio::time::timeout(Duration::from_secs(30), handle.run(work));
    let (output, finished) = ran.await.expect("nothing is waited for");
    assert_eq!(output, "late");
    assert!(finished.error().is_none());
}
