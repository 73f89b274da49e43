//! The store suite is itself tested: an intact store passes every clause, and for each thing that a store
//! can get wrong there is a clause that notices.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;
use std::{panic, thread};

use session_conformance::store::{self, CLAUSES, StoreHarness};
use session_core::store::{Expect, SaveOutcome, SessionStore, StoreError, Touch, async_trait};
use session_core::{
    DecodeError, LiveRecord, Record, RecordState, SessionData, SessionRef, StoreKey, Timestamp,
    Version,
};
use tokio::task::yield_now;

use Defect::*;

/// What one store gets wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Defect {
    LookupCreates,
    LoadRemovesExpired,
    LoadExtends,
    ReturnsExpired,
    ExpiresLate,
    StripsNul,
    ManglesFourByteCharacters,
    CutsLongData,
    DropsLifetime,
    RoundsTimesToSeconds,
    CapsTimes,
    FoldsCaseOfKeys,
    CreateOverwrites,
    CreateOverwritesTombstones,
    CreateMindsExpired,
    Upserts,
    ForgetsSaves,
    SavesOntoExpired,
    SaveIgnoresVersion,
    SaveComparesHalfTheVersion,
    SaveNeverShortens,
    SaveKeepsTheUser,
    CountsVersions,
    ConflictIsSaved,
    MissingIsConflict,
    ConflictCarriesPrevious,
    ConflictCarriesExpectedVersion,
    ForgetsSuccessor,
    TombstonesNeverExpire,
    TombstonesAreOverwritten,
    TombstonesAreFinal,
    TouchRevives,
    TouchInserts,
    TouchLandsOnTombstone,
    TouchIgnoresVersion,
    TouchKeepsVersion,
    TouchShortens,
    TouchRewindsActivity,
    TouchDropsData,
    DeleteNeedsRecord,
    DeleteNeedsReadable,
    DeleteKeepsTombstones,
    DeleteOnlyHides,
    DeletesEverything,
    SweepLosesTombstones,
    SweepIsEarly,
    SweepOnlyCounts,
    SweepIgnoresLimit,
    SweepStopsShort,
    SweepGoesByFirstExpiry,
    SweepStopsAfterError,
    SweepChokesOnCorrupt,
    FailedLoadIsMissing,
    FailedSaveIsSaved,
    FailedSaveWasApplied,
    FailedTouchIsMissing,
    FailedDeleteIsDone,
    CorruptIsMissing,
    CorruptIsRemoved,
    CorruptIsOverwritten,
    NewerIsCorrupt,
    CreateLooksFirst,
    SaveLooksFirst,
    TouchLooksFirst,
    DeleteJumpsTheQueue,
    SweepLooksFirst,
    LocksPerClient,
    CachesReads,
    WritesInHalves,
    DroppedCallsKeepTheLock,
}

