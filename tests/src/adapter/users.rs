//! Users and their sessions: logging in and out, listing and ending them, and how many there may be.

use std::collections::BTreeSet;
use std::time::Duration;

use hyper::body::Bytes;
use serde_json::{Value, json};
use session_core::{MAX_LABEL_LEN, MAX_USER_NAME_LEN, WhenFull};

use super::Call;
use super::harness::{AdapterHarness, Scene, config};
use super::races::Race;
use super::visitor::{Reply, Visitor};

pub(super) const ADA: &str = r#"{"user":"ada"}"#;
const REMEMBERED: &str = r#"{"user":"ada","remember":true}"#;

impl Scene {
    /// Another browser in which Ada has logged in.
    async fn device(&self) -> Visitor {
        let mut device = self.visitor();
        device.log_in(ADA).await;
        device
    }
}

impl Visitor {
    async fn log_in(&mut self, body: impl Into<Bytes>) -> Reply {
        let reply = self.send("POST /api/login", body).await;
        assert_eq!(reply.status, 200, "a login: {reply:?}");
        reply
    }

    async fn user(&self) -> Value {
        self.info().await["user"].clone()
    }

    async fn reference(&self) -> String {
        let info = self.info().await;
        info["ref"].as_str().unwrap_or_default().to_owned()
    }

