//! What the session does to the headers of each route, next to those that the route sets itself.

use std::collections::BTreeSet;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, SET_COOKIE, VARY};
use axum::middleware::map_response;
use axum::response::Response;
use session_axum::SessionManager;
use session_demo::on_axum::{routes, sessions};

use crate::common::{Reply, SpyStore, Visitor, config, demo};

/// What a route does with the session, as far as the headers tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Use {
    /// Nothing: the answer has no header of ours.
    None,
    /// The session's id and lifetime stay as they are.
    Keeps,
    /// A visitor without a session gets one.
    Stores,
    /// The session gets a new id.
    Rotates,
    /// Both.
    RotatesAndStores,
    /// The cookie is removed.
    Ends,
}

/// The routes as the documentation lists them, with a body that fits, the status, and what they do.
const ROUTES: [(&str, &str, u16, Use); 34] = [
    ("GET /", "", 200, Use::None),
    ("GET /api/untouched", "", 200, Use::None),
    ("GET /excluded/ANY", "", 200, Use::None),
    ("GET /api/stream?n=N", "", 200, Use::Keeps),
    ("GET /api/values", "", 200, Use::Keeps),
    ("GET /api/values/KEY", "", 200, Use::Keeps),
    ("PUT /api/values/KEY", "1", 200, Use::Stores),
    ("DELETE /api/values/KEY", "", 200, Use::Keeps),
    ("POST /api/clear", "", 200, Use::Keeps),
    ("POST /api/increment/KEY", "", 200, Use::Stores),
    ("GET /api/info", "", 200, Use::Keeps),
    ("POST /api/regenerate", "", 200, Use::Rotates),
    (
        "POST /api/regenerate-then-set/KEY",
        "1",
        200,
        Use::RotatesAndStores,
    ),
    ("POST /api/regenerate/status/CODE", "", 201, Use::Rotates),
    ("POST /api/regenerate/error", "", 500, Use::Rotates),
    ("POST /api/destroy", "", 200, Use::Ends),
    ("POST /api/logout", "", 200, Use::Ends),
    ("POST /api/destroy/status/CODE", "", 201, Use::Ends),
    ("POST /api/destroy/error", "", 500, Use::Ends),
    ("POST /api/destroy/panic", "", PANICS, Use::Ends),
    ("GET /api/slow?ms=N", "", 200, Use::Keeps),
    ("PUT /api/slow/KEY?ms=N", "1", 200, Use::Stores),
    ("PUT /api/status/CODE/KEY", "1", 201, Use::Stores),
    ("PUT /api/error/KEY", "1", 500, Use::Stores),
    ("PUT /api/error-inner/KEY", "1", 500, Use::Stores),
    ("PUT /api/panic/KEY", "1", PANICS, Use::Stores),
    ("POST /api/login", "{}", 501, Use::None),
    ("GET /api/sessions", "", 501, Use::None),
    ("DELETE /api/sessions/REF", "", 501, Use::None),
    ("DELETE /api/sessions", "", 501, Use::None),
    ("POST /api/flash", "{}", 501, Use::None),
    ("GET /api/flash", "", 501, Use::None),
    ("GET /api/csrf", "", 501, Use::None),
    ("POST /api/csrf-protected", "", 501, Use::None),
];

/// What is answered without being a route of its own.
const OTHERS: [(&str, &str, u16, Use); 5] = [
    ("HEAD /api/values", "", 200, Use::Keeps),
    ("PUT /api/values/%FF", "1", 400, Use::Keeps),
    ("PUT /api/values/name", "{", 400, Use::Keeps),
    ("GET /nothing", "", 404, Use::None),
    ("PATCH /api/values", "", 405, Use::None),
];

/// There is no answer, and so no status.
const PANICS: u16 = 0;

/// A route's line as a client sends it.
fn concrete(documented: &str) -> String {
    let fill_in = [
        ("KEY", "name"),
        ("CODE", "201"),
        ("ANY", "any"),
        ("REF", "ref"),
        ("=N", "=1"),
    ];
    let line = documented.to_owned();
    fill_in
        .iter()
        .fold(line, |line, (part, value)| line.replace(part, value))
}

