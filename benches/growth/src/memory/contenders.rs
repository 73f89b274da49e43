//! The stores that are compared.

use std::collections::BTreeMap;

use poem::session::{MemoryStorage, SessionStorage};
use serde_json::Value;
use session_bench_common::entries;
use session_core::store::{Expect, SaveOptions, SaveOutcome, SessionStore, StoreKey};
use session_core::{Clock as _, SystemClock, Timestamp};
use session_store_memory::MemoryStore;
use tower_sessions::SessionStore as TowerStore;
use tower_sessions::cookie::time::OffsetDateTime;
use tower_sessions::session::{Id, Record};

use crate::Result;
use crate::sessions::{LIFETIME, Template, key};

pub(super) const OURS: &str = "session-store-memory";
pub(super) const TOWER: &str = "tower-sessions 0.15";
pub(super) const POEM: &str = "poem 3.1";
pub(super) const NAMES: [&str; 3] = [OURS, TOWER, POEM];

/// A store that is full of sessions.
pub(super) trait Contender: Sized + Send + Sync + 'static {
    /// What the store finds a session by.
    type Key: Send + Sync + 'static;

    fn key(n: u64) -> Self::Key;

    /// A store with this many sessions, numbered from zero.
    async fn fill(count: u64) -> Result<Self>;

    /// Loads a session, as a request begins with it, and says whether it was there.
    fn load(&self, key: &Self::Key) -> impl Future<Output = bool> + Send;
}

pub(super) struct Ours {
    store: MemoryStore,
    now: Timestamp,
}

pub(super) struct Tower(tower_sessions::MemoryStore);

pub(super) struct Poem(MemoryStorage);

impl Contender for Ours {
    type Key = StoreKey;

    fn key(n: u64) -> StoreKey {
        key(n)
    }

    async fn fill(count: u64) -> Result<Self> {
        let template = Template::new().await?;
        let store = MemoryStore::builder().unlimited_bytes().build();
        let now = SystemClock.now();
        for n in 0..count {
            let record = template.record(n, now.saturating_add(LIFETIME))?;
            let saved = store
                .save(&key(n), record, SaveOptions::new(Expect::Absent, now))
                .await?;
            if saved != SaveOutcome::Saved {
                return Err("a session was there before it was created".into());
            }
        }
        Ok(Self { store, now })
    }

    /// The time comes with the call. Of the others, tower-sessions reads a clock in each load, and poem in none.
    async fn load(&self, key: &StoreKey) -> bool {
        matches!(self.store.load(key, self.now).await, Ok(Some(_)))
    }
}

impl Contender for Tower {
    type Key = Id;

    fn key(n: u64) -> Id {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&key(n).as_bytes()[..16]);
        Id(i128::from_le_bytes(bytes))
    }

    async fn fill(count: u64) -> Result<Self> {
        let store = tower_sessions::MemoryStore::default();
        let data = entries().into_iter();
        let template = Record {
            id: Self::key(0),
            data: data.map(|(key, value)| (key.to_owned(), value)).collect(),
            expiry_date: OffsetDateTime::now_utc() + LIFETIME,
        };
        for n in 0..count {
            let mut record = template.clone();
            record.id = Self::key(n);
            store.create(&mut record).await?;
        }
        Ok(Self(store))
    }

    async fn load(&self, key: &Id) -> bool {
        matches!(TowerStore::load(&self.0, key).await, Ok(Some(_)))
    }
}

impl Contender for Poem {
    type Key = String;

    /// As long as the ids that poem makes.
    fn key(n: u64) -> String {
        key(n).to_string()
    }

    async fn fill(count: u64) -> Result<Self> {
        let storage = MemoryStorage::new();
        let data = entries().into_iter();
        let data: BTreeMap<String, Value> =
            data.map(|(key, value)| (key.to_owned(), value)).collect();
        // Like the others' sessions, these end some day.
        for n in 0..count {
            let saved = storage
                .update_session(&Self::key(n), &data, Some(LIFETIME))
                .await;
            saved.map_err(|error| error.to_string())?;
        }
        Ok(Self(storage))
    }

    async fn load(&self, key: &String) -> bool {
        matches!(self.0.load_session(key).await, Ok(Some(_)))
    }
}
