//! `save` does what it was asked if what it expects is there, and otherwise nothing.

use session_core::store::{SaveOutcome, Version};

use super::bench::Bench;
use super::harness::StoreHarness;
use super::records::{after, altered, fresh_key, fresh_version, just_before, touched};
use super::verdict::{assert_conflict, assert_missing, assert_same, assert_saved};

/// Where nothing is expected, nothing is overwritten: a live record stays, and the answer is a conflict.
/// ID-3.
pub async fn create_never_overwrites_a_live_record(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let first = bench.live();
    let key = bench.stored(&first).await;
    for second in [bench.live(), bench.ended(), first.clone()] {
        let outcome = bench.create(key, &second).await;
        assert_conflict(&outcome, &first, "a create under a live record's key");
        bench
            .assert_holds(key, &first, "after a create under its key")
            .await;
    }
}

/// A tombstone is as much of a record: a create doesn't overwrite it either. ID-3.
pub async fn create_never_overwrites_a_tombstone(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    for tombstone in bench.tombstones() {
        let key = bench.stored(&tombstone).await;
        let outcome = bench.create(key, &bench.live()).await;
        assert_conflict(&outcome, &tombstone, "a create under a tombstone's key");
        bench
            .assert_holds(key, &tombstone, "after a create under its key")
            .await;
    }
}

/// A save that expects the version that is there replaces the record.
pub async fn save_replaces_the_expected_version(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let mut current = bench.live();
    let key = bench.stored(&current).await;
    for next in [bench.live(), bench.plain(), bench.live()] {
        let outcome = bench.save(key, &next, current.version).await;
        assert_saved(&outcome, "a save that expects the current version");
        bench.assert_holds(key, &next, "after a save").await;
        current = next;
    }
}

/// A save that expects another version than is there changes nothing and is answered with a conflict,
/// whether that version was there once, never was, or is nearly the right one. CM-5.
pub async fn save_with_another_version_conflicts(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let first = bench.live();
    let key = bench.stored(&first).await;
    let current = bench.live();
    let outcome = bench.save(key, &current, first.version).await;
    assert_saved(&outcome, "a save that expects the current version");

    let mut others = vec![
        ("an earlier version", first.version),
        ("a version that never was", fresh_version()),
        ("the version zero", Version::from_bytes([0; 16])),
    ];
    for at in [0, 7, 8, 15] {
        let mut bytes = *current.version.as_bytes();
        bytes[at] ^= 1;
        others.push(("a version with one bit changed", Version::from_bytes(bytes)));
    }
    for (which, version) in others {
        let outcome = bench.save(key, &bench.live(), version).await;
        assert_conflict(&outcome, &current, &format!("a save that expects {which}"));
        let when = format!("after a save that expected {which}");
        bench.assert_holds(key, &current, &when).await;
    }
}

/// A save that expects a version never inserts: where there is nothing, nothing is there afterwards.
/// CM-6.
pub async fn save_never_inserts(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    for record in bench.one_of_each() {
        let key = fresh_key();
        let expected = [
            fresh_version(),
            record.version,
            Version::from_bytes([0; 16]),
        ];
        for version in expected {
            let outcome = bench.save(key, &record, version).await;
            assert_missing(&outcome, "a save of a version under a key never used");
            let when = "after a save of a version under a key never used";
            bench.assert_empty(key, when).await;
        }
    }
}

/// A save replaces the whole record: of the one before it nothing is kept, and nothing is merged.
pub async fn save_replaces_every_field(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let kinds = [
        bench.live(),
        bench.plain(),
        bench.ended(),
        bench.superseded(),
    ];
    for before in &kinds {
        for next in &kinds {
            let key = bench.stored(before).await;
            let next = altered(next.clone(), |record| record.version = fresh_version());
            let outcome = bench.save(key, &next, before.version).await;
            assert_saved(&outcome, "a save that expects the current version");
            bench
                .assert_holds(key, &next, "after a save over another record")
                .await;
        }
    }
}

/// A save sets the expiry that it is given, a later one as well as an earlier one. TM-4.
pub async fn save_sets_the_expiry_as_given(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let mut current = bench.live();
    let key = bench.stored(&current).await;
    for minutes in [10, 40, 15] {
        let next = altered(current.clone(), |record| {
            record.version = fresh_version();
            record.expires_at = after(bench.minutes(minutes), 7);
        });
        let outcome = bench.save(key, &next, current.version).await;
        assert_saved(&outcome, "a save that changes the expiry");
        let found = bench.load_at(key, just_before(next.expires_at)).await;
        assert_same(
            found.as_ref(),
            Some(&next),
            "just before the newly saved expiry",
        );
        let found = bench.load_at(key, next.expires_at).await;
        assert_same(found.as_ref(), None, "at the newly saved expiry");
        current = next;
    }
}

