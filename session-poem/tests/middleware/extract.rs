//! The extractor in handlers, and the errors that `?` makes of the session's.

use poem::{EndpointExt as _, handler};
use session_conformance::adapter::{Call, Mood, SpyStore};
use session_poem::{Session, SessionMiddleware};

use crate::visitor::{Reply, Visitor};
use crate::{NAME, ada, app, config, name, routes};

/// Extracting is all that is asynchronous: the session is read and written by plain calls.
#[tokio::test]
async fn a_handler_need_not_be_async() {
    #[handler]
    fn exchange(session: Session) -> poem::Result<String> {
        let before = session.get_or(NAME, "nobody".to_owned())?;
        session.set(NAME, "Eve")?;
        Ok(format!(
            "{before} became {}",
            session.get_or(NAME, before.clone())?
        ))
    }
    let store = SpyStore::default();
    let mut ada = ada(&store).await.at(app(&store, exchange));
    ada.get("/").await.check(200, "Ada became Eve");
    assert_eq!(store.take_calls(), [Call::Load, Call::Update]);
    assert_eq!(name(&ada).await, "Eve");
}

/// ST-7: extracting twice in one request gives the same session, which is loaded once.
#[tokio::test]
async fn a_request_has_one_session() {
    #[handler]
    async fn rename_and_look(first: Session, second: Option<Session>) -> poem::Result<String> {
        first.set(NAME, "Eve")?;
        Ok(second.unwrap().get_or(NAME, "nobody".to_owned())?)
    }
    let store = SpyStore::default();
    let mut ada = ada(&store).await.at(app(&store, rename_and_look));
    ada.get("/").await.check(200, "Eve");
    assert_eq!(store.take_calls(), [Call::Load, Call::Update]);
}

/// What the session says about itself is one line of text, and nothing of what is stored.
#[track_caller]
fn check_opaque(reply: &Reply, status: u16, line: &str) {
    reply.check(status, line);
    assert_eq!(reply.all("content-type"), ["text/plain; charset=utf-8"]);
    assert_eq!(reply.all("set-cookie"), [""; 0]);
    assert_eq!(reply.all("vary"), ["Cookie"]);
}

/// The error tells what is stored apart from what was asked for; the visitor isn't told.
#[tokio::test]
async fn a_value_of_another_type_is_an_opaque_500() {
    #[handler]
    fn read_age(session: Session) -> poem::Result<String> {
        let age: Option<u32> = session.get("name")?;
        Ok(format!("{age:?}"))
    }
    let store = SpyStore::default();
    let mut ada = ada(&store).await.at(app(&store, read_age));
    check_opaque(&ada.get("/").await, 500, "internal server error");
    assert_eq!(name(&ada).await, "Ada");
}

/// ST-9: a session that would grow beyond its limit is a 413, and keeps what it has.
#[tokio::test]
async fn a_session_that_is_too_large_is_an_opaque_413() {
    #[handler]
    fn store_much(session: Session) -> poem::Result<&'static str> {
        session.set(NAME, "x".repeat(200))?;
        Ok("done")
    }
    let store = SpyStore::default();
    let small = config().payload_limit(100).build().unwrap();
    let small = SessionMiddleware::new(small, store.clone());
    let mut ada = ada(&store).await.at(routes(store_much).with(small));
    check_opaque(&ada.get("/").await, 413, "session too large");
    assert_eq!(store.take_calls(), [Call::Load]);
    assert_eq!(name(&ada).await, "Ada");
}

/// CM-3: a handler's own commit is where it can learn that the store fails; `?` passes that on.
#[tokio::test]
async fn a_commit_that_fails_is_an_opaque_503() {
    #[handler]
    async fn commit_at_once(session: Session) -> poem::Result<&'static str> {
        session.set(NAME, "Eve")?;
        session.commit().await?;
        Ok("done")
    }
    let store = SpyStore::default();
    store.set(Call::Create, Mood::Fails);
    let mut newcomer = Visitor::new(app(&store, commit_at_once));
    check_opaque(&newcomer.get("/").await, 503, "session store unavailable");
    assert_eq!(store.take_calls(), [Call::Create]);
}
