//! Cookies as they come: forged, broken, twice, of sessions that are gone, or next to somebody else's.

use serde_json::json;

use super::Call;
use super::harness::{AdapterHarness, Scene};
use super::visitor::Visitor;

/// The value of `name` in the session that these Cookie headers lead to, as JSON.
async fn name(visitor: &Visitor, headers: &[&[u8]]) -> String {
    let reply = visitor.send_cookies("GET /api/values/name", headers).await;
    reply.expect_no_cookie(200);
    reply.json()["value"].to_string()
}

/// SG-1, SG-7, RQ-8: what isn't signed by us is nobody's, and no store hears of it.
pub async fn a_forged_cookie_asks_nothing(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let ada = scene.ada().await;
    let genuine = ada.session_id().expect("Ada has a session").to_owned();
    let mut forged = vec![
        String::new(),
        "session_id".to_owned(),
        genuine[1..].to_owned(),
        genuine[..genuine.len() - 1].to_owned(),
        format!("{genuine}A"),
        format!("\"{genuine}\""),
        genuine.to_lowercase(),
        "A".repeat(genuine.len()),
        "A".repeat(60_000),
    ];
    // Each tenth character in turn is another one; the core's own tests try every bit.
    for at in (0..genuine.len()).step_by(10) {
        let mut changed = genuine.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        forged.push(String::from_utf8(changed).expect("it is ASCII"));
    }
    for value in forged {
        let header = format!("session_id={value}");
        assert_eq!(name(&ada, &[header.as_bytes()]).await, "null", "{value}");
        assert_eq!(
            scene.store.take_calls(),
            [],
            "no store is asked for the forged cookie {value}"
        );
    }
}

/// RQ-1, RQ-3: a cookie of another name is another cookie, however similar the name is.
pub async fn a_similar_name_is_another_cookie(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let ada = scene.ada().await;
    let genuine = ada.session_id().expect("Ada has a session");
    for other in [
        "Session_id",
        "session%5Fid",
        "session_id2",
        "xsession_id",
        "=session_id",
    ] {
        let header = format!("{other}={genuine}");
        assert_eq!(name(&ada, &[header.as_bytes()]).await, "null", "{other}");
        assert_eq!(scene.store.take_calls(), [], "{other}");
    }
}

