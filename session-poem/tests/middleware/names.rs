//! ST-7: several middlewares around one request.

use poem::{Endpoint, EndpointExt as _, FromRequest as _, Request, Route, handler};
use session_conformance::adapter::{Call, SpyStore};
use session_poem::{InnerError, Session, SessionEndpoint, SessionMiddleware};

use crate::log::Log;
use crate::visitor::{Reply, Visitor};
use crate::{COFFEE, NoTea, ada, become_eve, config, name, sessions};

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

#[handler]
fn show(main: Session, admin: Session<Admin>) -> poem::Result<String> {
    let (main, admin): (Option<String>, Option<String>) = (main.get("name")?, admin.get("name")?);
    Ok(format!("{main:?} {admin:?}"))
}

#[handler]
fn set_main(session: Session) -> poem::Result<()> {
    Ok(session.set("name", "Ada")?)
}

#[handler]
fn end_main(session: Session) {
    session.destroy();
}

#[handler]
fn set_admin(session: Session<Admin>) -> poem::Result<()> {
    Ok(session.set("name", "Eve")?)
}

#[handler]
fn move_admin(session: Session<Admin>) {
    session.regenerate();
}

/// ST-7, SG-6: sessions of different names live side by side, each with a cookie and data of its own.
#[tokio::test]
async fn named_sessions_do_not_see_each_other() {
    let routes = Route::new()
        .at("/", show)
        .at("/main/set", set_main)
        .at("/main/end", end_main)
        .at("/admin/set", set_admin)
        .at("/admin/move", move_admin);
    let mut visitor = Visitor::new(with_both(routes));
    let both = &["admin_id", "session_id"][..];
    for (path, expected, cookies) in [
        ("/main/set", r#"Some("Ada") None"#, &["session_id"][..]),
        ("/admin/set", r#"Some("Ada") Some("Eve")"#, both),
        ("/admin/move", r#"Some("Ada") Some("Eve")"#, both),
        ("/main/end", r#"None Some("Eve")"#, &["admin_id"]),
    ] {
        let before = visitor.cookies.clone();
        visitor.get(path).await.check(200, "");
        visitor.get("/").await.check(200, expected);
        assert!(visitor.cookies.keys().eq(cookies), "{path}");
        if path == "/admin/move" {
            assert_eq!(visitor.cookies["session_id"], before["session_id"]);
            assert_ne!(visitor.cookies["admin_id"], before["admin_id"]);
        }
    }

    // The id of one is no id of the other's, even under its name.
    let admin_id = visitor.cookies["admin_id"].clone();
    visitor.cookies = [("session_id".to_owned(), admin_id)].into();
    visitor.get("/").await.check(200, "None None");
}

/// Reads both sessions, and fails.
#[handler]
fn fail_with_both(_: Session, _: Session<Admin>) -> poem::Result<()> {
    Err(NoTea.into())
}

/// CK-9: an error that passes both middlewares still is what it was, and varies once.
#[tokio::test]
async fn an_error_passes_both_middlewares() {
    let visitor = Visitor::new(with_both(Route::new().at("/", fail_with_both)));
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
        main.set("name", "Ada")?;
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

/// ST-7: the same middleware twice is one session, which the outer one loads and commits.
#[tokio::test]
async fn an_identical_middleware_twice_works_once() {
    async fn note<E: Endpoint>(next: E, request: Request) -> poem::Result<E::Output> {
        let session: Session = Session::from_request_without_body(&request).await?;
        session.set("outside", 1)?;
        next.call(request).await
    }
    #[handler]
    fn show_notes(session: Session) -> poem::Result<String> {
        session.set("inside", 2)?;
        let (outside, inside): (u32, u32) =
            (session.get_or("outside", 0)?, session.get_or("inside", 0)?);
        Ok(format!("{outside} {inside}"))
    }
    let (inner, outer) = (SpyStore::default(), SpyStore::default());
    let routes = Route::new().at("/", show_notes).with(sessions(&inner));
    let mut visitor = Visitor::new(routes.around(note).with(sessions(&outer)));
    let reply = visitor.get("/").await;
    reply.check(200, "1 2");
    assert!(reply.session_cookie().is_some(), "there is exactly one");
    assert_eq!(reply.all("vary"), ["Cookie"]);
    assert_eq!(inner.take_calls(), []);
    assert_eq!(outer.take_calls(), [Call::Create]);
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
    log.check_single_error("another cookie_name");
    assert_eq!((inner.take_calls(), outer.take_calls()), (vec![], vec![]));
    assert_eq!(name(&ada).await, "Ada");
}
