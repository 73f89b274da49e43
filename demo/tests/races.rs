//! Requests of one session that overlap. Every overlap is forced, at the store, and counted: a run in which
//! the requests happened to follow one another would prove nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that meets the unexpected fails by panicking"
)]
#![allow(
    clippy::print_stdout,
    reason = "the counts of the overlaps are for whoever runs the tests with --nocapture"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use session_core::SessionConfigBuilder;
use tokio::task::{JoinHandle, JoinSet};

use crate::common::{Call, Gate, Reply, SpyStore, Visitor, config, demo};

const ROUNDS: usize = 1_000;

/// The demo, its store, and how often changes were dropped.
struct Race {
    store: SpyStore,
    newcomer: Visitor,
    dropped: Arc<AtomicUsize>,
}

impl Race {
    fn new(config: SessionConfigBuilder) -> Self {
        let store = SpyStore::default();
        let dropped = Arc::new(AtomicUsize::new(0));
        let counter = dropped.clone();
        let config = config.on_dropped(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        let newcomer = Visitor::new(&demo(config, &store));
        Self {
            store,
            newcomer,
            dropped,
        }
    }

    /// A visitor with a session of their own, in which `n` is 0.
    async fn visitor(&self) -> Visitor {
        let mut visitor = self.newcomer.clone();
        visitor
            .check("PUT /api/values/n", "0", 200, json!({"ok": true}))
            .await;
        visitor
    }

    fn dropped(&self) -> usize {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Starts a request of the visitor's, and waits until the store holds its call at the gate. By then it has
/// loaded the session.
async fn start(
    visitor: &Visitor,
    line: &'static str,
    body: &'static str,
    gate: &Gate,
) -> JoinHandle<Reply> {
    let mut visitor = visitor.clone();
    let request = tokio::spawn(async move { visitor.send(line, body).await });
    gate.wait_for(1).await;
    request
}

/// What a request with the visitor's cookie finds: whether there is a live session, and `n`.
async fn look(visitor: &Visitor) -> (bool, Value) {
    let mut visitor = visitor.clone();
    let info = visitor.send("GET /api/info", "").await.json();
    let n = visitor.send("GET /api/values/n", "").await.json();
    (info["new"] == json!(false), n["value"].clone())
}

/// A request whose answer is fine and leaves the visitor's cookie as it is.
fn check_without_cookie(reply: &Reply) {
    assert_eq!(
        (reply.status, reply.session_cookie()),
        (200, None),
        "{reply:?}"
    );
}

/// CM-5: of increments at the same time none is lost, although only one of the first 200 writes fits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_increments_are_all_counted() {
    const REQUESTS: u32 = 200;
    let race = Race::new(config());
    let visitor = race.visitor().await;
    let gate = race.store.hold(Call::Update);
    let mut requests = JoinSet::new();
    for _ in 0..REQUESTS {
        let mut visitor = visitor.clone();
        requests.spawn(async move { visitor.send("POST /api/increment/n", "").await });
    }
    gate.wait_for(REQUESTS).await;
    gate.open();
    for reply in requests.join_all().await {
        check_without_cookie(&reply);
    }
    let conflicts = race.store.conflicts();
    println!("{REQUESTS} increments at once: {conflicts} conflicts");
    assert!(conflicts >= 199, "{conflicts}");
    assert_eq!(look(&visitor).await, (true, json!(REQUESTS)));
}

/// CM-5: keys that are set at the same time are all kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_writes_of_different_keys_are_all_kept() {
    const REQUESTS: u32 = 64;
    let race = Race::new(config());
    let mut visitor = race.visitor().await;
    let gate = race.store.hold(Call::Update);
    let mut requests = JoinSet::new();
    for key in 0..REQUESTS {
        let mut visitor = visitor.clone();
        let line = format!("PUT /api/values/{key}");
        requests.spawn(async move { visitor.send(&line, key.to_string()).await });
    }
    gate.wait_for(REQUESTS).await;
    gate.open();
    for reply in requests.join_all().await {
        check_without_cookie(&reply);
    }
    let conflicts = race.store.conflicts();
    println!("{REQUESTS} writes at once: {conflicts} conflicts");
    assert!(conflicts >= 63, "{conflicts}");
    let mut expected = json!({"n": 0});
    for key in 0..REQUESTS {
        expected[key.to_string()] = json!(key);
    }
    visitor
        .check("GET /api/values", "", 200, json!({"values": expected}))
        .await;
}

/// CM-6, CM-9: a write that is still to be saved when the session ends doesn't bring it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_outlives_the_logout_revives_nothing() {
    let race = Race::new(config());
    let (mut overlaps, mut revived) = (0, 0);
    for _ in 0..ROUNDS {
        let mut visitor = race.visitor().await;
        let old = visitor.clone();
        let gate = race.store.hold(Call::Update);
        let write = start(&visitor, "PUT /api/values/n", "1", &gate).await;

        let logout = visitor.send("POST /api/logout", "").await;
        assert!(
            logout.status == 200 && logout.removes_cookie(),
            "{logout:?}"
        );
        overlaps += usize::from(!write.is_finished());
        gate.open();

        check_without_cookie(&write.await.unwrap());
        revived += usize::from(look(&old).await != (false, Value::Null));
    }
    println!("write against logout: {overlaps} overlaps, {revived} revived");
    assert_eq!((overlaps, revived), (ROUNDS, 0));
    assert_eq!(race.dropped(), ROUNDS, "each lost write is reported");
    assert_eq!(
        race.store.records.len(),
        ROUNDS,
        "of each session a tombstone is left"
    );
}

