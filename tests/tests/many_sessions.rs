//! What a user with many sessions costs, and what it takes to end them while others begin.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that meets the unexpected fails by panicking"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use session_conformance::adapter::{Call, Mood, SECRET, TestClock};
use session_core::adapter::CookieHeaders;
use session_core::store::{
    AddOutcome, EndedBy, Expect, FormerSession, IndexEntry, LiveRecord, MoveCause, Record,
    RecordState, Sample, SaveOptions, SaveOutcome, SessionData, SessionStore, StoreError, StoreKey,
    Touch, UserIndex, UserKey, Version, async_trait,
};
use session_core::{
    Clock as _, DropReason, Error, ErrorKind, Login, Session, SessionConfig, SessionManager,
    SessionRef, SessionUser, Timestamp, WhenFull,
};
use session_store_memory::MemoryStore;

#[path = "common/scene.rs"]
mod scene;

use scene::Scene;

/// A store that counts how often each of its methods is called.
#[derive(Clone, Default)]
struct CountingStore {
    inner: MemoryStore,
    calls: Arc<Mutex<BTreeMap<&'static str, usize>>>,
}

impl CountingStore {
    fn count(&self, call: &'static str) {
        *self.calls.lock().unwrap().entry(call).or_default() += 1;
    }

    fn take_calls(&self) -> BTreeMap<&'static str, usize> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

#[async_trait]
impl SessionStore for CountingStore {
    async fn load(&self, key: &StoreKey, now: Timestamp) -> Result<Option<Record>, StoreError> {
        self.count("load");
        self.inner.load(key, now).await
    }

    async fn load_many(
        &self,
        keys: &[StoreKey],
        now: Timestamp,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        assert!(keys.len() <= 32, "{} records at a time", keys.len());
        self.count("load_many");
        self.inner.load_many(keys, now).await
    }

    async fn save(
        &self,
        key: &StoreKey,
        record: Record,
        options: SaveOptions,
    ) -> Result<SaveOutcome, StoreError> {
        self.count("save");
        self.inner.save(key, record, options).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.count("delete");
        self.inner.delete(key).await
    }

    async fn touch(
        &self,
        key: &StoreKey,
        touch: Touch,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        self.count("touch");
        self.inner.touch(key, touch, now).await
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        Some(self)
    }
}

#[async_trait]
impl UserIndex for CountingStore {
    async fn add(
        &self,
        user: &UserKey,
        entry: IndexEntry,
        cap: Option<usize>,
        now: Timestamp,
    ) -> Result<AddOutcome, StoreError> {
        self.count("add");
        self.inner.add(user, entry, cap, now).await
    }

    async fn remove(&self, user: &UserKey, key: &StoreKey) -> Result<(), StoreError> {
        self.count("remove");
        self.inner.remove(user, key).await
    }

    async fn list(&self, user: &UserKey, now: Timestamp) -> Result<Vec<IndexEntry>, StoreError> {
        self.count("list");
        self.inner.list(user, now).await
    }

