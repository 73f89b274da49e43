//! Where the session's id may come from, and what is logged about cookies.

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::http::header::COOKIE;
use axum::routing::any;
use session_axum::Session;
use session_conformance::adapter::SpyStore;

use crate::common::Visitor;
use crate::log::Log;
use crate::{NAME, ada, app, become_eve, layer};

/// ID-5: the id is taken from the Cookie header and from nowhere else.
#[tokio::test]
async fn the_id_comes_from_the_cookie_alone() {
    let look = async |session: Session| match session.contains("name") {
        true => "known",
        false => {
            session.set(NAME, "Ada").unwrap();
            "new"
        }
    };
    let routes = Router::new().route("/{*any}", any(look));
    let mut visitor = Visitor::new(&routes.layer(layer(&SpyStore::default())));
    assert_eq!(visitor.send("GET /x", "").await.text(), "new");
    let pair = format!("session_id={}", visitor.session_id().unwrap());

    let with_header = |name: &str, value: &str| Request::get("/x").header(name, value);
    let form = Request::post("/x").header("content-type", "application/x-www-form-urlencoded");
    for request in [
        Request::get(format!("/x?{pair}")).body(Body::empty()),
        Request::get(format!("/{pair}")).body(Body::empty()),
        form.body(pair.clone().into()),
        with_header("x-session", &pair).body(Body::empty()),
        with_header("authorization", &format!("Bearer {pair}")).body(Body::empty()),
        with_header("cookie2", &pair).body(Body::empty()),
    ] {
        let request = request.unwrap();
        let shown = format!("{request:?}");
        assert_eq!(visitor.exchange(request).await.text(), "new", "{shown}");
    }
    assert_eq!(visitor.send("GET /x", "").await.text(), "known");
}

/// RQ-5: that of several live sessions none is used is worth a line in the log.
#[tokio::test]
async fn several_live_sessions_are_logged() {
    let store = SpyStore::default();
    let app = app(&store, become_eve);
    let ids = [ada(&app, &store).await, ada(&app, &store).await];
    let pairs = ids.map(|visitor| format!("session_id={}", visitor.session_id().unwrap()));
    let visitor = Visitor::new(&app);
    let request = Request::get("/name").header(COOKIE, pairs.join("; "));
    let log = Log::capture();
    let reply = visitor.exchange(request.body(Body::empty()).unwrap()).await;
    assert_eq!(reply.text(), "nobody");
    assert_eq!(log.lines_with("several live sessions").len(), 1);
}
