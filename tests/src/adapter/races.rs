//! Requests of one session that overlap, at three servers with one store. Every overlap is forced, at the
//! store, and counted: a run in which the requests happened to follow one another would prove nothing.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use session_core::SessionConfigBuilder;
use tokio::task::{JoinHandle, JoinSet};

use super::harness::{AdapterHarness, Scene, config};
use super::visitor::{Reply, Visitor};
use super::{Call, Gate};

/// Servers that requests are spread over, one after the other.
pub(super) struct Race {
    scene: Scene,
    rounds: usize,
    sent: usize,
}

impl Race {
    pub(super) async fn new(harness: &impl AdapterHarness, config: SessionConfigBuilder) -> Self {
        Self {
            scene: Scene::fleet(harness, config).await,
            rounds: harness.rounds(),
            sent: 0,
        }
    }

    /// The same browser at the server whose turn it is.
    pub(super) fn next(&mut self, visitor: &Visitor) -> Visitor {
        self.sent += 1;
        visitor.at(self.scene.servers[self.sent % self.scene.servers.len()])
    }

    /// A visitor with a session of their own, in which `n` is 0.
    pub(super) async fn visitor(&mut self) -> Visitor {
        let newcomer = self.scene.visitor();
        let mut visitor = self.next(&newcomer);
        let ok = json!({"ok": true});
        visitor.check("PUT /api/values/n", "0", 200, ok).await;
        visitor
    }

    /// Sends a request of the visitor's, and takes the cookies that come.
    async fn send(&mut self, visitor: &mut Visitor, line: &str, body: &'static str) -> Reply {
        let reply = self.next(visitor).send(line, body).await;
        visitor.take_cookies(&reply);
        reply
    }

    /// Starts a request of the visitor's, and waits until the store holds its call at the gate. By then it
    /// has loaded the session.
    async fn start(
        &mut self,
        visitor: &Visitor,
        line: &'static str,
        body: &'static str,
        gate: &Gate,
    ) -> JoinHandle<Reply> {
        let mut visitor = self.next(visitor);
        let request = tokio::spawn(async move { visitor.send(line, body).await });
        gate.wait_for(1).await;
        request
    }

    /// Starts as many requests of the visitor's at once, and waits until all of them are at the gate.
    pub(super) async fn start_all(
        &mut self,
        visitor: &Visitor,
        lines: impl Iterator<Item = String>,
        body: &'static str,
        gate: &Gate,
    ) -> JoinSet<Reply> {
        let mut requests = JoinSet::new();
        for line in lines {
            let mut visitor = self.next(visitor);
            requests.spawn(async move { visitor.send(&line, body).await });
        }
        let count = u32::try_from(requests.len()).expect("a few hundred requests");
        gate.wait_for(count).await;
        requests
    }

    /// What a request with the visitor's cookie finds: whether there is a live session, and `n`.
    async fn look(&mut self, visitor: &Visitor) -> (bool, Value) {
        let visitor = self.next(visitor);
        (
            visitor.is_known().await,
            visitor.values().await["n"].clone(),
        )
    }

    pub(super) fn scene(&self) -> &Scene {
        &self.scene
    }

    pub(super) fn hold(&self, call: Call) -> Arc<Gate> {
        self.scene.store.hold(call)
    }

    fn records(&self) -> usize {
        self.scene.store.records().len()
    }
}

const NOTHING: (bool, Value) = (false, Value::Null);

