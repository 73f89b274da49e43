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

use crate::common::{Log, Visitor, config};
use crate::{NAME, ada, app, become_eve, layer, name, routes};
use session_conformance::adapter::{Call, SpyStore};

/// A second session beside the main one.
enum Admin {}

/// What a clear answer to a missing layer is: nothing to the visitor, and the way out to the log.
async fn check_missing(visitor: &mut Visitor, line: &str) {
    let log = Log::capture();
    let reply = visitor.send(line, "").await;
    assert_eq!((reply.status, reply.text()), (500, "internal server error"));
    let advice = log.lines_with("add .layer(SessionLayer::new(config, store))");
    assert_eq!(advice.len(), 1);
    assert!(advice[0].contains("ERROR"), "{advice:?}");
}

async fn is_there(session: Option<Session>) -> String {
    session.is_some().to_string()
}

/// ST-8: without the layer there is an error, never a session that forgets everything.
#[tokio::test]
async fn without_a_layer_extraction_is_an_error() {
    let mut visitor = Visitor::new(&routes(become_eve));
    check_missing(&mut visitor, "GET /").await;
}

/// ST-8: an excluded path is one without a layer.
#[tokio::test]
async fn on_an_excluded_path_extraction_is_an_error() {
    let store = SpyStore::default();
    let app = Router::new().route("/excluded/eve", get(become_eve));
    let mut visitor = Visitor::new(&app.layer(layer(&store)));
    check_missing(&mut visitor, "GET /excluded/eve").await;
}

/// ST-8: `None` means that there is no layer, and nothing else.
#[tokio::test]
async fn an_optional_session_is_missing_only_without_a_layer() {
    let routes = || Router::new().route("/{*path}", get(is_there));
    let mut outside = Visitor::new(&routes());
    assert_eq!(outside.send("GET /x", "").await.text(), "false");

    let store = SpyStore::default();
    let mut newcomer = Visitor::new(&routes().layer(layer(&store)));
    for (path, expected) in [
        ("/x", "true"),
        ("/excludedx", "true"),
        ("/excluded/x", "false"),
    ] {
        assert_eq!(
            newcomer.send(&format!("GET {path}"), "").await.text(),
            expected,
            "{path}"
        );
    }
    // An unknown id, a forged one and none at all are visitors without a session, not without a layer.
    newcomer
        .cookies
        .insert("session_id".to_owned(), "forged".to_owned());
    assert_eq!(newcomer.send("GET /x", "").await.text(), "true");
}

/// Exclusion looks at the path that the client sent, not at what nesting leaves of it.
#[tokio::test]
async fn exclusion_looks_at_the_original_path() {
    let excluding = |path: &str| {
        let config = config().exclude_path(path).build().unwrap();
        let inner = Router::new().route("/health", get(is_there));
        let inner = inner.layer(SessionLayer::new(config, SpyStore::default()));
        Visitor::new(&Router::new().nest("/app", inner))
    };
    for (excluded, expected) in [
        ("/app/health", "false"),
        ("/app/*", "false"),
        ("/health", "true"),
    ] {
        let reply = excluding(excluded).send("GET /app/health", "").await;
        assert_eq!(reply.text(), expected, "{excluded}");
    }
}

/// ST-7: extractors, of the handler and of middleware, give one session, and it is loaded once.
#[tokio::test]
async fn a_request_has_one_session() {
    let both = async |first: Session, second: Option<Session>| -> Result<String, Error> {
        first.set(NAME, "Eve")?;
        second.unwrap().get_or(NAME, String::new())
    };
    let store = SpyStore::default();
    let app = app(&store, both);
    let mut ada = ada(&app, &store).await;
    assert_eq!(ada.send("GET /", "").await.text(), "Eve");
    assert_eq!(store.take_calls(), [Call::Load, Call::Update]);
}

