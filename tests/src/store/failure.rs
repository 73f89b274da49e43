//! An engine that fails is an error: never "missing", never "saved", and never a lie about the write.

use session_core::store::{
    Expect, Record, SaveOptions, SessionStore, StoreError, StoreErrorKind, StoreKey,
};

use super::bench::Bench;
use super::harness::{StoreHarness, skipped};
use super::records::{fresh_key, touched};
use super::verdict::{assert_error, assert_one_of};

/// A load whose engine fails is an error, and not a session that isn't there. SR-4.
pub async fn a_failed_load_is_an_error(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let record = bench.live();
    let stored = bench.stored(&record).await;
    for key in [stored, fresh_key()] {
        if !harness.fail_next(&bench.store).await {
            return skipped("a_failed_load_is_an_error", "`fail_next`");
        }
        let answer = bench.store.load(&key, bench.now).await;
        assert_outage(&assert_error(answer, "a load whose engine failed"));
    }
    let when = "once the engine works again after a failed load";
    bench.assert_holds(stored, &record, when).await;
}

/// A save or a create whose engine fails is an error. If the error says that nothing was written, nothing
/// was; otherwise the old record is there or the new one. SR-4, CM-3.
pub async fn a_failed_save_is_an_error(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    for next in bench.one_of_each() {
        let record = bench.live();
        let key = bench.stored(&record).await;
        if !harness.fail_next(&bench.store).await {
            return skipped("a_failed_save_is_an_error", "`fail_next`");
        }
        let expect = Expect::Version(record.version);
        let answer = bench
            .store
            .save(&key, next.clone(), SaveOptions::new(expect, bench.now))
            .await;
        let error = assert_error(answer, "a save whose engine failed");
        assert_truthful(&bench, key, &error, Some(&record), Some(&next)).await;

        let key = fresh_key();
        harness.fail_next(&bench.store).await;
        let answer = bench
            .store
            .save(
                &key,
                next.clone(),
                SaveOptions::new(Expect::Absent, bench.now),
            )
            .await;
        let error = assert_error(answer, "a create whose engine failed");
        assert_truthful(&bench, key, &error, None, Some(&next)).await;
    }
}

/// A touch whose engine fails is an error, and the record is as it was or as the touch makes it. SR-4.
pub async fn a_failed_touch_is_an_error(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let record = bench.live();
    let key = bench.stored(&record).await;
    if !harness.fail_next(&bench.store).await {
        return skipped("a_failed_touch_is_an_error", "`fail_next`");
    }
    let touch = bench.touch_of(&record);
    let answer = bench.store.touch(&key, touch, bench.now).await;
    let error = assert_error(answer, "a touch whose engine failed");
    let touched = touched(&record, touch);
    assert_truthful(&bench, key, &error, Some(&record), Some(&touched)).await;
}

/// A delete whose engine fails is an error, and the record is there or it isn't. SR-4.
pub async fn a_failed_delete_is_an_error(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let record = bench.live();
    let key = bench.stored(&record).await;
    if !harness.fail_next(&bench.store).await {
        return skipped("a_failed_delete_is_an_error", "`fail_next`");
    }
    let answer = bench.store.delete(&key).await;
    let error = assert_error(answer, "a delete whose engine failed");
    assert_truthful(&bench, key, &error, Some(&record), None).await;
}

/// What lies under `key` has to agree with what the error says about the write.
async fn assert_truthful<S: SessionStore>(
    bench: &Bench<S>,
    key: StoreKey,
    error: &StoreError,
    old: Option<&Record>,
    new: Option<&Record>,
) {
    assert_outage(error);
    let found = bench.load(key).await;
    if error.kind() == StoreErrorKind::NotApplied {
        let when =
            "after an error that says that nothing was written (when in doubt, answer Unknown)";
        assert_one_of(found.as_ref(), &[old], when);
    } else {
        assert_one_of(
            found.as_ref(),
            &[old, new],
            "after an error with an unknown outcome",
        );
    }
}

#[track_caller]
fn assert_outage(error: &StoreError) {
    let kind = error.kind();
    assert!(
        matches!(kind, StoreErrorKind::NotApplied | StoreErrorKind::Unknown),
        "an engine that fails was reported as {kind:?}, which is for records that can't be read"
    );
}
