//! Time: both timeouts, activity, and clocks that jump.

use std::time::Duration;

use session_core::store::StoreError;
use session_core::{
    Clock as _, Random, RandomError, Session, SessionConfigBuilder, SessionManager, Timestamp,
};

use crate::scene::{Scene, config};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

async fn at(config: SessionConfigBuilder, time: Duration) -> Scene {
    let scene = Scene::with_session(config).await;
    scene.clock.advance(time);
    scene
}

/// TM-1, TM-2: without use a session ends at exactly `max_age`, swept or not.
#[tokio::test]
async fn the_idle_timeout_holds_to_the_millisecond() {
    let almost = HOUR - Duration::from_millis(1);
    assert_eq!(at(config(), almost).await.read_n().await, Some(1));
    assert_eq!(at(config(), HOUR).await.read_n().await, None);
}

/// TM-1: however active a session is, it ends at the absolute timeout, and rotation doesn't put that off.
#[tokio::test]
async fn the_absolute_timeout_survives_use_and_rotation() {
    for act in [Session::is_empty as fn(&Session) -> bool, |session| {
        session.regenerate();
        true
    }] {
        let mut scene = Scene::with_session(config().absolute_timeout(2 * HOUR)).await;
        for _ in 0..11 {
            scene.clock.advance(10 * MINUTE);
            scene
                .request(|session| {
                    assert!(session.contains("n"));
                    act(session);
                })
                .await;
        }
        scene.clock.advance(10 * MINUTE);
        assert_eq!(scene.read_n().await, None);
    }
}

/// TM-1: a timeout that was shortened holds for sessions that exist already.
#[tokio::test]
async fn a_shorter_timeout_holds_at_once() {
    let mut scene = at(config(), 30 * MINUTE).await;
    scene.reconfigure(config().max_age(10 * MINUTE));
    assert_eq!(scene.read_n().await, None);
    scene.reconfigure(config().absolute_timeout(HOUR).max_age(HOUR));
    assert_eq!(scene.read_n().await, Some(1));
}

/// TM-3: reads are activity, written down once in a tenth of `max_age`, together with the cookie.
#[tokio::test]
async fn activity_is_throttled_and_rolls_record_and_cookie_together() {
    let mut scene = Scene::with_session(config()).await;
    let (mut touches, mut cookies) = (0, 0);
    for _ in 0..120 {
        scene.clock.advance(MINUTE);
        let response = scene
            .request(|session| assert!(session.contains("n")))
            .await;
        let touched = scene.store.calls().contains(&"touch");
        assert_eq!(touched, !response.set_cookies().is_empty());
        if let [cookie] = response.set_cookies()[..] {
            assert!(cookie.ends_with("; Max-Age=3600"), "{cookie}");
        }
        touches += usize::from(touched);
        cookies += response.set_cookies().len();
    }
    assert_eq!((touches, cookies), (20, 20));
}

/// TM-3: a write that comes before activity is due leaves the activity, and with it the expiry, as it was.
#[tokio::test]
async fn a_write_does_not_move_activity_before_it_is_due() {
    let mut scene = Scene::with_session(config()).await;
    let mut expires_at = None;
    scene
        .request(|session| expires_at = session.expires_at())
        .await;
    scene.clock.advance(5 * MINUTE);
    let response = scene.request(|session| session.set("n", 2).unwrap()).await;
    assert!(response.set_cookies().is_empty());
    scene
        .request(|session| assert_eq!(session.expires_at(), expires_at))
        .await;
    scene.clock.advance(MINUTE);
    let response = scene.request(|session| session.set("n", 3).unwrap()).await;
    assert_eq!(response.set_cookies().len(), 1);
    scene
        .request(|session| assert!(session.expires_at() > expires_at))
        .await;
}

/// CK-1, TM-1: near the absolute timeout the cookie is given no longer than the session has.
#[tokio::test]
async fn the_cookie_lives_no_longer_than_the_session() {
    let mut scene = at(config().absolute_timeout(HOUR + 10 * MINUTE), 20 * MINUTE).await;
    let response = scene.request(|session| session.set("n", 2).unwrap()).await;
    assert!(
        response.set_cookies()[0].ends_with("; Max-Age=3000"),
        "{:?}",
        response.set_cookies()
    );
}

/// TM-5: lifetimes below a second neither last for ever nor end at once.
#[tokio::test]
async fn lifetimes_below_a_second_are_exact() {
    let short = || {
        config()
            .max_age(Duration::from_millis(250))
            .touch_interval(SECOND)
    };
    assert_eq!(at(short(), Duration::ZERO).await.read_n().await, Some(1));
    assert_eq!(
        at(short(), Duration::from_millis(249)).await.read_n().await,
        Some(1)
    );
    assert_eq!(
        at(short(), Duration::from_millis(250)).await.read_n().await,
        None
    );
    let mut scene = Scene::new(short());
    let response = scene.request(|session| session.set("n", 1).unwrap()).await;
    assert!(
        response.set_cookies()[0].ends_with("; Max-Age=1"),
        "{:?}",
        response.set_cookies()
    );
    let tiny = config().max_age(Duration::from_nanos(1));
    assert_eq!(at(tiny, Duration::ZERO).await.read_n().await, Some(1));
}

