//! The store suite is itself tested: an intact store passes every clause, and for each thing that a store
//! can get wrong there is a clause that notices.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use session_conformance::store::{self, CLAUSES, StoreHarness};

#[path = "../src/store/defects/mod.rs"]
mod defects;
#[path = "common/panics.rs"]
mod panics;

use defects::Defect::{self, *};
use defects::Harness;
use panics::panic_of;

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
    (
        CreateOverwritesTombstones,
        "create_never_overwrites_a_tombstone",
    ),
    (CreateMindsExpired, "create_replaces_an_expired_record"),
    (Upserts, "save_never_inserts"),
    (ForgetsSaves, "save_replaces_the_expected_version"),
    (SavesOntoExpired, "save_on_an_expired_record_is_missing"),
    (SaveIgnoresVersion, "save_with_another_version_conflicts"),
    (
        SaveComparesHalfTheVersion,
        "save_with_another_version_conflicts",
    ),
    (SaveNeverShortens, "save_sets_the_expiry_as_given"),
    (SaveKeepsTheUser, "save_replaces_every_field"),
    (CountsVersions, "versions_are_stored_as_given"),
    (ConflictIsSaved, "save_with_another_version_conflicts"),
    (MissingIsConflict, "save_never_inserts"),
    (
        ConflictCarriesPrevious,
        "a_conflict_carries_the_current_record",
    ),
    (
        ConflictCarriesExpectedVersion,
        "a_conflict_carries_the_current_record",
    ),
    (ForgetsSuccessor, "tombstones_come_back_as_they_were"),
    (TombstonesNeverExpire, "a_tombstone_lasts_until_it_expires"),
    (
        TombstonesAreOverwritten,
        "a_stale_write_does_not_raise_the_dead",
    ),
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
    (
        SweepStopsAfterError,
        "a_failed_sweep_does_not_stop_sweeping",
    ),
    (SweepChokesOnCorrupt, "a_sweep_gets_past_unreadable_records"),
    (FailedLoadIsMissing, "a_failed_load_is_an_error"),
    (FailedSaveIsSaved, "a_failed_save_is_an_error"),
    (FailedSaveWasApplied, "a_failed_save_is_an_error"),
    (FailedTouchIsMissing, "a_failed_touch_is_an_error"),
    (FailedDeleteIsDone, "a_failed_delete_is_an_error"),
    (CorruptIsMissing, "a_corrupt_record_is_an_error_and_stays"),
    (CorruptIsRemoved, "a_corrupt_record_is_an_error_and_stays"),
    (
        CorruptIsOverwritten,
        "an_unreadable_record_is_not_overwritten",
    ),
    (NewerIsCorrupt, "a_newer_record_is_told_from_a_corrupt_one"),
    (CreateLooksFirst, "one_of_many_creators_wins"),
    (SaveLooksFirst, "one_of_many_saves_wins"),
    (SaveLooksFirst, "no_increment_is_lost"),
    (SaveLooksFirst, "the_dead_stay_dead_in_a_race"),
    (SaveLooksFirst, "a_crowd_at_one_session_gets_through"),
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
    (IndexMixesUsers, "index_entries_come_back"),
    (IndexForgetsOrder, "index_entries_come_back"),
    (IndexKeepsReplaced, "an_index_entry_is_replaced_by_its_key"),
    (IndexKeepsRemoved, "removed_index_entries_are_gone"),
    (
        IndexListsExpired,
        "an_index_entry_is_missing_from_its_expiry_on",
    ),
    (CapCountsIds, "the_index_counts_sessions_against_the_cap"),
    (
        FullAddsNevertheless,
        "the_index_counts_sessions_against_the_cap",
    ),
    (FailedListIsEmpty, "a_failed_index_call_is_an_error"),
    (SweepForgetsIndex, "a_sweep_removes_expired_index_entries"),
    (CapLooksFirst, "the_cap_holds_in_a_race"),
    (ManyForgetOrder, "many_records_are_loaded_as_each_alone"),
    (
        ManyFailTogether,
        "an_unreadable_record_of_many_hides_no_other",
    ),
    (FailedManyAreMissing, "a_failed_load_of_many_is_an_error"),
    (CapStopsCounting, "a_large_index_takes_another_entry"),
    (SampleHasExpired, "a_sample_is_of_the_users_entries"),
    (SampleIsAlwaysTheSame, "a_sample_reaches_every_entry"),
    (
        ReplacementComparesBytes,
        "a_replacement_goes_by_the_version",
    ),
    (ReplacementUpserts, "a_replacement_never_inserts"),
    (ReplacementLooksFirst, "one_of_many_replacements_wins"),
    (
        DroppedCallsKeepTheLock,
        "a_dropped_delete_happened_or_did_not",
    ),
    (
        DroppedCallsKeepTheLock,
        "a_dropped_sweep_takes_nothing_alive",
    ),
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

/// Prints which other clauses notice it too.
#[test]
fn every_defect_is_noticed_by_its_clause() {
    for (defect, clause) in NOTICED_BY {
        let noticed: Vec<_> = CLAUSES
            .iter()
            .filter(|clause| FAILURES.contains_key(&(*defect, **clause)))
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
    let said = |defect: Defect, clause| FAILURES[&(defect, clause)].as_str();
    let upsert = said(Upserts, "save_never_inserts");
    assert!(
        upsert.contains("was answered Saved; it has to change nothing, and be answered Missing")
    );
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
static FAILURES: LazyLock<HashMap<(Defect, &str), String>> = LazyLock::new(|| {
    let defects: HashSet<_> = NOTICED_BY.iter().map(|(defect, _)| *defect).collect();
    let mut failures = HashMap::new();
    for defect in defects {
        for clause in CLAUSES {
            if SLOW.contains(clause) && !NOTICED_BY.contains(&(defect, clause)) {
                continue;
            }
            let harness = Harness {
                defect: Some(defect),
                ..Harness::intact()
            };
            if let Some(message) = failure(harness, clause) {
                failures.insert((defect, *clause), message);
            }
        }
    }
    failures
});

/// The races are only run on the stores whose defect they are there to notice: all of them on all stores
/// would take minutes.
const SLOW: &[&str] = &[
    "one_of_many_creators_wins",
    "one_of_many_saves_wins",
    "one_of_many_saves_and_touches_wins",
    "no_increment_is_lost",
    "the_dead_stay_dead_in_a_race",
    "nothing_is_written_after_a_delete",
    "a_load_is_never_torn_or_stale",
    "a_sweep_takes_nothing_that_was_extended",
    "the_cap_holds_in_a_race",
    "a_crowd_at_one_session_gets_through",
];

/// How `clause` fails on what `harness` makes; `None` if it passes.
fn failure(harness: Harness, clause: &'static str) -> Option<String> {
    panic_of(move || store::run(store::check(clause, &harness)))
}
