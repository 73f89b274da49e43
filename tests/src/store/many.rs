//! Many records with one call.

use session_core::store::{Record, SessionStore, StoreError, StoreErrorKind, StoreKey};

use super::bench::Bench;
use super::harness::{StoreHarness, skipped};
use super::records::fresh_key;
use super::verdict::assert_same;

/// As many as the core asks for at a time.
const MANY: usize = 32;

impl<S: SessionStore> Bench<S> {
    async fn load_many(&self, keys: &[StoreKey]) -> Vec<Result<Option<Record>, StoreError>> {
        let answers = self.store.load_many(keys, self.now).await;
        assert_eq!(
            answers.len(),
            keys.len(),
            "`load_many` has to answer each key, in their order"
        );
        answers
    }
}

/// Each of many records is what a load of it alone answers: a live one, a tombstone, nothing, an expired one; in the
/// order of the keys, where one is asked for twice too.
pub async fn many_records_are_loaded_as_each_alone(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    assert!(bench.load_many(&[]).await.is_empty(), "no key");
    let mut keys = Vec::new();
    let mut expected = Vec::new();
    for at in 0..MANY {
        let record = match at % 4 {
            0 => Some(bench.live()),
            1 => Some(bench.ended()),
            2 => None,
            _ => {
                let mut expired = bench.live();
                expired.expires_at = bench.now;
                Some(expired)
            }
        };
        keys.push(match &record {
            Some(record) => bench.stored(record).await,
            None => fresh_key(),
        });
        expected.push(record.filter(|record| !record.is_expired(bench.now)));
    }
    keys.push(keys[0]);
    expected.push(expected[0].clone());
    for (at, (answer, expected)) in bench
        .load_many(&keys)
        .await
        .iter()
        .zip(&expected)
        .enumerate()
    {
        let answer = answer.as_ref();
        let answer = answer.unwrap_or_else(|error| panic!("record {at} of many: {error:?}"));
        let what = format!("record {at} of many");
        assert_same(answer.as_ref(), expected.as_ref(), &what);
    }
}

/// A record that can't be read doesn't keep the others from being answered. SR-3, US-6.
pub async fn an_unreadable_record_of_many_hides_no_other(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let record = bench.live();
    let (key, unreadable) = (bench.stored(&record).await, fresh_key());
    if !harness.plant(&bench.store, &unreadable, b"S\x02").await {
        return skipped("an_unreadable_record_of_many_hides_no_other", "`plant`");
    }
    let answers = bench.load_many(&[unreadable, key]).await;
    let error = answers[0].as_ref().expect_err("bytes that are no record");
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error:?}");
    let answer = answers[1].as_ref();
    let answer = answer.unwrap_or_else(|error| panic!("the record behind it: {error:?}"));
    assert_same(answer.as_ref(), Some(&record), "the record behind it");
}

/// An engine that fails answers an error for what it couldn't look at, never "missing". SR-4.
pub async fn a_failed_load_of_many_is_an_error(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let record = bench.live();
    let keys = [bench.stored(&record).await, bench.stored(&record).await];
    if !harness.fail_next(&bench.store).await {
        return skipped("a_failed_load_of_many_is_an_error", "`fail_next`");
    }
    let answers = bench.load_many(&keys).await;
    let is_missing = answers.iter().any(|answer| matches!(answer, Ok(None)));
    assert!(!is_missing, "a failure is no missing record: {answers:?}");
    let has_failed = answers.iter().any(Result::is_err);
    assert!(
        has_failed,
        "an engine that fails answers an error: {answers:?}"
    );
    for answer in bench.load_many(&keys).await {
        let answer = answer.expect("the engine works again");
        assert_same(
            answer.as_ref(),
            Some(&record),
            "once the engine works again",
        );
    }
}
