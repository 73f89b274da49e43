//! The extractor in handlers and in middleware, and the errors that `?` makes of the session's.

use poem::{
    Endpoint, EndpointExt as _, FromRequest as _, IntoResponse as _, Request, Response, handler,
};
use session_conformance::adapter::{Call, Mood, SpyStore};
use session_poem::Session;

use crate::{NAME, ada, app, name};

/// ST-7: all extractors, of the handler and of a middleware before it and after it, give one session, and it is
/// loaded once. Extracting is all that is asynchronous: a handler that isn't reads and writes the session.
#[tokio::test]
async fn a_request_has_one_session() {
    async fn greet<E: Endpoint>(next: E, request: Request) -> poem::Result<Response> {
        let session: Session = Session::from_request_without_body(&request).await?;
        let before = session.get_or(NAME, "nobody".to_owned())?;
        session.set("greeting", "hello")?;
        let response = next.call(request).await?.into_response();
        let after = session.get_or(NAME, "nobody".to_owned())?;
        session.set(NAME, format!("{before} became {after}"))?;
        Ok(response)
    }
    #[handler]
    fn return_greeting(first: Session, second: Option<Session>) -> poem::Result<String> {
        first.set(NAME, "Eve")?;
        Ok(second.unwrap().get_or("greeting", "nothing".to_owned())?)
    }
    let store = SpyStore::default();
    let mut ada = ada(&store)
        .await
        .at(app(&store, return_greeting.around(greet)));
    ada.get("/").await.check(200, "hello");
    assert_eq!(store.take_calls(), [Call::Load, Call::Update]);
    assert_eq!(name(&ada).await, "Ada became Eve");
}

/// An error that a handler hands on is answered with the status that fits, and in one line of text that gives
/// nothing away: neither the key nor the type nor what the store said.
#[tokio::test]
async fn session_errors_are_answered_without_details() {
    #[handler]
    fn misread(session: Session) -> poem::Result<String> {
        let name: Option<u32> = session.get("name")?;
        Ok(format!("{name:?}"))
    }
    #[handler]
    fn overfill(session: Session) -> poem::Result<&'static str> {
        session.set("too much", "x".repeat(1 << 16))?;
        Ok("all is well")
    }
    #[handler]
    async fn commit_at_once(session: Session) -> poem::Result<&'static str> {
        session.set(NAME, "Eve")?;
        session.commit().await?;
        Ok("all is well")
    }
    let store = SpyStore::default();
    store.set(Call::Update, Mood::Fails);
    for (app, status, line) in [
        (app(&store, misread), 500, "internal server error"),
        (app(&store, overfill), 413, "too large to be stored"),
        (
            app(&store, commit_at_once),
            503,
            "session store unavailable",
        ),
    ] {
        let mut ada = ada(&store).await.at(app);
        let reply = ada.get("/").await;
        reply.check(status, line);
        assert_eq!(reply.all("content-type"), ["text/plain; charset=utf-8"]);
        assert_eq!(reply.all("set-cookie"), [""; 0]);
        assert_eq!(reply.all("vary"), ["Cookie"]);
        assert_eq!(name(&ada).await, "Ada");
    }
}
