//! `delete_expired` removes what has expired, in batches, and nothing that hasn't.
//!
//! Whether a record has really been removed shows at an earlier `now`: one that is merely expired would
//! be found there.

use session_core::Timestamp;
use session_core::store::{Expect, SessionStore, StoreKey};

use super::bench::Bench;
use super::corrupt::NOT_A_RECORD;
use super::harness::{StoreHarness, skipped};
use super::records::{after, altered, fresh_key, fresh_version, just_before};
use super::verdict::{assert_error, assert_same, assert_saved};

/// Larger than what any clause stores.
const NO_LIMIT: usize = 1_000;

/// More calls than it takes to remove a clause's records one by one.
const CALLS: usize = 20;

/// A sweep removes live records and tombstones that have expired, those that expire at this very
/// moment included, says how many, and finds none the next time. TM-6.
pub async fn a_sweep_removes_what_has_expired(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    if !harness.sweeps() {
        skipped("a_sweep_removes_what_has_expired", "a store that sweeps");
        return;
    }
    let now = bench.minutes(15);
    let mut keys = Vec::new();
    for expires_at in [bench.minutes(10), just_before(now), now] {
        keys.extend(store_one_of_each(&bench, expires_at).await);
    }
    store_one_of_each(&bench, after(now, 1)).await;

    let removed = bench.sweep(now, NO_LIMIT).await;
    assert!(
        removed == keys.len(),
        "a sweep of {} expired records said that it removed {removed}",
        keys.len()
    );
    for key in keys {
        bench
            .assert_empty(
                key,
                "at an earlier time, after a sweep that had to remove it",
            )
            .await;
    }
    let removed = bench.sweep(now, NO_LIMIT).await;
    assert!(
        removed == 0,
        "a second sweep at the same time said that it removed {removed}; nothing was left"
    );
}

/// A sweep never removes what `load` would still return: no live record, and no tombstone, which is
/// what keeps an ended session ended. SR-6.
pub async fn a_sweep_keeps_what_has_not_expired(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let now = bench.minutes(15);
    let mut kept = Vec::new();
    for expires_at in [after(now, 1), bench.minutes(20), Timestamp::MAX] {
        for record in bench.one_of_each() {
            let record = altered(record, |record| record.expires_at = expires_at);
            kept.push((bench.stored(&record).await, record));
        }
    }
    store_one_of_each(&bench, now).await;
    for at in [bench.now, now] {
        bench.sweep(at, NO_LIMIT).await;
        for (key, record) in &kept {
            let found = bench.load_at(*key, at).await;
            assert_same(
                found.as_ref(),
                Some(record),
                "after a sweep before its expiry",
            );
        }
    }
}

/// A sweep removes as many as its limit allows and no more; fewer means that none are left. TM-6.
pub async fn a_sweep_respects_its_limit(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    if !harness.sweeps() {
        skipped("a_sweep_respects_its_limit", "a store that sweeps");
        return;
    }
    let now = bench.minutes(15);
    for _ in 0..3 {
        store_one_of_each(&bench, now).await;
    }
    for (limit, expected) in [(4, 4), (4, 4), (4, 1), (4, 0)] {
        let removed = bench.sweep(now, limit).await;
        assert!(
            removed == expected,
            "a sweep of nine expired records in batches of {limit} removed {removed} where it has to \
             remove {expected}: fewer than the limit means that none are left"
        );
    }
}

/// A sweep goes by the expiry that a record has now: one that was touched, saved or created again lives
/// on, and one whose expiry was brought forward goes. SR-6.
pub async fn a_sweep_goes_by_the_latest_expiry(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let (early, late) = (bench.minutes(15), bench.minutes(30));
    let expiring = |expires_at| altered(bench.live(), |record| record.expires_at = expires_at);

    let touched = expiring(early);
    let touched_key = bench.stored(&touched).await;
    let outcome = bench.touch(touched_key, bench.touch_of(&touched)).await;
    assert_saved(&outcome, "a touch that expects the current version");

    let first = expiring(early);
    let saved_key = bench.stored(&first).await;
    let outcome = bench.save(saved_key, &expiring(late), first.version).await;
    assert_saved(&outcome, "a save that expects the current version");

    let recreated_key = bench.stored(&expiring(early)).await;
    let outcome = bench
        .save_at(recreated_key, &expiring(late), Expect::Absent, early)
        .await;
    assert_saved(&outcome, "a create over an expired record");

    let first = expiring(late);
    let shortened_key = bench.stored(&first).await;
    let outcome = bench
        .save(shortened_key, &expiring(early), first.version)
        .await;
    assert_saved(&outcome, "a save that expects the current version");

    bench.sweep(early, NO_LIMIT).await;
    for (key, how) in [
        (touched_key, "a touch"),
        (saved_key, "a save"),
        (recreated_key, "a create over it once expired"),
    ] {
        assert!(
            bench.load_at(key, early).await.is_some(),
            "a sweep at the old expiry removed a record whose expiry {how} had moved"
        );
    }
    if harness.sweeps() {
        let when =
            "at an earlier time, after a sweep at the expiry that a save had brought forward";
        bench.assert_empty(shortened_key, when).await;
    }
}

/// A sweep that fails says so, and the next one goes on. TM-6.
pub async fn a_failed_sweep_does_not_stop_sweeping(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let (now, kept) = (bench.minutes(15), bench.live());
    let keys = store_one_of_each(&bench, now).await;
    let kept_key = bench.stored(&kept).await;
    if !harness.sweeps() || !harness.fail_next(&bench.store).await {
        let needs = "a store that sweeps, and `fail_next`";
        skipped("a_failed_sweep_does_not_stop_sweeping", needs);
        return;
    }
    let answer = bench.store.delete_expired(now, NO_LIMIT).await;
    assert_error(answer, "a sweep whose engine failed");
    sweep_all(&bench, now).await;
    for key in keys {
        bench
            .assert_empty(key, "at an earlier time, after a failed sweep and others")
            .await;
    }
    bench
        .assert_holds(kept_key, &kept, "after a failed sweep and others")
        .await;
}

/// A record that can't be read doesn't keep a sweep from those that can. TM-6, SR-3.
pub async fn a_sweep_gets_past_unreadable_records(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let now = bench.minutes(15);
    let mut keys = store_one_of_each(&bench, now).await;
    let planted = harness
        .plant(&bench.store, &fresh_key(), NOT_A_RECORD)
        .await;
    if !harness.sweeps() || !planted {
        let needs = "a store that sweeps, and `plant`";
        skipped("a_sweep_gets_past_unreadable_records", needs);
        return;
    }
    keys.extend(store_one_of_each(&bench, now).await);
    sweep_all(&bench, now).await;
    for key in keys {
        let when = "at an earlier time, after sweeps past a record that can't be read";
        bench.assert_empty(key, when).await;
    }
}

/// Sweeps in the smallest batches until none is left. A sweep that fails doesn't count.
async fn sweep_all<S: SessionStore>(bench: &Bench<S>, now: Timestamp) {
    for _ in 0..CALLS {
        if let Ok(0) = bench.store.delete_expired(now, 1).await {
            return;
        }
    }
}

/// Stores one record of each kind that expires then.
async fn store_one_of_each<S: SessionStore>(
    bench: &Bench<S>,
    expires_at: Timestamp,
) -> Vec<StoreKey> {
    let mut keys = Vec::new();
    for record in bench.one_of_each() {
        let record = altered(record, |record| {
            record.version = fresh_version();
            record.expires_at = expires_at;
        });
        keys.push(bench.stored(&record).await);
    }
    keys
}