/// Each defect, and the clause that is there to notice it.
const NOTICED_BY: &[(Defect, &str)] = &[
    (LookupCreates, "an_unknown_key_is_missing"),
    (LoadRemovesExpired, "load_changes_nothing"),
    (LoadExtends, "load_changes_nothing"),
    (ReturnsExpired, "a_record_is_missing_from_its_expiry_on"),
    (ExpiresLate, "a_record_is_missing_from_its_expiry_on"),
    (StripsNul, "data_comes_back_byte_for_byte"),
    (ManglesFourByteCharacters, "data_comes_back_byte_for_byte"),
    (CutsLongData, "data_comes_back_byte_for_byte"),
    (DropsLifetime, "every_field_comes_back"),
    (RoundsTimesToSeconds, "every_field_comes_back"),
    (CapsTimes, "extreme_times_come_back"),
    (FoldsCaseOfKeys, "keys_are_kept_apart"),
    (CreateOverwrites, "create_never_overwrites_a_live_record"),
    (CreateOverwritesTombstones, "create_never_overwrites_a_tombstone"),
    (CreateMindsExpired, "create_replaces_an_expired_record"),
    (Upserts, "save_never_inserts"),
    (ForgetsSaves, "save_replaces_the_expected_version"),
    (SavesOntoExpired, "save_on_an_expired_record_is_missing"),
    (SaveIgnoresVersion, "save_with_another_version_conflicts"),
    (SaveComparesHalfTheVersion, "save_with_another_version_conflicts"),
    (SaveNeverShortens, "save_sets_the_expiry_as_given"),
    (SaveKeepsTheUser, "save_replaces_every_field"),
    (CountsVersions, "versions_are_stored_as_given"),
    (ConflictIsSaved, "save_with_another_version_conflicts"),
    (MissingIsConflict, "save_never_inserts"),
    (ConflictCarriesPrevious, "a_conflict_carries_the_current_record"),
    (ConflictCarriesExpectedVersion, "a_conflict_carries_the_current_record"),
    (ForgetsSuccessor, "tombstones_come_back_as_they_were"),
    (TombstonesNeverExpire, "a_tombstone_lasts_until_it_expires"),
    (TombstonesAreOverwritten, "a_stale_write_does_not_raise_the_dead"),
    (TombstonesAreFinal, "a_tombstone_is_replaced_by_its_version"),
    (TouchRevives, "touch_on_an_expired_record_is_missing"),
    (TouchInserts, "touch_never_inserts"),
    (TouchLandsOnTombstone, "touch_on_a_tombstone_is_missing"),
    (TouchIgnoresVersion, "touch_with_another_version_conflicts"),
    (TouchKeepsVersion, "a_save_from_before_a_touch_conflicts"),
    (TouchShortens, "touch_never_moves_a_time_back"),
    (TouchRewindsActivity, "touch_never_moves_a_time_back"),
    (TouchDropsData, "touch_moves_version_activity_and_expiry"),
    (DeleteNeedsRecord, "delete_of_a_missing_record_is_fine"),
    (DeleteNeedsReadable, "delete_removes_an_unreadable_record"),
    (DeleteKeepsTombstones, "delete_removes_whatever_is_there"),
    (DeleteOnlyHides, "delete_leaves_nothing_behind"),
    (DeletesEverything, "delete_leaves_other_keys_alone"),
    (SweepLosesTombstones, "a_sweep_keeps_what_has_not_expired"),
    (SweepIsEarly, "a_sweep_keeps_what_has_not_expired"),
    (SweepOnlyCounts, "a_sweep_removes_what_has_expired"),
    (SweepIgnoresLimit, "a_sweep_respects_its_limit"),
    (SweepStopsShort, "a_sweep_respects_its_limit"),
    (SweepGoesByFirstExpiry, "a_sweep_goes_by_the_latest_expiry"),
    (SweepStopsAfterError, "a_failed_sweep_does_not_stop_sweeping"),
    (SweepChokesOnCorrupt, "a_sweep_gets_past_unreadable_records"),
    (FailedLoadIsMissing, "a_failed_load_is_an_error"),
    (FailedSaveIsSaved, "a_failed_save_is_an_error"),
    (FailedSaveWasApplied, "a_failed_save_is_an_error"),
    (FailedTouchIsMissing, "a_failed_touch_is_an_error"),
    (FailedDeleteIsDone, "a_failed_delete_is_an_error"),
    (CorruptIsMissing, "a_corrupt_record_is_an_error_and_stays"),
    (CorruptIsRemoved, "a_corrupt_record_is_an_error_and_stays"),
    (CorruptIsOverwritten, "an_unreadable_record_is_not_overwritten"),
    (NewerIsCorrupt, "a_newer_record_is_told_from_a_corrupt_one"),
    (CreateLooksFirst, "one_of_many_creators_wins"),
    (SaveLooksFirst, "one_of_many_saves_wins"),
    (SaveLooksFirst, "no_increment_is_lost"),
    (SaveLooksFirst, "the_dead_stay_dead_in_a_race"),
    (TouchLooksFirst, "one_of_many_saves_and_touches_wins"),
    (DeleteJumpsTheQueue, "nothing_is_written_after_a_delete"),
    (SweepLooksFirst, "a_sweep_takes_nothing_that_was_extended"),
    (LocksPerClient, "one_of_many_saves_wins"),
    (CachesReads, "all_clients_see_every_write"),
    (CachesReads, "a_load_is_never_torn_or_stale"),
    (WritesInHalves, "a_load_is_never_torn_or_stale"),
    (WritesInHalves, "a_dropped_create_happened_or_did_not"),
    (WritesInHalves, "a_dropped_save_happened_or_did_not"),
    (WritesInHalves, "a_dropped_touch_happened_or_did_not"),
    (DroppedCallsKeepTheLock, "a_dropped_delete_happened_or_did_not"),
    (DroppedCallsKeepTheLock, "a_dropped_sweep_takes_nothing_alive"),
];