/// The demo with a middleware that adds headers of its own, close to the handlers.
fn among_neighbours(store: &SpyStore) -> Router {
    let add_theirs = map_response(async |mut response: Response| {
        let headers = response.headers_mut();
        headers.append(SET_COOKIE, HeaderValue::from_static("theirs=1"));
        headers.append(VARY, HeaderValue::from_static("Accept"));
        headers.append(CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
        response
    });
    let manager = SessionManager::new(config().build().unwrap(), store.clone());
    routes().layer(add_theirs).layer(sessions(manager))
}

fn check(line: &str, reply: &Reply, status: u16, used: bool, cookie: bool) {
    assert_eq!(reply.status, status, "{line}");
    let ours = reply.session_cookie();
    assert_eq!(ours.is_some(), cookie, "{line}: {ours:?}");
    let others = reply.all("set-cookie").len() - usize::from(cookie);
    assert_eq!(
        (reply.all("set-cookie")[0], others),
        ("theirs=1", 1),
        "{line}"
    );
    let vary = if used {
        &["Accept", "Cookie"][..]
    } else {
        &["Accept"]
    };
    assert_eq!(reply.all("vary"), vary, "{line}");
    let cache_control = if cookie { "no-store" } else { "max-age=60" };
    assert_eq!(reply.all("cache-control"), [cache_control], "{line}");
}

/// CK-6, CK-7, CK-8, CK-9: our headers are added where they are due, and those of others stay.
#[tokio::test]
async fn every_route_leaves_the_headers_of_others_alone() {
    for (documented, body, status, session) in ROUTES.into_iter().chain(OTHERS) {
        let line = concrete(documented);
        let app = among_neighbours(&SpyStore::default());
        let newcomer = Visitor::new(&app);
        let mut ada = newcomer.clone();
        // A session of its own for each route, and something in it that each route can work on.
        ada.send("PUT /api/values/name", "7").await;
        let gets_cookie = matches!(session, Use::Stores | Use::RotatesAndStores);
        let is_rotated_or_ended =
            matches!(session, Use::Rotates | Use::RotatesAndStores | Use::Ends);
        for (mut visitor, cookie) in [(newcomer, gets_cookie), (ada, is_rotated_or_ended)] {
            let sent = line.clone();
            let reply = tokio::spawn(async move { visitor.send(&sent, body).await }).await;
            match reply {
                Ok(reply) => check(&line, &reply, status, session != Use::None, cookie),
                Err(error) => assert!(error.is_panic() && status == PANICS, "{line}"),
            }
        }
    }
}

/// The tests of this file can't forget a route, and the documentation can't either.
#[test]
fn the_table_has_every_documented_route_and_no_other() {
    const DOCUMENTATION: &str = include_str!("../../../docs/demo-api.md");
    let rows = DOCUMENTATION
        .lines()
        .filter_map(|line| line.strip_prefix("| `"));
    let first_cells = rows.filter_map(|row| row.split(" | ").next());
    let is_route = |code: &&str| {
        let path = code.split_once(' ').map(|(_method, path)| path);
        path.is_some_and(|path| path.starts_with('/'))
    };
    let documented: BTreeSet<_> = first_cells
        .flat_map(|cell| cell.split('`'))
        .filter(is_route)
        .collect();
    let in_table: BTreeSet<_> = ROUTES.into_iter().map(|(route, ..)| route).collect();
    assert_eq!(documented, in_table);
}

/// `HEAD` is answered like `GET`: the same status and headers, and no body.
#[tokio::test]
async fn head_is_get_without_the_body() {
    let mut ada = Visitor::new(&demo(config(), &SpyStore::default()));
    ada.send("PUT /api/values/name", "7").await;
    for (documented, ..) in ROUTES {
        let Some(path) = documented.strip_prefix("GET ") else {
            continue;
        };
        let path = concrete(path);
        let get = ada.send(&format!("GET {path}"), "").await;
        let head = ada.send(&format!("HEAD {path}"), "").await;
        assert_eq!((head.status, head.text()), (get.status, ""), "{path}");
        for (name, value) in &get.headers {
            assert_eq!(head.headers.get(name), Some(value), "{name} of {path}");
        }
    }
}
