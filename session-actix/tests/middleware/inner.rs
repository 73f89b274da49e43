//! Middleware between the session's and the handler: it has the session that the handler has.

use actix_web::dev::{Service as _, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Next, from_fn};
use actix_web::{App, FromRequest as _, web};
use session_actix::{ErrorKind, Key, Session, SessionExt as _};
use session_conformance::adapter::{Call, SpyStore};

use crate::common::Site;
use crate::log::Log;
use crate::{NAME, ada, app, become_eve, name, routes, sessions};

/// Who has used the session, in this order.
const SEEN_BY: Key<String> = Key::new("seen by");

fn sign(session: &Session, who: &'static str) -> actix_web::Result<()> {
    session.update(SEEN_BY, move |others: Option<String>| match others {
        Some(others) => format!("{others}, {who}"),
        None => who.to_owned(),
    })?;
    Ok(())
}

/// ST-7: whatever a middleware is made of, it has the handler's session, before the handler and after it; the
/// request loads it once and saves it once.
#[actix_web::test]
async fn middleware_has_the_session_of_the_handler() {
    async fn as_argument<B>(
        session: Session,
        request: ServiceRequest,
        next: Next<B>,
    ) -> actix_web::Result<ServiceResponse<B>> {
        sign(&session, "argument")?;
        let response = next.call(request).await?;
        sign(&session, "argument again")?;
        Ok(response)
    }
    async fn by_hand<B>(
        mut request: ServiceRequest,
        next: Next<B>,
    ) -> actix_web::Result<ServiceResponse<B>> {
        let session = request.extract::<Session>().await?;
        sign(&session, "hand")?;
        next.call(request).await
    }
    async fn handler(session: Session) -> actix_web::Result<&'static str> {
        sign(&session, "handler")?;
        Ok("done")
    }
    async fn seen_by(session: Session) -> actix_web::Result<String> {
        Ok(session.get_or(SEEN_BY, String::new())?)
    }
    let store = SpyStore::default();
    let mut ada = ada(&app(&store, seen_by).await, &store).await;
    let app = App::new()
        .route("/", web::to(handler))
        .wrap_fn(|request, service| {
            let answer = service.call(request);
            async move {
                let response = answer.await?;
                let session: Session = Session::extract(response.request()).await?;
                sign(&session, "closure")?;
                Ok(response)
            }
        })
        .wrap(from_fn(by_hand))
        .wrap(from_fn(as_argument))
        .wrap(sessions(&store));
    let site = Site::new(app).await;
    assert_eq!(ada.at(&site).send("GET /").await.body, "done");
    assert_eq!(store.take_calls(), [Call::Load, Call::Update]);
    let expected = "argument, hand, handler, closure, argument again";
    assert_eq!(ada.send("GET /").await.body, expected);
}

/// ST-7: what can't wait for the session has it as soon as somebody has loaded it. Asking before is an error,
/// and the log says what would help.
#[actix_web::test]
async fn a_loaded_session_is_there_without_waiting() {
    async fn look<B>(
        request: ServiceRequest,
        next: Next<B>,
    ) -> actix_web::Result<ServiceResponse<B>> {
        let log = Log::capture();
        let early = request.session().err().map(|error| error.kind());
        assert_eq!(early, Some(ErrorKind::NotLoaded));
        log.check_error(".load_eagerly()");
        drop(log);

        let response = next.call(request).await?;
        let session = response.session()?;
        assert_eq!(session.get_or(NAME, String::new())?, "Eve");
        session.set(NAME, "Eve the Second")?;
        Ok(response)
    }
    let store = SpyStore::default();
    let ada = ada(&app(&store, become_eve).await, &store).await;
    let routes = App::new().configure(routes(become_eve));
    let site = Site::new(routes.wrap(from_fn(look)).wrap(sessions(&store))).await;
    assert_eq!(ada.at(&site).send("GET /").await.body, "done");
    assert_eq!(store.take_calls(), [Call::Load, Call::Update]);
    assert_eq!(name(&ada).await, "Eve the Second");
}

/// The extraction that a middleware begins may go on while the handler is found: it holds nothing that routing
/// would mind.
#[actix_web::test]
async fn an_extraction_may_be_awaited_after_the_handler() {
    let store = SpyStore::default();
    let mut ada = ada(&app(&store, become_eve).await, &store).await;
    let app = App::new()
        .configure(routes(|| async { "done" }))
        .wrap_fn(|mut request: ServiceRequest, service| {
            let session = request.extract::<Session>();
            let answer = service.call(request);
            async move {
                let (response, session) = (answer.await?, session.await?);
                session.set(NAME, "Eve")?;
                Ok(response)
            }
        })
        .wrap(sessions(&store));
    ada = ada.at(&Site::new(app).await);
    ada.send("GET /").await.check(200, "done");
    assert_eq!(name(&ada).await, "Eve");
}

/// CM-1: when the request is done, so is its session: who sends the request through once more, from outside,
/// gets one that is loaded and committed like any.
#[actix_web::test]
async fn a_request_that_is_sent_again_has_a_session_again() {
    async fn twice<B>(
        request: ServiceRequest,
        next: Next<B>,
    ) -> actix_web::Result<ServiceResponse<B>> {
        let first = next.call(request).await?;
        assert_eq!(
            first.session().err().map(|error| error.kind()),
            Some(ErrorKind::NoMiddleware)
        );
        let (request, _) = first.into_parts();
        next.call(ServiceRequest::from_request(request)).await
    }
    async fn count(session: Session) -> actix_web::Result<String> {
        let n = session.update("n", |n: Option<u64>| n.unwrap_or(0) + 1)?;
        Ok(n.to_string())
    }
    let store = SpyStore::default();
    let ada = ada(&app(&store, become_eve).await, &store).await;
    let resource = web::resource("/")
        .to(count)
        .wrap(sessions(&store))
        .wrap(from_fn(twice));
    let site = Site::new(App::new().service(resource)).await;
    ada.at(&site).send("GET /").await.check(200, "2");
    let calls = [Call::Load, Call::Update, Call::Load, Call::Update];
    assert_eq!(store.take_calls(), calls);
}