/// RQ-2, RQ-4, RQ-6: our cookie is found among others, however broken they are, in one header or in several.
pub async fn broken_neighbours_hide_nothing(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let ada = scene.ada().await;
    let ours = ada.session_pair();
    let neighbours: [&[u8]; 8] = [
        b"theirs=1",
        b"\xFF\xFE=\xFF",
        b"no-equals-sign",
        b"=",
        b"=session_id=x",
        b";;; ;",
        b"quote=\"; session_id=forged",
        b"session_id",
    ];
    for neighbour in neighbours {
        let between = [neighbour, b"; ", ours.as_bytes(), b" \t; ", neighbour].concat();
        for headers in [
            &[&between[..]][..],
            &[neighbour, ours.as_bytes(), neighbour],
        ] {
            let found = name(&ada, headers).await;
            let shown = neighbour.escape_ascii();
            assert_eq!(found, r#""Ada""#, "next to the cookie `{shown}`");
            assert_eq!(scene.store.take_calls(), [Call::Load], "{shown}");
        }
    }
}

/// RQ-5: of several cookies of our name the one that leads to a live session is used, in any order.
pub async fn of_several_cookies_the_live_one_is_used(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let ada = scene.ada().await;
    let live = ada.session_id().expect("Ada has a session");
    let mut left = scene.ada().await;
    let ended = left.session_id().expect("a session").to_owned();
    left.send("POST /api/destroy", "").await;
    let elsewhere = Scene::start(harness).await.ada().await;
    let unknown = elsewhere.session_id().expect("a session").to_owned();
    scene.store.take_calls();

    let forged = "forged".to_owned();
    for (other, loads) in [(forged, 1), (live.to_owned(), 1), (ended, 2), (unknown, 2)] {
        for (first, second) in [(live, other.as_str()), (&other, live)] {
            let header = format!("session_id={first}; session_id={second}");
            let found = name(&ada, &[header.as_bytes()]).await;
            assert_eq!(found, r#""Ada""#, "{header}");
            assert_eq!(
                scene.store.take_calls(),
                vec![Call::Load; loads],
                "{header}"
            );
        }
    }
}

/// RQ-5: of several live sessions none is used; storing something begins another one, and ends those that belong to no
/// user, so that the next request has one.
pub async fn of_several_live_sessions_none_is_used(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let (ada, other) = (scene.ada().await, scene.ada().await);
    let header = format!("{}; {}", ada.session_pair(), other.session_pair());
    assert_eq!(name(&ada, &[header.as_bytes()]).await, "null");

    let line = "PUT /api/values/name";
    let reply = ada.send_cookies(line, &[header.as_bytes()]).await;
    let mut third = scene.visitor();
    third.take_cookies(&reply);
    assert_eq!(third.values().await, json!({"name": 1}));
    for visitor in [ada, other] {
        assert_ne!(visitor.session_id(), third.session_id());
        assert!(!visitor.is_known().await);
    }
}

/// RQ-5, RQ-7: of the cookies that have our name and the length of ours, 64 are looked at; beyond that somebody is
/// playing. Junk of another length takes no place.
pub async fn the_65th_cookie_of_our_length_is_not_looked_at(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let ada = scene.ada().await;
    let of_our_length = format!("session_id={:A<92}; ", "forged");
    for (forged, expected) in [(63, r#""Ada""#), (64, "null")] {
        let header =
            "session_id=short; ".repeat(100) + &of_our_length.repeat(forged) + &ada.session_pair();
        let found = name(&ada, &[header.as_bytes()]).await;
        assert_eq!(found, expected, "behind {forged} forged ones");
    }
}

/// ID-6: a well-signed id that no store knows is looked up, and given up for a new one when there is
/// something to store.
pub async fn an_unknown_id_is_never_brought_to_life(harness: &impl AdapterHarness) {
    let stranger = Scene::start(harness).await.ada().await;
    let scene = Scene::start(harness).await;
    let stranger = stranger.at(scene.servers[0]);
    assert!(!stranger.is_known().await);
    assert_eq!(scene.store.take_calls(), [Call::Load]);

    let mut visitor = stranger.clone();
    visitor.send("PUT /api/values/name", r#""Eve""#).await;
    assert_eq!(scene.store.take_calls(), [Call::Load, Call::Create]);
    assert_ne!(visitor.session_id(), stranger.session_id());
    assert_eq!(visitor.values().await, json!({"name": "Eve"}));
    assert!(
        !stranger.is_known().await,
        "the unknown id has been adopted"
    );
}

/// CM-6, CM-8: an id that was ended stays ended: what a late request stores is dropped, and reported.
pub async fn an_ended_id_is_never_brought_to_life(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    for line in ["POST /api/destroy", "POST /api/regenerate"] {
        let mut ada = scene.ada().await;
        let old = ada.clone();
        assert_eq!(ada.send(line, "").await.status, 200);
        let dropped = scene.dropped();

        let late = old.clone().send("PUT /api/values/name", "1").await;
        late.expect_no_cookie(200);
        assert_eq!(
            old.values().await,
            json!({}),
            "after `{line}` the old id leads to nothing"
        );
        assert_eq!(scene.dropped(), dropped + 1, "the lost write is reported");
    }
}

/// CK-7: a lookup that finds nothing takes no cookie away: it might be one that another response has just
/// set.
pub async fn a_lookup_that_finds_nothing_removes_no_cookie(harness: &impl AdapterHarness) {
    let stranger = Scene::start(harness).await.ada().await;
    let scene = Scene::start(harness).await;
    let mut left = scene.ada().await;
    let ended = left.clone();
    left.send("POST /api/destroy", "").await;
    let mut forger = scene.visitor();
    forger.cookies.insert("session_id".into(), "forged".into());
    for visitor in [stranger.at(scene.servers[0]), ended, forger] {
        for line in ["GET /api/values", "GET /api/info", "POST /api/clear"] {
            let reply = visitor.clone().send(line, "").await;
            assert_eq!(
                reply.session_cookie(),
                None,
                "a session that isn't there is no reason to change the cookie"
            );
        }
    }
}