/// TM-5: the longest durations and clocks that jump, at the ends of time too, panic nowhere.
#[tokio::test]
async fn clocks_and_durations_at_their_ends_are_harmless() {
    let longest = || {
        config()
            .max_age(Duration::MAX)
            .absolute_timeout(Duration::MAX)
            .grace(Duration::MAX)
    };
    for configure in [longest, config] {
        for start in [0, 1, u64::MAX / 2, u64::MAX] {
            let mut scene = Scene::new(configure());
            for now in [start, 0, u64::MAX, start, 1_000] {
                scene.clock.set(Timestamp::from_unix_millis(now));
                scene
                    .request(|session| {
                        session
                            .update("n", |n: Option<i64>| n.unwrap_or(0) + 1)
                            .unwrap();
                        session.regenerate();
                    })
                    .await;
                scene.request(|session| drop(session.keys())).await;
            }
        }
    }
}

/// TM-3: a session that is nearly over when a request loads it lives on for a handler that takes its time, and so does
/// what that stores.
#[tokio::test]
async fn a_slow_handler_keeps_its_session() {
    let mut scene = at(config(), 59 * MINUTE).await;
    let clock = scene.clock.clone();
    let response = scene.request(|session| {
        clock.advance(2 * MINUTE);
        session.set("n", 2).unwrap();
    });
    assert!(response.await.cookie().is_some());
    assert_eq!(scene.store.calls(), ["load", "touch", "save"]);
    assert_eq!(scene.read_n().await, Some(2));
}

/// CM-11: activity that can't be noted, neither at the load nor at the commit, is no error. No cookie is sent, and the
/// session is as it was.
#[tokio::test]
async fn a_note_that_fails_is_no_error() {
    struct Broken;
    impl Random for Broken {
        fn fill(&self, _: &mut [u8]) -> Result<(), RandomError> {
            Err(RandomError::new("no entropy"))
        }
    }
    let mut scene = at(config(), 40 * MINUTE).await;
    let working = scene.manager.clone();
    let without_randomness =
        SessionManager::builder(config().build().unwrap(), scene.store.clone())
            .clock(scene.clock.clone())
            .insecure_random(Broken);
    let without_randomness = without_randomness.build().unwrap();
    let cases: [(_, &[&str]); 2] = [
        (working.clone(), &["load", "touch", "touch"]),
        (without_randomness, &["load"]),
    ];
    for (manager, calls) in cases {
        scene.manager = manager;
        if calls.len() > 1 {
            scene.store.let_one_through();
            scene.store.fail_next(StoreError::not_applied("full"));
            scene.store.fail_next(StoreError::unknown("no answer"));
        }
        let mut n = None;
        let read = scene.request(|session| n = session.get("n").unwrap());
        let response = read.await;
        assert!(response.error.is_none(), "{:?}", response.error);
        assert_eq!((response.cookie(), n), (None, Some(1)));
        assert_eq!(scene.store.calls(), calls);
    }
    scene.manager = working;
    assert_eq!(scene.read_n().await, Some(1));
}

/// TM-5, TM-7: a clock that is set back within the tolerance ends no session and shortens none. Beyond it the session
/// counts as expired, and is there again when the clock is right.
#[tokio::test]
async fn a_clock_that_is_set_back_shortens_nothing() {
    let mut scene = Scene::with_session(config()).await;
    scene.clock.advance(20 * MINUTE);
    scene.request(|session| session.set("n", 2).unwrap()).await;
    let mut expires_at = None;
    scene
        .request(|session| expires_at = session.expires_at())
        .await;
    let right = scene.clock.now();
    scene.clock.set(right.saturating_sub(MINUTE));
    scene.request(|session| session.set("n", 3).unwrap()).await;
    let jar = scene.jar.clone();
    scene
        .clock
        .set(Timestamp::from_unix_millis(1_600_000_000_000));
    assert_eq!(scene.read_n().await, None);
    assert_eq!(scene.jar, jar, "the cookie stays");
    scene.clock.set(right);
    scene
        .request(|session| assert_eq!(session.expires_at(), expires_at))
        .await;
    assert_eq!(scene.read_n().await, Some(3));
}

/// TM-7: a logout ends the session though that has expired by the clock of its server, which is ahead.
#[tokio::test]
async fn a_logout_holds_on_a_server_whose_clock_is_ahead() {
    let mut scene = Scene::with_session(config()).await;
    let mut expires_at = None;
    scene
        .request(|session| expires_at = session.expires_at())
        .await;
    let expires_at = expires_at.unwrap();
    scene.clock.set(expires_at.saturating_add(MINUTE / 2));
    let jar = scene.jar.clone();
    assert_eq!(scene.read_n().await, None);
    scene.request(Session::destroy).await;
    scene.jar = jar;
    scene.clock.set(expires_at.saturating_sub(MINUTE / 2));
    assert_eq!(scene.read_n().await, None);
}
