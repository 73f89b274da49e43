//! `delete` removes what is there, whatever it is.

use super::bench::Bench;
use super::harness::StoreHarness;
use super::records::fresh_key;
use super::verdict::{assert_missing, assert_saved};

/// A delete removes live records and tombstones alike, unconditionally.
pub async fn delete_removes_whatever_is_there(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    for record in bench.one_of_each() {
        let key = bench.stored(&record).await;
        bench.delete(key).await;
        bench.assert_empty(key, "after a delete").await;
    }
}

/// Removing what isn't there, or isn't there any more, is fine. SR-6.
pub async fn delete_of_a_missing_record_is_fine(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    bench.delete(fresh_key()).await;
    let key = bench.stored(&bench.live()).await;
    bench.delete(key).await;
    bench.delete(key).await;
    bench.assert_empty(key, "after two deletes").await;
}

/// After a delete the key is as if it had never been used: a save or a touch of the old version is
/// missing, and a create is stored. CM-6.
pub async fn delete_leaves_nothing_behind(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    for record in bench.one_of_each() {
        let key = bench.stored(&record).await;
        bench.delete(key).await;
        let outcome = bench.save(key, &bench.live(), record.version).await;
        assert_missing(
            &outcome,
            "a save that expects the version of a deleted record",
        );
        let outcome = bench.touch(key, bench.touch_of(&record)).await;
        assert_missing(&outcome, "a touch of a deleted record");
        bench
            .assert_empty(key, "after a delete, a save and a touch")
            .await;

        let next = bench.live();
        assert_saved(&bench.create(key, &next).await, "a create after a delete");
        bench
            .assert_holds(key, &next, "after a delete and a create")
            .await;
    }
}

/// A delete removes the record under its own key and under no other.
pub async fn delete_leaves_other_keys_alone(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let records = bench.one_of_each();
    let mut keys = Vec::new();
    for record in &records {
        keys.push(bench.stored(record).await);
    }
    bench.delete(bench.stored(&bench.live()).await).await;
    bench.delete(fresh_key()).await;
    for (key, record) in keys.into_iter().zip(&records) {
        bench
            .assert_holds(key, record, "after deletes of other keys")
            .await;
    }
}
