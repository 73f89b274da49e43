//! What comes back is what was put in, under the key that it was put under.

use std::time::Duration;

use session_core::store::{
    Expect, Lifetime, Record, RecordState, SaveOptions, SaveOutcome, SessionStore as _, StoreKey,
};
use session_core::{SessionUser, Timestamp};

use super::bench::{Bench, works};
use super::harness::{StoreHarness, skipped};
use super::records::{
    after, altered, data, fresh_key, fresh_version, just_before, treacherous_values,
};
use super::verdict::{assert_missing, assert_same, assert_saved};

/// Where nothing was stored, `load` finds nothing, and doesn't make it so that something is there
/// afterwards. ID-6.
pub async fn an_unknown_key_is_missing(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let key = fresh_key();
    bench.assert_empty(key, "under a key never used").await;
    bench
        .assert_empty(key, "after a first load of an unused key")
        .await;
    let outcome = bench.save(key, &bench.live(), fresh_version()).await;
    assert_missing(&outcome, "a save under a key that was only ever loaded");
    let outcome = bench.create(key, &bench.live()).await;
    assert_saved(&outcome, "a create under a key that was only ever loaded");
}

/// Every field of every kind of record comes back exactly as it was saved: those that can be left out,
/// when they are and when they aren't, too. SR-2, TM-4.
pub async fn every_field_comes_back(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let mut odd_name = bench.live();
    set_user(&mut odd_name, "Zoë\0🦀 \"'\\ ");
    let mut no_name = bench.live();
    set_user(&mut no_name, "");
    for record in [bench.live(), bench.plain(), odd_name, no_name] {
        let key = bench.stored(&record).await;
        bench.assert_holds(key, &record, "after a create").await;
    }
}

fn set_user(record: &mut Record, name: &str) {
    let RecordState::Live(live) = &mut record.state else {
        panic!("only live records have a user");
    };
    live.user = Some(SessionUser::new(name, live.created_at).into());
}

/// Data is bytes: NUL, characters of four bytes, the order of keys and the spelling of numbers stay as
/// they were, and as much as the default payload limit allows fits. SR-2.
pub async fn data_comes_back_byte_for_byte(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    for (content, value) in treacherous_values() {
        let record = bench.live_with(data(&[("", value)]));
        let key = bench.stored(&record).await;
        let when = format!("after a create of data with {content}");
        bench.assert_holds(key, &record, &when).await;

        let replacement = altered(record.clone(), |record| record.version = fresh_version());
        let outcome = bench.save(key, &replacement, record.version).await;
        assert_saved(&outcome, &format!("a save of data with {content}"));
        let when = format!("after a save of data with {content}");
        bench.assert_holds(key, &replacement, &when).await;
    }
}

/// The first and the last time and the longest durations are stored like any other. TM-5.
pub async fn extreme_times_come_back(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let mut record = bench.plain();
    record.expires_at = Timestamp::MAX;
    let RecordState::Live(live) = &mut record.state else {
        panic!("a plain record is alive");
    };
    live.created_at = Timestamp::default();
    live.last_active_at = just_before(Timestamp::MAX);
    live.lifetime = Some(Lifetime::new(
        Duration::from_millis(1),
        Timestamp::MAX.saturating_since(Timestamp::default()),
    ));
    let key = bench.stored(&record).await;
    bench
        .assert_holds(key, &record, "after a create with extreme times")
        .await;
    let last = just_before(Timestamp::MAX);
    let found = bench.load_at(key, last).await;
    assert_same(found.as_ref(), Some(&record), "just before the end of time");
    let found = bench.load_at(key, Timestamp::MAX).await;
    assert_same(found.as_ref(), None, "at the end of time, its expiry");
}

/// `load` changes nothing: it neither extends a record nor removes one that it finds expired. TM-2.
pub async fn load_changes_nothing(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    for record in bench.one_of_each() {
        let key = bench.stored(&record).await;
        for now in [bench.now, just_before(record.expires_at)] {
            let found = bench.load_at(key, now).await;
            assert_same(found.as_ref(), Some(&record), "before its expiry");
        }
        let found = bench.load_at(key, after(record.expires_at, 1)).await;
        assert_same(
            found.as_ref(),
            None,
            "after its expiry, loaded before or not",
        );
        let when = "at an earlier time, after a load that found it expired";
        bench.assert_holds(key, &record, when).await;
    }
}

/// Keys that differ in a single bit, in case when written as text, or behind a zero byte are different
/// keys. SR-1.
pub async fn keys_are_kept_apart(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let mut stored = Vec::new();
    for key in similar_keys() {
        let record = bench.live();
        let outcome = bench.create(key, &record).await;
        assert_saved(&outcome, &format!("a create under the unused key {key}"));
        stored.push((key, record));
    }
    for (key, record) in &stored {
        let when = format!("under {key}, after creates under similar keys");
        bench.assert_holds(*key, record, &when).await;
    }
}

fn similar_keys() -> Vec<StoreKey> {
    let with = |at: usize, byte: u8| {
        let mut bytes = [0; 32];
        bytes[at] = byte;
        StoreKey::from_bytes(bytes)
    };
    vec![
        // As text, these two start with `A` and `a`.
        with(0, 0),
        with(0, 0x1A << 2),
        with(0, b' '),
        with(0, 0x80),
        with(15, 1),
        with(16, 1),
        with(31, 1),
        with(31, b' '),
        StoreKey::from_bytes([0xFF; 32]),
    ]
}

/// What one client was told is stored, removed or changed, every other client sees at once. CM-5.
pub async fn all_clients_see_every_write(harness: &impl StoreHarness) {
    let bench = Bench::new(harness).await;
    let Some(other) = &bench.second else {
        skipped("all_clients_see_every_write", "`second_client`");
        return;
    };
    let seen = async |key| works("load", other.load(&key, bench.now).await);
    let key = fresh_key();
    assert_same(
        seen(key).await.as_ref(),
        None,
        "at a client before the create",
    );

    let created = bench.live();
    assert_saved(&bench.create(key, &created).await, "a create");
    let when = "at one client after a create at another";
    assert_same(seen(key).await.as_ref(), Some(&created), when);

    let saved = bench.live();
    let expect = Expect::Version(created.version);
    let outcome = works(
        "save",
        other
            .save(&key, saved.clone(), SaveOptions::new(expect, bench.now))
            .await,
    );
    assert_saved(&outcome, "a save of what another client created");
    bench
        .assert_holds(key, &saved, "at one client after a save at another")
        .await;

    let touch = bench.touch_of(&saved);
    let outcome = works("touch", other.touch(&key, touch, bench.now).await);
    assert_saved(&outcome, "a touch of what another client has loaded");
    let version = bench.load(key).await.map(|record| record.version);
    assert!(
        version == Some(touch.version),
        "one client still sees the version from before another one's touch"
    );

    bench.delete(key).await;
    let when = "at one client after a delete at another";
    assert_same(seen(key).await.as_ref(), None, when);
    let outcome = works("touch", other.touch(&key, touch, bench.now).await);
    assert!(
        outcome == SaveOutcome::Missing,
        "a touch of what another client removed was answered {outcome:?}, and has to be Missing"
    );
}