#[test]
fn an_intact_store_passes_every_clause() {
    for clause in CLAUSES {
        assert_eq!(failure(Harness::intact(), clause), None, "{clause}");
    }
}

/// A harness that can do nothing but make stores skips clauses, and fails none.
#[test]
fn a_harness_without_extras_passes_every_clause() {
    for clause in CLAUSES {
        let harness = Harness {
            has_extras: false,
            ..Harness::intact()
        };
        assert_eq!(failure(harness, clause), None, "{clause}");
    }
}

#[test]
fn every_defect_is_noticed_by_its_clause() {
    for (defect, clause) in NOTICED_BY {
        let noticed: Vec<_> = CLAUSES
            .iter()
            .filter(|clause| FAILURES.contains_key(&(*defect as usize, **clause)))
            .collect();
        eprintln!("{defect:?}: {noticed:?}");
        assert!(
            noticed.contains(&clause),
            "{clause} passes a store that has the defect {defect:?}"
        );
    }
}

#[test]
fn every_clause_can_fail() {
    for clause in CLAUSES {
        assert!(
            NOTICED_BY.iter().any(|(_, by)| by == clause),
            "no defect shows that {clause} can fail"
        );
    }
}

/// What a clause says names the answer that the store gave and the one that it has to give.
#[test]
fn failures_say_what_to_do() {
    let said = |defect: Defect, clause| FAILURES[&(defect as usize, clause)].as_str();
    let upsert = said(Upserts, "save_never_inserts");
    assert!(upsert.contains("was answered Saved; it has to change nothing, and be answered Missing"));
    let stripped = said(StripsNul, "data_comes_back_byte_for_byte");
    assert!(stripped.contains("data with a NUL character"), "{stripped}");
    assert!(stripped.contains("from byte"), "{stripped}");
}

/// A race whose calls never overlap proves nothing, and says so.
#[test]
fn a_race_without_overlaps_fails() {
    struct Memory;
    impl StoreHarness for Memory {
        type Store = session_store_memory::MemoryStore;
        async fn store(&self) -> Self::Store {
            Self::Store::default()
        }
    }
    let said = panic_of(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.expect("a runtime on this thread needs nothing");
        runtime.block_on(store::one_of_many_creators_wins(&Memory));
    });
    let said = said.expect("on one thread, the calls of a store that never waits can't overlap");
    assert!(said.contains("nothing is known about races"), "{said}");
}

#[test]
fn the_readme_names_every_clause() {
    let readme = include_str!("../README.md");
    for clause in CLAUSES {
        assert!(readme.contains(&format!("| `{clause}` |")), "{clause}");
    }
}

/// The message of each clause that fails on a store with a defect.
static FAILURES: LazyLock<HashMap<(usize, &str), String>> = LazyLock::new(|| {
    let mut failures = HashMap::new();
    for (defect, _) in NOTICED_BY {
        for clause in CLAUSES {
            let at = (*defect as usize, *clause);
            if failures.contains_key(&at) {
                continue;
            }
            let harness = Harness {
                defect: Some(*defect),
                ..Harness::intact()
            };
            if let Some(message) = failure(harness, clause) {
                failures.insert(at, message);
            }
        }
    }
    failures
});

/// How `clause` fails on what `harness` makes; `None` if it passes.
fn failure(harness: Harness, clause: &'static str) -> Option<String> {
    panic_of(move || store::run(store::check(clause, &harness)))
}

/// The message with which `work` panics; `None` if it doesn't. The panics that are looked for here are not
/// printed: they happen on threads of these names.
#[expect(clippy::expect_used, reason = "without a thread there is no test")]
fn panic_of(work: impl FnOnce() + Send + 'static) -> Option<String> {
    const NAME: &str = "panics are expected here";
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let thread = thread::current();
            let name = thread.name().unwrap_or_default();
            if name != NAME && !name.starts_with("tokio") {
                usual(panic);
            }
        }));
    });
    let thread = thread::Builder::new().name(NAME.into()).spawn(work);
    let panic = thread.expect("a thread can be had").join().err()?;
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    Some(text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default())
}

struct Harness {
    defect: Option<Defect>,
    /// Whether it can do what a harness may leave out.
    has_extras: bool,
}

