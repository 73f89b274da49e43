//! The session in poem middleware inside ours.

use poem::http::StatusCode;
use poem::{
    Endpoint, EndpointExt as _, FromRequest as _, IntoResponse as _, Request, Response, handler,
};
use session_conformance::adapter::{Call, SpyStore};
use session_poem::Session;

use crate::visitor::Visitor;
use crate::{NAME, ada, app, done, handler_that, look, name, routes, sessions};

/// A middleware works with the session before the handler and after it, and both see one session.
#[tokio::test]
async fn middleware_reads_and_writes_the_session() {
    async fn greet<E: Endpoint>(next: E, request: Request) -> poem::Result<Response> {
        let session: Session = Session::from_request_without_body(&request).await?;
        let before: Option<String> = session.get("name")?;
        session.set("greeting", "hello")?;
        let response = next.call(request).await?.into_response();
        let after: Option<String> = session.get("name")?;
        session.set("name", format!("{before:?} became {after:?}"))?;
        Ok(response)
    }
    #[handler]
    fn return_greeting(session: Session) -> poem::Result<String> {
        session.set(NAME, "Eve")?;
        Ok(session.get_or("greeting", "nothing".to_owned())?)
    }
    let store = SpyStore::default();
    let greeted = return_greeting.around(greet);
    let mut ada = ada(&store).await.at(app(&store, greeted));
    ada.get("/").await.check(200, "hello");
    assert_eq!(store.take_calls(), [Call::Load, Call::Update]);
    assert_eq!(name(&ada).await, r#"Some("Ada") became Some("Eve")"#);
}

/// CK-9: a middleware that turns visitors away has looked at their cookie, and its error says so.
#[tokio::test]
async fn middleware_turns_visitors_away() {
    async fn only_members<E: Endpoint>(next: E, request: Request) -> poem::Result<E::Output> {
        let session: Session = Session::from_request_without_body(&request).await?;
        match session.contains("name") {
            true => next.call(request).await,
            false => Err(StatusCode::UNAUTHORIZED.into()),
        }
    }
    let store = SpyStore::default();
    let members = || {
        let routes = routes(handler_that(look, done));
        routes.around(only_members).with(sessions(&store))
    };
    let reply = Visitor::new(members()).get("/").await;
    reply.check(401, "");
    assert_eq!(reply.all("vary"), ["Cookie"]);

    let mut ada = ada(&store).await.at(members());
    ada.get("/").await.check(200, "done");
}
