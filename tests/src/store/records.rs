//! What the clauses store: records as the core makes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use session_core::store::{
    FormerSession, Record, RecordState, SessionData, StoreKey, Touch, UserKey, Version,
};
use session_core::{DEFAULT_PAYLOAD_LIMIT, OsRandom, Random as _, SessionRef, Timestamp};

/// A key that nothing has been stored under.
pub(super) fn fresh_key() -> StoreKey {
    StoreKey::from_bytes(random())
}

/// A version that no record has had, drawn as the core draws them.
pub(super) fn fresh_version() -> Version {
    Version::from_bytes(random())
}

/// A public reference that no record has had.
pub(super) fn fresh_reference() -> SessionRef {
    SessionRef::from_bytes(random())
}

/// Whose session a tombstone stands for: one that no record has had.
pub(super) fn former() -> FormerSession {
    let user = UserKey::of("session_id", &fresh_name());
    FormerSession::new(Some(fresh_reference()), Some(user))
}

/// `value` with one thing changed.
pub(super) fn altered<T>(mut value: T, change: impl FnOnce(&mut T)) -> T {
    change(&mut value);
    value
}

/// A user's name that no record has had, for telling records apart by more than their version.
pub(super) fn fresh_name() -> Arc<str> {
    static LAST: AtomicU64 = AtomicU64::new(0);
    format!("user {}", LAST.fetch_add(1, Ordering::Relaxed)).into()
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    OsRandom
        .fill(&mut bytes)
        .expect("the suite needs the system's random generator");
    bytes
}

/// `time` and `millis` milliseconds.
pub(super) fn after(time: Timestamp, millis: u64) -> Timestamp {
    time.saturating_add(Duration::from_millis(millis))
}

/// The last moment before `time`.
pub(super) fn just_before(time: Timestamp) -> Timestamp {
    Timestamp::from_unix_millis(time.as_unix_millis() - 1)
}

/// What a touch makes of a live record.
pub(super) fn touched(record: &Record, touch: Touch) -> Record {
    let mut touched = record.clone();
    touched.version = touch.version;
    touched.expires_at = record.expires_at.max(touch.expires_at);
    let RecordState::Live(live) = &mut touched.state else {
        panic!("the suite expects nothing of a touch of a tombstone");
    };
    live.last_active_at = live.last_active_at.max(touch.last_active_at);
    touched
}

/// Contents of the kind that engines are known to change, each with a name for messages.
pub(super) fn treacherous_values() -> Vec<(&'static str, Value)> {
    // The text around it is `{"":""}`.
    let longest = DEFAULT_PAYLOAD_LIMIT - 7;
    let deep = (0..100).fold(json!(null), |inner, _| json!([inner]));
    vec![
        ("a NUL character", json!("before\0after")),
        ("a character of four bytes", json!("crab 🦀, clef 𝄞")),
        (
            "characters that JSON or SQL escape",
            json!("\"\\/'`%_\r\n\t\u{7f}\u{2028}"),
        ),
        (
            "characters at the edges of UTF-8",
            json!("\u{80}\u{7ff}\u{800}\u{d7ff}\u{e000}\u{ffff}\u{10ffff}"),
        ),
        (
            "numbers that don't survive a float",
            json!([u64::MAX, i64::MIN, 1e-7, 1.5e300, -0.0, 10.0]),
        ),
        (
            "keys out of order, in two cases, empty and with a NUL",
            json!({"b": 1, "a": 2, "B": 3, "": 4, "\0": 5}),
        ),
        ("values nested 100 deep", deep),
        (
            "as much as the default payload limit allows",
            json!("x".repeat(longest)),
        ),
    ]
}

/// Session data with these values.
pub(super) fn data(values: &[(&str, Value)]) -> SessionData {
    let values = values
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()));
    let object = Value::Object(values.collect());
    SessionData::from_json(object.to_string().as_bytes()).expect("an object is session data")
}
