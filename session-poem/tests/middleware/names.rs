//! ST-7: several middlewares around one request.

use poem::{EndpointExt as _, Route, handler};
use session_conformance::adapter::SpyStore;
use session_poem::{InnerError, Session, SessionEndpoint, SessionMiddleware};

use crate::log::Log;
use crate::visitor::{Reply, Visitor};
use crate::{COFFEE, NAME, NoTea, ada, become_eve, config, name, sessions};

/// A second session beside the main one.
enum Admin {}

/// The middleware of the second session, with a cookie of its own.
fn admins(store: &SpyStore) -> SessionMiddleware<Admin> {
    let config = config().cookie_name("admin_id").build().unwrap();
    SessionMiddleware::new(config, store.clone()).named()
}

/// `routes` with the second session, and the main one around it, on a store each.
fn with_both(routes: Route) -> SessionEndpoint<SessionEndpoint<Route, Admin>> {
    let (main, admin) = (SpyStore::default(), SpyStore::default());
    routes.with(admins(&admin)).with(sessions(&main))
}

/// ST-7: sessions of different names live side by side, each with a cookie and data of its own.
#[tokio::test]
async fn named_sessions_do_not_see_each_other() {
    #[handler]
    fn rename(main: Session, admin: Session<Admin>) -> poem::Result<String> {
        let nobody = || "nobody".to_owned();
        let (before, other) = (main.get_or(NAME, nobody())?, admin.get_or(NAME, nobody())?);
        main.set(NAME, "Ada")?;
        admin.set(NAME, "Eve")?;
        Ok(format!("{before} and {other}"))
    }
    let mut visitor = Visitor::new(with_both(Route::new().at("/", rename)));
    visitor.get("/").await.check(200, "nobody and nobody");
    assert!(visitor.cookies.keys().eq(["admin_id", "session_id"]));
    visitor.get("/").await.check(200, "Ada and Eve");
    visitor.cookies.remove("session_id");
    visitor.get("/").await.check(200, "nobody and Eve");
}

/// CK-9: an error that passes both middlewares still is what it was, and varies once.
#[tokio::test]
async fn an_error_passes_both_middlewares() {
    #[handler]
    fn fail(_: Session, _: Session<Admin>) -> poem::Result<()> {
        Err(NoTea.into())
    }
    let visitor = Visitor::new(with_both(Route::new().at("/", fail)));
    let error = visitor.call("/").await.unwrap_err();
    assert_eq!(error.to_string(), NoTea.to_string());
    let original = error.downcast::<InnerError>().unwrap().into_inner();
    assert!(original.is::<NoTea>());

    let error = visitor.call("/").await.unwrap_err();
    let reply = Reply::read(error.into_response()).await;
    reply.check(418, COFFEE);
    assert_eq!(reply.all("vary"), ["Cookie"]);
}

/// CM-2: the cookie of one session goes out, though the other has none to send.
#[tokio::test]
async fn an_error_that_passed_one_middleware_becomes_an_answer_at_the_other() {
    #[handler]
    fn fail_after_a_change(main: Session, _: Session<Admin>) -> poem::Result<()> {
        main.set(NAME, "Ada")?;
        Err(NoTea.into())
    }
    let visitor = Visitor::new(with_both(Route::new().at("/", fail_after_a_change)));
    let response = visitor.call("/").await.expect("an answer with a cookie");
    let reply = Reply::read(response).await;
    reply.check(418, COFFEE);
    assert!(reply.session_cookie().is_some(), "{reply:?}");
    assert_eq!(reply.all("set-cookie").len(), 1, "{reply:?}");
    assert_eq!(reply.all("vary"), ["Cookie"]);
}

/// ST-7: two sessions can't share a cookie. That is an error at once, before either of them is touched, and the
/// log says what to change.
#[tokio::test]
async fn two_names_with_one_cookie_are_an_error() {
    let (inner, outer) = (SpyStore::default(), SpyStore::default());
    let routes = Route::new().at("/", become_eve);
    let routes = routes.with(sessions(&inner).named::<Admin>());
    let ada = ada(&outer).await;
    let log = Log::capture();
    let reply = ada.at(routes.with(sessions(&outer))).get("/").await;
    reply.check(500, "internal server error");
    assert_eq!(reply.all("set-cookie"), [""; 0]);
    log.check_error("another cookie_name");
    assert_eq!((inner.take_calls(), outer.take_calls()), (vec![], vec![]));
    assert_eq!(name(&ada).await, "Ada");
}
