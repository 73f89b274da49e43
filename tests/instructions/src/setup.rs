//! The session that is measured, and what the handlers do with it on every framework.
//!
//! Time stands still and the generator repeats itself from run to run, so that the counts do too.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::HeaderMap;
use http::header::SET_COOKIE;
use serde_json::{Value, json};
use session_core::adapter::CookieHeaders;
use session_core::{
    Clock, Error, Key, Random, RandomError, Session, SessionConfig, SessionManager, Timestamp,
};
use session_store_memory::MemoryStore;

const COUNTER: Key<u64> = Key::new("visits");

pub(crate) fn manager() -> crate::Result<SessionManager> {
    let config = SessionConfig::builder([7; 32]).build()?;
    Ok(SessionManager::builder(config, MemoryStore::new())
        .clock(StoppedClock)
        .insecure_random(Sequence::default())
        .build()?)
}

/// Stores the session; gives its cookie, as a browser sends it.
pub(crate) async fn store_session(manager: &SessionManager) -> crate::Result<String> {
    let handle = manager.handle();
    let work = async {
        let session: Session = handle.load(&CookieHeaders(&[])).await?;
        for (key, value) in entries() {
            session.set(key, value)?;
        }
        Ok::<(), Error>(())
    };
    let (result, finished) = handle.run(work).await;
    result?;
    let mut headers = HeaderMap::new();
    finished.apply(&mut headers);
    let cookie = headers
        .get(SET_COOKIE)
        .ok_or("the session was not stored")?;
    let pair = cookie.to_str()?.split(';').next();
    Ok(pair.unwrap_or_default().to_owned())
}

/// The cookie with its last character changed: it still decodes, and its signature doesn't hold.
pub(crate) fn forged(cookie: &str) -> String {
    let kept = &cookie[..cookie.len() - 1];
    let last = if cookie.ends_with('A') { 'B' } else { 'A' };
    format!("{kept}{last}")
}

/// Reads the counter; says whether there was one.
pub(crate) fn read<E: From<Error>>(session: &Session<E>) -> Result<bool, E> {
    Ok(session.get(COUNTER)?.is_some())
}

/// Counts up; says whether there was a counter before.
pub(crate) fn write<E: From<Error>>(session: &Session<E>) -> Result<bool, E> {
    let counter = session.get(COUNTER)?;
    session.set(COUNTER, counter.unwrap_or(0) + 1)?;
    Ok(counter.is_some())
}

/// Begins to count, which makes a session for a visitor who has none.
pub(crate) fn begin<E: From<Error>>(session: &Session<E>) -> Result<(), E> {
    session.set(COUNTER, 1)
}

/// Seven keys, 302 bytes of JSON: the session of `benches/common`.
fn entries() -> [(&'static str, Value); 7] {
    [
        ("user_id", json!(471_100)),
        ("name", json!("Ada Lovelace")),
        ("roles", json!(["author", "editor", "admin"])),
        (
            "preferences",
            json!({"beta": true, "language": "en-GB", "page_size": 50, "theme": "dark"}),
        ),
        ("csrf_token", json!("5f2c9a".repeat(11)[..64])),
        (
            "recent",
            json!([{"id": 1, "n": 3}, {"id": 22, "n": 1}, {"id": 3, "n": 7}]),
        ),
        (COUNTER.name(), json!(42)),
    ]
}

/// The first second of 2026, for ever: no session ages, and no activity is noted.
struct StoppedClock;

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(1_767_225_600_000)
    }

    /// Nothing waits on a store in memory. If something did, its time would be up at once, and the case would fail.
    fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(ready(()))
    }
}

/// Numbers that don't repeat, spread over all bits by an odd factor.
#[derive(Default)]
struct Sequence(AtomicU64);

impl Random for Sequence {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        for part in buffer.chunks_mut(8) {
            let number = self.0.fetch_add(1, Ordering::Relaxed) + 1;
            let bytes = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes();
            part.copy_from_slice(&bytes[..part.len()]);
        }
        Ok(())
    }
}
