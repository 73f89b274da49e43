//! Commits: explicit ones, lost ones, failing ones, and what the store has to do for them.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use session_core::adapter::CookieHeaders;
use session_core::store::StoreError;
use session_core::{CommitStatus, Error, ErrorKind, Random, RandomError, Session, SessionManager};

use crate::scene::{Response, Scene, SpyStore, TestClock, config};

/// Runs a handler that may wait, with the scene's cookie.
pub(crate) async fn request<T>(
    scene: &Scene,
    act: impl AsyncFnOnce(Session) -> T,
) -> (T, Response) {
    let header = scene
        .jar
        .as_ref()
        .map(|value| format!("session_id={value}"));
    let handle = scene.manager.handle();
    let work = async {
        act(handle
            .load(&CookieHeaders(
                &header.iter().map(String::as_bytes).collect::<Vec<_>>(),
            ))
            .await
            .unwrap())
        .await
    };
    let (output, finished) = handle.run(work).await;
    (output, Response::new(&finished))
}

/// CM-1: an explicit commit writes at once, and the response carries its cookie.
#[tokio::test]
async fn an_explicit_commit_writes_at_once() {
    let mut scene = Scene::new(config());
    let (calls, response) = request(&scene, async |session| {
        session.set("n", 1).unwrap();
        assert_eq!(session.commit().await.unwrap(), CommitStatus::Done);
        let first = scene.store.calls();
        assert!(!session.is_modified() && session.reference().is_some());
        session.set("n", 2).unwrap();
        session.commit().await.unwrap();
        session.commit().await.unwrap();
        (first, scene.store.calls())
    })
    .await;
    assert_eq!(calls, (vec!["create"], vec!["save"]));
    assert!(scene.store.calls().is_empty());
    scene.take_cookie(&response);
    assert_eq!(scene.read_n().await, Some(2));
}

/// CM-1: after the response has left, changes of a live session can still be committed; a session that needs
/// a cookie can't begin, and says so; an ending holds.
#[tokio::test]
async fn commits_after_the_response_need_no_cookie() {
    let mut scene = Scene::with_session(config()).await;
    let (session, _) = request(&scene, async |session| session).await;
    session.set("n", 2).unwrap();
    session.commit().await.unwrap();
    assert_eq!(scene.read_n().await, Some(2));
    let (rotating, _) = request(&scene, async |session| session).await;
    rotating.regenerate();
    assert_eq!(
        rotating.commit().await.unwrap_err().kind(),
        ErrorKind::ResponseSent
    );
    assert_eq!(scene.read_n().await, Some(2));
    session.destroy();
    session.commit().await.unwrap();
    assert_eq!(scene.read_n().await, None);

    let nobody = Scene::new(config());
    let (late, _) = request(&nobody, async |session| session).await;
    late.set("n", 1).unwrap();
    assert_eq!(
        late.commit().await.unwrap_err().kind(),
        ErrorKind::ResponseSent
    );
    assert!(nobody.store.calls().is_empty());
}

/// CM-9: a commit that lost says so, and what the request still stores is dropped too: no new session takes
/// the place of the one that was ended.
#[tokio::test]
async fn a_lost_commit_starts_nothing() {
    let mut scene = Scene::with_session(config()).await;
    let cookie = scene.jar.clone();
    let (status, response) = request(&scene, async |session| {
        session.set("mine", 1).unwrap();
        scene.request_with(cookie.clone(), Session::destroy).await;
        let status = session.commit().await.unwrap();
        assert!(session.is_superseded() && session.is_empty());
        session.set("again", 1).unwrap();
        status
    })
    .await;
    assert_eq!(status, CommitStatus::Dropped);
    assert!(response.set_cookies().is_empty() && response.error.is_none());
    scene
        .request(|session| assert!(session.is_empty() && session.reference().is_none()))
        .await;
}

/// CM-3: after a failed commit nothing is tried again, and the request fails.
#[tokio::test]
async fn a_failed_commit_fails_the_request() {
    let mut scene = Scene::with_session(config()).await;
    let (kind, response) = request(&scene, async |session| {
        session.set("n", 2).unwrap();
        scene
            .store
            .fail_next(StoreError::unknown("connection reset"));
        let error = session.commit().await.unwrap_err();
        session.set("n", 3).unwrap();
        error.kind()
    })
    .await;
    assert_eq!(kind, ErrorKind::StoreUnavailable);
    assert_eq!(
        response.error.map(|error| error.kind()),
        Some(ErrorKind::StoreUnavailable)
    );
    assert!(
        response
            .headers
            .0
            .iter()
            .all(|(name, _)| *name != "set-cookie")
    );
    assert_eq!(scene.store.calls(), ["load", "save"]);
    assert_eq!(scene.read_n().await, Some(1));
}

