//! The table of `docs/requests.md`, row by row.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use session_core::adapter::CookieHeaders;
use session_core::store::{DecodeError, StoreError};
use session_core::{Error, Session, SessionConfigBuilder};

use crate::scene::{Response, SECRET, Scene, config};

const DOCUMENT: &str = include_str!("../../../docs/requests.md");
const NEW_SECRET: &str = "another secret of at least 32 bytes";

/// The document's rows: from the request to the other cells.
fn documented() -> BTreeMap<String, Vec<String>> {
    let mut lines = DOCUMENT.lines();
    // The table's head, and the line below it.
    lines.find(|line| line.starts_with("| request")).unwrap();
    let rows = lines.skip(1).take_while(|line| line.starts_with("| "));
    rows.map(|line| {
        let mut cells: Vec<_> = line
            .trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect();
        (cells.remove(0), cells)
    })
    .collect()
}

/// A scene whose configuration counts dropped changes.
struct Row {
    scene: Scene,
    dropped: Arc<AtomicUsize>,
}

impl Row {
    fn config(dropped: &Arc<AtomicUsize>) -> SessionConfigBuilder {
        let dropped = dropped.clone();
        config().on_dropped(move |_| {
            dropped.fetch_add(1, Ordering::SeqCst);
        })
    }

    async fn with_session() -> Self {
        let dropped = Arc::new(AtomicUsize::new(0));
        Self {
            scene: Scene::with_session(Self::config(&dropped)).await,
            dropped,
        }
    }

    fn without_session() -> Self {
        let dropped = Arc::new(AtomicUsize::new(0));
        Self {
            scene: Scene::new(Self::config(&dropped)),
            dropped,
        }
    }

    /// The visitor still holds the id of before `act`, which is dead by now.
    async fn with_dead_id(act: impl FnOnce(&Session)) -> Self {
        let mut row = Self::with_session().await;
        let old = row.scene.jar.clone();
        row.scene.request(act).await;
        row.scene.jar = old;
        row.scene.store.calls();
        row
    }

    fn later(self, time: Duration) -> Self {
        self.scene.clock.advance(time);
        self
    }

    /// The cells that a request with this handler gives.
    async fn cells(mut self, act: impl FnOnce(&Session)) -> Vec<String> {
        let before = self.scene.jar.clone();
        let response = self.scene.request(act).await;
        self.describe(before, &response)
    }

    fn describe(&self, before: Option<String>, response: &Response) -> Vec<String> {
        let calls = self.scene.store.calls();
        let header = |name: &str| {
            let found = response
                .headers
                .0
                .iter()
                .filter(|(other, _)| *other == name);
            let values: Vec<_> = found.map(|(_, value)| value.as_str()).collect();
            if values.is_empty() {
                "as it was".to_owned()
            } else {
                values.join(", ")
            }
        };
        let same_id = |old: &str, new: &str| {
            // The id lies in bytes 5 to 37 of the value: characters 7 to 48 hold nothing else.
            old.get(7..48) == new.get(7..48)
        };
        let cookie = match (response.cookie(), before) {
            (None, _) => "none",
            (Some(new), _) if new.is_empty() => "removal",
            (Some(new), Some(old)) if same_id(&old, &new) => "same id",
            (Some(_), _) => "new id",
        };
        let outcome = match (&response.error, self.dropped.load(Ordering::SeqCst)) {
            (Some(error), 0) => error.status().to_string(),
            (None, 0) => "handler's response".to_owned(),
            (_, _) => "handler's response, changes dropped".to_owned(),
        };
        let calls = if calls.is_empty() {
            "none".to_owned()
        } else {
            calls.join(", ")
        };
        vec![
            calls,
            cookie.to_owned(),
            header("vary"),
            header("cache-control"),
            outcome,
        ]
    }