/// CM-7: what is saved while the id changes moves to the new one. A read meanwhile has no say in the cookie.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_comes_before_the_rotation_moves_with_it() {
    let race = Race::new(config());
    let mut overlaps = 0;
    for _ in 0..ROUNDS {
        let mut visitor = race.visitor().await;
        let old = visitor.clone();
        // The new record is there, and the old id is about to die.
        let gate = race.store.hold(Call::Bury);
        let rotation = start(&visitor, "POST /api/regenerate", "", &gate).await;

        check_without_cookie(&visitor.send("PUT /api/values/n", "1").await);
        check_without_cookie(&visitor.send("GET /api/values", "").await);
        overlaps += usize::from(!rotation.is_finished());
        gate.open();

        let rotated = rotation.await.unwrap();
        assert!(rotated.session_cookie().is_some());
        visitor.take_cookies(&rotated.headers);
        assert_eq!(look(&visitor).await, (true, json!(1)));
        assert_eq!(look(&old).await, (false, Value::Null));
    }
    println!("write before rotation: {overlaps} overlaps");
    assert_eq!((overlaps, race.dropped()), (ROUNDS, 0));
    assert_eq!(
        race.store.records.len(),
        2 * ROUNDS,
        "a live record and a tombstone each"
    );
}

/// CM-9: what is saved after the id has changed is dropped and reported, and brings no cookie.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_comes_after_the_rotation_is_dropped() {
    let race = Race::new(config());
    let mut overlaps = 0;
    for _ in 0..ROUNDS {
        let mut visitor = race.visitor().await;
        let old = visitor.clone();
        let gate = race.store.hold(Call::Update);
        let write = start(&visitor, "PUT /api/values/n", "1", &gate).await;

        let rotated = visitor.send("POST /api/regenerate", "").await;
        assert!(rotated.session_cookie().is_some());
        overlaps += usize::from(!write.is_finished());
        gate.open();

        check_without_cookie(&write.await.unwrap());
        assert_eq!(look(&visitor).await, (true, json!(0)));
        assert_eq!(look(&old).await, (false, Value::Null));
    }
    println!(
        "write after rotation: {overlaps} overlaps, {} dropped",
        race.dropped()
    );
    assert_eq!((overlaps, race.dropped()), (ROUNDS, ROUNDS));
    assert_eq!(
        race.store.records.len(),
        2 * ROUNDS,
        "a live record and a tombstone each"
    );
}

