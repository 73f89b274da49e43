//! `touch` notes activity, and nothing else.

use session_core::store::Version;

use super::bench::Bench;
use super::harness::StoreHarness;
use super::records::{
    after, altered, data, fresh_key, fresh_version, just_before, touched, treacherous_values,
};
use super::verdict::{assert_conflict, assert_missing, assert_same, assert_saved};

/// A touch moves version, last activity and expiry of a live record, at once and as given, and leaves
/// the data and everything else alone. TM-3.
pub async fn touch_moves_version_activity_and_expiry(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let mut records = vec![bench.live(), bench.plain()];
    for (_, value) in treacherous_values() {
        records.push(bench.live_with(data(&[("", value)])));
    }
    for record in records {
        let key = bench.stored(&record).await;
        let touch = bench.touch_of(&record);
        let outcome = bench.touch(key, touch).await;
        assert_saved(&outcome, "a touch that expects the current version");
        let touched = touched(&record, touch);
        bench.assert_holds(key, &touched, "after a touch").await;
        let found = bench.load_at(key, just_before(touch.expires_at)).await;
        assert_same(
            found.as_ref(),
            Some(&touched),
            "just before the touched expiry",
        );
        let found = bench.load_at(key, touch.expires_at).await;
        assert_same(found.as_ref(), None, "at the touched expiry");
    }
}

/// Neither time ever moves backwards: an earlier expiry or an earlier activity than the record's is
/// ignored, each on its own, and the touch is stored all the same. TM-3, TM-5.
pub async fn touch_never_moves_a_time_back(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let record = bench.live();
    let active_at = record.live().expect("it is live").last_active_at;
    let cases = [
        ("an earlier expiry", bench.now, bench.minutes(10)),
        (
            "an earlier activity",
            just_before(active_at),
            bench.minutes(30),
        ),
        (
            "both times earlier",
            just_before(active_at),
            bench.minutes(10),
        ),
        (
            "the very first times",
            Default::default(),
            Default::default(),
        ),
    ];
    for (which, last_active_at, expires_at) in cases {
        let key = bench.stored(&record).await;
        let touch = altered(bench.touch_of(&record), |touch| {
            touch.last_active_at = last_active_at;
            touch.expires_at = expires_at;
        });
        let outcome = bench.touch(key, touch).await;
        assert_saved(&outcome, &format!("a touch with {which}"));
        let when = format!("after a touch with {which}");
        bench
            .assert_holds(key, &touched(&record, touch), &when)
            .await;
    }
}

/// A touch that expects another version than is there changes nothing and is answered with a conflict.
pub async fn touch_with_another_version_conflicts(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let first = bench.live();
    let key = bench.stored(&first).await;
    let current = bench.live();
    let outcome = bench.save(key, &current, first.version).await;
    assert_saved(&outcome, "a save that expects the current version");
    let mut nearly = *current.version.as_bytes();
    nearly[15] ^= 1;
    for expected in [first.version, fresh_version(), Version::from_bytes(nearly)] {
        let touch = altered(bench.touch_of(&current), |touch| touch.expected = expected);
        let outcome = bench.touch(key, touch).await;
        assert_conflict(&outcome, &current, "a touch that expects another version");
        let when = "after a touch that expected another version";
        bench.assert_holds(key, &current, when).await;
    }
}

/// Where there is nothing, or nothing any more, a touch is missing and puts nothing there. CM-6.
pub async fn touch_never_inserts(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let record = bench.live();
    let deleted = bench.stored(&record).await;
    bench.delete(deleted).await;
    for key in [fresh_key(), deleted] {
        let outcome = bench.touch(key, bench.touch_of(&record)).await;
        assert_missing(&outcome, "a touch of a record that isn't there");
        bench.assert_empty(key, "after a touch of nothing").await;
        let outcome = bench.create(key, &record).await;
        assert_saved(&outcome, "a create after a touch of nothing");
    }
}

/// A touch makes a new version, so that a save of what was loaded before it conflicts: it would take
/// the longer expiry back.
pub async fn a_save_from_before_a_touch_conflicts(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let record = bench.live();
    let key = bench.stored(&record).await;
    let touch = bench.touch_of(&record);
    assert_saved(
        &bench.touch(key, touch).await,
        "a touch that expects the current version",
    );
    let touched = touched(&record, touch);

    let outcome = bench.save(key, &bench.live(), record.version).await;
    assert_conflict(
        &outcome,
        &touched,
        "a save that expects the version from before a touch",
    );
    let outcome = bench.touch(key, bench.touch_of(&record)).await;
    assert_conflict(
        &outcome,
        &touched,
        "a touch that expects the version from before a touch",
    );
    bench
        .assert_holds(key, &touched, "after writes from before a touch")
        .await;

    let next = altered(bench.live(), |record| {
        record.expires_at = after(bench.now, 600_000)
    });
    let outcome = bench.save(key, &next, touch.version).await;
    assert_saved(
        &outcome,
        "a save that expects the version that a touch gave",
    );
    bench
        .assert_holds(key, &next, "after a save over a touched record")
        .await;
}
