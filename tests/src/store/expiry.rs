//! Expired is missing, for every method, whether or not anything has been removed.

use session_core::store::Expect;

use super::bench::Bench;
use super::harness::StoreHarness;
use super::records::{after, altered, fresh_version, just_before};
use super::verdict::{assert_missing, assert_same, assert_saved};

/// A record is there until the last millisecond before its expiry, and missing from the very moment of
/// expiry on. TM-2.
pub async fn a_record_is_missing_from_its_expiry_on(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let second = bench.minutes(15).as_unix_secs() * 1000;
    // Engines that count in seconds round one of these to another time.
    for millis in [0, 1, 499, 500, 999] {
        let record = altered(bench.live(), |record| {
            record.expires_at = after(Default::default(), second + millis)
        });
        let key = bench.stored(&record).await;
        let found = bench.load_at(key, just_before(record.expires_at)).await;
        assert_same(
            found.as_ref(),
            Some(&record),
            "one millisecond before the expiry",
        );
        for late in [0, 1, 1_000, 86_400_000] {
            let found = bench.load_at(key, after(record.expires_at, late)).await;
            assert_same(
                found.as_ref(),
                None,
                &format!("{late} milliseconds after the expiry"),
            );
        }
    }
}

/// An expired record is overwritten as if it weren't there, be it live or a tombstone. TM-2.
pub async fn create_replaces_an_expired_record(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    for expired in bench.one_of_each() {
        let key = bench.stored(&expired).await;
        let next = altered(bench.live(), |record| {
            record.expires_at = after(expired.expires_at, 60_000)
        });
        let outcome = bench
            .save_at(key, &next, Expect::Absent, expired.expires_at)
            .await;
        assert_saved(&outcome, "a create over an expired record");
        let found = bench.load_at(key, expired.expires_at).await;
        assert_same(
            found.as_ref(),
            Some(&next),
            "after a create over an expired record",
        );
    }
}

/// A save that expects the version of an expired record is missing, and revives nothing. TM-2, CM-6.
pub async fn save_on_an_expired_record_is_missing(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    for expired in bench.one_of_each() {
        let key = bench.stored(&expired).await;
        for late in [0, 1, 60_000] {
            let now = after(expired.expires_at, late);
            let next = altered(bench.live(), |record| {
                record.expires_at = after(now, 60_000)
            });
            for version in [expired.version, fresh_version()] {
                let outcome = bench
                    .save_at(key, &next, Expect::Version(version), now)
                    .await;
                assert_missing(&outcome, "a save on an expired record");
                let found = bench.load_at(key, now).await;
                assert_same(found.as_ref(), None, "after a save on an expired record");
            }
        }
    }
}

/// A touch of an expired record is missing, and revives nothing. TM-2, CM-6.
pub async fn touch_on_an_expired_record_is_missing(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let record = bench.live();
    let key = bench.stored(&record).await;
    for late in [0, 1, 60_000] {
        let now = after(record.expires_at, late);
        let mut touch = bench.touch_of(&record);
        touch.expires_at = after(now, 60_000);
        let outcome = bench.touch_at(key, touch, now).await;
        assert_missing(&outcome, "a touch of an expired record");
        let found = bench.load_at(key, now).await;
        assert_same(found.as_ref(), None, "after a touch of an expired record");
    }
}