/// CM-7: of two rotations of one id exactly one wins; the loser takes its record back and sends no cookie.
#[tokio::test]
async fn of_two_rotations_one_wins() {
    let mut scene = Scene::with_session(config()).await;
    let cookie = scene.jar.clone();
    let (winner, loser) = request(&scene, async |session| {
        session.regenerate();
        scene
            .request_with(cookie.clone(), Session::regenerate)
            .await
    })
    .await;
    assert_eq!(
        (winner.set_cookies().len(), loser.set_cookies().len()),
        (1, 0)
    );
    assert_eq!(
        scene.store.calls(),
        [
            "load",
            "load",
            "create",
            "tombstone",
            "create",
            "tombstone",
            "delete"
        ]
    );
    scene.take_cookie(&winner);
    assert_eq!(scene.read_n().await, Some(1));
}

/// CM-7: what others saved while a session was rotated is in the rotated session.
#[tokio::test]
async fn a_rotation_takes_along_what_was_saved_meanwhile() {
    let mut scene = Scene::with_session(config()).await;
    let cookie = scene.jar.clone();
    let ((), response) = request(&scene, async |session| {
        session.regenerate();
        session
            .update("n", |n: Option<i64>| n.unwrap_or(0) + 1)
            .unwrap();
        let add_ten = |session: &Session| {
            session
                .update("n", |n: Option<i64>| n.unwrap_or(0) + 10)
                .unwrap();
        };
        scene.request_with(cookie.clone(), add_ten).await;
    })
    .await;
    assert_eq!(
        scene.store.calls(),
        [
            "load",
            "load",
            "save",
            "create",
            "tombstone",
            "save",
            "tombstone"
        ]
    );
    scene.take_cookie(&response);
    assert_eq!(scene.read_n().await, Some(12));
}

/// CM-7: an error between the two writes of a rotation leaves the visitor a session.
#[tokio::test]
async fn a_rotation_that_fails_half_way_leaves_a_session() {
    for landed in [false, true] {
        let mut scene = Scene::with_session(config()).await;
        let ((), response) = request(&scene, async |session| {
            session.regenerate();
            scene.store.let_one_through();
            if landed {
                scene.store.fail_next(StoreError::not_applied("read-only"));
            } else {
                (0..2).for_each(|_| {
                    scene
                        .store
                        .fail_next(StoreError::unknown("connection reset"))
                });
            }
        })
        .await;
        assert_eq!(
            response.error.is_none(),
            landed,
            "one refusal is looked past, an outage isn't"
        );
        scene.take_cookie(&response);
        assert_eq!(scene.read_n().await, Some(1));
    }
}

/// ID-3: an id that is taken is never overwritten; others are drawn, and not for ever.
#[tokio::test]
async fn a_taken_id_is_not_overwritten() {
    /// Repeats each byte as often as it is told; then the next.
    struct Repeating(AtomicU8, u8);
    impl Random for Repeating {
        fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
            buffer.fill(self.0.fetch_add(1, Ordering::SeqCst) / self.1);
            Ok(())
        }
    }
    let store = SpyStore::default();
    let server = |random| {
        let config = config().build().unwrap();
        SessionManager::builder(config, store.clone())
            .clock(TestClock::new())
            .insecure_random(random)
            .build()
            .unwrap()
    };
    let create = async |manager: &SessionManager, n: i64| {
        let handle = manager.handle();
        let work = async {
            let session: Session = handle.load(&CookieHeaders(&[])).await.unwrap();
            session.set("n", n).unwrap();
        };
        Response::new(&handle.run(work).await.1)
    };
    // Reference, id and version take a draw each, so that this one gives two sessions the same id.
    let colliding = server(Repeating(AtomicU8::new(0), 5));
    let first = create(&colliding, 1).await;
    let second = create(&colliding, 2).await;
    assert_ne!(first.cookie(), second.cookie());
    assert!(first.error.is_none() && second.error.is_none());
    assert_eq!(store.calls(), ["create", "create", "create"]);
    let mut scene = Scene::new(config());
    scene.manager = colliding;
    for (response, n) in [(first, 1), (second, 2)] {
        scene.jar = response.cookie();
        assert_eq!(scene.read_n().await, Some(n));
    }
    store.calls();
    let stuck = server(Repeating(AtomicU8::new(0), u8::MAX));
    let refused = create(&stuck, 3).await;
    assert_eq!(
        refused.error.map(|error| error.kind()),
        Some(ErrorKind::Random)
    );
    assert_eq!(store.calls().len(), 4);
}

