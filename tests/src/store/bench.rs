//! One store under test, with records to put into it and calls that must not fail.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use session_core::store::{
    EndedBy, Expect, Lifetime, LiveRecord, MoveCause, Record, RecordFlags, RecordState,
    SaveOptions, SaveOutcome, SessionData, SessionStore, StoreError, StoreKey, Touch, Version,
};
use session_core::{Clock as _, SessionUser, SystemClock, Timestamp};

use super::harness::StoreHarness;
use super::records::{
    after, data, former, fresh_key, fresh_name, fresh_reference, fresh_version, just_before,
};
use super::verdict::{assert_same, assert_saved};

const MINUTE_MILLIS: u64 = 60_000;

/// How long the bench's records live; nothing that must stay may expire earlier than half of it.
const LIFETIME_MINUTES: u64 = 20;

/// A new store, and a `now` that stands still.
pub(super) struct Bench<S> {
    pub(super) store: Arc<S>,
    /// Another client of the same store, if the harness has one.
    pub(super) second: Option<Arc<S>>,
    pub(super) now: Timestamp,
    data: SessionData,
}

impl<S: SessionStore> Bench<S> {
    pub(super) async fn new(harness: &impl StoreHarness<Store = S>) -> Self {
        let store = harness.store().await;
        let second = harness.second_client(&store).await.map(Arc::new);
        Self {
            store: Arc::new(store),
            second,
            now: SystemClock.now(),
            data: data(&[("cart", json!(["bread", "salt"])), ("theme", json!("dark"))]),
        }
    }

    /// `count` minutes from now.
    pub(super) fn minutes(&self, count: u64) -> Timestamp {
        after(self.now, count * MINUTE_MILLIS)
    }

    /// A live record that has every field, each time different, and shares only its data with others.
    pub(super) fn live(&self) -> Record {
        let minutes_ago = |count| before(self.now, count * MINUTE_MILLIS + 1);
        let mut live = LiveRecord::new(self.data.clone(), minutes_ago(9), fresh_reference());
        live.last_active_at = minutes_ago(3);
        (live.absolute_from, live.absolute_end) = (minutes_ago(7), self.minutes(700));
        live.persistent = Some(true);
        live.flags = RecordFlags::from_bits(0x8001);
        live.set_reserved(data(&[("flash", json!(["saved"]))]))
            .expect("a small entry fits");
        live.lifetime = Some(Lifetime::new(
            Duration::from_millis(7_200_123),
            Duration::from_millis(86_400_456),
        ));
        live.user = Some(SessionUser::new(fresh_name(), minutes_ago(5)).into());
        self.record(RecordState::Live(live))
    }

    /// A live record without anything that a record can do without.
    pub(super) fn plain(&self) -> Record {
        let live = LiveRecord::new(SessionData::empty(), self.now, fresh_reference());
        self.record(RecordState::Live(live))
    }

    /// A live record with this data.
    pub(super) fn live_with(&self, data: SessionData) -> Record {
        let mut live = LiveRecord::new(data, self.now, fresh_reference());
        live.user = Some(SessionUser::new(fresh_name(), self.now).into());
        self.record(RecordState::Live(live))
    }

    /// The record of an ended session.
    pub(super) fn ended(&self) -> Record {
        let (at, former) = (just_before(self.now), former());
        self.record(RecordState::ended(at, EndedBy::OtherSession, former))
    }

    /// The record of a session that moved to another key.
    pub(super) fn superseded(&self) -> Record {
        let (successor, version) = (fresh_key(), fresh_version());
        let at = just_before(self.now);
        self.record(RecordState::superseded(
            successor,
            version,
            MoveCause::Rotation,
            at,
            former(),
        ))
    }

    /// One tombstone of each kind.
    pub(super) fn tombstones(&self) -> [Record; 2] {
        [self.ended(), self.superseded()]
    }

    /// One record of each kind.
    pub(super) fn one_of_each(&self) -> [Record; 3] {
        [self.live(), self.ended(), self.superseded()]
    }

    fn record(&self, state: RecordState) -> Record {
        Record::new(fresh_version(), self.minutes(LIFETIME_MINUTES), state)
    }

    /// A touch of `record`, now, that lets it live half as long again.
    pub(super) fn touch_of(&self, record: &Record) -> Touch {
        Touch::new(
            record.version,
            fresh_version(),
            self.now,
            self.minutes(LIFETIME_MINUTES * 3 / 2),
        )
    }

    pub(super) async fn load(&self, key: StoreKey) -> Option<Record> {
        self.load_at(key, self.now).await
    }

    pub(super) async fn load_at(&self, key: StoreKey, now: Timestamp) -> Option<Record> {
        works("load", self.store.load(&key, now).await)
    }

    pub(super) async fn create(&self, key: StoreKey, record: &Record) -> SaveOutcome {
        self.save_at(key, record, Expect::Absent, self.now).await
    }

    pub(super) async fn save(
        &self,
        key: StoreKey,
        record: &Record,
        expected: Version,
    ) -> SaveOutcome {
        self.save_at(key, record, Expect::Version(expected), self.now)
            .await
    }

    pub(super) async fn save_at(
        &self,
        key: StoreKey,
        record: &Record,
        expect: Expect,
        now: Timestamp,
    ) -> SaveOutcome {
        works(
            "save",
            self.store
                .save(&key, record.clone(), SaveOptions::new(expect, now))
                .await,
        )
    }

    pub(super) async fn replace(
        &self,
        key: StoreKey,
        record: &Record,
        replaced: &Record,
        now: Timestamp,
    ) -> SaveOutcome {
        let call = self
            .store
            .replace(&key, record.clone(), replaced.clone(), now);
        works("replace", call.await)
    }

    pub(super) async fn touch(&self, key: StoreKey, touch: Touch) -> SaveOutcome {
        self.touch_at(key, touch, self.now).await
    }

    pub(super) async fn touch_at(
        &self,
        key: StoreKey,
        touch: Touch,
        now: Timestamp,
    ) -> SaveOutcome {
        works("touch", self.store.touch(&key, touch, now).await)
    }

    pub(super) async fn delete(&self, key: StoreKey) {
        works("delete", self.store.delete(&key).await);
    }

    pub(super) async fn sweep(&self, now: Timestamp, limit: usize) -> usize {
        works(
            "delete_expired",
            self.store.delete_expired(now, limit).await,
        )
    }

    /// Creates `record` under a new key.
    pub(super) async fn stored(&self, record: &Record) -> StoreKey {
        let key = fresh_key();
        let outcome = self.create(key, record).await;
        assert_saved(&outcome, "a create under an unused key");
        key
    }

    /// What lies under `key` now has to be `record`, in every field.
    pub(super) async fn assert_holds(&self, key: StoreKey, record: &Record, when: &str) {
        assert_same(self.load(key).await.as_ref(), Some(record), when);
    }

    /// Nothing may lie under `key` now.
    pub(super) async fn assert_empty(&self, key: StoreKey, when: &str) {
        assert_same(self.load(key).await.as_ref(), None, when);
    }
}

/// The answer of a call on an engine that works.
pub(super) fn works<T>(call: &str, answer: Result<T, StoreError>) -> T {
    answer.unwrap_or_else(|error| {
        panic!(
            "`{call}` answered an error: {error:?}. An error is for an engine that fails, and nothing \
             made this one fail; a lost race is a conflict, and a record that isn't there is missing"
        )
    })
}

fn before(time: Timestamp, millis: u64) -> Timestamp {
    Timestamp::from_unix_millis(time.as_unix_millis().saturating_sub(millis))
}
