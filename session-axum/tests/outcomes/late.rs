//! CM-1: commits in the middle of a handler, and changes after the response head has left. CM-4: requests
//! that are given up half-way.

use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Weak};

use axum::Router;
use axum::body::Body;
use futures_util::stream;
use session_axum::{Error, Session};
use tokio::sync::Notify;

use crate::common::{Reply, Visitor};
use crate::log::Log;
use crate::{Change, NAME, ada, app, name};
use session_conformance::adapter::{Call, Mood, SpyStore};

const NEVER_COMMITTED: &str = "changes were made after the response had left";

/// CM-1: an end in the middle, and a new session after it.
#[tokio::test]
async fn a_handler_ends_the_session_and_begins_another() {
    let store = SpyStore::default();
    let app = app(&store, async |session: Session| -> Result<(), Error> {
        session.destroy();
        session.commit().await?;
        session.set(NAME, "Eve")
    });
    let mut eve = ada(&app, &store).await;
    let old = eve.clone();
    let reply = eve.send("GET /", "").await;
    assert!(reply.session_cookie().is_some() && !reply.removes_cookie());
    assert_eq!(
        store.take_calls(),
        [Call::Load, Call::Tombstone, Call::Create]
    );
    assert_eq!(
        (name(&eve).await, name(&old).await),
        ("Eve".into(), "nobody".into())
    );
}

/// CM-2: a panic takes back nothing that was committed before.
#[tokio::test]
async fn what_was_committed_before_a_panic_stays() {
    let store = SpyStore::default();
    let app = app(&store, async |session: Session| -> () {
        session.set(NAME, "Eve").unwrap();
        session.commit().await.unwrap();
        session.set(NAME, "Mallory").unwrap();
        panic!("after a commit");
    });
    let ada = ada(&app, &store).await;
    let mut visitor = ada.clone();
    let request = tokio::spawn(async move { visitor.send("GET /", "").await });
    assert!(request.await.unwrap_err().is_panic());
    assert_eq!(store.take_calls(), [Call::Load, Call::Update]);
    assert_eq!(name(&ada).await, "Eve");
}

/// An application that answers with a body, and calls `late` when that is read.
fn streaming<F, Fut>(store: &SpyStore, late: F) -> Router
where
    F: Fn(Session) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = String> + Send + 'static,
{
    app(store, async move |session: Session| {
        let line = late(session);
        Body::from_stream(stream::once(async { Ok::<_, Infallible>(line.await) }))
    })
}

/// CM-1: what is changed after the head has left, and not committed, is lost; the log says what is missing.
#[tokio::test]
async fn late_changes_without_a_commit_are_reported() {
    let changes: [Change; 4] = [
        |session| session.set(NAME, "Eve").unwrap(),
        |session| session.clear(),
        |session| session.regenerate(),
        |session| session.destroy(),
    ];
    for change in changes {
        let store = SpyStore::default();
        let app = streaming(&store, move |session| async move {
            change(&session);
            "changed".to_owned()
        });
        let ada = ada(&app, &store).await;
        let log = Log::capture();
        let head = ada.head(ada.request("GET /", "")).await;
        assert_eq!(log.lines_with(NEVER_COMMITTED), [""; 0]);
        assert_eq!(Reply::read(head).await.text(), "changed");
        let reports = log.lines_with(NEVER_COMMITTED);
        assert_eq!(reports.len(), 1);
        assert!(reports[0].contains("ERROR"), "{reports:?}");
        assert_eq!(store.take_calls(), [Call::Load]);
        assert_eq!(name(&ada).await, "Ada");
    }
}

