//! What the tests put into stores, and how they wait.

use std::time::{Duration, Instant};

use session_core::store::{
    EndedBy, FormerSession, LiveRecord, Record, RecordState, SessionData, SessionStore as _,
    StoreError, StoreKey, Version,
};
use session_core::{Clock as _, OsRandom, Random as _, SessionRef, SystemClock, Timestamp};
use session_store_redis::RedisStore;

pub(crate) fn now() -> Timestamp {
    SystemClock.now()
}

/// A session that lives for ten minutes.
pub(crate) fn live() -> Record {
    let handle = SessionRef::from_bytes(random());
    let live = LiveRecord::new(SessionData::empty(), now(), handle);
    record(RecordState::Live(live))
}

pub(crate) fn ended() -> Record {
    record(RecordState::ended(
        now(),
        EndedBy::OwnRequest,
        FormerSession::default(),
    ))
}

pub(crate) fn fresh_key() -> StoreKey {
    StoreKey::from_bytes(random())
}

pub(crate) fn fresh_prefix() -> String {
    let bytes: [u8; 8] = random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What the store answers once it answers again. Panics if it takes longer than `patience`.
pub(crate) async fn load_soon(
    store: &RedisStore,
    key: &StoreKey,
    patience: Duration,
) -> Option<Record> {
    let started = Instant::now();
    loop {
        let answer: Result<_, StoreError> = store.load(key, now()).await;
        match answer {
            Ok(found) => return found,
            Err(error) => assert!(
                started.elapsed() < patience,
                "after {patience:?} there is still no answer: {error:?}"
            ),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn record(state: RecordState) -> Record {
    Record::new(
        Version::from_bytes(random()),
        now().saturating_add(Duration::from_secs(600)),
        state,
    )
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    OsRandom
        .fill(&mut bytes)
        .expect("the system has a generator");
    bytes
}