/// A middleware inside the layer works with the session before the handler and after it.
#[tokio::test]
async fn middleware_reads_and_writes_the_session() {
    async fn greet(session: Session, request: Request, next: Next) -> Result<Response, Error> {
        let before: Option<String> = session.get("name")?;
        session.set("greeting", "hello")?;
        let response = next.run(request).await;
        let after: Option<String> = session.get("name")?;
        session.set("name", format!("{before:?} became {after:?}"))?;
        Ok(response)
    }
    let handler = async |session: Session| -> Result<String, Error> {
        session.set("name", "Eve")?;
        session.get_or("greeting", "nothing".to_owned())
    };
    let store = SpyStore::default();
    let main = app(&store, async || ());
    let ada = ada(&main, &store).await;
    let app = Router::new()
        .route("/", get(handler))
        .layer(from_fn(greet))
        .layer(layer(&store));
    assert_eq!(ada.at(&app).send("GET /", "").await.text(), "hello");
    assert_eq!(store.take_calls(), [Call::Load, Call::Update]);
    assert_eq!(name(&ada).await, r#"Some("Ada") became Some("Eve")"#);
}

/// ST-7: the same cookie name twice is one session, which the outer layer loads and commits.
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
    let (inner, outer) = (SpyStore::default(), SpyStore::default());
    let app = Router::new()
        .route("/", get(handler))
        .layer(layer(&inner))
        .layer(from_fn(note))
        .layer(layer(&outer));
    let mut visitor = Visitor::new(&app);
    let reply = visitor.send("GET /", "").await;
    assert_eq!(reply.text(), r#"{"inside":2,"outside":1}"#);
    assert!(reply.session_cookie().is_some(), "there is exactly one");
    assert_eq!(reply.all("vary"), ["Cookie"]);
    assert_eq!(
        (inner.take_calls(), outer.take_calls()),
        (vec![], vec![Call::Create])
    );
}

/// ST-7, SG-6: sessions of different names live side by side, each with a cookie and data of its own.
#[tokio::test]
async fn named_sessions_do_not_see_each_other() {
    let show = async |main: Session, admin: Session<Admin>| -> Result<String, Error> {
        let (main, admin): (Option<String>, Option<String>) =
            (main.get("name")?, admin.get("name")?);
        Ok(format!("{main:?} {admin:?}"))
    };
    let set_main = async |session: Session| session.set("name", "Ada");
    let end_main = async |session: Session| session.destroy();
    let set_admin = async |session: Session<Admin>| session.set("name", "Eve");
    let move_admin = async |session: Session<Admin>| session.regenerate();
    let admin = config().cookie_name("admin_id").build().unwrap();
    let stores = [SpyStore::default(), SpyStore::default()];
    let app = Router::new()
        .route("/", get(show))
        .route("/main", put(set_main).delete(end_main))
        .route("/admin", put(set_admin).post(move_admin))
        .layer(SessionLayer::new(admin, stores[1].clone()).named::<Admin>())
        .layer(layer(&stores[0]));

    let mut visitor = Visitor::new(&app);
    for (line, expected, cookies) in [
        ("PUT /main", r#"Some("Ada") None"#, &["session_id"][..]),
        (
            "PUT /admin",
            r#"Some("Ada") Some("Eve")"#,
            &["admin_id", "session_id"],
        ),
        (
            "POST /admin",
            r#"Some("Ada") Some("Eve")"#,
            &["admin_id", "session_id"],
        ),
        ("DELETE /main", r#"None Some("Eve")"#, &["admin_id"]),
    ] {
        let before = visitor.clone();
        assert_eq!(visitor.send(line, "").await.status, 200);
        assert_eq!(visitor.send("GET /", "").await.text(), expected, "{line}");
        assert!(
            visitor.cookies.keys().eq(cookies),
            "{line}: {:?}",
            visitor.cookies
        );
        if line == "POST /admin" {
            assert_eq!(visitor.session_id(), before.session_id());
            assert_ne!(visitor.cookies["admin_id"], before.cookies["admin_id"]);
        }
    }

    // The id of one is no id of the other's, even under its name.
    let admin_id = visitor.cookies["admin_id"].clone();
    visitor.cookies = [("session_id".to_owned(), admin_id)].into();
    assert_eq!(visitor.send("GET /", "").await.text(), "None None");
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
    let advice = log.lines_with("another cookie_name");
    assert_eq!(advice.len(), 1);
    assert!(advice[0].contains("ERROR"), "{advice:?}");
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
