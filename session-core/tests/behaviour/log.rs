//! What is shown: nothing secret, at any level.

use std::cell::RefCell;
use std::fmt::{self, Write};
use std::future::pending;
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::task::{Context, Waker};
use std::time::Duration;

use session_core::adapter::CookieHeaders;
use session_core::store::{DecodeError, StoreError};
use session_core::{ErrorKind, Main, Session, SessionManager};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::scene::{MapStore, Response, SECRET, Scene, config};

/// Writes down everything that is traced, at every level.
#[derive(Clone, Default)]
pub(crate) struct Capture(Arc<Mutex<String>>);

thread_local! {
    /// The session that the subscriber looks at whenever an event comes from this thread, and how often it could.
    static LOOKED_AT: RefCell<Option<(Session, usize)>> = const { RefCell::new(None) };

    /// What came from this thread: other tests' events come from theirs.
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// The events that came from this thread since this was last asked, a line each.
pub(crate) fn take_lines() -> Vec<String> {
    LINES.take()
}

/// The one subscriber of this process. It is there for all threads: whether an event is enabled is cached for the
/// whole process, and another test's thread that has no subscriber would have it cached as disabled.
pub(crate) fn capture() -> Capture {
    static CAPTURE: OnceLock<Capture> = OnceLock::new();
    let capture = CAPTURE.get_or_init(|| {
        let capture = Capture::default();
        tracing::subscriber::set_global_default(capture.clone()).unwrap();
        capture
    });
    capture.clone()
}

/// Uses the session, as the application's code may do at any time. In a thread of its own, so that a lock that is
/// held is a failure and no standstill.
fn look_at(session: &Session) {
    let (session, (done, is_done)) = (session.clone(), mpsc::channel());
    std::thread::spawn(move || done.send(session.is_modified()));
    let looked = is_done.recv_timeout(Duration::from_secs(10));
    looked.expect("the session can be used: nobody holds its lock");
}

impl Subscriber for Capture {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        span.record(&mut Line(&mut self.0.lock().unwrap()));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Line(&mut self.0.lock().unwrap()));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = format!("{} {}", event.metadata().level(), event.metadata().target());
        event.record(&mut Line(&mut line));
        writeln!(self.0.lock().unwrap(), "{line}").unwrap();
        LINES.with_borrow_mut(|lines| lines.push(line));
        LOOKED_AT.with_borrow_mut(|looked_at| {
            if let Some((session, times)) = looked_at {
                look_at(session);
                *times += 1;
            }
        });
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line<'l>(&'l mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

const VALUE: &str = "a-value-that-nobody-may-see";

/// LG-1, ID-4: whatever happens to a session, neither `Debug`, nor errors, nor events show an id, a
/// signature, a secret or data.
#[tokio::test]
async fn nothing_secret_is_shown() {
    let capture = capture();
    let mut shown = String::new();
    let mut cookies = Vec::new();
    let mut scene = Scene::new(config());
    let mut show = |scene: &Scene, response: &Response| {
        cookies.extend(scene.jar.clone());
        cookies.extend(response.cookie());
        write!(shown, "{:?} {:?}", response.error, scene.manager).unwrap();
        if let Some(error) = &response.error {
            let mut source: Option<&dyn std::error::Error> = Some(error);
            while let Some(error) = source {
                write!(shown, "{error} {error:?}").unwrap();
                source = error.source();
            }
        }
    };
    let debug = Mutex::new(String::new());
    let acts: [fn(&Session); 8] = [
        |session| session.set("key", VALUE).unwrap(),
        |session| drop(session.keys()),
        |session| check_shown(&session.get::<i64>("key").unwrap_err()),
        |session| check_shown(&session.set("key", VALUE.repeat(10_000)).unwrap_err()),
        Session::regenerate,
        |session| session.set("key", [VALUE, VALUE]).unwrap(),
        Session::destroy,
        |session| session.set("key", VALUE).unwrap(),
    ];
    for act in acts {
        let response = scene.request(|session| {
            act(session);
            write!(debug.lock().unwrap(), "{session:?}").unwrap();
        });
        let response = response.await;
        show(&scene, &response);
    }
    let dead = scene.jar.clone();
    scene.request(Session::regenerate).await;
    let failures: [fn() -> StoreError; 4] = [
        || StoreError::unknown("connection reset"),
        || StoreError::not_applied("read-only"),
        || DecodeError::Corrupt.into(),
        || DecodeError::NewerFormat.into(),
    ];
    for failure in failures {
        scene.store.fail_next(failure());
        let response = scene
            .request_with(scene.jar.clone(), |session| {
                session.set("key", VALUE).unwrap()
            })
            .await;
        show(&scene, &response);
    }
    for cookie in [dead.clone().unwrap(), "A".repeat(92), VALUE.to_owned()] {
        let response = scene
            .request_with(Some(cookie), |session| session.set("key", VALUE).unwrap())
            .await;
        show(&scene, &response);
    }

    let events = capture.0.lock().unwrap().clone();
    for expected in [
        "session created",
        "session rotated",
        "session ended",
        "rejected",
        "dropped",
        "failed",
    ] {
        assert!(
            events.contains(expected),
            "no event says {expected:?}:\n{events}"
        );
    }
    let everything = [events, shown, debug.into_inner().unwrap()].concat();
    assert!(cookies.len() > 10);
    for cookie in cookies {
        // Any part of an id or a signature that could be told from chance.
        for at in (7..cookie.len()).step_by(8) {
            let part = &cookie[at..(at + 8).min(cookie.len())];
            assert!(
                part.len() < 5 || !everything.contains(part),
                "{part} of {cookie} is shown"
            );
        }
    }
    for secret in [SECRET, VALUE] {
        assert!(!everything.contains(secret), "{secret:?} is shown");
    }
}

/// Looks at an error as a log would.
fn check_shown(error: &session_core::Error) {
    assert!(!format!("{error} {error:?}").contains(VALUE));
}

/// Something that is written to and uses the session meanwhile.
struct Looking<'s>(&'s Session);

