//! ST-7, ST-8: where a session is there, and which one.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, put};
use session_axum::{Error, Session, SessionLayer};
use tower::{Layer as _, Service, ServiceExt as _};

use crate::common::{Visitor, config};
use crate::log::Log;
use crate::{NAME, ada, become_eve, layer, name, routes};
use session_conformance::adapter::{Call, SpyStore};

/// A second session beside the main one.
enum Admin {}

/// ST-8: without the layer, and on an excluded path, there is an error, never a session that forgets everything.
/// It tells the visitor nothing, and the log the way out.
#[tokio::test]
async fn without_a_layer_extraction_is_an_error() {
    let excluded = Router::new().route("/excluded/eve", get(become_eve));
    for (app, line) in [
        (routes(become_eve), "GET /"),
        (
            excluded.layer(layer(&SpyStore::default())),
            "GET /excluded/eve",
        ),
    ] {
        let log = Log::capture();
        let reply = Visitor::new(&app).send(line, "").await;
        assert_eq!((reply.status, reply.text()), (500, "internal server error"));
        log.check_error("add .layer(SessionLayer::new(config, store))");
    }
}

/// ST-8: an optional session is `None` without a layer, and on an excluded path. That is the path that the
/// client sent, not what nesting leaves of it.
#[tokio::test]
async fn exclusion_looks_at_the_original_path() {
    async fn is_there(session: Option<Session>) -> String {
        session.is_some().to_string()
    }
    let inner = || Router::new().route("/health", get(is_there));
    let excluding = |path: &str| {
        let config = config().exclude_path(path).build().unwrap();
        inner().layer(SessionLayer::new(config, SpyStore::default()))
    };
    for (inner, expected) in [
        (inner(), "false"),
        (excluding("/app/health"), "false"),
        (excluding("/app/*"), "false"),
        (excluding("/health"), "true"),
    ] {
        let mut visitor = Visitor::new(&Router::new().nest("/app", inner));
        assert_eq!(visitor.send("GET /app/health", "").await.text(), expected);
    }
}

/// ST-7: all extractors, of the handler and of a middleware before it and after it, give one session, and it is
/// loaded once.
#[tokio::test]
async fn a_request_has_one_session() {
    async fn greet(session: Session, request: Request, next: Next) -> Result<Response, Error> {
        let before = session.get_or(NAME, "nobody".to_owned())?;
        session.set("greeting", "hello")?;
        let response = next.run(request).await;
        let after = session.get_or(NAME, "nobody".to_owned())?;
        session.set(NAME, format!("{before} became {after}"))?;
        Ok(response)
    }
    let handler = async |first: Session, second: Option<Session>| -> Result<String, Error> {
        first.set(NAME, "Eve")?;
        second.unwrap().get_or("greeting", "nothing".to_owned())
    };
    let store = SpyStore::default();
    let app = routes(handler)
        .route_layer(from_fn(greet))
        .layer(layer(&store));
    let ada = ada(&crate::app(&store, become_eve), &store).await;
    assert_eq!(ada.at(&app).send("GET /", "").await.text(), "hello");
    assert_eq!(store.take_calls(), [Call::Load, Call::Update]);
    assert_eq!(name(&ada).await, "Ada became Eve");
}

