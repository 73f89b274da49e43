//! What a client can cause as often as it likes is told once a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use session_core::store::{DecodeError, StoreError};
use session_core::{Clock, DropReason, Session};

use crate::log::{capture, take_lines};
use crate::scene::{Scene, config};

const REQUESTS: usize = 1_000;

/// The events of this thread that say `what`, since this was last asked.
fn told(what: &str) -> Vec<String> {
    let mut lines = take_lines();
    lines.retain(|line| line.contains(what));
    lines
}

/// Sends `cookie` a thousand times with a write, then once more a second later: of what each of them causes one event
/// is shown, and then one that counts the others.
async fn flood(scene: &Scene, cookie: &str, what: &str) {
    let write = |session: &Session| session.set("n", 2).unwrap();
    // This one tells of what an earlier flood left uncounted.
    scene.clock.advance(Duration::from_secs(1));
    scene.request_with(Some(cookie.to_owned()), write).await;
    scene.clock.advance(Duration::from_secs(1));
    take_lines();
    for _ in 0..REQUESTS {
        scene.request_with(Some(cookie.to_owned()), write).await;
    }
    let shown = told(what);
    assert_eq!(shown.len(), 1, "{what}: {shown:?}");
    assert!(!shown[0].contains("suppressed"), "{shown:?}");
    scene.clock.advance(Duration::from_secs(1));
    scene.request_with(Some(cookie.to_owned()), write).await;
    let shown = told(what);
    assert_eq!(shown.len(), 1, "{what}: {shown:?}");
    let count = format!("suppressed={}", REQUESTS - 1);
    assert!(shown[0].contains(&count), "{shown:?}");
}

/// LG-2: a script with an old cookie, one with a forged one, and all others that send something over and over.
#[tokio::test]
async fn a_flood_of_requests_is_no_flood_of_events() {
    capture();
    let mut scene = Scene::with_session(config()).await;
    scene.request(|session| session.login("ada").unwrap()).await;
    let first = scene.jar.take().unwrap();
    flood(&scene, "forged", "session id rejected").await;
    flood(&scene, &"A".repeat(92), "session id rejected").await;
    scene.request(|session| session.login("ada").unwrap()).await;
    let second = scene.jar.clone().unwrap();
    let two = format!("{first}; session_id={second}");
    flood(&scene, &two, "several live sessions").await;
    flood(&scene, &two, "changes dropped").await;

    scene.request(Session::destroy).await;
    flood(&scene, &second, "late request").await;
    flood(&scene, &second, "changes dropped").await;
    scene.clock.advance(Duration::from_secs(600));
    flood(&scene, &second, "ended or rotated long before").await;
}

/// LG-2: a record that can't be decoded, a store that fails and a session dated ahead are told once a second too.
#[tokio::test]
async fn a_flood_of_failures_is_no_flood_of_events() {
    capture();
    let scene = Scene::with_session(config()).await;
    let cookie = scene.jar.clone().unwrap();
    let failures: [(fn() -> StoreError, _); 2] = [
        (|| DecodeError::Corrupt.into(), "can't be decoded"),
        (|| StoreError::unknown("gone"), "StoreUnavailable"),
    ];
    for (failure, what) in failures {
        take_lines();
        for _ in 0..REQUESTS {
            scene.store.fail_next(failure());
            scene.request_with(Some(cookie.clone()), |_| ()).await;
        }
        assert_eq!(told(what).len(), 1, "{what}");
        scene.clock.advance(Duration::from_secs(1));
        scene.store.fail_next(failure());
        scene.request_with(Some(cookie.clone()), |_| ()).await;
        let shown = told(what);
        assert_eq!(shown.len(), 1, "{what}");
        assert!(shown[0].contains("suppressed=999"), "{shown:?}");
    }
    let now = scene.clock.now();
    scene
        .clock
        .set(now.saturating_sub(Duration::from_secs(3_600)));
    flood(&scene, &cookie, "dated further ahead").await;
}

/// LG-2: the hook hears of every request whose changes were dropped, and what becomes of sessions is told each time.
#[tokio::test]
async fn the_hook_and_the_lives_of_sessions_are_told_each_time() {
    capture();
    let heard = Arc::new(AtomicUsize::new(0));
    let counts = heard.clone();
    let mut scene = Scene::with_session(config().on_dropped(move |dropped| {
        assert_eq!(dropped.reason, DropReason::Superseded);
        counts.fetch_add(1, Ordering::SeqCst);
    }))
    .await;
    let ended = scene.jar.clone().unwrap();
    scene.request(Session::destroy).await;
    flood(&scene, &ended, "changes dropped").await;
    assert_eq!(heard.load(Ordering::SeqCst), REQUESTS + 2);

    take_lines();
    for _ in 0..10 {
        scene
            .request_with(None, |session| session.set("n", 1).unwrap())
            .await;
    }
    assert_eq!(told("session created").len(), 10);
}