    async fn sample(
        &self,
        user: &UserKey,
        sample: Sample,
        now: Timestamp,
    ) -> Result<Vec<IndexEntry>, StoreError> {
        self.count("sample");
        self.inner.sample(user, sample, now).await
    }
}

/// A server on a store in which ada has that many live sessions.
async fn ada_with(count: u64, cap: Option<usize>) -> (SessionManager, CountingStore) {
    let (store, clock) = (CountingStore::default(), TestClock::new());
    let now = clock.now();
    let expires_at = now.saturating_add(Duration::from_secs(1_800));
    let ada = UserKey::of("session_id", "ada");
    for n in 0..count {
        let key = StoreKey::from_bytes(scattered(n));
        let reference = SessionRef::from_bytes(u128::from(n).to_le_bytes());
        let mut live = LiveRecord::new(SessionData::empty(), now, reference);
        live.user = Some(SessionUser::new("ada", now).into());
        let version = Version::from_bytes(u128::from(n).to_le_bytes());
        let record = Record::new(version, expires_at, RecordState::Live(live));
        let options = SaveOptions::new(Expect::Absent, now);
        let saved = store.inner.save(&key, record, options).await.unwrap();
        assert_eq!(saved, SaveOutcome::Saved);
        let entry = IndexEntry::new(key, reference, now, expires_at);
        store.inner.add(&ada, entry, None, now).await.unwrap();
    }
    let config = SessionConfig::builder(SECRET);
    let config = match cap {
        Some(cap) => config.max_sessions_per_user(cap, WhenFull::EndOldest),
        None => config.unlimited_sessions_per_user(),
    };
    let manager = SessionManager::builder(config.build().unwrap(), store.clone())
        .clock(clock)
        .build()
        .unwrap();
    (manager, store)
}

/// As evenly distributed as the hashes that keys really are.
fn scattered(n: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (part, chunk) in (1..).zip(bytes.chunks_exact_mut(8)) {
        let mixed = (n * 4 + part).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        chunk.copy_from_slice(&mixed.to_be_bytes());
    }
    bytes
}

async fn log_in(manager: &SessionManager) {
    let handle = manager.handle();
    let request = async {
        let session: Session = handle.load(&CookieHeaders(&[])).await.unwrap();
        session.login("ada").unwrap();
    };
    let ((), finished) = handle.run(request).await;
    assert!(finished.error().is_none() && finished.changes_client());
}

/// US-3: a login costs as many calls with a hundred thousand sessions as with a thousand; with few there are none to
/// look after.
#[tokio::test]
async fn a_login_costs_the_same_at_any_number_of_sessions() {
    let calls_of = async |count: u64, cap: Option<usize>| {
        let (manager, store) = ada_with(count, cap).await;
        log_in(&manager).await;
        let calls = store.take_calls();
        eprintln!("a login beside {count} sessions, cap {cap:?}: {calls:?}");
        calls
    };
    let begins = BTreeMap::from([("add", 1), ("save", 1)]);
    assert_eq!(calls_of(0, None).await, begins);
    assert_eq!(calls_of(0, Some(1)).await, begins);
    let tidies = BTreeMap::from([("add", 1), ("sample", 1), ("load_many", 1), ("save", 1)]);
    let makes_room = BTreeMap::from([
        ("add", 2),
        ("sample", 1),
        ("load_many", 1),
        ("load", 1),
        ("save", 2),
        ("remove", 1),
    ]);
    assert_eq!(calls_of(1, Some(1)).await, makes_room);
    for count in [1_000, 100_000] {
        assert_eq!(calls_of(count, None).await, tidies);
        let cap = usize::try_from(count).unwrap();
        let mut at_the_cap = calls_of(count, Some(cap)).await;
        // The addition that goes through tidies, as it would without a cap.
        assert_eq!(at_the_cap.remove("sample"), Some(2));
        assert_eq!(at_the_cap.remove("load_many"), Some(2));
        for (call, times) in at_the_cap {
            assert_eq!(makes_room[call], times, "{call}");
        }
    }
}

/// US-3: unless it is configured otherwise, a user has a hundred sessions, and the oldest one makes room for the next.
#[tokio::test]
async fn a_user_has_a_hundred_sessions_by_default() {
    const DEFAULT: usize = 100;
    let scene = Scene::new(|config| config);
    for n in 0..DEFAULT + 3 {
        scene.log_in("ada".into()).await.unwrap();
        scene.clock.advance(Duration::from_secs(1));
        let sessions = scene.manager.list_sessions("ada").await.unwrap();
        assert_eq!(sessions.len(), (n + 1).min(DEFAULT));
    }
    let sessions = scene.manager.list_sessions("ada").await.unwrap();
    let oldest = sessions.iter().map(|info| info.authenticated_at).min();
    let age = scene.clock.now().saturating_since(oldest.unwrap());
    assert_eq!(
        age,
        Duration::from_secs(DEFAULT as u64),
        "the first three went"
    );
}

/// US-2: listing loads records 32 at a time, and ending costs two calls for each session beside that.
#[tokio::test]
async fn listing_and_ending_many_sessions_goes_in_batches() {
    const SESSIONS: usize = 1_000;
    let (manager, store) = ada_with(SESSIONS as u64, None).await;
    assert_eq!(manager.list_sessions("ada").await.unwrap().len(), SESSIONS);
    let calls = store.take_calls();
    eprintln!("listing {SESSIONS} sessions: {calls:?}");
    let batches = SESSIONS.div_ceil(32);
    assert_eq!(calls, [("list", 1), ("load_many", batches)].into());

    assert_eq!(manager.end_all_sessions("ada").await.unwrap(), SESSIONS);
    let calls = store.take_calls();
    eprintln!("ending {SESSIONS} sessions: {calls:?}");
    let expected = [
        ("list", 1),
        ("load_many", batches),
        ("save", SESSIONS),
        ("remove", SESSIONS),
    ];
    assert_eq!(calls, expected.into());
    assert_eq!(manager.list_sessions("ada").await.unwrap().len(), 0);
}

/// CM-8, US-5: an ending follows an id to where its session lives now, and no further than to another user's session,
/// whatever lies in the store.
#[tokio::test]
async fn a_chain_never_leads_to_another_users_session() {
    let scene = Scene::new(|config| config);
    let adas_cookie = scene.log_in("ada".into()).await.unwrap();
    let bobs_cookie = scene.log_in("bob".into()).await.unwrap();
    let (adas, bobs) = (scene.entries("ada").await[0], scene.entries("bob").await[0]);
    // No code of ours writes this: a tombstone of Ada's that leads to Bob's session.
    let (store, now) = (scene.store.records(), scene.clock.now());
    let old = store.load(&adas.key, now).await.unwrap().unwrap();
    let ada = UserKey::of("session_id", "ada");
    let former = FormerSession::new(Some(adas.reference), Some(ada));
    let version = Version::from_bytes([7; 16]);
    let state = RecordState::superseded(bobs.key, version, MoveCause::Rotation, now, former);
    let tombstone = Record::new(version, old.expires_at, state);
    let options = SaveOptions::new(Expect::Version(old.version), now);
    store.save(&adas.key, tombstone, options).await.unwrap();

    let logout = scene.request(&adas_cookie, async |session| {
        session.logout();
        Ok(())
    });
    logout.await.unwrap();
    assert_eq!(scene.manager.end_all_sessions("ada").await.unwrap(), 0);
    let check = scene.request(&bobs_cookie, async |session| {
        assert_eq!(&*session.user().unwrap().name, "bob");
        Ok(())
    });
    check.await.unwrap();
}

/// US-5: an entry that leads to another user's session shows and ends nothing, whatever lies in the store, and goes.
#[tokio::test]
async fn an_entry_never_shows_another_users_session() {
    let scene = Scene::new(|config| config);
    scene.log_in("bob".into()).await.unwrap();
    let bobs = scene.entries("bob").await[0];
    let (store, ada) = (scene.store.records(), UserKey::of("session_id", "ada"));
    let added = store.add(&ada, bobs, None, scene.clock.now()).await;
    assert_eq!(added.unwrap(), AddOutcome::Added(1));
    assert_eq!(scene.manager.list_sessions("ada").await.unwrap(), []);
    assert_eq!(scene.entries("ada").await, []);
    assert_eq!(scene.manager.list_sessions("bob").await.unwrap().len(), 1);
}

/// CM-8: a logout with the id from before a login asks the store for nothing more than what that id leads to, and writes
/// nothing, also where the login's session is no longer there.
#[tokio::test]
async fn a_logout_with_an_id_from_before_a_login_goes_no_further() {
    let scene = Scene::new(|config| config);
    let visitor = scene.request("", async |session| session.set("n", 1));
    let visitor = visitor.await.unwrap();
    let login = scene.request(&visitor, async |session| session.login("ada"));
    login.await.unwrap();
    let adas = scene.entries("ada").await[0].key;
    scene.store.records().delete(&adas).await.unwrap();
    scene.store.take_calls();
    let logout = scene.request(&visitor, async |session| {
        session.logout();
        Ok(())
    });
    assert_eq!(logout.await.unwrap(), visitor, "no cookie is sent");
    assert_eq!(scene.store.take_calls(), [Call::Load]);
}

/// CM-8: a logout whose record goes while it is under way puts its tombstone where nothing lies.
#[tokio::test]
async fn a_logout_ends_what_has_gone_meanwhile() {
    let scene = Scene::new(|config| config);
    let cookie = scene.log_in("ada".into()).await.unwrap();
    let key = scene.entries("ada").await[0].key;
    let logout = scene.request(&cookie, async |session| {
        scene.store.records().delete(&key).await.unwrap();
        session.logout();
        Ok(())
    });
    logout.await.unwrap();
    let record = scene.store.records().load(&key, scene.clock.now()).await;
    let record = record.unwrap().unwrap();
    assert!(
        matches!(record.state, RecordState::Ended { .. }),
        "{record:?}"
    );
}

/// CM-7: a rotation whose old id certainly didn't die takes its new record back, so that one session is left.
#[tokio::test]
async fn a_rotation_that_certainly_failed_leaves_one_record() {
    let scene = Scene::new(|config| config);
    let cookie = scene.log_in("ada".into()).await.unwrap();
    let rotation = scene.request(&cookie, async |session| {
        scene.store.set(Call::Tombstone, Mood::Fails);
        scene.store.set(Call::Load, Mood::Fails);
        session.regenerate();
        Ok(())
    });
    let error = rotation.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    assert_eq!(scene.store.records().len(), 1);
    assert_eq!(scene.entries("ada").await.len(), 1);
}

/// CM-8: a login that can't learn what an earlier one left fails visibly. It doesn't begin beside it.
#[tokio::test]
async fn a_login_that_cannot_look_at_the_earlier_one_fails() {
    let scene = Scene::new(|config| config);
    let visitor = scene.request("", async |session| session.set("n", 1));
    let visitor = visitor.await.unwrap();
    let login = scene.request(&visitor, async |session| session.login("ada"));
    login.await.unwrap();
    let again = scene.request(&visitor, async |session| {
        scene.store.set(Call::Load, Mood::Fails);
        session.login("ada")
    });
    let error = again.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    scene.store.set(Call::Load, Mood::Works);
    assert_eq!(scene.manager.list_sessions("ada").await.unwrap().len(), 1);
}

/// US-3: a login at the cap finds the places of the dead also where they aren't the oldest: half of what it looks at is
/// chosen at random.
#[tokio::test]
async fn a_place_of_the_dead_is_found_behind_the_oldest() {
    let scene = Scene::new(|config| config.max_sessions_per_user(32, WhenFull::EndOldest));
    for n in 0..32 {
        let login = Login::new("ada").remember(n < 16);
        scene.log_in(login).await.unwrap();
        scene.clock.advance(Duration::from_secs(1));
    }
    // Those that aren't remembered have expired, by every clock.
    scene.clock.advance(Duration::from_secs(2 * 3_600));
    scene.log_in("ada".into()).await.unwrap();
    assert_eq!(scene.manager.list_sessions("ada").await.unwrap().len(), 17);
}

/// What a request came to: whether it changed the browser's cookie.
type Ended = tokio::task::JoinHandle<Result<bool, Error>>;

/// A request that is held when the entry of a new id is in the index and its record isn't there yet.
async fn begins(
    scene: &Scene,
    cookie: &str,
    act: fn(&Session) -> Result<(), Error>,
) -> (Ended, Arc<session_conformance::adapter::Gate>) {
    let gate = scene.store.hold(Call::Create);
    let (manager, cookie) = (scene.manager.clone(), cookie.to_owned());
    let request = tokio::spawn(async move {
        let handle = manager.handle();
        let headers = [cookie.as_bytes()];
        let request = async {
            let session: Session = handle.load(&CookieHeaders(&headers)).await?;
            act(&session)
        };
        let (result, finished) = handle.run(request).await;
        result?;
        let error = finished.error().cloned();
        error.map_or(Ok(finished.changes_client()), Err)
    });
    gate.wait_for(1).await;
    scene.store.set(Call::Create, Mood::Works);
    (request, gate)
}

/// A login of ada's that is held like that.
async fn begins_a_login(scene: &Scene) -> (Ended, Arc<session_conformance::adapter::Gate>) {
    begins(scene, "", |session| session.login("ada")).await
}

/// CM-9: a mere rotation that meets the end of all of the user's sessions before its new record is there has lost, as
/// any other commit that meets the end of its session: the response stands without a cookie, and the hook is told.
#[tokio::test]
async fn a_rotation_that_was_ended_before_its_record_was_there_has_lost() {
    let dropped = Arc::new(Mutex::new(Vec::new()));
    let told = dropped.clone();
    let scene = Scene::new(|config| {
        config.on_dropped(move |changes| told.lock().unwrap().push(changes.reason))
    });
    let cookie = scene.log_in("ada".into()).await.unwrap();
    let (rotation, gate) = begins(&scene, &cookie, |session| {
        session.regenerate();
        session.set("n", 1)
    })
    .await;
    assert_eq!(scene.manager.end_all_sessions("ada").await.unwrap(), 1);
    gate.open();
    assert!(!rotation.await.unwrap().unwrap(), "no cookie is sent");
    assert_eq!(*dropped.lock().unwrap(), [DropReason::LostRace]);
    assert_eq!(scene.manager.list_sessions("ada").await.unwrap(), []);
    assert_eq!(scene.entries("ada").await, []);
}

/// US-3: a login at the cap waits three times for one that is under way, which may leave its place, before it ends a
/// session that lives.
#[tokio::test]
async fn a_login_at_the_cap_waits_for_one_that_is_under_way() {
    let scene = Scene::new(|config| config.max_sessions_per_user(2, WhenFull::EndOldest));
    scene.log_in("ada".into()).await.unwrap();
    let (under_way, gate) = begins_a_login(&scene).await;
    scene.store.take_calls();
    scene.log_in("ada".into()).await.unwrap();
    let calls = scene.store.take_calls();
    let count = |call| calls.iter().filter(|other| **other == call).count();
    // Both entries, four times, and what is ended.
    assert_eq!((count(Call::Load), count(Call::Tombstone)), (9, 1));
    gate.open();
    under_way.await.unwrap().unwrap();
    assert_eq!(scene.manager.list_sessions("ada").await.unwrap().len(), 2);
}

/// US-2: whoever ends all of a user's sessions means the login that is under way too, which fails visibly.
#[tokio::test]
async fn a_login_that_was_ended_before_its_record_was_there_fails() {
    let scene = Scene::new(|config| config);
    let (login, gate) = begins_a_login(&scene).await;
    assert_eq!(scene.manager.end_all_sessions("ada").await.unwrap(), 0);
    gate.open();
    let error = login.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.to_string().contains("were ended"), "{error}");
    assert_eq!(scene.manager.list_sessions("ada").await.unwrap(), []);
    assert_eq!(scene.entries("ada").await, []);
}