    async fn panicking_cells(self, act: impl FnOnce(&Session)) -> Vec<String> {
        let request = self.scene.request_with(self.scene.jar.clone(), |session| {
            act(session);
            std::panic::resume_unwind(Box::new("the handler panicked"));
        });
        let mut request = Box::pin(request);
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| {
            let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            drop(request.as_mut().poll(&mut cx));
        }));
        drop(request);
        let outcome = if polled.is_err() {
            "panic goes on"
        } else {
            "no panic"
        };
        vec![
            self.scene.store.calls().join(", "),
            "–".into(),
            "–".into(),
            "–".into(),
            outcome.into(),
        ]
    }

    /// A request that stores something, while another one does `meanwhile`.
    async fn cells_with_other(
        mut self,
        act: impl FnOnce(&Session),
        meanwhile: impl FnOnce(&Session),
    ) -> Vec<String> {
        let cookie = self.scene.jar.clone();
        let header = format!("session_id={}", cookie.clone().unwrap());
        let handle = self.scene.manager.handle();
        let work = async {
            let session: Session = handle
                .load(&CookieHeaders(&[header.as_bytes()]))
                .await
                .unwrap();
            self.scene.request(meanwhile).await;
            self.scene.store.calls();
            act(&session);
        };
        let ((), finished) = handle.run(work).await;
        let mut cells = self.describe(cookie, &Response::new(&finished));
        cells[0] = format!("load, {}", cells[0]);
        cells
    }
}

fn read(session: &Session) {
    session.keys();
}

fn store(session: &Session) {
    session.set("stored", true).unwrap();
}

fn log_in(session: &Session) {
    session.login("ada").unwrap();
}