/// CK-7, TM-3: a read that would extend the cookie doesn't, if its id has died meanwhile: the browser would
/// go back to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_outlives_its_id_sends_no_cookie() {
    let race = Race::new(config().touch_interval(Duration::ZERO));
    let mut overlaps = 0;
    for line in ["POST /api/regenerate", "POST /api/logout"] {
        for _ in 0..ROUNDS / 2 {
            let mut visitor = race.visitor().await;
            let gate = race.store.hold(Call::Touch);
            let read = start(&visitor, "GET /api/values/n", "", &gate).await;

            assert!(visitor.send(line, "").await.session_cookie().is_some());
            overlaps += usize::from(!read.is_finished());
            gate.open();

            let read = read.await.unwrap();
            check_without_cookie(&read);
            assert_eq!(read.json()["value"], json!(0));
            assert_eq!(look(&visitor).await.0, line.ends_with("regenerate"));
        }
    }
    println!("read against rotation and logout: {overlaps} overlaps");
    // A read has nothing to lose.
    assert_eq!((overlaps, race.dropped()), (ROUNDS, 0));
}

/// CM-7: of rotations of one id exactly one wins, and no second session is left.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_parallel_rotations_exactly_one_wins() {
    const REQUESTS: u32 = 8;
    let race = Race::new(config());
    let (mut overlaps, mut wins) = (0, 0);
    for _ in 0..ROUNDS {
        let mut visitor = race.visitor().await;
        let old = visitor.clone();
        let gate = race.store.hold(Call::Bury);
        let mut requests = JoinSet::new();
        for _ in 0..REQUESTS {
            let mut visitor = visitor.clone();
            requests.spawn(async move { visitor.send("POST /api/regenerate", "").await });
        }
        gate.wait_for(REQUESTS).await;
        overlaps += usize::from(requests.try_join_next().is_none());
        gate.open();
        for reply in requests.join_all().await {
            assert_eq!(reply.status, 200);
            wins += usize::from(reply.session_cookie().is_some());
            visitor.take_cookies(&reply.headers);
        }
        assert_eq!(look(&visitor).await, (true, json!(0)));
        assert_eq!(look(&old).await, (false, Value::Null));
    }
    println!("{REQUESTS} rotations at once: {overlaps} overlaps, {wins} wins");
    assert_eq!((overlaps, wins), (ROUNDS, ROUNDS));
    assert_eq!(race.dropped(), ROUNDS * 7, "each lost rotation is reported");
    assert_eq!(
        race.store.records.len(),
        2 * ROUNDS,
        "a live record and a tombstone each"
    );
}

/// CM-8: a logout ends the session, even if it came with an id that was being replaced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_beats_the_rotation_that_it_meets() {
    let race = Race::new(config());
    let mut overlaps = 0;
    for round in 0..ROUNDS {
        let visitor = race.visitor().await;
        let gate = race.store.hold(Call::Bury);
        // Both have loaded the session under the old id; either may be the first to bury it.
        let (rotation, logout) = if round % 2 == 0 {
            let rotation = start(&visitor, "POST /api/regenerate", "", &gate).await;
            (
                rotation,
                start(&visitor, "POST /api/logout", "", &gate).await,
            )
        } else {
            let logout = start(&visitor, "POST /api/logout", "", &gate).await;
            (
                start(&visitor, "POST /api/regenerate", "", &gate).await,
                logout,
            )
        };
        overlaps += usize::from(!rotation.is_finished() && !logout.is_finished());
        gate.open();

        let (rotated, ended) = (rotation.await.unwrap(), logout.await.unwrap());
        assert!(ended.status == 200 && ended.removes_cookie(), "{ended:?}");
        let mut moved = visitor.clone();
        moved.take_cookies(&rotated.headers);
        for id in [&visitor, &moved] {
            assert_eq!(look(id).await, (false, Value::Null));
        }
    }
    println!("rotation against logout: {overlaps} overlaps");
    assert_eq!(overlaps, ROUNDS);
}
