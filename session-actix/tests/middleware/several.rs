//! ST-7: several session middlewares around one handler.

use actix_web::App;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use session_actix::{Session, SessionExt as _, SessionMiddleware};
use session_conformance::adapter::{Call, SpyStore};

use crate::common::{Site, Visitor};
use crate::log::Log;
use crate::{Admin, NAME, become_eve, config, fail_afterwards, routes, sessions};

/// Sessions with a cookie name of their own.
fn with_cookie(cookie_name: &str, store: &SpyStore) -> SessionMiddleware {
    let config = config().cookie_name(cookie_name).build().unwrap();
    SessionMiddleware::new(config, store.clone())
}

fn admin_sessions(store: &SpyStore) -> SessionMiddleware<Admin> {
    with_cookie("admin_id", store).named()
}

/// ST-7: sessions of different names live side by side, each with a cookie and data of its own.
#[actix_web::test]
async fn named_sessions_do_not_see_each_other() {
    async fn rename(main: Session, admin: Session<Admin>) -> actix_web::Result<String> {
        let nobody = || "nobody".to_owned();
        let (before, other) = (main.get_or(NAME, nobody())?, admin.get_or(NAME, nobody())?);
        main.set(NAME, "Ada")?;
        admin.set(NAME, "Eve")?;
        Ok(format!("{before} and {other}"))
    }
    let app = App::new()
        .configure(routes(rename))
        .wrap(admin_sessions(&SpyStore::default()))
        .wrap(sessions(&SpyStore::default()));
    let mut visitor = Visitor::new(&Site::new(app).await);
    assert_eq!(visitor.send("GET /").await.body, "nobody and nobody");
    assert!(visitor.cookies.keys().eq(["admin_id", "session_id"]));
    assert_eq!(visitor.send("GET /").await.body, "Ada and Eve");
    visitor.cookies.remove("session_id");
    assert_eq!(visitor.send("GET /").await.body, "nobody and Eve");
}

/// CM-2: an error of a middleware inside both carries the cookies of both, and says once what it depends on.
#[actix_web::test]
async fn an_error_carries_the_cookies_of_all_sessions() {
    async fn both(main: Session, admin: Session<Admin>) -> actix_web::Result<&'static str> {
        main.set(NAME, "Ada")?;
        admin.set(NAME, "Eve")?;
        Ok("done")
    }
    let app = App::new()
        .configure(routes(both))
        .wrap(from_fn(fail_afterwards))
        .wrap(admin_sessions(&SpyStore::default()))
        .wrap(sessions(&SpyStore::default()));
    let mut visitor = Visitor::new(&Site::new(app).await);
    let reply = visitor.send("GET /").await;
    assert_eq!(reply.status, 502);
    assert!(visitor.cookies.keys().eq(["admin_id", "session_id"]));
    assert_eq!(reply.all("set-cookie").len(), 2);
    assert_eq!(reply.all("vary"), ["Cookie"]);
}

/// ST-7: two sessions under one cookie would overwrite each other's. That is an error at the first request,
/// not a riddle at the hundredth.
#[actix_web::test]
async fn two_names_with_one_cookie_are_an_error() {
    let (inner, outer) = (SpyStore::default(), SpyStore::default());
    let app = App::new()
        .configure(routes(become_eve))
        .wrap(sessions(&inner).named::<Admin>())
        .wrap(sessions(&outer));
    let site = Site::new(app).await;
    let log = Log::capture();
    let reply = Visitor::new(&site).send("GET /").await;
    reply.check(500, "internal server error");
    log.check_error("another cookie_name");
    assert_eq!((inner.take_calls(), outer.take_calls()), (vec![], vec![]));
}

/// ST-7: of two main sessions with cookies of their own, the handler has the inner one. What is between the
/// two has the outer one, before the inner middleware and after it.
#[actix_web::test]
async fn the_outer_session_is_back_when_the_inner_middleware_is_done() {
    async fn between<B>(
        session: Session,
        request: ServiceRequest,
        next: Next<B>,
    ) -> actix_web::Result<ServiceResponse<B>> {
        session.set(NAME, "Ada")?;
        let response = next.call(request).await?;
        let session = response.session()?;
        assert_eq!(session.get_or(NAME, "nobody".to_owned())?, "Ada");
        session.set("after", true)?;
        Ok(response)
    }
    async fn inside(session: Session) -> actix_web::Result<&'static str> {
        assert!(session.is_empty());
        session.set(NAME, "Eve")?;
        Ok("done")
    }
    let (inner, outer) = (SpyStore::default(), SpyStore::default());
    let app = App::new()
        .configure(routes(inside))
        .wrap(with_cookie("inner_id", &inner))
        .wrap(from_fn(between))
        .wrap(sessions(&outer));
    let mut visitor = Visitor::new(&Site::new(app).await);
    assert_eq!(visitor.send("GET /").await.body, "done");
    assert!(visitor.cookies.keys().eq(["inner_id", "session_id"]));
    assert_eq!(
        (inner.take_calls(), outer.take_calls()),
        (vec![Call::Create], vec![Call::Create])
    );
}
