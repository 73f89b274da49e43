//! Where the session's id may come from.

use axum::Router;
use axum::body::Body;
use axum::routing::any;
use http::{Request, Response, StatusCode};
use session_axum::{Session, SessionConfig, SessionLayer};
use session_store_memory::MemoryStore;
use tower_service::Service;

async fn send(app: &mut Router, request: Request<Body>) -> Response<Body> {
    let Ok(response) = app.call(request).await;
    response
}

/// ID-5: the id is taken from the Cookie header and from nowhere else.
#[tokio::test]
async fn the_id_comes_from_the_cookie_alone() {
    let config = SessionConfig::builder("a secret for tests of thirty-two bytes")
        .build()
        .unwrap();
    let handler = async |session: Session| match session.contains("n") {
        true => StatusCode::OK,
        false => session
            .set("n", 1)
            .map_or(StatusCode::INTERNAL_SERVER_ERROR, |()| StatusCode::CREATED),
    };
    let layer = SessionLayer::new(config, MemoryStore::new());
    let mut app = Router::new().route("/{*any}", any(handler)).layer(layer);
    let created = send(&mut app, Request::get("/x").body(Body::empty()).unwrap()).await;
    assert_eq!(created.status(), StatusCode::CREATED);
    let cookie = created.headers()["set-cookie"].to_str().unwrap();
    let pair = cookie.split(';').next().unwrap();

    let elsewhere = [
        Request::get(format!("/x?{pair}")).body(Body::empty()),
        Request::get(format!("/{pair}")).body(Body::empty()),
        Request::post("/x")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(pair.to_owned().into()),
        Request::get("/x")
            .header("x-session", pair)
            .body(Body::empty()),
        Request::get("/x")
            .header("authorization", format!("Bearer {pair}"))
            .body(Body::empty()),
        Request::get("/x")
            .header("cookie2", pair)
            .body(Body::empty()),
    ];
    for request in elsewhere {
        assert_eq!(
            send(&mut app, request.unwrap()).await.status(),
            StatusCode::CREATED
        );
    }
    let with_cookie = Request::get("/x")
        .header("cookie", pair)
        .body(Body::empty())
        .unwrap();
    assert_eq!(send(&mut app, with_cookie).await.status(), StatusCode::OK);
}
