//! What visitors rely on where requests come twice, come late, or come from somebody who has left.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::harness::{AdapterHarness, Scene, config};
use super::users::ADA;
use super::visitor::Visitor;
use super::{Call, Mood};

/// How long a check waits for what goes on without a client. It takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// RQ-5: a second live cookie, planted or left over from another domain, doesn't keep anybody from logging in: the
/// browser goes on sending it, in front of the new one.
pub async fn a_login_with_two_live_cookies_holds(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let (mut ada, planted) = (scene.ada().await, scene.ada().await);
    for line in ["POST /api/login", "GET /api/info"] {
        let both = format!("{}; {}", planted.session_pair(), ada.session_pair());
        let mut request = ada.request(line, ADA);
        let both = both.parse().expect("a header that can be sent");
        request.headers_mut().insert("cookie", both);
        let reply = ada.exchange(request).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        ada.take_cookies(&reply);
        if line == "GET /api/info" {
            assert_eq!(reply.json()["user"], json!("ada"), "the login holds");
        } else {
            assert!(reply.session_cookie().is_some(), "{reply:?}");
        }
    }
    assert!(!planted.is_known().await, "no second session is left over");
}

/// CM-8: a login form that is sent twice with one cookie logs in once: both answers have a cookie, what was stored
/// before is kept, and the user has one session.
pub async fn a_login_sent_twice_is_one_session(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut first = scene.ada().await;
    let mut second = first.clone();
    for visitor in [&mut first, &mut second] {
        let reply = visitor.send("POST /api/login", ADA).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        assert!(reply.session_cookie().is_some(), "{reply:?}");
        assert_eq!(visitor.values().await, json!({"name": "Ada"}));
        assert_eq!(visitor.info().await["user"], json!("ada"));
    }
    let listed = second.send("GET /api/sessions", "").await.json();
    assert_eq!(listed["sessions"].as_array().map(Vec::len), Some(1));
}

/// CM-8, CK-7: a second logout with an id that is dead takes no cookie away, which a newer login may have set.
pub async fn a_second_logout_removes_no_cookie(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut ada = scene.ada().await;
    let mut again = ada.clone();
    let reply = ada.send("POST /api/logout", "").await;
    assert!(reply.removes_cookie(), "{reply:?}");
    let reply = again.send("POST /api/logout", "").await;
    reply.expect_no_cookie(200);
}

/// TM-3: a request that arrives just before the idle limit, and takes longer than what is left, is in time: what it
/// stores is there, and the visitor is signed in.
pub async fn a_request_just_before_the_limit_is_in_time(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut ada = scene.ada().await;
    ada.send("POST /api/login", ADA).await;
    scene.clock.advance(Duration::from_millis(3_599_500));
    // The note of activity is under way when the time would have been up; the handler runs after that.
    let gate = scene.store.hold(Call::Touch);
    let mut slow = ada.clone();
    let request = tokio::spawn(async move { slow.send("PUT /api/values/late", "1").await });
    gate.wait_for(1).await;
    scene.clock.advance(Duration::from_secs(1));
    gate.open();
    let reply = request.await.expect("an answer");
    assert_eq!(reply.status, 200, "{reply:?}");
    ada.take_cookies(&reply);
    assert_eq!(ada.values().await, json!({"name": "Ada", "late": 1}));
    assert_eq!(ada.info().await["user"], json!("ada"));
}

/// CM-11: a note of activity is optional: a store that refuses it fails no request, and the cookie stays as it is.
pub async fn a_failing_touch_fails_no_request(harness: &impl AdapterHarness) {
    let scene = Scene::with(harness, config().touch_interval(Duration::ZERO)).await;
    let mut ada = scene.ada().await;
    scene.store.set(Call::Touch, Mood::Fails);
    // Soon after the last activity the note is due at the end of a request, and later at its beginning.
    for seconds in [1, 3_000] {
        scene.clock.advance(Duration::from_secs(seconds));
        let reply = ada.send("GET /api/values/name", "").await;
        reply.expect_no_cookie(200);
        assert_eq!(reply.json()["value"], json!("Ada"));
        assert!(scene.store.take_calls().contains(&Call::Touch));
    }
}

/// CM-4: a logout that is under way when its client goes away is done all the same.
pub async fn a_logout_is_done_though_its_client_leaves(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let ada = scene.ada().await;
    let gate = scene.store.hold(Call::Tombstone);
    let connection = ada.send_and_stay("POST /api/logout HTTP/1.1").await;
    gate.wait_for(1).await;
    drop(connection);
    // Long enough for a server to notice.
    sleep(Duration::from_millis(200)).await;
    gate.open();
    let ended = timeout(PATIENCE, async {
        while ada.is_known().await {
            sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(ended.await.is_ok(), "the logout is lost");
}

/// CM-12: whoever was ended from another device is an ordinary visitor at once: what they store begins a new session,
/// and is kept.
pub async fn who_was_ended_from_elsewhere_begins_anew(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut devices: [Visitor; 2] = [scene.visitor(), scene.visitor()];
    for device in &mut devices {
        let reply = device.send("POST /api/login", ADA).await;
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    let [mut phone, mut laptop] = devices;
    let ended = json!({"ended": 1});
    phone.check("DELETE /api/sessions", "", 200, ended).await;
    let old = laptop.clone();
    let reply = laptop.send("PUT /api/values/cart", "1").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.session_cookie().is_some(), "{reply:?}");
    assert_eq!(laptop.values().await, json!({"cart": 1}));
    assert_eq!(laptop.info().await["user"], Value::Null);
    assert!(!old.is_known().await, "what is ended stays ended");
    assert_eq!(scene.dropped(), 0);
}