/// A cookie that one server made is read by the next, rotated by the third and ended by the first, and then
/// it is dead on all.
pub async fn servers_with_one_store_share_their_sessions(harness: &impl AdapterHarness) {
    let scene = Scene::fleet(harness, config()).await;
    let [first, second, third] = scene.servers[..] else {
        panic!("a fleet has three servers");
    };
    let mut ada = scene.visitor().at(first);
    ada.send("PUT /api/values/name", r#""Ada""#).await;
    assert_eq!(ada.at(second).values().await, json!({"name": "Ada"}));

    let mut moved = ada.at(third);
    let reply = moved.send("POST /api/regenerate", "").await;
    assert!(reply.session_cookie().is_some(), "{reply:?}");
    for server in [first, second, third] {
        assert_eq!(moved.at(server).values().await, json!({"name": "Ada"}));
        assert!(!ada.at(server).is_known().await, "the old id is dead");
    }
    let reply = moved.at(first).send("POST /api/logout", "").await;
    assert!(reply.removes_cookie(), "{reply:?}");
    for visitor in [&ada, &moved] {
        for server in [first, second, third] {
            assert!(!visitor.at(server).is_known().await, "a logout is for all");
        }
    }
}

/// CM-5: of increments at the same time none is lost, although of the first ones only one fits.
pub async fn parallel_increments_are_all_counted(harness: &impl AdapterHarness) {
    const REQUESTS: usize = 300;
    let mut race = Race::new(harness, config()).await;
    let visitor = race.visitor().await;
    let gate = race.hold(Call::Update);
    let lines = (0..REQUESTS).map(|_| "POST /api/increment/n".to_owned());
    let requests = race.start_all(&visitor, lines, "1", &gate).await;
    gate.open();
    for reply in requests.join_all().await {
        reply.expect_no_cookie(200);
    }
    let conflicts = race.scene.store.conflicts();
    eprintln!("{REQUESTS} increments at once: {conflicts} conflicts");
    assert!(conflicts >= REQUESTS - 1, "{conflicts}");
    assert_eq!(race.look(&visitor).await, (true, json!(REQUESTS)));
}

/// CM-5: keys that are set at the same time are all kept.
pub async fn parallel_writes_of_different_keys_are_all_kept(harness: &impl AdapterHarness) {
    const REQUESTS: usize = 64;
    let mut race = Race::new(harness, config()).await;
    let visitor = race.visitor().await;
    let gate = race.hold(Call::Update);
    let lines = (0..REQUESTS).map(|key| format!("PUT /api/values/{key}"));
    let requests = race.start_all(&visitor, lines, "1", &gate).await;
    gate.open();
    for reply in requests.join_all().await {
        reply.expect_no_cookie(200);
    }
    assert!(race.scene.store.conflicts() >= REQUESTS - 1);
    let mut expected = json!({"n": 0});
    for key in 0..REQUESTS {
        expected[key.to_string()] = json!(1);
    }
    assert_eq!(visitor.values().await, expected);
}

/// CM-6, CM-9: a write that is still to be saved when the session ends doesn't bring it back, and no cookie
/// comes of it.
pub async fn a_slow_write_revives_nothing(harness: &impl AdapterHarness) {
    let mut race = Race::new(harness, config()).await;
    let (mut overlaps, mut revived) = (0, 0);
    for _ in 0..race.rounds {
        let mut visitor = race.visitor().await;
        let old = visitor.clone();
        let gate = race.hold(Call::Update);
        let write = race.start(&visitor, "PUT /api/values/n", "1", &gate).await;
        let logout = race.send(&mut visitor, "POST /api/logout", "").await;
        assert!(logout.removes_cookie(), "{logout:?}");
        overlaps += usize::from(!write.is_finished());
        gate.open();
        write.await.expect("an answer").expect_no_cookie(200);
        revived += usize::from(race.look(&old).await != NOTHING);
    }
    eprintln!("write against logout: {overlaps} overlaps, {revived} revived");
    assert_eq!((overlaps, revived), (race.rounds, 0), "overlaps, revived");
    assert_eq!(race.scene.dropped(), race.rounds, "each loss is reported");
    assert_eq!(race.records(), race.rounds, "a tombstone each");
}

/// CM-7: what is saved while the id changes moves to the new one. Neither a write nor a read meanwhile has a
/// say in the cookie.
pub async fn a_write_before_the_rotation_moves_with_it(harness: &impl AdapterHarness) {
    let mut race = Race::new(harness, config()).await;
    let mut overlaps = 0;
    for _ in 0..race.rounds {
        let mut visitor = race.visitor().await;
        let old = visitor.clone();
        // The new record is there, and the old id is about to die.
        let gate = race.hold(Call::Tombstone);
        let line = "POST /api/regenerate";
        let rotation = race.start(&visitor, line, "", &gate).await;
        for (line, body) in [("PUT /api/values/n", "1"), ("GET /api/values", "")] {
            let reply = race.send(&mut visitor, line, body).await;
            reply.expect_no_cookie(200);
        }
        overlaps += usize::from(!rotation.is_finished());
        gate.open();
        let rotated = rotation.await.expect("an answer");
        assert!(rotated.session_cookie().is_some(), "{rotated:?}");
        visitor.take_cookies(&rotated);
        assert_eq!(race.look(&visitor).await, (true, json!(1)));
        assert_eq!(race.look(&old).await, NOTHING);
    }
    eprintln!("write before rotation: {overlaps} overlaps");
    assert_eq!((overlaps, race.scene.dropped()), (race.rounds, 0));
    assert_eq!(race.records(), 2 * race.rounds, "a record, a tombstone");
}

/// CM-9: what is saved after the id has changed is dropped and reported, and brings no cookie.
pub async fn a_write_after_the_rotation_is_dropped(harness: &impl AdapterHarness) {
    let mut race = Race::new(harness, config()).await;
    let mut overlaps = 0;
    for _ in 0..race.rounds {
        let mut visitor = race.visitor().await;
        let old = visitor.clone();
        let gate = race.hold(Call::Update);
        let write = race.start(&visitor, "PUT /api/values/n", "1", &gate).await;
        let rotated = race.send(&mut visitor, "POST /api/regenerate", "").await;
        assert!(rotated.session_cookie().is_some(), "{rotated:?}");
        overlaps += usize::from(!write.is_finished());
        gate.open();
        write.await.expect("an answer").expect_no_cookie(200);
        assert_eq!(race.look(&visitor).await, (true, json!(0)));
        assert_eq!(race.look(&old).await, NOTHING);
    }
    eprintln!("write after rotation: {overlaps} overlaps");
    assert_eq!((overlaps, race.scene.dropped()), (race.rounds, race.rounds));
    assert_eq!(race.records(), 2 * race.rounds, "a record, a tombstone");
}

/// CK-7, TM-3: a read that would extend the cookie doesn't, if its id has died meanwhile: the browser would
/// go back to it.
pub async fn a_slow_read_brings_no_cookie_back(harness: &impl AdapterHarness) {
    let mut race = Race::new(harness, config().touch_interval(Duration::ZERO)).await;
    let mut overlaps = 0;
    for round in 0..race.rounds {
        let line = ["POST /api/regenerate", "POST /api/logout"][round % 2];
        let mut visitor = race.visitor().await;
        race.scene.clock.advance(Duration::from_secs(1));
        let gate = race.hold(Call::Touch);
        let read = race.start(&visitor, "GET /api/values/n", "", &gate).await;
        let reply = race.send(&mut visitor, line, "").await;
        assert!(reply.session_cookie().is_some(), "{reply:?}");
        overlaps += usize::from(!read.is_finished());
        gate.open();
        let read = read.await.expect("an answer");
        read.expect_no_cookie(200);
        assert_eq!(read.json()["value"], json!(0));
        assert_eq!(race.look(&visitor).await.0, line.ends_with("regenerate"));
    }
    eprintln!("read against rotation and logout: {overlaps} overlaps");
    // A read has nothing to lose.
    assert_eq!((overlaps, race.scene.dropped()), (race.rounds, 0));
}

/// CM-7: of rotations of one id exactly one wins; the others send no cookie, and leave no second session.
pub async fn of_parallel_rotations_one_wins(harness: &impl AdapterHarness) {
    const REQUESTS: usize = 8;
    let mut race = Race::new(harness, config()).await;
    let (mut overlaps, mut wins) = (0, 0);
    for _ in 0..race.rounds {
        let mut visitor = race.visitor().await;
        let old = visitor.clone();
        let gate = race.hold(Call::Tombstone);
        let lines = (0..REQUESTS).map(|_| "POST /api/regenerate".to_owned());
        let mut requests = race.start_all(&visitor, lines, "1", &gate).await;
        overlaps += usize::from(requests.try_join_next().is_none());
        gate.open();
        for reply in requests.join_all().await {
            assert_eq!(reply.status, 200, "{reply:?}");
            wins += usize::from(reply.session_cookie().is_some());
            visitor.take_cookies(&reply);
        }
        assert_eq!(race.look(&visitor).await, (true, json!(0)));
        assert_eq!(race.look(&old).await, NOTHING);
    }
    eprintln!("{REQUESTS} rotations at once: {overlaps} overlaps, {wins} cookies");
    assert_eq!(
        (overlaps, wins),
        (race.rounds, race.rounds),
        "overlaps, and answers with a new cookie: one in each round"
    );
    assert_eq!(race.scene.dropped(), race.rounds * (REQUESTS - 1));
    assert_eq!(race.records(), 2 * race.rounds, "a record, a tombstone");
}

/// CM-8: a logout ends the session, even if it came with an id that was being replaced.
pub async fn a_logout_beats_the_rotation_that_it_meets(harness: &impl AdapterHarness) {
    let mut race = Race::new(harness, config()).await;
    let mut overlaps = 0;
    for round in 0..race.rounds {
        let visitor = race.visitor().await;
        let gate = race.hold(Call::Tombstone);
        // Both have loaded the session under the old id; either may be the first to write its tombstone.
        let mut lines = ["POST /api/regenerate", "POST /api/logout"];
        lines.rotate_left(round % 2);
        let mut requests = Vec::new();
        for line in lines {
            requests.push(race.start(&visitor, line, "", &gate).await);
        }
        overlaps += usize::from(requests.iter().all(|request| !request.is_finished()));
        gate.open();
        let mut replies = Vec::new();
        for request in requests {
            replies.push(request.await.expect("an answer"));
        }
        replies.rotate_right(round % 2);
        let [rotated, ended] = &replies[..] else {
            panic!("two requests have two answers");
        };
        assert!(ended.status == 200 && ended.removes_cookie(), "{ended:?}");
        let mut moved = visitor.clone();
        moved.take_cookies(rotated);
        for id in [&visitor, &moved] {
            assert_eq!(race.look(id).await, NOTHING);
        }
    }
    eprintln!("rotation against logout: {overlaps} overlaps");
    assert_eq!(overlaps, race.rounds);
}