impl Harness {
    fn intact() -> Self {
        Self {
            defect: None,
            has_extras: true,
        }
    }

    fn client(&self, engine: Arc<Engine>) -> TestStore {
        TestStore {
            engine,
            defect: self.defect,
            own_turn: tokio::sync::Mutex::default(),
            cache: Mutex::default(),
        }
    }
}

impl StoreHarness for Harness {
    type Store = TestStore;

    async fn store(&self) -> TestStore {
        self.client(Arc::default())
    }

    async fn second_client(&self, store: &TestStore) -> Option<TestStore> {
        self.has_extras.then(|| self.client(store.engine.clone()))
    }

    async fn fail_next(&self, store: &TestStore) -> bool {
        store.engine.fails_next.store(self.has_extras, Ordering::SeqCst);
        self.has_extras
    }

    async fn plant(&self, store: &TestStore, key: &StoreKey, bytes: &[u8]) -> bool {
        if self.has_extras {
            store.put(key, bytes.to_vec(), Timestamp::MAX);
        }
        self.has_extras
    }

    fn sweeps(&self) -> bool {
        self.has_extras
    }
}

/// What all clients of a store share: rows of bytes, and one writer at a time.
#[derive(Default)]
struct Engine {
    rows: Mutex<HashMap<String, Row>>,
    turn: tokio::sync::Mutex<()>,
    fails_next: AtomicBool,
    sweeping_stopped: AtomicBool,
    locked: AtomicBool,
    versions: AtomicU64,
}

struct Row {
    bytes: Vec<u8>,
    previous: Option<Vec<u8>>,
    first_expiry: Timestamp,
    hidden: bool,
}

/// A store that waits before, between and after its reads and writes, so that whatever isn't atomic shows.
struct TestStore {
    engine: Arc<Engine>,
    defect: Option<Defect>,
    own_turn: tokio::sync::Mutex<()>,
    cache: Mutex<HashMap<StoreKey, Record>>,
}

#[async_trait]
impl SessionStore for TestStore {
    async fn load(&self, key: &StoreKey, now: Timestamp) -> Result<Option<Record>, StoreError> {
        if let Err(error) = self.reach().await {
            return self.unless(FailedLoadIsMissing, None, error);
        }
        let cached = lock(&self.cache).get(key).cloned();
        if cached.is_some() {
            return Ok(cached);
        }
        let hidden = self.row(key, |row| row.hidden).unwrap_or_default();
        let Some(mut record) = self.read(key)?.filter(|_| !hidden) else {
            if self.has(LookupCreates) {
                self.put_record(key, &placeholder(Version::from_bytes([0; 16])));
            }
            return Ok(None);
        };
        if self.is_expired(&record, now) {
            if self.has(LoadRemovesExpired) {
                self.remove(key);
            }
            return Ok(self.has(ReturnsExpired).then_some(record));
        }
        if self.has(LoadExtends) {
            record.expires_at = record.expires_at.saturating_add(Duration::from_secs(60));
            self.put_record(key, &record);
        }
        if self.has(CachesReads) {
            lock(&self.cache).insert(*key, record.clone());
        }
        Ok(Some(record))
    }

    async fn save(
        &self,
        key: &StoreKey,
        record: Record,
        expect: Expect,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        let looks_first = match expect {
            Expect::Absent => CreateLooksFirst,
            Expect::Version(_) => SaveLooksFirst,
        };
        let _turn = self.turn(looks_first).await?;
        if let Err(error) = self.reach().await {
            if self.has(FailedSaveWasApplied) {
                self.put_record(key, &record);
            }
            return self.unless(FailedSaveIsSaved, SaveOutcome::Saved, error);
        }
        let outcome = self.judge(key, expect, now)?;
        yield_now().await;
        if outcome == SaveOutcome::Saved && !self.has(ForgetsSaves) {
            self.write(key, record).await;
        }
        self.end_turn();
        Ok(match (self.defect, outcome) {
            (Some(ConflictIsSaved), SaveOutcome::Conflict(_)) => SaveOutcome::Saved,
            (Some(MissingIsConflict), SaveOutcome::Missing) => SaveOutcome::Conflict(None),
            (_, outcome) => outcome,
        })
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        let _turn = self.turn(DeleteJumpsTheQueue).await?;
        if let Err(error) = self.reach().await {
            return self.unless(FailedDeleteIsDone, (), error);
        }
        let found = self.read(key);
        match (self.defect, found) {
            (Some(DeleteNeedsRecord), Ok(None)) => {
                return Err(StoreError::not_applied("there is nothing to delete"));
            }
            (Some(DeleteNeedsReadable), Err(error)) => return Err(error),
            (Some(DeleteKeepsTombstones), Ok(Some(record))) if record.live().is_none() => {}
            (Some(DeleteOnlyHides), Ok(Some(_))) => {
                lock(&self.engine.rows).entry(self.place(key)).and_modify(|row| row.hidden = true);
            }
            (Some(DeletesEverything), _) => lock(&self.engine.rows).clear(),
            _ => self.remove(key),
        }
        yield_now().await;
        self.end_turn();
        Ok(())
    }