/// ST-7: the same layer twice is one session, which the outer one loads and commits.
#[tokio::test]
async fn two_layers_of_one_name_work_once() {
    async fn note(session: Session, request: Request, next: Next) -> Response {
        session.set("outside", 1).unwrap();
        next.run(request).await
    }
    let handler = async |session: Session| -> Result<String, Error> {
        session.set("inside", 2)?;
        let all = session.entries()?;
        Ok(serde_json::Value::Object(all).to_string())
    };
    let store = SpyStore::default();
    let sessions = layer(&store);
    let app = Router::new()
        .route("/", get(handler))
        .layer(sessions.clone())
        .layer(from_fn(note))
        .layer(sessions);
    let mut visitor = Visitor::new(&app);
    let reply = visitor.send("GET /", "").await;
    assert_eq!(reply.text(), r#"{"inside":2,"outside":1}"#);
    assert!(reply.session_cookie().is_some(), "there is exactly one");
    assert_eq!(reply.all("vary"), ["Cookie"]);
    assert_eq!(store.take_calls(), [Call::Create]);
}

/// ST-7: sessions of different names live side by side, each with a cookie and data of its own.
#[tokio::test]
async fn named_sessions_do_not_see_each_other() {
    let show = async |main: Session, admin: Session<Admin>| -> Result<String, Error> {
        let nobody = || "nobody".to_owned();
        let (main, admin) = (main.get_or(NAME, nobody())?, admin.get_or(NAME, nobody())?);
        Ok(format!("{main} and {admin}"))
    };
    let set_main = async |session: Session| session.set(NAME, "Ada");
    let end_main = async |session: Session| session.destroy();
    let set_admin = async |session: Session<Admin>| session.set(NAME, "Eve");
    let move_admin = async |session: Session<Admin>| session.regenerate();
    let admin = config().cookie_name("admin_id").build().unwrap();
    let app = Router::new()
        .route("/", get(show))
        .route("/main", put(set_main).delete(end_main))
        .route("/admin", put(set_admin).post(move_admin))
        .layer(SessionLayer::new(admin, SpyStore::default()).named::<Admin>())
        .layer(layer(&SpyStore::default()));

    let mut visitor = Visitor::new(&app);
    let both = &["admin_id", "session_id"][..];
    for (line, expected, cookies) in [
        ("PUT /main", "Ada and nobody", &["session_id"][..]),
        ("PUT /admin", "Ada and Eve", both),
        ("POST /admin", "Ada and Eve", both),
        ("DELETE /main", "nobody and Eve", &["admin_id"]),
    ] {
        let before = visitor.cookies.clone();
        assert_eq!(visitor.send(line, "").await.status, 200);
        assert_eq!(visitor.send("GET /", "").await.text(), expected, "{line}");
        let now = &visitor.cookies;
        assert!(now.keys().eq(cookies), "{line}: {now:?}");
        if line == "POST /admin" {
            assert_eq!(now["session_id"], before["session_id"]);
            assert_ne!(now["admin_id"], before["admin_id"]);
        }
    }
}

/// ST-7, ID-5: a browser's session and that of a program live side by side, the one in a cookie, the other in a token.
#[tokio::test]
async fn a_cookie_and_a_token_live_side_by_side() {
    let handler = async |main: Session, admin: Session<Admin>| -> Result<String, Error> {
        let nobody = || "nobody".to_owned();
        let found = (main.get_or(NAME, nobody())?, admin.get_or(NAME, nobody())?);
        main.set(NAME, "Ada")?;
        admin.set(NAME, "Eve")?;
        Ok(format!("{} and {}", found.0, found.1))
    };
    let store = SpyStore::default();
    let token = config().bearer_token().build().unwrap();
    let app = Router::new()
        .route("/", get(handler))
        .layer(SessionLayer::new(token, store.clone()).named::<Admin>())
        .layer(layer(&store));
    let mut browser = Visitor::new(&app);
    let reply = browser.send("GET /", "").await;
    assert_eq!(reply.text(), "nobody and nobody");
    assert!(reply.session_cookie().is_some());
    assert_eq!(reply.all("vary"), ["Authorization", "Cookie"]);
    let bearer = format!("Bearer {}", reply.all("session-token")[0]);

    let with_token = |mut request: Request| {
        let bearer = bearer.parse().unwrap();
        request.headers_mut().insert("authorization", bearer);
        request
    };
    for (visitor, has_token, expected) in [
        (&browser, false, "Ada and nobody"),
        (&browser, true, "Ada and Eve"),
        (&Visitor::new(&app), true, "nobody and Eve"),
    ] {
        let mut request = visitor.request("GET /", "");
        if has_token {
            request = with_token(request);
        }
        assert_eq!(visitor.exchange(request).await.text(), expected);
    }
}

/// ST-7: two sessions under one cookie would overwrite each other's cookie. Neither is lent to the other.
#[tokio::test]
async fn two_sessions_with_one_cookie_are_an_error() {
    let handler = async |_: Option<Session<Admin>>| "all is well";
    let (main, admin) = (SpyStore::default(), SpyStore::default());
    let app = Router::new()
        .route("/", get(handler))
        .layer(layer(&admin).named::<Admin>())
        .layer(layer(&main));
    let log = Log::capture();
    let reply = Visitor::new(&app).send("GET /", "").await;
    assert_eq!((reply.status, reply.text()), (500, "internal server error"));
    log.check_error("another cookie_name");
}

/// A service that may be called once for each time that it was asked whether it is ready.
#[derive(Default)]
struct Strict {
    is_ready: bool,
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request> for Strict {
    type Response = Response;
    type Error = Infallible;
    type Future = Ready<Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request) -> Self::Future {
        assert!(
            std::mem::take(&mut self.is_ready),
            "called before it was ready"
        );
        ready(Ok(Response::default()))
    }
}

/// tower's contract: the service that was polled ready is the one that is called, not a clone of it. That
/// holds on the way to a session, and past it.
#[tokio::test]
async fn the_service_that_is_ready_is_the_one_that_is_called() {
    let mut service = layer(&SpyStore::default()).layer(Strict::default());
    for path in ["/", "/excluded/x", "/"] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = service.ready().await.unwrap().call(request).await;
        assert_eq!(response.unwrap().status(), 200);
    }
}