    /// The references of the user's sessions, the one used last first.
    async fn listed(&self) -> Vec<String> {
        let reply = self.clone().send("GET /api/sessions", "").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let sessions = reply.json()["sessions"].as_array().cloned();
        let sessions = sessions.expect("a list of sessions").into_iter();
        sessions
            .map(|session| session["ref"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

/// US-1: a login gives the session a new id and a user, and keeps what the visitor had stored; a logout ends
/// it. A visitor without a session gets one.
pub async fn a_login_binds_the_user_to_a_new_id(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut ada = scene.ada().await;
    let old = ada.clone();
    let before = ada.info().await;
    let reply = ada.log_in(ADA).await;
    assert!(reply.session_cookie().is_some(), "{reply:?}");
    assert_ne!(ada.session_id(), old.session_id());
    let after = ada.info().await;
    assert_eq!(
        (&after["user"], &after["new"]),
        (&json!("ada"), &json!(false))
    );
    assert_eq!(after["created_at"], before["created_at"]);
    assert_ne!(
        after["ref"], before["ref"],
        "who had the browser before doesn't know the user's session"
    );
    assert_eq!(ada.values().await, json!({"name": "Ada"}));
    assert!(
        !old.is_known().await,
        "the id from before the login is dead"
    );

    let newcomer = scene.device().await;
    assert_eq!(newcomer.user().await, json!("ada"));
    assert_eq!(newcomer.values().await, json!({}), "the user is no data");

    let left = ada.clone();
    let reply = ada.send("POST /api/logout", "").await;
    assert!(reply.removes_cookie(), "{reply:?}");
    assert_eq!(left.user().await, Value::Null);
    assert!(!left.is_known().await);
}

/// US-1: another user's login on the same session starts with empty data; the same user's keeps it.
pub async fn another_users_login_starts_with_empty_data(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut visitor = scene.device().await;
    visitor.send("PUT /api/values/cart", "1").await;
    visitor.log_in(ADA).await;
    assert_eq!(visitor.values().await, json!({"cart": 1}));
    visitor.log_in(r#"{"user":"bob"}"#).await;
    assert_eq!(visitor.user().await, json!("bob"));
    assert_eq!(visitor.values().await, json!({}), "Ada's cart isn't Bob's");
    assert_eq!(visitor.listed().await, [visitor.reference().await]);
    assert_eq!(
        scene.device().await.listed().await.len(),
        1,
        "Bob's session is no longer one of Ada's"
    );
}

/// CM-8: a login with an id that was ended or rotated a moment ago isn't lost: it starts afresh.
pub async fn a_login_with_a_dead_id_starts_afresh(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    for line in ["POST /api/regenerate", "POST /api/logout"] {
        let mut ada = scene.ada().await;
        let mut late = ada.clone();
        ada.send(line, "").await;
        let dead = late.session_id().map(str::to_owned);
        late.log_in(ADA).await;
        assert_ne!(late.session_id(), dead.as_deref(), "after `{line}`");
        assert_eq!(late.user().await, json!("ada"), "after `{line}`");
        assert_eq!(late.values().await, json!({}), "after `{line}`");
    }
}

/// ST-9: a user name or a label of more than 1 KiB is a 413; nobody is logged in, and nothing is stored. Two million
/// bytes stay below what the application reads of a body.
pub async fn a_login_with_long_words_is_a_413(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let refusal = json!({"error": "too large to be stored"});
    let mut ada = scene.ada().await;
    for long in [1, 2_000_000] {
        let user = "u".repeat(MAX_USER_NAME_LEN + long);
        let label = "l".repeat(MAX_LABEL_LEN + long);
        for login in [
            json!({"user": user}),
            json!({"user": "ada", "label": label}),
        ] {
            let login = login.to_string();
            for visitor in [&mut ada, &mut scene.visitor()] {
                let reply = visitor.send("POST /api/login", login.clone()).await;
                reply.expect_no_cookie(413);
                assert_eq!(reply.json(), refusal, "{} bytes", login.len());
            }
        }
    }
    let calls = scene.store.take_calls();
    assert!(calls.iter().all(|call| *call == Call::Load), "{calls:?}");
    assert_eq!(ada.user().await, Value::Null);
    assert_eq!(ada.values().await, json!({"name": "Ada"}));

    let (user, label) = ("é".repeat(MAX_USER_NAME_LEN / 2), "l".repeat(MAX_LABEL_LEN));
    let longest = json!({"user": user, "label": label}).to_string();
    ada.log_in(longest).await;
    assert_eq!(ada.user().await, json!(user));
    let listed = ada.send("GET /api/sessions", "").await.json();
    assert_eq!(listed["sessions"][0]["label"], json!(label));
}

/// TM-4: a remembered login outlives the idle lifetime, in the cookie and on the server.
pub async fn a_remembered_login_lives_longer(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let plain = scene.device().await;
    let mut remembered = scene.visitor();
    let reply = remembered.log_in(REMEMBERED).await;
    let cookie = reply.session_cookie().unwrap_or_default();
    assert!(cookie.contains("Max-Age=2592000"), "{cookie}");
    for _ in 0..3 {
        scene.clock.advance(Duration::from_secs(6 * 24 * 3600));
        assert!(remembered.is_known().await, "it is remembered for 30 days");
    }
    assert!(!plain.is_known().await, "it lasts for an hour");

    // Rotation doesn't forget it.
    let reply = remembered.send("POST /api/regenerate", "").await;
    assert!(reply.session_cookie().is_some(), "{reply:?}");
    for days in [29; 11].into_iter().chain([27]) {
        scene.clock.advance(Duration::from_secs(days * 24 * 3600));
        assert!(remembered.is_known().await, "it slides for a year");
    }
    scene.clock.advance(Duration::from_secs(24 * 3600));
    assert!(!remembered.is_known().await, "the absolute timeout holds");
}

/// US-2: a user sees their live sessions, the one used last first, and which is the current one.
pub async fn a_users_sessions_are_listed(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut phone = scene.visitor();
    phone.log_in(r#"{"user":"ada","label":"a phone"}"#).await;
    let began = phone.info().await["created_at"].clone();
    scene.clock.advance(Duration::from_secs(400));
    let laptop = scene.device().await;
    scene.visitor().log_in(r#"{"user":"bob"}"#).await;
    let (phone_ref, laptop_ref) = (phone.reference().await, laptop.reference().await);
    scene.clock.advance(Duration::from_secs(400));
    phone.send("POST /api/regenerate", "").await;
    let reply = phone.clone().send("GET /api/sessions", "").await;
    let seconds = |later: u64| json!(began.as_u64().unwrap_or_default() + later);
    let expected = json!({"sessions": [
        {"ref": phone_ref, "current": true, "created_at": began, "last_seen_at": seconds(800),
            "authenticated_at": began, "label": "a phone"},
        {"ref": laptop_ref, "current": false, "created_at": seconds(400),
            "last_seen_at": seconds(400), "authenticated_at": seconds(400), "label": null},
    ]});
    assert_eq!(reply.json(), expected);
    reply.expect_no_cookie(200);
}

/// US-2: a user ends one of their sessions, all others, or all; nobody else's, and nothing that isn't one.
pub async fn a_user_ends_their_sessions(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let (mut ada, phone, laptop) = (
        scene.device().await,
        scene.device().await,
        scene.device().await,
    );
    let mut bob = scene.visitor();
    bob.log_in(r#"{"user":"bob"}"#).await;
    let ok = json!({"ok": true});
    let none = json!({"error": "the user has no session of this reference"});
    let line = format!("DELETE /api/sessions/{}", phone.reference().await);
    bob.check(&line, "", 404, none.clone()).await;
    ada.check(&line, "", 200, ok.clone()).await;
    assert!(!phone.is_known().await && laptop.is_known().await);
    ada.check(&line, "", 404, none.clone()).await;
    for reference in ["x", "%00", "AAAAAAAAAAAAAAAAAAAAAA", &bob.reference().await] {
        let line = format!("DELETE /api/sessions/{reference}");
        ada.check(&line, "", 404, none.clone()).await;
    }

    ada.check("DELETE /api/sessions", "", 200, json!({"ended": 1}))
        .await;
    assert!(!laptop.is_known().await && ada.is_known().await && bob.is_known().await);

    let tablet = scene.device().await;
    let old = ada.clone();
    let reply = ada.send("DELETE /api/sessions?all=true", "").await;
    assert_eq!(reply.json(), json!({"ended": 2}));
    assert!(reply.removes_cookie(), "{reply:?}");
    assert!(!old.is_known().await && !tablet.is_known().await && bob.is_known().await);

    // The current one by its reference: its cookie goes too.
    let line = format!("DELETE /api/sessions/{}", bob.reference().await);
    let reply = bob.send(&line, "").await;
    assert!(reply.status == 200 && reply.removes_cookie(), "{reply:?}");
}

/// US-2: without a user there is nothing to list, and nobody's sessions to end.
pub async fn without_a_user_sessions_are_a_401(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut ada = scene.ada().await;
    for line in [
        "GET /api/sessions",
        "DELETE /api/sessions",
        "DELETE /api/sessions?all=true",
        "DELETE /api/sessions/AAAAAAAAAAAAAAAAAAAAAA",
    ] {
        let refusal = json!({"error": "nobody is logged in"});
        ada.check(line, "", 401, refusal.clone()).await;
        scene.visitor().check(line, "", 401, refusal).await;
    }
    assert!(ada.is_known().await);
}

/// US-3: with a cap, a login beyond it ends the session that is the oldest.
pub async fn a_login_beyond_the_cap_ends_the_oldest(harness: &impl AdapterHarness) {
    let capped = config().max_sessions_per_user(2, WhenFull::EndOldest);
    let scene = Scene::with(harness, capped).await;
    let mut devices = Vec::new();
    for _ in 0..3 {
        devices.push(scene.device().await);
        scene.clock.advance(Duration::from_secs(1));
    }
    let alive = [
        devices[0].is_known().await,
        devices[1].is_known().await,
        devices[2].is_known().await,
    ];
    assert_eq!(alive, [false, true, true]);
    // Logging in again where one is logged in is no session more.
    devices[1].log_in(ADA).await;
    assert!(devices[2].is_known().await);
    assert_eq!(devices[2].listed().await.len(), 2);
}

/// US-3: or it is refused, with a 409 and no cookie, and goes through when there is room again.
pub async fn a_login_beyond_the_cap_is_refused(harness: &impl AdapterHarness) {
    let capped = config().max_sessions_per_user(2, WhenFull::Refuse);
    let scene = Scene::with(harness, capped).await;
    let (mut phone, laptop) = (scene.device().await, scene.device().await);
    let mut third = scene.visitor();
    let reply = third.send("POST /api/login", ADA).await;
    reply.expect_no_cookie(409);
    assert_eq!(reply.json(), json!({"error": "too many sessions"}));
    phone.send("POST /api/logout", "").await;
    third.log_in(ADA).await;
    assert!(laptop.is_known().await && third.is_known().await);
}

/// US-3: fifty logins at once leave as many sessions as are allowed, never more.
pub async fn the_cap_holds_for_logins_at_once(harness: &impl AdapterHarness) {
    const CAP: usize = 5;
    let capped = config().max_sessions_per_user(CAP, WhenFull::EndOldest);
    let mut race = Race::new(harness, capped).await;
    let newcomer = race.scene().visitor();
    let gate = race.hold(Call::Create);
    // The first five have their places and are about to write their records; the others come meanwhile.
    let lines = (0..CAP).map(|_| "POST /api/login".to_owned());
    let mut logins = race.start_all(&newcomer, lines, ADA, &gate).await;
    for _ in CAP..50 {
        let mut visitor = race.next(&newcomer);
        logins.spawn(async move { visitor.send("POST /api/login", ADA).await });
    }
    gate.open();
    let mut devices = Vec::new();
    for reply in logins.join_all().await {
        assert_eq!(reply.status, 200, "{reply:?}");
        let mut device = newcomer.clone();
        device.take_cookies(&reply);
        devices.push(device);
    }
    let mut alive = Vec::new();
    for device in &devices {
        if device.user().await == json!("ada") {
            alive.push(device);
        }
    }
    assert_eq!(devices.len(), 50);
    assert_eq!(alive.len(), CAP, "live sessions of fifty logins");
    assert_eq!(alive[0].listed().await.len(), CAP, "listed sessions");
}

/// US-2, CM-8: "sign out everywhere else" while the other devices write, rotate and log in again: of the
/// sessions that were there, one is left, and none comes back.
pub async fn ending_all_others_lets_none_escape(harness: &impl AdapterHarness) {
    const DEVICES: usize = 50;
    let mut race = Race::new(harness, config()).await;
    let mut devices = Vec::new();
    let mut references = BTreeSet::new();
    for _ in 0..DEVICES {
        let device = race.scene().device().await;
        references.insert(device.reference().await);
        devices.push(device);
    }
    let own = devices[0].reference().await;

    // Every change of id is held when its new id is there and its old one about to die.
    let gate = race.hold(Call::Tombstone);
    let mut requests = tokio::task::JoinSet::new();
    let mut held = 0;
    for (at, device) in devices.iter().enumerate().skip(1) {
        let mut visitor = race.next(device);
        let (line, body) = match at % 3 {
            0 => ("POST /api/increment/n", ""),
            1 => ("POST /api/regenerate", ""),
            _ => ("POST /api/login", ADA),
        };
        held += u32::from(at % 3 != 0);
        requests.spawn(async move { (at, visitor.send(line, body).await) });
    }
    gate.wait_for(held).await;
    let mut ending = race.next(&devices[0]);
    let ending = tokio::spawn(async move { ending.send("DELETE /api/sessions", "").await });
    // The first of the endings is at the gate too: from here on they race.
    gate.wait_for(1).await;
    assert!(!ending.is_finished());
    gate.open();
    let ended = ending.await.expect("an answer");
    assert_eq!(ended.status, 200, "{ended:?}");
    for (at, reply) in requests.join_all().await {
        assert_eq!(reply.status, 200, "{reply:?}");
        let mut moved = devices[at].clone();
        moved.take_cookies(&reply);
        devices.push(moved);
    }

    for device in &devices {
        let reference = device.reference().await;
        assert!(
            reference == own || !references.contains(&reference),
            "one of the sessions that were there has escaped"
        );
    }
    let listed = devices[0].listed().await;
    assert!(listed.contains(&own), "one's own session lives on");
    let left = listed.iter().filter(|left| references.contains(*left));
    assert_eq!(left.count(), 1, "of those that were there, in the list");
}
