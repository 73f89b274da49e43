//! Guards, which can't wait for a session: with eager loading it is there.

use actix_web::guard::{Guard, GuardContext, fn_guard};
use actix_web::{App, web};
use session_actix::{ErrorKind, SessionExt as _};
use session_conformance::adapter::{Call, Mood, STORE_ERROR, SpyStore};

use crate::common::{Site, Visitor};
use crate::log::Log;
use crate::{Admin, ada, app, become_eve, sessions, unreachable};

/// What a guard is told, if it isn't given the session.
fn refusal(context: &GuardContext<'_>) -> Option<ErrorKind> {
    context.session().err().map(|error| error.kind())
}

/// Decides by the session: by whether it has a name.
fn is_member() -> impl Guard {
    fn_guard(|context| {
        let session = context.session();
        session.is_ok_and(|session| session.contains("name"))
    })
}

/// A guard is asked before any handler, and decides by the session. It is loaded once for all of them.
#[actix_web::test]
async fn a_guard_has_a_session_that_is_loaded_eagerly() {
    let store = SpyStore::default();
    let ada = ada(&app(&store, become_eve).await, &store).await;
    let app = App::new()
        .route("/", web::get().guard(is_member()).to(|| async { "member" }))
        .route("/", web::get().to(|| async { "stranger" }))
        .wrap(sessions(&store).load_eagerly());
    let site = Site::new(app).await;
    assert_eq!(ada.at(&site).send("GET /").await.body, "member");
    assert_eq!(store.take_calls(), [Call::Load]);
    assert_eq!(Visitor::new(&site).send("GET /").await.body, "stranger");
    assert_eq!(store.take_calls(), []);
}

/// The same for a session that has a name, and only for that.
#[actix_web::test]
async fn a_guard_has_the_session_that_it_names() {
    let has_admin = fn_guard(|context| context.named_session::<Admin>().is_ok());
    let has_main = fn_guard(|context| context.session().is_ok());
    let admin = sessions(&SpyStore::default()).load_eagerly();
    let app = App::new()
        .route("/main", web::get().guard(has_main).to(unreachable))
        .route("/main", web::get().to(|| async { "none" }))
        .route(
            "/admin",
            web::get().guard(has_admin).to(|| async { "there" }),
        )
        .wrap(admin.named::<Admin>());
    let mut visitor = Visitor::new(&Site::new(app).await);
    assert_eq!(visitor.send("GET /admin").await.body, "there");
    assert_eq!(visitor.send("GET /main").await.body, "none");
}

/// Without eager loading a guard is told that the session isn't loaded, and without the middleware that there
/// is none; the log says what to add. Neither counts as a use of the session.
#[actix_web::test]
async fn a_guard_is_told_why_there_is_no_session() {
    let routes = || {
        let not_loaded = fn_guard(|context| refusal(context) == Some(ErrorKind::NotLoaded));
        let missing = fn_guard(|context| refusal(context) == Some(ErrorKind::NoMiddleware));
        App::new()
            .route(
                "/loaded",
                web::get()
                    .guard(not_loaded)
                    .to(|| async { "not loaded yet" }),
            )
            .route(
                "/there",
                web::get().guard(missing).to(|| async { "not there" }),
            )
    };
    let store = SpyStore::default();
    let ada = ada(&app(&store, become_eve).await, &store).await;
    let lazy = Site::new(routes().wrap(sessions(&store))).await;
    let log = Log::capture();
    let reply = ada.at(&lazy).send("GET /loaded").await;
    reply.check(200, "not loaded yet");
    log.check_error("call .load_eagerly() on the SessionMiddleware");
    assert_eq!(reply.all("vary"), [""; 0]);
    assert_eq!(store.take_calls(), []);
    drop(log);

    // On an excluded path that is as it should be, and no news; whoever hands the error on is told more.
    let bare = Site::new(routes()).await;
    let log = Log::capture();
    ada.at(&bare)
        .send("GET /there")
        .await
        .check(200, "not there");
    assert_eq!(log.lines_with("ERROR"), [""; 0]);
}

/// Eager loading holds inside an identical middleware that waits: there it is that one's session.
#[actix_web::test]
async fn an_eager_middleware_inside_a_lazy_one_loads_its_session() {
    let store = SpyStore::default();
    let ada = ada(&app(&store, become_eve).await, &store).await;
    let lazy = sessions(&store);
    let members = web::scope("/members")
        .route(
            "/",
            web::get().guard(is_member()).to(|| async { "a member" }),
        )
        .wrap(lazy.clone().load_eagerly());
    let site = Site::new(App::new().service(members).wrap(lazy)).await;
    let reply = ada.at(&site).send("GET /members/").await;
    reply.check(200, "a member");
    assert_eq!(reply.all("vary"), ["Cookie"]);
    assert_eq!(store.take_calls(), [Call::Load]);

    store.set(Call::Load, Mood::Fails);
    let reply = ada.at(&site).send("GET /members/").await;
    reply.check(503, "session store unavailable");
}

/// CM-3, SR-4: where every request loads its session, a store that fails is a 503 for every request. Nobody
/// inside is asked: a guard would take the visitor for a stranger.
#[actix_web::test]
async fn an_eager_load_that_fails_is_a_503() {
    let store = SpyStore::default();
    let ada = ada(&app(&store, become_eve).await, &store).await;
    let untouched = fn_guard(|_| panic!("the guard was asked"));
    let app = App::new()
        .service(web::resource("/").guard(untouched).to(unreachable))
        .wrap(sessions(&store).load_eagerly());
    let site = Site::new(app).await;
    store.set(Call::Load, Mood::Fails);
    let log = Log::capture();
    let reply = ada.at(&site).send("GET /").await;
    reply.check(503, "session store unavailable");
    assert_eq!(reply.all("vary"), ["Cookie"]);
    assert_eq!(store.take_calls(), [Call::Load]);
    log.check_error(STORE_ERROR);
}

/// CK-9: a guard may have decided by the session, so that every response depends on the cookie; except on an
/// excluded path, where there is none.
#[actix_web::test]
async fn eager_loading_is_a_use_of_the_session() {
    let store = SpyStore::default();
    let ada = ada(&app(&store, become_eve).await, &store).await;
    let page = || App::new().default_service(web::to(|| async { "the page" }));
    let lazy = Site::new(page().wrap(sessions(&store))).await;
    let eager = Site::new(page().wrap(sessions(&store).load_eagerly())).await;
    for (site, path, vary, calls) in [
        (&eager, "/", &["Cookie"][..], &[Call::Load][..]),
        (&eager, "/excluded/x", &[], &[]),
        (&lazy, "/", &[], &[]),
    ] {
        let reply = ada.at(site).send(&format!("GET {path}")).await;
        reply.check(200, "the page");
        assert_eq!(reply.all("vary"), vary, "{path}");
        assert_eq!(store.take_calls(), calls, "{path}");
    }
}
