//! What isn't a record is reported and left alone.

use session_core::store::{
    DecodeError, Expect, Record, SaveOptions, SaveOutcome, SessionStore, StoreError,
    StoreErrorKind, StoreKey,
};

use super::bench::Bench;
use super::harness::{StoreHarness, skipped};
use super::records::{fresh_key, fresh_version};
use super::verdict::{assert_error, assert_saved};

/// Bytes that aren't a record, or are a part of one, are an error of kind `Corrupt`, and stay where they
/// are. SR-3.
pub async fn a_corrupt_record_is_an_error_and_stays(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    for bytes in corrupt(&bench.live()) {
        let key = fresh_key();
        if !harness.plant(&bench.store, &key, &bytes).await {
            return skipped("a_corrupt_record_is_an_error_and_stays", "`plant`");
        }
        for _ in 0..2 {
            assert_unreadable(&bench, key, StoreErrorKind::Corrupt).await;
        }
    }
}

/// A record that a newer version of the library wrote is an error of kind `NewerFormat`: its session is
/// not lost. SR-3.
pub async fn a_newer_record_is_told_from_a_corrupt_one(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let key = fresh_key();
    if !harness
        .plant(&bench.store, &key, &newer(&bench.live()))
        .await
    {
        return skipped("a_newer_record_is_told_from_a_corrupt_one", "`plant`");
    }
    for _ in 0..2 {
        assert_unreadable(&bench, key, StoreErrorKind::NewerFormat).await;
    }
}

/// Neither a create nor a save nor a touch gets past a record that can't be read: it is not nothing, and
/// has no version that anybody could expect. SR-3.
pub async fn an_unreadable_record_is_not_overwritten(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let mut kinds = vec![(StoreErrorKind::NewerFormat, newer(&bench.live()))];
    kinds.extend(corrupt(&bench.live()).map(|bytes| (StoreErrorKind::Corrupt, bytes)));
    for (kind, bytes) in kinds {
        let (key, next) = (fresh_key(), bench.live());
        if !harness.plant(&bench.store, &key, &bytes).await {
            return skipped("an_unreadable_record_is_not_overwritten", "`plant`");
        }
        for expect in [Expect::Absent, Expect::Version(fresh_version())] {
            let answer = bench
                .store
                .save(&key, next.clone(), SaveOptions::new(expect, bench.now))
                .await;
            assert_refused(answer, kind, "a save");
            assert_unreadable(&bench, key, kind).await;
        }
        let answer = bench
            .store
            .touch(&key, bench.touch_of(&next), bench.now)
            .await;
        assert_refused(answer, kind, "a touch");
        assert_unreadable(&bench, key, kind).await;
    }
}

/// A delete removes what lies under the key even if it can't be read.
pub async fn delete_removes_an_unreadable_record(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let mut kinds = vec![newer(&bench.live())];
    kinds.extend(corrupt(&bench.live()));
    for bytes in kinds {
        let key = fresh_key();
        if !harness.plant(&bench.store, &key, &bytes).await {
            return skipped("delete_removes_an_unreadable_record", "`plant`");
        }
        bench.delete(key).await;
        bench
            .assert_empty(key, "after a delete of an unreadable record")
            .await;
        let outcome = bench.create(key, &bench.live()).await;
        assert_saved(&outcome, "a create after a delete of an unreadable record");
    }
}

/// Bytes that no version of the library has written: a record begins with another one.
pub(super) const NOT_A_RECORD: &[u8] = b"\xFF is not a record";

/// Nothing, garbage, a record cut short and one with a byte too many.
fn corrupt(record: &Record) -> [Vec<u8>; 4] {
    let whole = record.encode();
    let cut = whole[..whole.len() - 1].to_vec();
    let long = [&whole[..], b"}"].concat();
    let all = [Vec::new(), NOT_A_RECORD.to_vec(), cut, long];
    for bytes in &all {
        assert_eq!(Record::decode(bytes), Err(DecodeError::Corrupt));
    }
    all
}

fn newer(record: &Record) -> Vec<u8> {
    let mut bytes = record.encode();
    bytes[1] = u8::MAX;
    assert_eq!(Record::decode(&bytes), Err(DecodeError::NewerFormat));
    bytes
}

async fn assert_unreadable<S: SessionStore>(bench: &Bench<S>, key: StoreKey, kind: StoreErrorKind) {
    let answer = bench.store.load(&key, bench.now).await;
    let error = assert_error(
        answer,
        "a load of bytes that can't be read and have to stay",
    );
    assert!(
        error.kind() == kind,
        "bytes that can't be read were reported as {:?}; make the error from the `DecodeError`, which \
         says {kind:?}",
        error.kind()
    );
}

#[track_caller]
fn assert_refused(answer: Result<SaveOutcome, StoreError>, kind: StoreErrorKind, what: &str) {
    let refused = match &answer {
        Ok(outcome) => *outcome == SaveOutcome::Conflict(None),
        Err(error) => error.kind() == kind,
    };
    assert!(
        refused,
        "{what} under a key whose record can't be read was answered {answer:?}; it has to change nothing, \
         and be a conflict without a record, or an error of kind {kind:?}"
    );
}
