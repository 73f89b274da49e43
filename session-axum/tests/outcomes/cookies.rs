//! Cookies as they come: forged, broken, twice, or next to somebody else's.

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::COOKIE;
use session_axum::{Session, SessionConfig, SessionLayer};

use crate::common::{Log, Reply, Visitor};
use crate::{ada, app, become_eve, layer, name, routes};
use session_conformance::adapter::{Call, SpyStore};

/// `GET /name` with these Cookie headers.
async fn ask(visitor: &Visitor, headers: &[&[u8]]) -> Reply {
    send(visitor, "GET /name", headers).await
}

async fn send(visitor: &Visitor, line: &str, headers: &[&[u8]]) -> Reply {
    let mut request = visitor.request(line, Body::empty());
    request.headers_mut().remove(COOKIE);
    for header in headers {
        let value = HeaderValue::from_bytes(header).unwrap();
        request.headers_mut().append(COOKIE, value);
    }
    visitor.exchange(request).await
}

/// RQ-8, SG-1: what isn't signed by us is nobody's, and no store hears of it.
#[tokio::test]
async fn a_forged_cookie_reaches_no_store() {
    let store = SpyStore::default();
    let app = app(&store, become_eve);
    let ada = ada(&app, &store).await;
    let genuine = ada.session_id().unwrap().to_owned();
    let other_secret = {
        let config = SessionConfig::builder([7; 32]).build().unwrap();
        let mut visitor =
            Visitor::new(&routes(become_eve).layer(SessionLayer::new(config, store.clone())));
        visitor.send("GET /", "").await;
        visitor.session_id().unwrap().to_owned()
    };
    store.take_calls();

    let mut forged = vec![
        String::new(),
        "session_id".to_owned(),
        other_secret,
        genuine[1..].to_owned(),
        genuine[..genuine.len() - 1].to_owned(),
        format!("{genuine}A"),
        format!("\"{genuine}\""),
        format!("{genuine} {genuine}"),
        genuine.to_lowercase(),
        "A".repeat(genuine.len()),
        "A".repeat(60_000),
    ];
    // Each character in turn is another one.
    for at in 0..genuine.len() {
        let mut changed = genuine.clone().into_bytes();
        changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        forged.push(changed);
    }
    for value in forged {
        let reply = ask(&ada, &[format!("session_id={value}").as_bytes()]).await;
        assert_eq!((reply.status, reply.text()), (200, "nobody"), "{value}");
        assert_eq!(store.take_calls(), [], "{value}");
    }
    // RQ-1: nor is our value in another cookie ours.
    for name in [
        "Session_id",
        "session%5Fid",
        "session_id2",
        "xsession_id",
        "=session_id",
    ] {
        let reply = ask(&ada, &[format!("{name}={genuine}").as_bytes()]).await;
        assert_eq!(
            (reply.text(), store.take_calls()),
            ("nobody", vec![]),
            "{name}"
        );
    }
    assert_eq!(name(&ada).await, "Ada");
}

/// RQ-2, RQ-3, RQ-4, RQ-6: our cookie is found among others, however broken they are.
#[tokio::test]
async fn broken_neighbours_do_not_hide_our_cookie() {
    let store = SpyStore::default();
    let app = app(&store, become_eve);
    let ada = ada(&app, &store).await;
    let ours = format!("session_id={}", ada.session_id().unwrap());
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
            let reply = ask(&ada, headers).await;
            let shown = neighbour.escape_ascii();
            assert_eq!((reply.status, reply.text()), (200, "Ada"), "{shown}");
            assert_eq!(store.take_calls(), [Call::Load], "{shown}");
        }
    }
}

/// RQ-5: of several cookies of our name the one that leads to a live session is used, in any order; the
/// same id twice is one.
#[tokio::test]
async fn of_several_cookies_the_live_one_is_used() {
    let store = SpyStore::default();
    let app = app(&store, async |session: Session| session.destroy());
    let ada = ada(&app, &store).await;
    let live = ada.session_id().unwrap();
    let mut left = crate::ada(&app, &store).await;
    let ended = left.session_id().unwrap().to_owned();
    left.send("GET /", "").await;
    let elsewhere = SpyStore::default();
    let unknown = crate::ada(&routes(become_eve).layer(layer(&elsewhere)), &elsewhere).await;
    let unknown = unknown.session_id().unwrap();
    store.take_calls();

    for (other, loads) in [("forged", 1), (live, 1), (ended.as_str(), 2), (unknown, 2)] {
        for (first, second) in [(live, other), (other, live)] {
            let header = format!("session_id={first}; session_id={second}");
            let reply = ask(&ada, &[header.as_bytes()]).await;
            assert_eq!(reply.text(), "Ada", "{header}");
            assert_eq!(store.take_calls(), vec![Call::Load; loads], "{header}");
        }
    }
}

/// RQ-5: of several live sessions none is used, and the log says so.
#[tokio::test]
async fn of_several_live_sessions_none_is_used() {
    let store = SpyStore::default();
    let app = app(&store, become_eve);
    let (ada, other) = (ada(&app, &store).await, ada(&app, &store).await);
    let ids = [&ada, &other].map(|visitor| visitor.session_id().unwrap());
    let header = format!("session_id={}; session_id={}", ids[0], ids[1]);

    let log = Log::capture();
    let reply = ask(&ada, &[header.as_bytes()]).await;
    assert_eq!((reply.text(), reply.session_cookie()), ("nobody", None));
    assert_eq!(log.lines_with("several live sessions").len(), 1);

    // Storing something begins a third one, and leaves both as they were.
    let reply = send(&ada, "GET /", &[header.as_bytes()]).await;
    let mut eve = ada.clone();
    eve.take_cookies(&reply.headers);
    assert!(!ids.contains(&eve.session_id().unwrap()));
    assert_eq!(
        [name(&eve).await, name(&ada).await, name(&other).await],
        ["Eve", "Ada", "Ada"]
    );
}

/// RQ-5, RQ-7: eight cookies of our name are looked at; beyond that somebody is playing.
#[tokio::test]
async fn the_ninth_cookie_of_our_name_is_not_looked_at() {
    let store = SpyStore::default();
    let app = app(&store, become_eve);
    let ada = ada(&app, &store).await;
    let ours = format!("session_id={}", ada.session_id().unwrap());
    for (forged, expected) in [(7, "Ada"), (8, "nobody")] {
        let header = "session_id=forged; ".repeat(forged) + &ours;
        assert_eq!(
            ask(&ada, &[header.as_bytes()]).await.text(),
            expected,
            "{forged}"
        );
    }
}

/// ID-6: a well-signed id that no store knows is looked up, and given up for a new one when there is
/// something to store.
#[tokio::test]
async fn an_unknown_id_is_never_brought_to_life() {
    let elsewhere = SpyStore::default();
    let stranger = ada(&app(&elsewhere, become_eve), &elsewhere).await;
    let store = SpyStore::default();
    let mut visitor = stranger.at(&app(&store, become_eve));
    assert_eq!(name(&visitor).await, "nobody");
    assert_eq!(store.take_calls(), [Call::Load]);

    visitor.send("GET /", "").await;
    assert_eq!(store.take_calls(), [Call::Load, Call::Create]);
    assert_ne!(visitor.session_id(), stranger.session_id());
    assert_eq!(name(&visitor).await, "Eve");
    assert_eq!(name(&stranger.at(&app(&store, become_eve))).await, "nobody");
}
