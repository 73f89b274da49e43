//! Sessions to measure with: keys and records as stores get them, and requests through a manager.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use serde_json::Value;
use session_bench_common::{COUNTER, entries};
use session_core::adapter::{CookieHeaders, Finished};
use session_core::store::{
    Record, RecordState, SaveOptions, SaveOutcome, SessionStore, StoreError, StoreKey, Version,
    async_trait,
};
use session_core::{Session, SessionConfig, SessionManager, SessionRef, Timestamp};

use crate::Result;

/// Longer than any run takes.
pub(crate) const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// The key of the session with this number, as evenly distributed as real ones are.
pub(crate) fn key(n: u64) -> StoreKey {
    let mut bytes = [0; 32];
    for (part, chunk) in (1..).zip(bytes.chunks_exact_mut(8)) {
        let mixed = (n * 4 + part).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        chunk.copy_from_slice(&mixed.to_be_bytes());
    }
    StoreKey::from_bytes(bytes)
}

/// The public handle of the session with this number.
pub(crate) fn reference(n: u64) -> SessionRef {
    SessionRef::from_bytes(u128::from(n).to_le_bytes())
}

/// The measured session as a commit saves it, encoded.
pub(crate) struct Template(Vec<u8>);

impl Template {
    pub(crate) async fn new() -> Result<Self> {
        let spy = Arc::new(Spy::default());
        create(&manager(spy.clone())?, &entries()).await?;
        let saved = spy.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(Self(saved.ok_or("the commit saved nothing")?.encode()))
    }

    /// A record for the session with this number, with memory of its own for its data.
    pub(crate) fn record(&self, n: u64, expires_at: Timestamp) -> Result<Record> {
        let mut record = Record::decode(&self.0)?;
        record.version = Version::from_bytes(u128::from(n).to_le_bytes());
        record.expires_at = expires_at;
        if let RecordState::Live(live) = &mut record.state {
            live.reference = reference(n);
        }
        Ok(record)
    }
}

/// A manager that notes no activity: what is measured is what the requests ask for.
pub(crate) fn manager(store: impl SessionStore) -> Result<SessionManager> {
    let config = SessionConfig::builder("a secret for measurements, long enough for the check")
        .touch_interval(Duration::MAX)
        .max_age(LIFETIME)
        .absolute_timeout(LIFETIME)
        .build()?;
    Ok(SessionManager::new(config, store))
}

/// A request that begins a session with these entries. Gives the Cookie header that brings it back.
pub(crate) async fn create<K: AsRef<str>>(
    manager: &SessionManager,
    entries: &[(K, Value)],
) -> Result<Vec<u8>> {
    let handle = manager.handle();
    let work = async {
        let session: Session = handle.load(&CookieHeaders(&[])).await?;
        for (key, value) in entries {
            session.set(key.as_ref(), value)?;
        }
        Ok::<_, session_core::Error>(())
    };
    let (result, finished) = handle.run(work).await;
    result?;
    check(&finished)?;
    let mut headers = HeaderMap::new();
    finished.apply(&mut headers);
    let cookie = headers.get("set-cookie").ok_or("no cookie came")?;
    let pair = cookie.as_bytes().split(|byte| *byte == b';').next();
    Ok(pair.unwrap_or_default().to_vec())
}

/// A request that reads the counter.
pub(crate) async fn read(manager: &SessionManager, cookie: &[u8]) -> Result<()> {
    let handle = manager.handle();
    let work = async {
        let session: Session = handle.load(&CookieHeaders(&[cookie])).await?;
        session.get::<u64>(COUNTER)
    };
    let (number, finished) = handle.run(work).await;
    check(&finished)?;
    number?.ok_or("the session was lost")?;
    Ok(())
}

/// A request that stores this number as the counter.
pub(crate) async fn write(manager: &SessionManager, cookie: &[u8], number: u64) -> Result<()> {
    let handle = manager.handle();
    let work = async {
        let session: Session = handle.load(&CookieHeaders(&[cookie])).await?;
        session.set(COUNTER, number)
    };
    let (result, finished) = handle.run(work).await;
    check(&finished)?;
    Ok(result?)
}

pub(crate) fn check(finished: &Finished) -> Result<()> {
    match finished.error() {
        Some(error) => Err(error.clone().into()),
        None => Ok(()),
    }
}

/// A store that keeps the last record that was saved, and has none.
#[derive(Default)]
struct Spy(Mutex<Option<Record>>);

#[async_trait]
impl SessionStore for Spy {
    async fn load(
        &self,
        _: &StoreKey,
        _: Timestamp,
    ) -> std::result::Result<Option<Record>, StoreError> {
        Ok(None)
    }

    async fn save(
        &self,
        _: &StoreKey,
        record: Record,
        _: SaveOptions,
    ) -> std::result::Result<SaveOutcome, StoreError> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(record);
        Ok(SaveOutcome::Saved)
    }

    async fn delete(&self, _: &StoreKey) -> std::result::Result<(), StoreError> {
        Ok(())
    }
}
