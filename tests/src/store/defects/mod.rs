//! Stores that get one thing wrong each, for the test of the suite.
//!
//! No part of the library: `tests/store_suite_is_tested.rs` includes it.

mod index;
mod store;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use session_conformance::store::StoreHarness;
use session_core::Timestamp;
use session_core::store::StoreKey;

use store::{Engine, TestStore};

/// What one store gets wrong.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Defect {
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
    IndexMixesUsers,
    IndexForgetsOrder,
    IndexKeepsReplaced,
    IndexKeepsRemoved,
    IndexListsExpired,
    CapCountsIds,
    FullAddsNevertheless,
    FailedListIsEmpty,
    SweepForgetsIndex,
    CapLooksFirst,
    ManyForgetOrder,
    ManyFailTogether,
    FailedManyAreMissing,
    CapStopsCounting,
    SampleHasExpired,
    SampleIsAlwaysTheSame,
    ReplacementComparesBytes,
    ReplacementUpserts,
    ReplacementLooksFirst,
}

/// Makes stores that share one defect, or none.
pub(crate) struct Harness {
    pub(crate) defect: Option<Defect>,
    /// Whether it can do what a harness may leave out.
    pub(crate) has_extras: bool,
}

impl Harness {
    pub(crate) fn intact() -> Self {
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
        store
            .engine
            .fails_next
            .store(self.has_extras, Ordering::SeqCst);
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