/// ID-2: without randomness the request fails; nothing is stored under a weaker id.
#[tokio::test]
async fn no_randomness_is_an_error() {
    struct Broken;
    impl Random for Broken {
        fn fill(&self, _: &mut [u8]) -> Result<(), RandomError> {
            Err(RandomError::new("no entropy"))
        }
    }
    let mut scene = Scene::new(config());
    let (config, clock) = (config().build().unwrap(), scene.clock.clone());
    scene.manager = SessionManager::builder(config, scene.store.clone())
        .clock(clock)
        .insecure_random(Broken)
        .build()
        .unwrap();
    let response = scene.request(|session| session.set("n", 1).unwrap()).await;
    assert_eq!(
        response.error.map(|error| error.kind()),
        Some(ErrorKind::Random)
    );
    assert!(scene.store.calls().is_empty() && scene.jar.is_none());
}

/// RQ-5: one live id among several cookies is used; of several live ones, none.
#[tokio::test]
async fn of_several_cookies_the_single_live_one_is_used() {
    let mut scene = Scene::with_session(config()).await;
    let dead = scene.jar.clone().unwrap();
    scene
        .request(|session| {
            session.regenerate();
            session.set("n", 2).unwrap();
        })
        .await;
    let live = scene.jar.clone().unwrap();
    let forged = "A".repeat(92);
    scene.jar = None;
    scene.request(|session| session.set("n", 3).unwrap()).await;
    let other = scene.jar.clone().unwrap();
    let read = async |header: String| {
        let n = Mutex::new(None);
        let handle = scene.manager.handle();
        let work = async {
            let session: Session = handle
                .load(&CookieHeaders(&[header.as_bytes()]))
                .await
                .unwrap();
            *n.lock().unwrap() = session.get::<i64>("n").unwrap();
        };
        let response = Response::new(&handle.run(work).await.1);
        assert!(response.set_cookies().is_empty() && response.error.is_none());
        n.into_inner().unwrap()
    };
    let pair = |value: &str| format!("session_id={value}; ");
    for (cookies, expected) in [
        (vec![&live, &live], Some(2)),
        (vec![&dead, &live], Some(2)),
        (vec![&live, &dead], Some(2)),
        (vec![&forged, &live, &forged], Some(2)),
        (vec![&live, &other], None),
        (vec![&dead, &forged], None),
    ] {
        let header: String = cookies.iter().map(|value| pair(value)).collect();
        assert_eq!(read(header).await, expected, "{cookies:?}");
    }
    // Of those that have the length of ours, the 65th is not looked at. Others take no place.
    let short = pair("1").repeat(5_000);
    for (forgeries, expected) in [(63, Some(2)), (64, None)] {
        let header = short.clone() + &pair(&forged).repeat(forgeries) + &short + &pair(&live);
        assert_eq!(read(header).await, expected);
    }
}

