//! Flash messages, CSRF tokens, a struct of the application's, and several values in one step.

use std::time::Duration;

use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};
use tokio::task::{JoinHandle, JoinSet};

use super::Call;
use super::harness::{AdapterHarness, Scene, config};
use super::races::Race;
use super::visitor::{Reply, Visitor};

fn ok() -> Value {
    json!({"ok": true})
}

fn messages(messages: &[(&str, &str)]) -> Value {
    let shown = messages
        .iter()
        .map(|(level, message)| json!({"level": level, "message": message}));
    json!({"messages": shown.collect::<Vec<_>>()})
}

/// ST-10: a flash message waits for the next page, over a rotation and a visitor's login too, and is seen by one read
/// alone. It is no value of the application's.
pub async fn a_flash_message_is_seen_once(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut ada = scene.visitor();
    ada.check("GET /api/flash", "", 200, messages(&[])).await;
    assert!(!ada.is_known().await, "reading messages begins no session");
    let saved = r#"{"message":"Saved."}"#;
    ada.check("POST /api/flash", saved, 200, ok()).await;
    assert!(ada.is_known().await, "a message begins a session");
    assert_eq!(ada.values().await, json!({}));
    ada.check("POST /api/clear", "", 200, ok()).await;
    ada.check("POST /api/regenerate", "", 200, ok()).await;
    let careful = r#"{"message":"Careful!","level":"warning"}"#;
    ada.check("POST /api/flash", careful, 200, ok()).await;
    ada.check("POST /api/login", r#"{"user":"ada"}"#, 200, ok())
        .await;
    let both = messages(&[("info", "Saved."), ("warning", "Careful!")]);
    ada.check("GET /api/flash", "", 200, both).await;
    ada.check("GET /api/flash", "", 200, messages(&[])).await;

    ada.check("POST /api/flash", saved, 200, ok()).await;
    ada.check("POST /api/login", r#"{"user":"bob"}"#, 200, ok())
        .await;
    ada.check("GET /api/flash", "", 200, messages(&[])).await;
    ada.check("POST /api/flash", saved, 200, ok()).await;
    ada.check("POST /api/logout", "", 200, ok()).await;
    ada.check("GET /api/flash", "", 200, messages(&[])).await;
}

/// ST-9: the messages have a limit of their own, and what is over it changes nothing.
pub async fn too_long_a_flash_message_is_a_413(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut ada = scene.ada().await;
    let long = json!({"message": "x".repeat(2048)}).to_string();
    let refusal = json!({"error": "too large to be stored"});
    ada.check("POST /api/flash", &long, 413, refusal).await;
    ada.check("POST /api/flash", r#"{"message":"short"}"#, 200, ok())
        .await;
    let short = messages(&[("info", "short")]);
    ada.check("GET /api/flash", "", 200, short).await;
}

/// ST-10: of messages that are left at the same time none gets lost.
pub async fn flash_messages_left_at_once_all_arrive(harness: &impl AdapterHarness) {
    let mut race = Race::new(harness, config()).await;
    let mut ada = race.visitor().await;
    let mut requests = JoinSet::new();
    for n in 0..20 {
        let mut browser = race.next(&ada);
        let message = json!({"message": format!("message {n:02}")}).to_string();
        requests.spawn(async move { browser.send("POST /api/flash", message).await });
    }
    let replies = requests.join_all().await;
    assert!(replies.iter().all(|reply| reply.status == 200));
    let shown = ada.send("GET /api/flash", "").await.json();
    let mut seen: Vec<_> = shown["messages"]
        .as_array()
        .expect("a list of messages")
        .iter()
        .map(|message| message["message"].as_str().expect("a text").to_owned())
        .collect();
    seen.sort();
    let expected: Vec<_> = (0..20).map(|n| format!("message {n:02}")).collect();
    assert_eq!(seen, expected);
}

async fn token(visitor: &mut Visitor) -> String {
    let reply = visitor.send("GET /api/csrf", "").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["token"]
        .as_str()
        .expect("a token is a text")
        .to_owned()
}

/// A request for the protected route with these headers.
async fn post(visitor: &Visitor, headers: &[(&'static str, &str)], body: &str) -> Reply {
    let mut request = visitor.request("POST /api/csrf-protected", body.to_owned());
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).expect("a value that can be sent");
        request.headers_mut().insert(*name, value);
    }
    visitor.exchange(request).await
}

async fn is_good(visitor: &Visitor, token: &str) -> bool {
    let reply = post(visitor, &[("x-csrf-token", token)], "").await;
    match reply.status {
        200 => true,
        403 => {
            let refusal = "the CSRF token is missing or not good any more: load the page again";
            assert_eq!(reply.json(), json!({"error": refusal}));
            false
        }
        other => panic!("the protected route answers {other}: {reply:?}"),
    }
}

/// CS-1: the protected route wants a token of this session, whole, in the header or in a form, from a page of this site.
pub async fn a_csrf_token_is_asked_for(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut ada = scene.ada().await;
    let (first, second) = (token(&mut ada).await, token(&mut ada).await);
    assert_ne!(first, second, "a token is masked anew each time");
    assert!(is_good(&ada, &first).await && is_good(&ada, &second).await);

    assert_eq!(post(&ada, &[], "").await.status, 403);
    for (length, end) in [
        (0, ""),
        (43, ""),
        (43, &"A".repeat(43)),
        (85, ""),
        (86, "A"),
    ] {
        let other = format!("{}{end}", &first[..length]);
        assert!(!is_good(&ada, &other).await, "{other}");
    }
    let mut bob = scene.visitor();
    let bobs = token(&mut bob).await;
    assert!(bob.is_known().await, "the first token begins a session");
    assert!(is_good(&bob, &bobs).await);
    assert!(!is_good(&ada, &bobs).await && !is_good(&bob, &first).await);
    assert!(!is_good(&scene.visitor(), &first).await);

    let form = [(CONTENT_TYPE.as_str(), "application/x-www-form-urlencoded")];
    let field = format!("name=ada&csrf_token={first}");
    assert_eq!(post(&ada, &form, &field).await.status, 200);
    assert_eq!(post(&ada, &form, "name=ada").await.status, 403);
    assert_eq!(post(&ada, &form, &"x".repeat(70_000)).await.status, 413);

    for (name, value, status) in [
        ("sec-fetch-site", "cross-site", 403),
        ("sec-fetch-site", "same-site", 403),
        ("sec-fetch-site", "same-origin", 200),
        ("origin", "https://elsewhere.example", 403),
        ("origin", "null", 403),
    ] {
        let reply = post(&ada, &[("x-csrf-token", &first), (name, value)], "").await;
        assert_eq!(reply.status, status, "{name}: {value}");
    }
    assert_eq!(ada.values().await, json!({"name": "Ada"}));
}

/// CS-1: a login refuses the tokens from before it at once, under the old id too.
pub async fn a_login_renews_the_csrf_token(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut ada = scene.ada().await;
    let before = token(&mut ada).await;
    let late = ada.clone();
    ada.check("POST /api/login", r#"{"user":"ada"}"#, 200, ok())
        .await;
    assert!(!is_good(&ada, &before).await && !is_good(&late, &before).await);
    let after = token(&mut ada).await;
    assert!(is_good(&ada, &after).await && !is_good(&late, &after).await);
}

/// CS-1: after a mere rotation the tokens from before are good for late requests, under either id, and not for longer.
pub async fn a_rotation_renews_the_csrf_token_slowly(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut ada = scene.ada().await;
    let before = token(&mut ada).await;
    let late = ada.clone();
    ada.check("POST /api/regenerate", "", 200, ok()).await;
    let after = token(&mut ada).await;
    assert!(is_good(&ada, &before).await && is_good(&ada, &after).await);
    assert!(is_good(&late, &before).await);
    // The grace time and the clock tolerance are a minute each.
    scene.clock.advance(Duration::from_secs(120));
    assert!(!is_good(&ada, &before).await && is_good(&ada, &after).await);
    assert!(!is_good(&late, &before).await);
}

/// Several values change in one step, or not at all; of steps at the same time none is lost.
pub async fn values_move_in_one_step(harness: &impl AdapterHarness) {
    let mut race = Race::new(harness, config()).await;
    let mut ada = race.visitor().await;
    ada.check("PUT /api/values/a", "100", 200, ok()).await;
    ada.check("PUT /api/values/text", r#""3""#, 200, ok()).await;
    let moved = json!({"from": 70, "to": 30});
    ada.check("POST /api/move/a/b?n=30", "", 200, moved).await;
    let refusal =
        json!({"error": "the values have to be integers, and the first one large enough"});
    for line in [
        "POST /api/move/a/b?n=71",
        "POST /api/move/none/b?n=1",
        "POST /api/move/text/b?n=1",
        "POST /api/move/a/text?n=1",
    ] {
        ada.check(line, "", 422, refusal.clone()).await;
    }
    let gate = race.hold(Call::Update);
    let lines = (0..30).map(|n| match n % 3 {
        0 => "POST /api/move/b/a?n=1".to_owned(),
        _ => "POST /api/move/a/b?n=2".to_owned(),
    });
    let requests = race.start_all(&ada, lines, "", &gate).await;
    gate.open();
    for reply in requests.join_all().await {
        assert_eq!(reply.status, 200, "{reply:?}");
    }
    let values = json!({"a": 40, "b": 60, "n": 0, "text": "3"});
    assert_eq!(ada.values().await, values);
}

/// A struct of the application's is stored and read; what doesn't fit it is told, and can be replaced or deleted.
pub async fn a_profile_is_of_its_type(harness: &impl AdapterHarness) {
    let mut ada = Scene::start(harness).await.visitor();
    let none = json!({"error": "there is no profile"});
    ada.check("GET /api/profile", "", 404, none.clone()).await;
    let profile = json!({"name": "Ada", "visits": 3});
    ada.check("PUT /api/profile", &profile.to_string(), 200, ok())
        .await;
    ada.check("GET /api/profile", "", 200, profile.clone())
        .await;
    assert_eq!(ada.values().await, json!({"profile": profile}));
    for other in ["1", r#"{"name":"Ada"}"#, r#"{"name":"Ada","visits":-1}"#] {
        let reply = ada.send("PUT /api/profile", other).await;
        assert_eq!(reply.status, 422, "{other}");
    }
    ada.check("GET /api/profile", "", 200, profile.clone())
        .await;

    // An older build stored something else.
    ada.check("PUT /api/values/profile", r#"{"nick":"ada"}"#, 200, ok())
        .await;
    let misfit = json!({"error": "what is stored has another form; it can be replaced or deleted"});
    ada.check("GET /api/profile", "", 409, misfit).await;
    let themed = json!({"name": "Ada", "theme": "dark", "visits": 0});
    ada.check("PUT /api/profile", &themed.to_string(), 200, ok())
        .await;
    ada.check("GET /api/profile", "", 200, themed).await;
    ada.check("PUT /api/values/profile", "7", 200, ok()).await;
    ada.check("DELETE /api/profile", "", 200, ok()).await;
    ada.check("GET /api/profile", "", 404, none).await;
}

/// The events of a stream that is under way.
fn watch(visitor: &Visitor) -> JoinHandle<Vec<String>> {
    let mut watcher = visitor.clone();
    tokio::spawn(async move {
        let reply = watcher.send("GET /api/watch?s=60", "").await;
        assert_eq!(reply.all("content-type"), ["text/event-stream"]);
        let lines = reply.text().lines();
        let events = lines.filter_map(|line| line.strip_prefix("event: "));
        events.map(str::to_owned).collect()
    })
}

/// Waits until the session has been looked at again: by then the watcher has seen what was stored before.
async fn let_the_watcher_look(scene: &Scene) {
    scene.store.take_calls();
    let looked = async {
        while scene.store.take_calls().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let looked = tokio::time::timeout(Duration::from_secs(10), looked).await;
    looked.expect("a watcher looks each second");
}

/// What the stream said; it has to be closed long before its time is up.
async fn said(watching: JoinHandle<Vec<String>>) -> Vec<String> {
    let events = tokio::time::timeout(Duration::from_secs(20), watching).await;
    let events = events.expect("the stream is closed at the session's end");
    let mut events = events.expect("the stream has an answer");
    events.dedup();
    events
}

/// ST-12: a handler that outlives its response sees what others change, follows a rotation that was made elsewhere, and is
/// told when the session is over. A stream that was opened before a login ends there.
pub async fn who_watches_a_session_is_told_of_its_end(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut ada = scene.ada().await;
    let watching = watch(&ada);
    let_the_watcher_look(&scene).await;
    ada.check("POST /api/regenerate", "", 200, ok()).await;
    let_the_watcher_look(&scene).await;
    ada.check("PUT /api/values/name", r#""Lady""#, 200, ok())
        .await;
    let_the_watcher_look(&scene).await;
    ada.check("POST /api/logout", "", 200, ok()).await;
    let told = ["alive", "changed", "alive", "ended"];
    assert_eq!(said(watching).await, told);

    let mut bob = scene.ada().await;
    let before_login = watch(&bob);
    let_the_watcher_look(&scene).await;
    bob.check("POST /api/login", r#"{"user":"bob"}"#, 200, ok())
        .await;
    assert_eq!(said(before_login).await, ["alive", "ended"]);
    let phone = watch(&bob);
    let_the_watcher_look(&scene).await;
    let mut laptop = scene.visitor();
    laptop
        .check("POST /api/login", r#"{"user":"bob"}"#, 200, ok())
        .await;
    laptop
        .check("DELETE /api/sessions", "", 200, json!({"ended": 1}))
        .await;
    assert_eq!(said(phone).await, ["alive", "ended"]);
}

/// ST-11: a peek reads the session without keeping it alive, for a page that asks by itself.
pub async fn a_peek_is_no_activity(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut ada = scene.ada().await;
    let name = json!({"value": "Ada", "exists": true});
    // A tenth of `max_age` is six minutes: any other use would be noted, and bring the cookie.
    for _ in 0..5 {
        scene.clock.advance(Duration::from_secs(700));
        let reply = ada.send("GET /api/peek/name", "").await;
        reply.expect_no_cookie(200);
        assert_eq!(reply.json(), name);
        assert_eq!(reply.list("vary"), ["cookie"]);
        let calls = scene.store.take_calls();
        assert_eq!(calls.len(), 1, "a peek is one load: {calls:?}");
    }
    scene.clock.advance(Duration::from_secs(100));
    let gone = json!({"value": null, "exists": false});
    ada.check("GET /api/peek/name", "", 200, gone).await;

    let mut bob = scene.ada().await;
    for _ in 0..5 {
        scene.clock.advance(Duration::from_secs(700));
        bob.check("GET /api/peek/name", "", 200, name.clone()).await;
        bob.check("GET /api/values/name", "", 200, name.clone())
            .await;
    }
    scene.clock.advance(Duration::from_secs(100));
    bob.check("GET /api/peek/name", "", 200, name).await;
}

/// US-4: what is sensitive needs a user who has proved not too long ago who they are. Proving it again gives the session a
/// new id and keeps what is in it.
pub async fn sensitive_things_need_a_fresh_login(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut ada = scene.ada().await;
    let nobody = json!({"error": "nobody is logged in"});
    ada.check("GET /api/fresh?within=60", "", 401, nobody.clone())
        .await;
    ada.check("POST /api/reauthenticate", "", 401, nobody.clone())
        .await;
    ada.check("POST /api/end-everywhere", "", 401, nobody).await;
    let remember = r#"{"user":"ada","remember":true,"label":"a phone"}"#;
    ada.check("POST /api/login", remember, 200, ok()).await;
    ada.check("GET /api/fresh?within=60", "", 200, ok()).await;
    scene.clock.advance(Duration::from_secs(61));
    let stale = json!({"error": "prove again who you are"});
    ada.check("GET /api/fresh?within=60", "", 403, stale).await;
    ada.check("GET /api/fresh?within=61", "", 200, ok()).await;

    let (reference, token) = (ada.info().await["ref"].clone(), token(&mut ada).await);
    let before = ada.clone();
    let reply = ada.send("POST /api/reauthenticate", "").await;
    assert_eq!((reply.status, reply.json()), (200, ok()));
    let cookie = reply.session_cookie();
    let cookie = cookie.expect("a re-authentication gives the session a new id");
    assert!(
        cookie.contains("Max-Age=2592000"),
        "it is remembered: {cookie}"
    );
    assert_ne!(ada.session_id(), before.session_id());
    assert!(!before.is_known().await);
    ada.check("GET /api/fresh?within=60", "", 200, ok()).await;
    assert!(!is_good(&ada, &token).await, "its tokens are new");
    let info = ada.info().await;
    assert_eq!((&info["user"], &info["ref"]), (&json!("ada"), &reference));
    assert_eq!(ada.values().await, json!({"name": "Ada"}));
    let listed = ada.send("GET /api/sessions", "").await.json();
    assert_eq!(listed["sessions"][0]["label"], "a phone");
    assert_eq!(listed["sessions"].as_array().map(Vec::len), Some(1));
}

/// US-2: a user ends all of their sessions, the one that asks for it too, whose cookie is removed.
pub async fn ending_everywhere_ends_this_one_too(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let (mut phone, mut laptop) = (scene.visitor(), scene.visitor());
    for device in [&mut phone, &mut laptop] {
        device
            .check("POST /api/login", r#"{"user":"ada"}"#, 200, ok())
            .await;
    }
    let reply = laptop.send("POST /api/end-everywhere", "").await;
    assert_eq!((reply.status, reply.json()), (200, json!({"ended": 2})));
    assert!(reply.removes_cookie(), "{reply:?}");
    assert!(!phone.is_known().await && !laptop.is_known().await);
}
