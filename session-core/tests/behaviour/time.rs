//! Time: both timeouts, activity, and clocks that jump.

use std::time::Duration;

use session_core::{Session, SessionConfigBuilder, Timestamp};

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

/// TM-5: a clock that is set back ends no session and shortens none.
#[tokio::test]
async fn a_clock_that_is_set_back_shortens_nothing() {
    let mut scene = Scene::with_session(config()).await;
    scene.clock.advance(20 * MINUTE);
    scene.request(|session| session.set("n", 2).unwrap()).await;
    let mut expires_at = None;
    scene
        .request(|session| expires_at = session.expires_at())
        .await;
    scene
        .clock
        .set(Timestamp::from_unix_millis(1_600_000_000_000));
    scene.request(|session| session.set("n", 3).unwrap()).await;
    scene
        .request(|session| assert_eq!(session.expires_at(), expires_at))
        .await;
    assert_eq!(scene.read_n().await, Some(3));
}