/// RQ-7, RQ-8: a header of 10,000 cookies of our name asks the store for eight ids at most, what comes behind 64 that
/// don't verify isn't looked at, and what isn't 92 characters of the alphabet asks for nothing.
#[tokio::test]
async fn hostile_headers_are_bounded() {
    let scene = Scene::with_session(config()).await;
    let live = scene.jar.clone().unwrap();
    let read = async |header: &[u8]| {
        let handle = scene.manager.handle();
        let work = async {
            let session: Result<Session, Error> = handle.load(&CookieHeaders(&[header])).await;
            assert!(session.is_ok());
        };
        let response = Response::new(&handle.run(work).await.1);
        assert!(response.error.is_none() && response.set_cookies().is_empty());
        scene.store.calls().len()
    };
    let mut ids = Vec::new();
    for _ in 0..20 {
        let new = scene
            .request_with(None, |session| session.set("n", 1).unwrap())
            .await;
        ids.push(format!("session_id={}", new.cookie().unwrap()));
    }
    scene.store.calls();
    let side_by_side = |ids: &[String]| ids.join("; ") + "; ";
    for header in [
        side_by_side(&ids[..9]),
        side_by_side(&ids).repeat(500),
        side_by_side(&ids[..8]).repeat(1_250),
    ] {
        assert_eq!(read(header.as_bytes()).await, 8);
    }
    let forged = format!("session_id={}; ", "A".repeat(92));
    let good = ids[0].as_bytes();
    for hostile in [
        forged.repeat(10_000).into_bytes(),
        [forged.repeat(65_536 / forged.len()).as_bytes(), good].concat(),
        "session_id=; ".repeat(5_000).into_bytes(),
        vec![b';'; 65_536],
        vec![b'='; 65_536],
        vec![0xFF; 65_536],
        [b"session_id=".to_vec(), vec![b'A'; 65_000]].concat(),
        format!("session_id={}", &live[..91]).into_bytes(),
        format!("session_id={live}A").into_bytes(),
        format!("session_id=+{}", &live[1..]).into_bytes(),
        format!("session_id=\"{live}\"").into_bytes(),
    ] {
        assert_eq!(read(&hostile).await, 0);
    }
}

/// CM-8: a logout holds though an earlier commit of its request failed; the request still fails.
#[tokio::test]
async fn a_logout_holds_after_a_failed_commit() {
    let mut scene = Scene::with_session(config()).await;
    let ((), response) = request(&scene, async |session| {
        session.set("n", 2).unwrap();
        scene
            .store
            .fail_next(StoreError::unknown("connection reset"));
        assert!(session.commit().await.is_err());
        session.destroy();
    })
    .await;
    assert!(response.error.is_some() && response.set_cookies().is_empty());
    assert_eq!(scene.store.calls(), ["load", "save", "tombstone"]);
    assert_eq!(scene.read_n().await, None);
}

/// RQ-5: a logout ends every live session that came with the request.
#[tokio::test]
async fn a_logout_ends_every_session_that_came_along() {
    let mut scene = Scene::with_session(config()).await;
    let first = scene.jar.take().unwrap();
    scene.request(|session| session.set("n", 2).unwrap()).await;
    let second = scene.jar.take().unwrap();
    scene.jar = Some(format!("{first}; session_id={second}"));
    let response = scene.request(Session::destroy).await;
    assert_eq!(response.cookie().as_deref(), Some(""));
    for cookie in [first, second] {
        scene.jar = Some(cookie);
        assert_eq!(scene.read_n().await, None);
    }
}

/// CM-8: a logout ends the session, though it was rotated meanwhile, and the grace time has long been over when the
/// handler is.
#[tokio::test]
async fn a_slow_logout_ends_the_session() {
    let mut scene = Scene::with_session(config()).await;
    let (rotated, response) = request(&scene, async |session| {
        session.destroy();
        let cookie = scene.jar.clone();
        let rotated = scene.request_with(cookie, Session::regenerate).await;
        scene.clock.advance(Duration::from_secs(20 * 60));
        rotated.cookie()
    })
    .await;
    assert_eq!(response.cookie().as_deref(), Some(""));
    scene.jar = rotated;
    assert!(scene.jar.is_some());
    assert_eq!(scene.read_n().await, None);
}

/// CM-5: what `take` removes is what it read: a value that came meanwhile stays.
#[tokio::test]
async fn take_removes_what_it_read() {
    let mut scene = Scene::with_session(config()).await;
    let cookie = scene.jar.clone();
    let (taken, response) = request(&scene, async |session| {
        let taken = session.take::<i64>("n").unwrap();
        scene
            .request_with(cookie.clone(), |session| session.set("n", 2).unwrap())
            .await;
        taken
    })
    .await;
    assert!(response.error.is_none());
    assert_eq!((taken, scene.read_n().await), (Some(1), Some(2)));
}

/// TM-3: a commit that can't send the cookie is no activity, so that record and cookie age together.
#[tokio::test]
async fn commits_after_the_response_are_no_activity() {
    let mut scene = Scene::with_session(config()).await;
    let (session, _) = request(&scene, async |session| session).await;
    let before = session.expires_at();
    scene.clock.advance(Duration::from_secs(1800));
    session.set("n", 2).unwrap();
    session.commit().await.unwrap();
    assert_eq!(session.expires_at(), before);
    let response = scene.request(|session| drop(session.keys())).await;
    assert_eq!(response.set_cookies().len(), 1);
}
