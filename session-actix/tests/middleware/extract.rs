//! ST-7, ST-8: where an extractor finds a session, and what it says where there is none.

use actix_web::{App, HttpRequest, web};
use session_actix::{Session, SessionExt as _, SessionMiddleware};
use session_conformance::adapter::{Call, Mood, SpyStore};

use crate::common::{Log, Site, Visitor};
use crate::{NAME, ada, app, become_eve, config, name, routes, sessions};

/// What the log says where there is no middleware.
const ADD_IT: &str = ".wrap(SessionMiddleware::new(config, store))";

/// ST-8: a clear answer to a missing middleware tells the visitor nothing, and the log what to do.
async fn check_missing(visitor: &mut Visitor, line: &str) {
    let log = Log::capture();
    let reply = visitor.send(line).await;
    reply.check(500, "internal server error");
    assert_eq!(reply.all("vary"), [""; 0]);
    log.check_error(ADD_IT);
}

async fn is_there(session: Option<Session>) -> String {
    session.is_some().to_string()
}

/// Extraction is all that waits for the store. What follows are plain calls, and `?` takes their errors in a
/// handler that returns `actix_web::Result`.
#[actix_web::test]
async fn a_handler_uses_its_session_without_waiting() {
    async fn visits(session: Session) -> actix_web::Result<String> {
        let before = session.contains("visits");
        let n = session.update("visits", |n: Option<u64>| n.unwrap_or(0) + 1)?;
        let again: u64 = session.get_or("visits", 0)?;
        Ok(format!("{before} {n} {again} {:?}", session.keys()))
    }
    let store = SpyStore::default();
    let mut visitor = Visitor::new(&app(&store, visits).await);
    let reply = visitor.send("GET /").await;
    assert_eq!(reply.body, r#"false 1 1 ["visits"]"#);
    assert!(reply.session_cookie().is_some());
    assert_eq!(store.take_calls(), [Call::Create]);

    let reply = visitor.send("GET /").await;
    assert_eq!(reply.body, r#"true 2 2 ["visits"]"#);
    assert_eq!(reply.session_cookie(), None);
    assert_eq!(store.take_calls(), [Call::Load, Call::Update]);
}

/// An error that a handler hands on is answered with the status that fits, and in a line that gives nothing
/// away: neither the key nor the type nor what the store said.
#[actix_web::test]
async fn session_errors_are_answered_without_details() {
    async fn misread(session: Session) -> actix_web::Result<String> {
        let name: Option<u32> = session.get("name")?;
        Ok(format!("{name:?}"))
    }
    async fn overfill(session: Session) -> actix_web::Result<&'static str> {
        session.set("too much", "x".repeat(1 << 16))?;
        Ok("all is well")
    }
    async fn commit_at_once(session: Session) -> actix_web::Result<&'static str> {
        session.set(NAME, "Eve")?;
        session.commit().await?;
        Ok("all is well")
    }
    let store = SpyStore::default();
    store.set(Call::Update, Mood::Fails);
    for (site, status, body) in [
        (app(&store, misread).await, 500, "internal server error"),
        (app(&store, overfill).await, 413, "session too large"),
        (
            app(&store, commit_at_once).await,
            503,
            "session store unavailable",
        ),
    ] {
        let mut ada = ada(&site, &store).await;
        let reply = ada.send("GET /").await;
        reply.check(status, body);
        assert_eq!(reply.all("content-type"), ["text/plain; charset=utf-8"]);
        assert_eq!(name(&ada).await, "Ada");
    }
}

/// ST-7: however often and in whatever way a handler asks, it gets one session, which is loaded once.
#[actix_web::test]
async fn a_request_has_one_session() {
    async fn several(
        first: Session,
        second: Option<Session>,
        request: HttpRequest,
    ) -> actix_web::Result<String> {
        first.set(NAME, "Eve")?;
        let nobody = || "nobody".to_owned();
        let second = second.unwrap().get_or(NAME, nobody())?;
        let third = request.session()?.get_or(NAME, nobody())?;
        Ok(format!("{second} {third}"))
    }
    let store = SpyStore::default();
    let mut ada = ada(&app(&store, several).await, &store).await;
    assert_eq!(ada.send("GET /").await.body, "Eve Eve");
    assert_eq!(store.take_calls(), [Call::Load, Call::Update]);
}

/// ST-8: without the middleware there is an error, never a session that forgets everything.
#[actix_web::test]
async fn without_the_middleware_extraction_is_an_error() {
    let site = Site::new(App::new().configure(routes(become_eve))).await;
    check_missing(&mut Visitor::new(&site), "GET /").await;
}

/// ST-8: an excluded path is one without the middleware.
#[actix_web::test]
async fn on_an_excluded_path_extraction_is_an_error() {
    let store = SpyStore::default();
    let app = App::new().route("/excluded/eve", web::get().to(become_eve));
    let site = Site::new(app.wrap(sessions(&store))).await;
    check_missing(&mut Visitor::new(&site), "GET /excluded/eve").await;
    assert_eq!(store.take_calls(), []);
}

/// ST-8: where nothing can wait for a session, a missing middleware is as loud.
#[actix_web::test]
async fn without_the_middleware_asking_at_once_is_an_error_too() {
    async fn at_once(request: HttpRequest) -> actix_web::Result<&'static str> {
        request.session()?;
        Ok("all is well")
    }
    let site = Site::new(App::new().configure(routes(at_once))).await;
    check_missing(&mut Visitor::new(&site), "GET /").await;
}

/// ST-8: `None` means that there is no middleware, and nothing else.
#[actix_web::test]
async fn an_optional_session_is_missing_only_without_the_middleware() {
    let routes = || App::new().default_service(web::to(is_there));
    let mut outside = Visitor::new(&Site::new(routes()).await);
    assert_eq!(outside.send("GET /x").await.body, "false");

    let store = SpyStore::default();
    let mut newcomer = Visitor::new(&Site::new(routes().wrap(sessions(&store))).await);
    for (path, expected) in [
        ("/x", "true"),
        ("/excludedx", "true"),
        ("/excluded/x", "false"),
    ] {
        let reply = newcomer.send(&format!("GET {path}")).await;
        assert_eq!(reply.body, expected, "{path}");
    }
    // A forged id belongs to a visitor without a session, not to an application without the middleware.
    let forged = ("session_id".to_owned(), "forged".to_owned());
    newcomer.cookies.extend([forged]);
    assert_eq!(newcomer.send("GET /x").await.body, "true");
}

/// Exclusion looks at the path that the client sent, not at what a scope leaves of it.
#[actix_web::test]
async fn exclusion_looks_at_the_original_path() {
    for (excluded, expected) in [
        ("/app/health", "false"),
        ("/app/*", "false"),
        ("/health", "true"),
    ] {
        let config = config().exclude_path(excluded).build().unwrap();
        let scope = web::scope("/app")
            .route("/health", web::get().to(is_there))
            .wrap(SessionMiddleware::new(config, SpyStore::default()));
        let site = Site::new(App::new().service(scope)).await;
        let reply = Visitor::new(&site).send("GET /app/health").await;
        assert_eq!(reply.body, expected, "{excluded}");
    }
}