/// ID-6, SG-4, SR-4, CK-7, CM-2, CM-6, CM-8, CM-11, RQ-8, TM-3: every row of the document is what happens, and every
/// row is tried.
#[tokio::test]
async fn every_request_costs_and_says_what_the_document_says() {
    let hour = Duration::from_secs(3600);
    let due = Duration::from_secs(360);
    // The grace time, and the tolerance for clocks.
    let window = Duration::from_secs(120);
    let half_over = Duration::from_secs(1801);
    let mut rows: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut row = |name, cells| assert!(rows.insert(name, cells).is_none(), "{name} twice");

    let untouched = Row::with_session().await;
    let ((), finished) = untouched.scene.manager.handle().run(async {}).await;
    let untouched = untouched.describe(None, &Response::new(&finished));
    row("doesn't use the session", untouched);
    let live = Row::with_session;
    row("a user logs in", live().await.cells(log_in).await);
    row("reads", live().await.cells(read).await);
    row(
        "reads, activity due",
        live().await.later(due).cells(read).await,
    );
    row(
        "sets an equal value",
        live()
            .await
            .cells(|session| session.set("n", 1).unwrap())
            .await,
    );
    row("writes", live().await.cells(store).await);
    row(
        "reads, less than half of the idle lifetime left",
        live().await.later(half_over).cells(read).await,
    );
    row(
        "writes, less than half of the idle lifetime left",
        live().await.later(half_over).cells(store).await,
    );
    row(
        "writes, activity due",
        live().await.later(due).cells(store).await,
    );
    row(
        "empties the session",
        live().await.cells(Session::clear).await,
    );
    row("regenerates", live().await.cells(Session::regenerate).await);
    row("destroys", live().await.cells(Session::destroy).await);
    let destroy_and_store = |session: &Session| {
        session.destroy();
        store(session);
    };
    row(
        "destroys, then stores",
        live().await.cells(destroy_and_store).await,
    );
    let mut rotated = live().await;
    rotated
        .scene
        .reconfigure(config().previous_secret(NEW_SECRET));
    rotated
        .scene
        .reconfigure(session_core::SessionConfig::builder(NEW_SECRET).previous_secret(SECRET));
    row(
        "reads, cookie signed under a previous secret",
        rotated.cells(read).await,
    );

    row("no cookie: reads", Row::without_session().cells(read).await);
    row(
        "no cookie: stores",
        Row::without_session().cells(store).await,
    );
    row(
        "no cookie: a user logs in",
        Row::without_session().cells(log_in).await,
    );
    let undecided = |session: &Session| {
        store(session);
        session.delete("stored");
    };
    row(
        "no cookie: stores and deletes again",
        Row::without_session().cells(undecided).await,
    );
    let both = [
        Row::without_session().cells(Session::regenerate).await,
        Row::without_session().cells(Session::destroy).await,
    ];
    assert_eq!(both[0], both[1]);
    row("no cookie: regenerates or destroys", both[0].clone());

    let forged = || {
        let mut row = Row::without_session();
        row.scene.jar = Some("A".repeat(92));
        row
    };
    row("forged cookie: reads", forged().cells(read).await);
    row("forged cookie: stores", forged().cells(store).await);
    let mut tampered = live().await;
    let cookie = tampered.scene.jar.take().unwrap();
    let last = if cookie.ends_with('A') { 'B' } else { 'A' };
    tampered.scene.jar = Some(format!("{}{last}", &cookie[..91]));
    row("tampered cookie: reads", tampered.cells(read).await);

    row(
        "expired session: reads",
        live().await.later(hour).cells(read).await,
    );
    row(
        "expired session: stores",
        live().await.later(hour).cells(store).await,
    );
    row(
        "expired session: destroys",
        live().await.later(hour).cells(Session::destroy).await,
    );

    let superseded = || Row::with_dead_id(Session::regenerate);
    row("superseded id: reads", superseded().await.cells(read).await);
    row(
        "superseded id: stores",
        superseded().await.cells(store).await,
    );
    row(
        "superseded id: a user logs in",
        superseded().await.cells(log_in).await,
    );
    row(
        "superseded id: regenerates",
        superseded().await.cells(Session::regenerate).await,
    );
    row(
        "superseded id: destroys",
        superseded().await.cells(Session::destroy).await,
    );
    row(
        "superseded id: destroys, then stores",
        superseded().await.cells(destroy_and_store).await,
    );
    row(
        "superseded id, after the window: stores",
        superseded().await.later(window).cells(store).await,
    );
    let ended = || Row::with_dead_id(Session::destroy);
    row("ended id: stores", ended().await.cells(store).await);
    row(
        "ended id: destroys",
        ended().await.cells(Session::destroy).await,
    );
    row(
        "ended id, after the window: stores",
        ended().await.later(window).cells(store).await,
    );
    let ended_meanwhile = live()
        .await
        .later(due)
        .cells_with_other(read, Session::destroy);
    row(
        "session ended meanwhile: reads, activity due",
        ended_meanwhile.await,
    );
    row(
        "session ended meanwhile: stores",
        live().await.cells_with_other(store, Session::destroy).await,
    );
    row(
        "changed meanwhile: stores",
        live()
            .await
            .cells_with_other(store, |session| session.set("n", 2).unwrap())
            .await,
    );

    let failing = |row: Row, let_through: usize, error: StoreError| {
        (0..let_through).for_each(|_| row.scene.store.let_one_through());
        row.scene.store.fail_next(error);
        row
    };
    let corrupt = async || failing(live().await, 0, DecodeError::Corrupt.into());
    row("corrupt record: reads", corrupt().await.cells(read).await);
    row("corrupt record: stores", corrupt().await.cells(store).await);
    let newer = failing(live().await, 0, DecodeError::NewerFormat.into());
    row("record of a newer version: reads", newer.cells(read).await);
    let down = || StoreError::unknown("connection reset");
    row(
        "store down: reads",
        failing(live().await, 0, down()).cells(read).await,
    );
    row(
        "store fails on save",
        failing(live().await, 1, down()).cells(store).await,
    );
    row(
        "store fails on touch",
        failing(live().await.later(due), 1, down())
            .cells(read)
            .await,
    );
    row(
        "store fails on create",
        failing(Row::without_session(), 0, down())
            .cells(store)
            .await,
    );

    row(
        "panics after storing",
        live().await.panicking_cells(store).await,
    );
    row(
        "panics after destroy",
        live().await.panicking_cells(Session::destroy).await,
    );

    let documented = documented();
    for (name, cells) in &rows {
        assert_eq!(documented.get(*name), Some(cells), "the row {name:?}");
    }
    assert_eq!(
        documented.len(),
        rows.len(),
        "the document has rows that nobody tried"
    );
}

/// CM-2: whatever `Error` the handler ends with is its own affair; the session is committed all the same.
#[tokio::test]
async fn a_failing_handler_is_committed() {
    let scene = Scene::with_session(config()).await;
    let header = format!("session_id={}", scene.jar.clone().unwrap());
    let handle = scene.manager.handle();
    let work = async {
        let session: Session = handle.load(&CookieHeaders(&[header.as_bytes()])).await?;
        store(&session);
        session.get::<String>("n").map(drop)
    };
    let (result, finished): (Result<(), Error>, _) = handle.run(work).await;
    assert!(result.is_err() && finished.error().is_none());
    assert_eq!(scene.store.calls(), ["load", "save"]);
}
