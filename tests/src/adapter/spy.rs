//! A store that notes what it is asked, and that can be made to fail or to wait.

use std::collections::HashMap;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use session_core::Timestamp;
use session_core::store::{
    Expect, Record, SaveOptions, SaveOutcome, SessionStore, StoreError, StoreKey, Touch, UserIndex,
    async_trait,
};
use session_store_memory::MemoryStore;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long a check waits for requests to get as far as the store. They take milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a failing store says about itself. No visitor may ever read it.
pub const STORE_ERROR: &str = "no connection to the host of the sessions";

/// A store call, saves told apart by what they are for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Call {
    /// The record under a key was asked for.
    Load,
    /// A live record where there was none: a new session, or a new id for an old one.
    Create,
    /// A live record in place of an earlier version.
    Update,
    /// A tombstone: the id is ended or rotated away.
    Tombstone,
    /// A note of activity.
    Touch,
    /// A record was taken back.
    Delete,
}

/// What the store does about calls of a kind.
#[derive(Clone, Debug, Default)]
pub enum Mood {
    /// It carries the call out.
    #[default]
    Works,
    /// It answers with an error that says [`STORE_ERROR`], and nothing happens.
    Fails,
    /// It never answers.
    Hangs,
    /// It carries the call out once the gate is open.
    Waits(Arc<Gate>),
}

/// A memory store that notes each call. Clones are the same store.
#[derive(Clone, Debug, Default)]
pub struct SpyStore {
    records: MemoryStore,
    spy: Arc<Spy>,
}

#[derive(Debug, Default)]
struct Spy {
    calls: Mutex<Vec<Call>>,
    moods: Mutex<HashMap<Call, Mood>>,
    conflicts: AtomicUsize,
}

impl SpyStore {
    /// The records, to be looked at without a note of it.
    pub fn records(&self) -> &MemoryStore {
        &self.records
    }

    /// The calls since this was last asked.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(
            &mut *self
                .spy
                .calls
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// How many saves have met another record than they expected.
    pub fn conflicts(&self) -> usize {
        self.spy.conflicts.load(Ordering::Relaxed)
    }

    /// Has calls of a kind fail, wait or work from now on.
    pub fn set(&self, call: Call, mood: Mood) {
        self.spy
            .moods
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(call, mood);
    }

    /// Holds calls of a kind until the gate is opened.
    pub fn hold(&self, call: Call) -> Arc<Gate> {
        let gate = Arc::new(Gate::new());
        self.set(call, Mood::Waits(gate.clone()));
        gate
    }

    async fn enter(&self, call: Call) -> Result<(), StoreError> {
        self.spy
            .calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(call);
        let mood = self
            .spy
            .moods
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&call)
            .cloned();
        match mood.unwrap_or_default() {
            Mood::Works => {}
            Mood::Fails => return Err(StoreError::not_applied(STORE_ERROR)),
            Mood::Hangs => pending().await,
            Mood::Waits(gate) => gate.pass().await,
        }
        Ok(())
    }
}

#[async_trait]
impl SessionStore for SpyStore {
    async fn load(&self, key: &StoreKey, now: Timestamp) -> Result<Option<Record>, StoreError> {
        self.enter(Call::Load).await?;
        self.records.load(key, now).await
    }

    async fn save(
        &self,
        key: &StoreKey,
        record: Record,
        options: SaveOptions,
    ) -> Result<SaveOutcome, StoreError> {
        let SaveOptions { expect, now, .. } = options;
        let call = match (record.live(), expect) {
            (None, _) => Call::Tombstone,
            (Some(_), Expect::Absent) => Call::Create,
            (Some(_), Expect::Version(_)) => Call::Update,
        };
        self.enter(call).await?;
        let outcome = self
            .records
            .save(key, record, SaveOptions::new(expect, now))
            .await?;
        if let SaveOutcome::Conflict(_) = outcome {
            self.spy.conflicts.fetch_add(1, Ordering::Relaxed);
        }
        Ok(outcome)
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.enter(Call::Delete).await?;
        self.records.delete(key).await
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        self.records.user_index()
    }

    async fn touch(
        &self,
        key: &StoreKey,
        touch: Touch,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        self.enter(Call::Touch).await?;
        self.records.touch(key, touch, now).await
    }
}

/// Where calls wait, so that a test decides what happens meanwhile.
#[derive(Debug)]
pub struct Gate {
    waiting: Semaphore,
    /// Never has a permit: whoever asks goes on when it is closed.
    closed_when_open: Semaphore,
}

impl Gate {
    fn new() -> Self {
        Self {
            waiting: Semaphore::new(0),
            closed_when_open: Semaphore::new(0),
        }
    }

    /// Waits until `n` more calls have come to the gate. Panics if they don't come.
    pub async fn wait_for(&self, n: u32) {
        let calls = timeout(PATIENCE, self.waiting.acquire_many(n)).await;
        let calls = calls.unwrap_or_else(|_| {
            panic!("{n} more store calls were expected, and fewer came within {PATIENCE:?}")
        });
        calls.expect("nobody closes this one").forget();
    }

    /// Lets all calls through, those that are still to come too.
    pub fn open(&self) {
        self.closed_when_open.close();
    }

    async fn pass(&self) {
        self.waiting.add_permits(1);
        let closed = self.closed_when_open.acquire().await;
        assert!(closed.is_err(), "the gate has no permits to give");
    }
}