    async fn touch(
        &self,
        key: &StoreKey,
        touch: Touch,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        let _turn = self.turn(TouchLooksFirst).await?;
        if let Err(error) = self.reach().await {
            return self.unless(FailedTouchIsMissing, SaveOutcome::Missing, error);
        }
        let counts = |record: &Record| self.has(TouchRevives) || !self.is_expired(record, now);
        let current = self.read(key)?.filter(counts);
        yield_now().await;
        let touched = match current {
            Some(record) => self.touched(record, touch),
            None if self.has(TouchInserts) => Ok(placeholder(touch.version)),
            None => Err(SaveOutcome::Missing),
        };
        let outcome = match touched {
            Ok(touched) => {
                self.write(key, touched).await;
                SaveOutcome::Saved
            }
            Err(outcome) => outcome,
        };
        self.end_turn();
        Ok(outcome)
    }

    async fn delete_expired(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let _turn = self.turn(SweepLooksFirst).await?;
        if self.engine.sweeping_stopped.load(Ordering::SeqCst) {
            return Ok(0);
        }
        if let Err(error) = self.reach().await {
            let stops = self.has(SweepStopsAfterError);
            self.engine.sweeping_stopped.store(stops, Ordering::SeqCst);
            return Err(error);
        }
        let limit = match self.defect {
            Some(SweepIgnoresLimit) => usize::MAX,
            Some(SweepStopsShort) => limit - 1,
            _ => limit,
        };
        let expired = self.expired(now, limit)?;
        yield_now().await;
        for place in expired.iter().filter(|_| !self.has(SweepOnlyCounts)) {
            lock(&self.engine.rows).remove(place);
        }
        self.end_turn();
        Ok(expired.len())
    }
}

impl TestStore {
    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    /// What a failure is answered: itself, unless the store has a defect that hides it.
    fn unless<T>(&self, defect: Defect, hidden: T, error: StoreError) -> Result<T, StoreError> {
        if self.has(defect) { Ok(hidden) } else { Err(error) }
    }

    async fn reach(&self) -> Result<(), StoreError> {
        yield_now().await;
        match self.engine.fails_next.swap(false, Ordering::SeqCst) {
            true => Err(StoreError::not_applied("the engine was told to fail")),
            false => Ok(()),
        }
    }

