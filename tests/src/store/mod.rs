//! The store suite: one function for each sentence of [`SessionStore`]'s contract.
//!
//! A store's author implements [`StoreHarness`], which makes empty stores, and calls
//! [`store_suite!`](crate::store_suite), which turns every clause into a test. A clause panics with a
//! message that says what the store did and what it has to do.
//!
//! Every clause makes stores of its own, passes `now` to every call and neither sleeps nor waits for a
//! time. Its times are near the real one, and nothing that has to stay expires earlier than ten minutes
//! from now, so that an engine that expires records by its own clock takes none away too soon.
//!
//! [`SessionStore`]: session_core::store::SessionStore

mod bench;
mod cancel;
mod corrupt;
mod crowd;
mod delete;
mod expiry;
mod failure;
mod fidelity;
mod harness;
mod index;
mod many;
mod overlap;
mod race;
mod race_to_the_end;
mod records;
mod save;
mod sweep;
mod tombstone;
mod touch;
mod verdict;

pub use cancel::*;
pub use corrupt::*;
pub use crowd::*;
pub use delete::*;
pub use expiry::*;
pub use failure::*;
pub use fidelity::*;
pub use harness::StoreHarness;
pub use index::*;
pub use many::*;
pub use race::*;
pub use race_to_the_end::*;
pub use save::*;
pub use sweep::*;
pub use tombstone::*;
pub use touch::*;

/// Makes every clause of the store suite a test of its own.
///
/// Takes an expression that makes a [`StoreHarness`]; each test evaluates it anew, inside a tokio runtime
/// with two workers. Two suites in one file need a module each.
#[macro_export]
macro_rules! store_suite {
    ($harness:expr) => {
        $crate::__store_clauses! { $crate::__store_tests, ($harness) }
    };
}

/// Expands to one test per clause.
#[doc(hidden)]
#[macro_export]
macro_rules! __store_tests {
    (($harness:expr) $($clause:ident)*) => { $(
        #[test]
        fn $clause() {
            $crate::store::run(async { $crate::store::$clause(&$harness).await });
        }
    )* };
}

/// The one list of clauses: passes their names on to another macro, behind the argument it is given.
#[doc(hidden)]
#[macro_export]
macro_rules! __store_clauses {
    ($then:path, $argument:tt) => {
        $then! { $argument
            an_unknown_key_is_missing
            every_field_comes_back
            data_comes_back_byte_for_byte
            extreme_times_come_back
            load_changes_nothing
            keys_are_kept_apart
            all_clients_see_every_write
            many_records_are_loaded_as_each_alone

            create_never_overwrites_a_live_record
            create_never_overwrites_a_tombstone
            save_replaces_the_expected_version
            save_with_another_version_conflicts
            save_never_inserts
            save_replaces_every_field
            save_sets_the_expiry_as_given
            versions_are_stored_as_given
            a_conflict_carries_the_current_record
            a_replacement_goes_by_the_version
            a_replacement_never_inserts

            a_record_is_missing_from_its_expiry_on
            create_replaces_an_expired_record
            save_on_an_expired_record_is_missing
            touch_on_an_expired_record_is_missing

            tombstones_come_back_as_they_were
            a_tombstone_lasts_until_it_expires
            a_stale_write_does_not_raise_the_dead
            a_tombstone_is_replaced_by_its_version
            touch_on_a_tombstone_is_missing

            touch_moves_version_activity_and_expiry
            touch_never_moves_a_time_back
            touch_with_another_version_conflicts
            touch_never_inserts
            a_save_from_before_a_touch_conflicts

            delete_removes_whatever_is_there
            delete_of_a_missing_record_is_fine
            delete_leaves_nothing_behind
            delete_leaves_other_keys_alone

            a_sweep_removes_what_has_expired
            a_sweep_keeps_what_has_not_expired
            a_sweep_respects_its_limit
            a_sweep_goes_by_the_latest_expiry
            a_failed_sweep_does_not_stop_sweeping
            a_sweep_gets_past_unreadable_records

            a_failed_load_is_an_error
            a_failed_load_of_many_is_an_error
            a_failed_save_is_an_error
            a_failed_touch_is_an_error
            a_failed_delete_is_an_error
            a_corrupt_record_is_an_error_and_stays
            a_newer_record_is_told_from_a_corrupt_one
            an_unreadable_record_is_not_overwritten
            an_unreadable_record_of_many_hides_no_other
            delete_removes_an_unreadable_record

            index_entries_come_back
            an_index_entry_is_replaced_by_its_key
            removed_index_entries_are_gone
            an_index_entry_is_missing_from_its_expiry_on
            the_index_counts_sessions_against_the_cap
            a_large_index_takes_another_entry
            a_sample_is_of_the_users_entries
            a_sample_reaches_every_entry
            a_failed_index_call_is_an_error
            a_sweep_removes_expired_index_entries

            one_of_many_creators_wins
            one_of_many_saves_wins
            one_of_many_replacements_wins
            one_of_many_saves_and_touches_wins
            no_increment_is_lost
            the_dead_stay_dead_in_a_race
            nothing_is_written_after_a_delete
            a_load_is_never_torn_or_stale
            a_sweep_takes_nothing_that_was_extended
            the_cap_holds_in_a_race
            a_crowd_at_one_session_gets_through

            a_dropped_create_happened_or_did_not
            a_dropped_save_happened_or_did_not
            a_dropped_touch_happened_or_did_not
            a_dropped_delete_happened_or_did_not
            a_dropped_sweep_takes_nothing_alive
        }
    };
}

macro_rules! list_and_dispatch {
    (() $($clause:ident)*) => {
        /// The names of all clauses.
        pub const CLAUSES: &[&str] = &[$(stringify!($clause)),*];

        /// Checks one clause, by its name. Panics if the store breaks it, or if there is no such clause.
        ///
        /// The clauses about races need a runtime with at least two workers, as [`run`] has.
        pub async fn check<H: StoreHarness>(clause: &str, harness: &H) {
            // The futures are boxed because the match would otherwise be as large as all of them.
            match clause {
                $(stringify!($clause) => Box::pin($clause(harness)).await,)*
                _ => panic!("the store suite has no clause `{clause}`"),
            }
        }
    };
}

__store_clauses! { list_and_dispatch, () }

/// Runs a clause on a tokio runtime with two workers, which is what it takes for calls to overlap.
pub fn run(clause: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime needs threads, and the system gave none")
        .block_on(clause);
}