/// CM-1: with a commit they are stored, unless the cookie of a new session or of a new id would have to travel,
/// which can't any more. An end needs none: the browser keeps a cookie that is worth nothing.
#[tokio::test]
async fn late_changes_with_a_commit_are_stored_if_they_need_no_cookie() {
    let changes: [(Change, &str, &[Call], &str); 3] = [
        (
            |session| session.set(NAME, "Eve").unwrap(),
            "Ok(Done)",
            &[Call::Update],
            "Eve",
        ),
        (
            |session| session.destroy(),
            "Ok(Done)",
            &[Call::Tombstone],
            "nobody",
        ),
        (
            |session| {
                session.regenerate();
                session.set(NAME, "Eve").unwrap();
            },
            "Err(ResponseSent)",
            &[],
            "Ada",
        ),
    ];
    for (change, outcome, calls, expected) in changes {
        let store = SpyStore::default();
        let app = streaming(&store, move |session| async move {
            change(&session);
            format!("{:?}", session.commit().await.map_err(|error| error.kind()))
        });
        let ada = ada(&app, &store).await;
        let log = Log::capture();
        let head = ada.head(ada.request("GET /", "")).await;
        assert_eq!(store.take_calls(), [Call::Load]);
        let reply = Reply::read(head).await;
        assert_eq!((reply.text(), reply.session_cookie()), (outcome, None));
        assert_eq!(store.take_calls(), calls);
        assert_eq!(log.lines_with(NEVER_COMMITTED), [""; 0]);
        assert_eq!(name(&ada).await, expected);

        let reply = Visitor::new(&app).send("GET /", "").await;
        assert_eq!(reply.session_cookie(), None);
        assert_eq!(store.records().len(), 1, "a new session has no cookie");
    }
}

/// How a request ends whose `update` closure holds a clone of its own session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    Answered,
    SaveFails,
    Panics,
    DroppedInHandler,
    DroppedInSave,
}

/// An application whose handler ends as told, and a witness that lives as long as the closure does.
fn with_closure(store: &SpyStore, ending: Ending, reached: Arc<Notify>) -> (Router, Weak<()>) {
    let witness = Arc::new(());
    let weak = Arc::downgrade(&witness);
    // Given away when the handler runs, so that the closure is then the only one who holds it.
    let witness = Arc::new(std::sync::Mutex::new(Some(witness)));
    let app = app(store, async move |session: Session| {
        let held = (session.clone(), witness.lock().unwrap().take());
        let name = move |_| format!("{:?} and {:?}", held.0.is_new(), held.1.is_some());
        session.update(NAME, name).unwrap();
        match ending {
            Ending::Answered | Ending::SaveFails | Ending::DroppedInSave => {}
            Ending::Panics => panic!("with a closure"),
            Ending::DroppedInHandler => {
                reached.notify_one();
                pending::<()>().await;
            }
        }
    });
    (app, weak)
}

/// CM-4: a closure that holds its session doesn't keep the two alive, however the request ends. Whoever leaves before
/// the commit has begun leaves the session as it was; a commit that has begun comes to its end.
#[tokio::test]
async fn a_closure_that_holds_its_session_is_let_go() {
    for ending in [
        Ending::Answered,
        Ending::SaveFails,
        Ending::Panics,
        Ending::DroppedInHandler,
        Ending::DroppedInSave,
    ] {
        let store = SpyStore::default();
        let reached = Arc::new(Notify::new());
        let (app, witness) = with_closure(&store, ending, reached.clone());
        let ada = ada(&app, &store).await;
        let gate = match ending {
            Ending::SaveFails => {
                store.set(Call::Update, Mood::Fails);
                None
            }
            Ending::DroppedInSave => Some(store.hold(Call::Update)),
            _ => None,
        };
        let mut visitor = ada.clone();
        let request = tokio::spawn(async move { visitor.send("GET /", "").await.status });
        match ending {
            Ending::DroppedInHandler => reached.notified().await,
            Ending::DroppedInSave => gate.as_ref().unwrap().wait_for(1).await,
            _ => {}
        }
        if matches!(ending, Ending::DroppedInHandler | Ending::DroppedInSave) {
            assert!(
                witness.upgrade().is_some(),
                "{ending:?}: the closure is in use"
            );
            request.abort();
        }
        let result = request.await;
        if let Some(gate) = gate {
            gate.open();
            while witness.upgrade().is_some() {
                tokio::task::yield_now().await;
            }
        }
        assert!(
            witness.upgrade().is_none(),
            "{ending:?}: the closure is kept"
        );
        let expected = match ending {
            Ending::Answered => (Some(200), "false and true"),
            Ending::SaveFails => (Some(503), "Ada"),
            Ending::DroppedInSave => (None, "false and true"),
            _ => (None, "Ada"),
        };
        assert_eq!(
            (result.ok(), name(&ada).await.as_str()),
            expected,
            "{ending:?}"
        );
    }
}