/// US-3: a login whose id was given up as left behind, because its record took so long, draws another one.
#[tokio::test]
async fn a_login_whose_id_was_given_up_draws_another_one() {
    let scene = Scene::new(|config| config.max_sessions_per_user(1, WhenFull::EndOldest));
    let (login, gate) = begins_a_login(&scene).await;
    let given_up = scene.entries("ada").await[0].key;
    // Longer than any commit takes, so that the next login takes the entry for one that was left behind.
    scene.clock.advance(Duration::from_secs(120));
    scene.log_in("ada".into()).await.unwrap();
    let record = scene.store.records().load(&given_up, scene.clock.now());
    let record = record.await.unwrap().unwrap();
    let by_expiry = matches!(
        record.state,
        RecordState::Ended {
            by: EndedBy::Expiry,
            ..
        }
    );
    assert!(by_expiry, "{record:?}");
    gate.open();
    login.await.unwrap().unwrap();
    let entries = scene.entries("ada").await;
    assert_eq!(entries.len(), 1, "the cap holds: {entries:?}");
    assert_ne!(entries[0].key, given_up);
    assert_eq!(scene.manager.list_sessions("ada").await.unwrap().len(), 1);
}

/// US-2: a login that merges what another request wrote, and is ended before that is stored, fails visibly.
#[tokio::test]
async fn a_login_that_was_ended_while_it_merged_fails() {
    let scene = Scene::new(|config| config);
    let visitor = scene.request("", async |session| session.set("n", 1));
    let visitor = visitor.await.unwrap();
    let (manager, cookie) = (scene.manager.clone(), visitor.clone());
    let (loaded, has_loaded) = tokio::sync::oneshot::channel();
    let (go_on, goes_on) = tokio::sync::oneshot::channel::<()>();
    let login = tokio::spawn(async move {
        let handle = manager.handle();
        let request = async {
            let headers = [cookie.as_bytes()];
            let session: Session = handle.load(&CookieHeaders(&headers)).await?;
            loaded.send(()).unwrap();
            goes_on.await.unwrap();
            session.login("ada")
        };
        let (result, finished) = handle.run(request).await;
        result?;
        finished.error().map_or(Ok(()), |error| Err(error.clone()))
    });
    has_loaded.await.unwrap();
    let change = scene.request(&visitor, async |session| session.set("n", 2));
    change.await.unwrap();
    let gate = scene.store.hold(Call::Update);
    go_on.send(()).unwrap();
    // The session has its new id, and what was written meanwhile is about to be stored there.
    gate.wait_for(1).await;
    assert_eq!(scene.manager.end_all_sessions("ada").await.unwrap(), 1);
    gate.open();
    let error = login.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.to_string().contains("were ended"), "{error}");
    assert_eq!(scene.manager.list_sessions("ada").await.unwrap(), []);
}
