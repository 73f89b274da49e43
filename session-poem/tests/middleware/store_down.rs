//! CM-3: a store that fails costs the request its answer, whatever poem or the handler makes of the error.

use poem::{IntoResponse as _, Response, handler};
use session_conformance::adapter::{Call, Mood, STORE_ERROR, SpyStore};
use session_poem::{Error, ErrorKind, Session};

use crate::log::Log;
use crate::visitor::Reply;
use crate::{Change, End, ada, app, handler_that, name, no_tea, rename};

fn all_is_well() -> Response {
    "all is well"
        .with_header("set-cookie", "theirs=1")
        .into_response()
}

#[handler]
fn trusting(_: Session) -> Response {
    all_is_well()
}

/// To poem a failed extraction is `None`, so that nothing tells this handler what is wrong.
#[handler]
fn careless(first: Option<Session>, second: Option<Session>) -> Response {
    assert!(first.is_none() && second.is_none());
    all_is_well()
}

#[handler]
fn stubborn(first: poem::Result<Session>, second: poem::Result<Session>) -> Response {
    for session in [first, second] {
        let error = session.unwrap_err();
        let error: &Error = error.downcast_ref().unwrap();
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    }
    all_is_well()
}

/// CM-3, SR-4: a session that can't be loaded is never taken for one that isn't there, whatever the handler
/// makes of it. The failure sticks, so that asking again doesn't burden the store. The log says what happened;
/// the visitor isn't told.
#[tokio::test]
async fn a_failing_load_is_a_503_whatever_the_handler_says() {
    let store = SpyStore::default();
    let apps = [
        app(&store, trusting),
        app(&store, careless),
        app(&store, stubborn),
    ];
    for app in apps {
        let mut ada = ada(&store).await.at(app);
        let log = Log::capture();
        store.set(Call::Load, Mood::Fails);
        let reply = ada.get("/").await;
        reply.check_unavailable();
        assert_eq!(reply.all("vary"), ["Cookie"]);
        assert_eq!(store.take_calls(), [Call::Load]);
        assert_eq!(log.lines_with(STORE_ERROR).len(), 1);

        store.set(Call::Load, Mood::Works);
        assert_eq!(name(&ada).await, "Ada");
    }
}

/// CM-3: what the handler said, in an answer or in an error, would promise what isn't stored.
#[tokio::test]
async fn a_failing_save_replaces_an_answer_and_an_error_alike() {
    let saves: [(Call, Change); 3] = [
        (Call::Create, |session| session.regenerate()),
        (Call::Update, rename),
        (Call::Bury, |session| session.destroy()),
    ];
    let ends: [End; 2] = [|| Ok(all_is_well()), no_tea];
    for (call, change) in saves {
        for end in ends {
            let store = SpyStore::default();
            let ada = ada(&store).await.at(app(&store, handler_that(change, end)));
            let log = Log::capture();
            store.set(call, Mood::Fails);
            let response = ada
                .call("/")
                .await
                .expect("an answer in place of the error");
            Reply::read(response).await.check_unavailable();
            assert_eq!(log.lines_with(STORE_ERROR).len(), 1, "{call:?}");
            assert_eq!(name(&ada).await, "Ada", "{call:?}");
        }
    }
}
