//! Tombstones are records, and keep an ended session ended until they expire.

use session_core::store::Record;

use super::bench::Bench;
use super::harness::StoreHarness;
use super::records::{after, fresh_version, just_before};
use super::verdict::{assert_conflict, assert_missing, assert_same, assert_saved};

/// A tombstone comes back with everything in it, the successor and the time of death included, whether
/// it was created or took the place of a live record.
pub async fn tombstones_come_back_as_they_were(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    for tombstone in bench.tombstones() {
        let key = bench.stored(&tombstone).await;
        bench
            .assert_holds(key, &tombstone, "after a create of a tombstone")
            .await;

        let live = bench.live();
        let key = bench.stored(&live).await;
        let outcome = bench.save(key, &tombstone, live.version).await;
        assert_saved(&outcome, "a save of a tombstone over a live record");
        let when = "after a save of a tombstone over a live record";
        bench.assert_holds(key, &tombstone, when).await;
    }
}

/// A tombstone lasts until it expires, and no longer. TM-2.
pub async fn a_tombstone_lasts_until_it_expires(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    for tombstone in bench.tombstones() {
        let key = bench.stored(&tombstone).await;
        let found = bench.load_at(key, just_before(tombstone.expires_at)).await;
        assert_same(
            found.as_ref(),
            Some(&tombstone),
            "just before a tombstone's expiry",
        );
        let found = bench.load_at(key, tombstone.expires_at).await;
        assert_same(found.as_ref(), None, "at a tombstone's expiry");
    }
}

/// Whoever still has the version from before a session was ended or rotated can't bring it back: not
/// with a save, not with a touch, not with a create. CM-6, CM-7.
pub async fn a_stale_write_does_not_raise_the_dead(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    for tombstone in bench.tombstones() {
        let live = bench.live();
        let key = bench.stored(&live).await;
        let outcome = bench.save(key, &tombstone, live.version).await;
        assert_saved(&outcome, "a save of a tombstone over a live record");

        let outcome = bench.save(key, &bench.live(), live.version).await;
        let what = "a save that expects the version from before the tombstone";
        assert_conflict(&outcome, &tombstone, what);
        let outcome = bench.touch(key, bench.touch_of(&live)).await;
        assert_missing(&outcome, "a touch from before the tombstone");
        let outcome = bench.create(key, &bench.live()).await;
        assert_conflict(&outcome, &tombstone, "a create under a tombstone's key");
        let when = "after stale writes on a tombstone";
        bench.assert_holds(key, &tombstone, when).await;
    }
}

/// A save that expects a tombstone's own version replaces it, as it would a live record.
pub async fn a_tombstone_is_replaced_by_its_version(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let states = [
        bench.ended().state,
        bench.live().state,
        bench.superseded().state,
    ];
    for state in states {
        for tombstone in bench.tombstones() {
            let key = bench.stored(&tombstone).await;
            let next = Record::new(
                fresh_version(),
                after(tombstone.expires_at, 60_000),
                state.clone(),
            );
            let outcome = bench.save(key, &next, tombstone.version).await;
            assert_saved(&outcome, "a save that expects a tombstone's version");
            bench
                .assert_holds(key, &next, "after a save over a tombstone")
                .await;
        }
    }
}

/// A touch of a tombstone is missing and changes nothing, even with the right version: the dead aren't
/// active. CM-6.
pub async fn touch_on_a_tombstone_is_missing(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    for tombstone in bench.tombstones() {
        let key = bench.stored(&tombstone).await;
        let outcome = bench.touch(key, bench.touch_of(&tombstone)).await;
        assert_missing(&outcome, "a touch of a tombstone");
        bench
            .assert_holds(key, &tombstone, "after a touch of it")
            .await;
        let found = bench.load_at(key, tombstone.expires_at).await;
        assert_same(
            found.as_ref(),
            None,
            "at the expiry of a tombstone that was touched",
        );
    }
}