/// The version is a token that the caller draws. A store keeps the one it is given, whatever it is and
/// whatever was there before, and makes none: a counter of its own would repeat itself after a restart
/// from an older snapshot. CM-5.
pub async fn versions_are_stored_as_given(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let mut current = bench.live();
    current.version = Version::from_bytes([0xFF; 16]);
    let key = bench.stored(&current).await;
    bench.assert_holds(key, &current, "after a create").await;
    for bytes in [
        [0; 16],
        *b"abcdefghijklmnop",
        [0x80; 16],
        *b"\0\0zeroes inside\0",
    ] {
        let next = altered(bench.live(), |record| {
            record.version = Version::from_bytes(bytes)
        });
        let outcome = bench.save(key, &next, current.version).await;
        assert_saved(&outcome, "a save that expects the version last saved");
        bench
            .assert_holds(key, &next, "after a save with a version of any value")
            .await;
        current = next;
    }
    let touch = bench.touch_of(&current);
    let outcome = bench.touch(key, touch).await;
    assert_saved(&outcome, "a touch that expects the version last saved");
    let found = bench.load(key).await.map(|record| record.version);
    assert!(
        found == Some(touch.version),
        "after a touch the version is {found:?}; it has to be the one given, {:?}",
        touch.version
    );
}

/// If a conflict carries a record at all, it is the one that lies there now, and so never has the
/// version that was expected.
pub async fn a_conflict_carries_the_current_record(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let first = bench.live();
    let key = bench.stored(&first).await;
    let mut before = first.clone();
    for current in [
        bench.live(),
        bench.plain(),
        bench.superseded(),
        bench.ended(),
    ] {
        let outcome = bench.save(key, &current, before.version).await;
        assert_saved(&outcome, "a save that expects the current version");
        let outcome = bench.save(key, &bench.live(), before.version).await;
        if let SaveOutcome::Conflict(Some(carried)) = &outcome {
            assert!(
                carried.version != before.version,
                "a conflict carries a record of the version that was expected, which is not a conflict"
            );
        }
        assert_conflict(&outcome, &current, "a save that expects the version before");
        let outcome = bench.create(key, &bench.live()).await;
        assert_conflict(&outcome, &current, "a create");
        before = current;
    }
}

/// A replacement is a save that expects the version of the record that was read, whatever else of that record may have
/// changed. CM-5.
pub async fn a_replacement_goes_by_the_version(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let mut current = bench.live();
    let key = bench.stored(&current).await;
    for next in [bench.live(), bench.superseded(), bench.ended()] {
        let outcome = bench.replace(key, &next, &current, bench.now).await;
        assert_saved(&outcome, "a replacement of what lies there");
        bench.assert_holds(key, &next, "after a replacement").await;
        let outcome = bench.replace(key, &bench.live(), &current, bench.now).await;
        assert_conflict(&outcome, &next, "a replacement of what was there before");
        bench
            .assert_holds(key, &next, "after a replacement that conflicts")
            .await;
        current = next;
    }

    let first = bench.live();
    let key = bench.stored(&first).await;
    let touch = bench.touch_of(&first);
    assert_saved(&bench.touch(key, touch).await, "a touch");
    let touched = touched(&first, touch);
    let outcome = bench.replace(key, &bench.live(), &first, bench.now).await;
    assert_conflict(
        &outcome,
        &touched,
        "a replacement of what was touched since",
    );
    let next = bench.live();
    let outcome = bench.replace(key, &next, &touched, bench.now).await;
    assert_saved(&outcome, "a replacement of what was touched");

    // Another version of the library may have written the same record in other bytes.
    let other = altered(bench.live(), |record| record.version = next.version);
    let last = bench.live();
    let outcome = bench.replace(key, &last, &other, bench.now).await;
    assert_saved(
        &outcome,
        "a replacement of another record of the same version",
    );
    bench.assert_holds(key, &last, "after that").await;
}

/// A replacement never inserts, and what has expired isn't there to be replaced. CM-6, TM-2.
pub async fn a_replacement_never_inserts(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let (key, absent) = (fresh_key(), bench.live());
    let outcome = bench.replace(key, &bench.live(), &absent, bench.now).await;
    assert_missing(&outcome, "a replacement of what isn't there");
    bench.assert_empty(key, "after it").await;

    let expired = bench.live();
    let key = bench.stored(&expired).await;
    let next = altered(bench.live(), |record| {
        record.expires_at = bench.minutes(600)
    });
    for replaced in [&expired, &absent] {
        let outcome = bench
            .replace(key, &next, replaced, expired.expires_at)
            .await;
        assert_missing(&outcome, "a replacement of what has expired");
    }
    bench.assert_holds(key, &expired, "after it").await;
    let before = just_before(expired.expires_at);
    let outcome = bench.replace(key, &next, &expired, before).await;
    assert_saved(&outcome, "a replacement just before the expiry");
}