    /// Waits until no other writer is at work, except in a store whose defect it is not to.
    async fn turn(
        &self,
        looks_first: Defect,
    ) -> Result<Option<tokio::sync::MutexGuard<'_, ()>>, StoreError> {
        if self.has(DroppedCallsKeepTheLock) && self.engine.locked.swap(true, Ordering::SeqCst) {
            return Err(StoreError::not_applied("the lock is taken"));
        }
        let turn = if self.has(LocksPerClient) { &self.own_turn } else { &self.engine.turn };
        Ok(match self.has(looks_first) {
            true => None,
            false => Some(turn.lock().await),
        })
    }

    fn end_turn(&self) {
        self.engine.locked.store(false, Ordering::SeqCst);
    }

    fn judge(
        &self,
        key: &StoreKey,
        expect: Expect,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        let found = match self.read(key) {
            Err(_) if self.has(CorruptIsOverwritten) => None,
            found => found?,
        };
        let minds_expired = match expect {
            Expect::Absent => self.has(CreateMindsExpired),
            Expect::Version(_) => self.has(SavesOntoExpired),
        };
        let counts = |record: &Record| minds_expired || !self.is_expired(record, now);
        let current = found.filter(counts);
        if self.overlooks(expect, current.as_ref()) {
            return Ok(SaveOutcome::Saved);
        }
        let outcome = expect.check(current.as_ref());
        Ok(match (self.defect, expect, outcome, current) {
            (Some(TombstonesAreFinal), _, SaveOutcome::Saved, Some(record))
                if record.live().is_none() =>
            {
                SaveOutcome::Conflict(Some(Box::new(record)))
            }
            (Some(ConflictCarriesPrevious), _, SaveOutcome::Conflict(_), _) => {
                let previous = self.row(key, |row| row.previous.clone()).flatten();
                let previous = previous.and_then(|bytes| Record::decode(&bytes).ok());
                SaveOutcome::Conflict(previous.map(Box::new))
            }
            (
                Some(ConflictCarriesExpectedVersion),
                Expect::Version(version),
                SaveOutcome::Conflict(Some(record)),
                _,
            ) => SaveOutcome::Conflict(Some(Box::new(Record { version, ..*record }))),
            (_, _, outcome, _) => outcome,
        })
    }

    /// Whether a defect lets a save through that has to be refused.
    fn overlooks(&self, expect: Expect, current: Option<&Record>) -> bool {
        let half = |version: &Version| version.as_bytes()[..8].to_vec();
        match (self.defect, expect, current) {
            (Some(CreateOverwrites), Expect::Absent, Some(record)) => record.live().is_some(),
            (Some(CreateOverwritesTombstones), Expect::Absent, Some(record)) => {
                record.live().is_none()
            }
            (Some(Upserts), Expect::Version(_), None) => true,
            (Some(SaveIgnoresVersion), Expect::Version(_), Some(_)) => true,
            (Some(SaveComparesHalfTheVersion), Expect::Version(version), Some(record)) => {
                half(&version) == half(&record.version)
            }
            (Some(TombstonesAreOverwritten), Expect::Version(_), Some(record)) => {
                record.live().is_none()
            }
            _ => false,
        }
    }

    fn touched(&self, record: Record, mut touch: Touch) -> Result<Record, SaveOutcome> {
        if self.has(TouchIgnoresVersion) {
            touch.expected = record.version;
        }
        let mut touched = match touch.apply(record.clone()) {
            Err(SaveOutcome::Missing) if self.has(TouchLandsOnTombstone) => record.clone(),
            touched => touched?,
        };
        match self.defect {
            Some(TouchKeepsVersion) => touched.version = record.version,
            Some(TouchShortens) => touched.expires_at = touch.expires_at,
            Some(TouchLandsOnTombstone) => touched.version = touch.version,
            _ => {}
        }
        if let RecordState::Live(live) = &mut touched.state {
            match self.defect {
                Some(TouchRewindsActivity) => live.last_active_at = touch.last_active_at,
                Some(TouchDropsData) => live.data = SessionData::empty(),
                _ => {}
            }
        }
        Ok(touched)
    }

    fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<String>, StoreError> {
        let mut places = Vec::new();
        for (place, row) in lock(&self.engine.rows).iter() {
            let record = match Record::decode(&row.bytes) {
                Err(error) if self.has(SweepChokesOnCorrupt) => return Err(error.into()),
                Err(_) => continue,
                Ok(record) => record,
            };
            let expired = match self.defect {
                Some(SweepGoesByFirstExpiry) => row.first_expiry <= now,
                Some(SweepIsEarly) => record.expires_at.as_unix_millis() <= now.as_unix_millis() + 1,
                Some(SweepLosesTombstones) if record.live().is_none() => true,
                _ => self.is_expired(&record, now),
            };
            if expired && places.len() < limit {
                places.push(place.clone());
            }
        }
        Ok(places)
    }

    fn is_expired(&self, record: &Record, now: Timestamp) -> bool {
        match self.defect {
            Some(ExpiresLate) => now > record.expires_at,
            Some(TombstonesNeverExpire) if record.live().is_none() => false,
            _ => record.is_expired(now),
        }
    }

    fn read(&self, key: &StoreKey) -> Result<Option<Record>, StoreError> {
        match (self.defect, self.row(key, |row| Record::decode(&row.bytes))) {
            (Some(CorruptIsMissing), Some(Err(DecodeError::Corrupt))) => Ok(None),
            (Some(CorruptIsRemoved), Some(Err(error))) => {
                self.remove(key);
                Err(error.into())
            }
            (Some(NewerIsCorrupt), Some(Err(_))) => Err(DecodeError::Corrupt.into()),
            (_, decoded) => Ok(decoded.transpose()?),
        }
    }

    async fn write(&self, key: &StoreKey, mut record: Record) {
        let old = self.read(key).ok().flatten();
        self.spoil(&mut record, old.as_ref());
        let bytes = self.spoiled_bytes(&record);
        if self.has(WritesInHalves) {
            let old = self.row(key, |row| row.bytes.clone()).unwrap_or_default();
            // Up to here lie the version and the expiry, and behind it what else a touch changes.
            let half = bytes.len().min(26);
            let rest = old.get(half..).unwrap_or_default();
            self.put(key, [&bytes[..half], rest].concat(), record.expires_at);
            yield_now().await;
        }
        lock(&self.cache).remove(key);
        self.put(key, bytes, record.expires_at);
    }

    /// What a defect makes of a record before it is written.
    fn spoil(&self, record: &mut Record, old: Option<&Record>) {
        let old_user = old.and_then(Record::live).and_then(|live| live.user.clone());
        match (self.defect, &mut record.state) {
            (Some(CapsTimes), _) => {
                let last = Timestamp::from_unix_millis(u64::from(u32::MAX) * 1000);
                record.expires_at = record.expires_at.min(last);
            }
            (Some(CountsVersions), _) => {
                let count = self.engine.versions.fetch_add(1, Ordering::SeqCst);
                record.version = Version::from_bytes(u128::from(count).to_be_bytes());
            }
            (Some(SaveNeverShortens), _) => {
                let old = old.map(|old| old.expires_at).unwrap_or_default();
                record.expires_at = record.expires_at.max(old);
            }
            (Some(ForgetsSuccessor), RecordState::Superseded { successor, .. }) => {
                *successor = StoreKey::from_bytes([0; 32]);
            }
            (Some(DropsLifetime), RecordState::Live(live)) => live.lifetime = None,
            (Some(RoundsTimesToSeconds), RecordState::Live(live)) => {
                live.created_at = Timestamp::from_unix_millis(live.created_at.as_unix_secs() * 1000);
            }
            (Some(SaveKeepsTheUser), RecordState::Live(live)) => {
                live.user = live.user.take().or(old_user);
            }
            _ => {}
        }
    }

    fn spoiled_bytes(&self, record: &Record) -> Vec<u8> {
        let mut bytes = record.encode();
        match self.defect {
            Some(StripsNul) => substitute(&mut bytes, br"\u0000", b"      "),
            Some(ManglesFourByteCharacters) => substitute(&mut bytes, "🦀".as_bytes(), b"????"),
            Some(CutsLongData) => bytes.truncate(u16::MAX.into()),
            _ => {}
        }
        bytes
    }

    fn put_record(&self, key: &StoreKey, record: &Record) {
        self.put(key, record.encode(), record.expires_at);
    }

    fn put(&self, key: &StoreKey, bytes: Vec<u8>, expiry: Timestamp) {
        let mut rows = lock(&self.engine.rows);
        let old = rows.remove(&self.place(key));
        let row = Row {
            bytes,
            first_expiry: old.as_ref().map_or(expiry, |row| row.first_expiry),
            previous: old.map(|row| row.bytes),
            hidden: false,
        };
        rows.insert(self.place(key), row);
    }

    fn remove(&self, key: &StoreKey) {
        lock(&self.cache).remove(key);
        lock(&self.engine.rows).remove(&self.place(key));
    }

    fn row<T>(&self, key: &StoreKey, look: impl FnOnce(&Row) -> T) -> Option<T> {
        lock(&self.engine.rows).get(&self.place(key)).map(look)
    }

    fn place(&self, key: &StoreKey) -> String {
        let text = key.to_string();
        if self.has(FoldsCaseOfKeys) { text.to_lowercase() } else { text }
    }
}

/// A record that nobody asked for.
fn placeholder(version: Version) -> Record {
    let handle = SessionRef::from_bytes([0; 16]);
    let live = LiveRecord::new(SessionData::empty(), Timestamp::default(), handle);
    Record {
        version,
        expires_at: Timestamp::MAX,
        state: RecordState::Live(live),
    }
}

/// Replaces every `from` by a `to` of the same length.
fn substitute(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    for at in 0..bytes.len().saturating_sub(from.len() - 1) {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