impl Write for Looking<'_> {
    fn write_str(&mut self, _: &str) -> fmt::Result {
        look_at(self.0);
        Ok(())
    }
}

/// Neither `Debug` nor an event is shown under the session's lock: a subscriber, or what is written to, may use
/// the session.
#[tokio::test]
async fn nothing_is_shown_under_the_lock() {
    capture();
    let scene = Scene::new(config());
    let handle = scene.manager.handle();
    let kept = RefCell::new(None);
    {
        let work = async {
            let session: Session = handle.load(&CookieHeaders(&[])).await.unwrap();
            write!(Looking(&session), "{session:?}").unwrap();
            *kept.borrow_mut() = Some(session);
            pending::<()>().await;
        };
        // The request is cancelled when its handler waits for something.
        let mut request = pin!(handle.run(work));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(request.as_mut().poll(&mut cx).is_pending());
    }
    let session = kept.take().unwrap();
    let changes: [fn(&Session); 6] = [
        |session| session.set("late", 1).unwrap(),
        |session| drop(session.update("late", |n: Option<u32>| n.unwrap_or(0) + 1)),
        |session| drop(session.take::<u32>("late")),
        |session| _ = session.delete("late"),
        |session| session.clear(),
        |session| session.login("ada").unwrap(),
    ];
    for (at, change) in changes.iter().enumerate() {
        // The event comes once a second at most.
        scene.clock.advance(Duration::from_secs(1));
        LOOKED_AT.set(Some((session.clone(), 0)));
        change(&session);
        let times = LOOKED_AT.take().map(|(_, times)| times);
        assert_eq!(times, Some(1), "change {at}");
    }
}

/// ST-7: an inner middleware of another manager is an error that says what to change, and so does the log.
#[test]
fn an_inner_middleware_of_another_manager_is_told() {
    capture();
    take_lines();
    let manager = || SessionManager::new(config().build().unwrap(), MapStore::default());
    let outer = manager();
    let sessions = outer.enter::<Main>(None, "/").unwrap().unwrap();
    let again = outer.enter::<Main>(Some(&sessions), "/");
    assert!(again.unwrap().is_none(), "the outer one is at work");
    assert_eq!(take_lines(), [""; 0]);
    let error = manager().enter::<Main>(Some(&sessions), "/").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DuplicateName);
    let advice = "give both middlewares clones of one manager";
    assert!(error.to_string().contains(advice), "{error}");
    let lines = take_lines();
    assert!(
        matches!(&lines[..], [line] if line.starts_with("ERROR session") && line.contains(advice)),
        "{lines:?}"
    );
}
