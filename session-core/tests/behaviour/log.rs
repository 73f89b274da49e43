//! What is shown: nothing secret, at any level.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use session_core::Session;
use session_core::store::{DecodeError, StoreError};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::scene::{Response, SECRET, Scene, config};

/// Writes down everything that is traced, at every level.
#[derive(Clone, Default)]
struct Capture(Arc<Mutex<String>>);

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
        let mut shown = self.0.lock().unwrap();
        write!(
            shown,
            "{} {}",
            event.metadata().level(),
            event.metadata().target()
        )
        .unwrap();
        event.record(&mut Line(&mut shown));
        shown.push('\n');
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line<'l>(&'l mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

const VALUE: &str = "a-value-that-nobody-may-see";

/// LG-1, ID-4: whatever happens to a session, neither `Debug`, nor errors, nor events show an id, a
/// signature, a secret or data.
#[tokio::test]
async fn nothing_secret_is_shown() {
    let capture = Capture::default();
    // For all threads: whether an event is enabled is cached for the whole process, and another test's
    // thread that has no subscriber would have it cached as disabled.
    tracing::subscriber::set_global_default(capture.clone()).unwrap();
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
