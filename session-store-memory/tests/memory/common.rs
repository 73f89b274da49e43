//! Records as the core makes them, and what happens to them.
#![allow(clippy::unwrap_used, reason = "a store that fails fails the test")]

use std::time::Duration;

use session_core::store::{
    Expect, FormerSession, LiveRecord, MoveCause, Record, RecordState, SaveOptions, SaveOutcome,
    SessionData, SessionStore, StoreErrorKind, StoreKey, UserKey, Version,
};
use session_core::{SessionRef, SessionUser, Timestamp};
use session_store_memory::MemoryStore;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A key as evenly distributed as real ones are.
pub(crate) fn key(n: u64) -> StoreKey {
    let mut bytes = [0; 32];
    for (at, chunk) in bytes.chunks_exact_mut(8).enumerate() {
        let mixed = (n * 4 + at as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        chunk.copy_from_slice(
            &(mixed ^ mixed >> 29)
                .wrapping_mul(0xBF58_476D_1CE4_E5B9)
                .to_be_bytes(),
        );
    }
    StoreKey::from_bytes(bytes)
}

/// The reference of the session that began under key `n`, as random as real ones are.
pub(crate) fn reference(n: u64) -> SessionRef {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&key(n).as_bytes()[..16]);
    SessionRef::from_bytes(bytes)
}

pub(crate) fn at(millis: u64) -> Timestamp {
    Timestamp::from_unix_millis(millis)
}

/// The first version of the record under key `n`.
pub(crate) fn version(n: u64) -> Version {
    Version::from_bytes(u128::from(n).to_le_bytes())
}

pub(crate) fn live(n: u64, created_at: Timestamp, user: Option<&str>) -> LiveRecord {
    let mut live = LiveRecord::new(SessionData::empty(), created_at, reference(n));
    live.user = user.map(|name| SessionUser::new(name, created_at).into());
    live
}

pub(crate) fn record(n: u64, live: LiveRecord) -> Record {
    let expires_at = live.last_active_at.saturating_add(HOUR);
    Record::new(version(n), expires_at, RecordState::Live(live))
}

/// Data that takes this many bytes of JSON.
pub(crate) fn data(json_len: usize) -> SessionData {
    let value = "x".repeat(json_len - r#"{"a":""}"#.len());
    SessionData::from_json(format!(r#"{{"a":"{value}"}}"#).as_bytes()).unwrap()
}

/// Puts a record where nothing is.
pub(crate) async fn insert(
    store: &MemoryStore,
    n: u64,
    live: LiveRecord,
    now: Timestamp,
) -> Result<(), StoreErrorKind> {
    let options = SaveOptions::new(Expect::Absent, now);
    let saved = store.save(&key(n), record(n, live), options).await;
    assert_eq!(saved.map_err(|error| error.kind())?, SaveOutcome::Saved);
    Ok(())
}

/// Begins a session.
pub(crate) async fn create(
    store: &MemoryStore,
    n: u64,
    now: Timestamp,
    user: Option<&str>,
) -> Result<(), StoreErrorKind> {
    insert(store, n, live(n, now, user), now).await
}

/// Begins a session, and comes back with it.
pub(crate) async fn visit(store: &MemoryStore, n: u64, now: Timestamp) {
    create(store, n, now, None).await.unwrap();
    assert!(is_there(store, n, now).await);
}

/// Moves the session from key `from` to key `to`, in the core's order: the new record first, then a tombstone in place
/// of the old one.
pub(crate) async fn rotate(store: &MemoryStore, from: u64, to: u64, now: Timestamp) -> SaveOutcome {
    let found = store.load(&key(from), now).await.unwrap();
    let Some(mut session) = found.as_ref().and_then(Record::live).cloned() else {
        return SaveOutcome::Missing;
    };
    let user = session.user.as_deref();
    let user = user.map(|user| UserKey::of("session_id", &user.name));
    let former = FormerSession::new(Some(session.reference), user);
    session.last_active_at = now;
    insert(store, to, session, now).await.unwrap();
    let state = RecordState::superseded(key(to), version(to), MoveCause::Rotation, now, former);
    let tombstone = Record::new(version(to + (1 << 40)), now.saturating_add(HOUR), state);
    let options = SaveOptions::new(Expect::Version(version(from)), now);
    store.save(&key(from), tombstone, options).await.unwrap()
}

pub(crate) async fn is_there(store: &MemoryStore, n: u64, now: Timestamp) -> bool {
    matches!(store.load(&key(n), now).await, Ok(Some(_)))
}

/// How many sessions of these are there, whatever state they are in.
pub(crate) async fn count(
    store: &MemoryStore,
    numbers: impl IntoIterator<Item = u64>,
    now: Timestamp,
) -> usize {
    let mut count = 0;
    for n in numbers {
        count += usize::from(is_there(store, n, now).await);
    }
    count
}
