//! ST-7, ST-8: where an extractor finds a session, and what it says where there is none.

use actix_web::{App, HttpRequest, web};
use session_actix::{Session, SessionExt as _, SessionMiddleware};
use session_conformance::adapter::{Call, Mood, SpyStore};

use crate::common::{Site, Visitor};
use crate::log::Log;
use crate::{NAME, ada, app, become_eve, config, name, routes, sessions};

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
        (app(&store, overfill).await, 413, "too large to be stored"),
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

/// ST-8: without the middleware, and on an excluded path, there is an error, never a session that forgets
/// everything; also where nothing can wait for a session. It tells the visitor nothing, and the log what to do.
#[actix_web::test]
async fn without_the_middleware_extraction_is_an_error() {
    async fn at_once(request: HttpRequest) -> actix_web::Result<&'static str> {
        request.session()?;
        Ok("all is well")
    }
    let excluded = App::new().route("/excluded/eve", web::get().to(become_eve));
    let excluded = excluded.wrap(sessions(&SpyStore::default()));
    for (site, line) in [
        (
            Site::new(App::new().configure(routes(become_eve))).await,
            "GET /",
        ),
        (
            Site::new(App::new().configure(routes(at_once))).await,
            "GET /",
        ),
        (Site::new(excluded).await, "GET /excluded/eve"),
    ] {
        let log = Log::capture();
        let reply = Visitor::new(&site).send(line).await;
        reply.check(500, "internal server error");
        assert_eq!(reply.all("vary"), [""; 0]);
        log.check_error(".wrap(SessionMiddleware::new(config, store))");
    }
}

/// ST-8: an optional session is `None` without the middleware, and on an excluded path. That is the path that the
/// client sent, not what a scope leaves of it.
#[actix_web::test]
async fn exclusion_looks_at_the_original_path() {
    async fn is_there(session: Option<Session>) -> String {
        session.is_some().to_string()
    }
    let scope = || web::scope("/app").route("/health", web::get().to(is_there));
    let mut sites = vec![(Site::new(App::new().service(scope())).await, "false")];
    for (excluded, expected) in [
        ("/app/health", "false"),
        ("/app/*", "false"),
        ("/health", "true"),
    ] {
        let config = config().exclude_path(excluded).build().unwrap();
        let scope = scope().wrap(SessionMiddleware::new(config, SpyStore::default()));
        sites.push((Site::new(App::new().service(scope)).await, expected));
    }
    for (site, expected) in sites {
        let reply = Visitor::new(&site).send("GET /app/health").await;
        assert_eq!(reply.body, expected);
    }
}
