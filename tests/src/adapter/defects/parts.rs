//! Stores and clocks that get one thing wrong.

use std::future::pending;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use session_conformance::adapter::{SpyStore, TestClock};
use session_core::store::{
    AddOutcome, EndedBy, Expect, IndexEntry, Record, RecordState, SaveOptions, SaveOutcome,
    SessionStore, StoreError, StoreKey, Touch, UserIndex, UserKey, Version, async_trait,
};
use session_core::{Clock, Spawner, SystemClock, Task, Timestamp};
use tokio::task::{JoinError, JoinHandle};

use super::Defect::{self, *};

#[derive(Clone)]
pub(super) struct BrokenClock {
    pub(super) inner: TestClock,
    pub(super) defect: Option<Defect>,
}

impl Clock for BrokenClock {
    fn now(&self) -> Timestamp {
        match self.defect {
            Some(OwnClock) => SystemClock.now(),
            Some(ClockIsOff) => self.inner.now().saturating_add(Duration::from_secs(100)),
            _ => self.inner.now(),
        }
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        match self.defect {
            Some(NoDeadline) => Box::pin(pending()),
            _ => self.inner.sleep(duration),
        }
    }
}

/// Loses what outlives its request.
pub(super) struct DropsTasks;

impl Spawner for DropsTasks {
    fn spawn(&self, task: Task) -> Result<(), Task> {
        drop(task);
        Ok(())
    }
}

/// The answer to a request, which ends with the connection as a framework's does.
pub(super) struct AbortedOnDrop<T>(pub(super) JoinHandle<T>);

impl<T> Future for AbortedOnDrop<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for AbortedOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A dead or unknown key that was asked for, with what lies there.
type Miss = (StoreKey, Option<Version>);

#[derive(Clone)]
pub(super) struct BrokenStore {
    inner: SpyStore,
    defect: Option<Defect>,
    last_miss: Arc<Mutex<Option<Miss>>>,
}

impl BrokenStore {
    pub(super) fn new(inner: SpyStore, defect: Option<Defect>) -> Self {
        Self {
            inner,
            defect,
            last_miss: Arc::default(),
        }
    }

    fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    fn miss(&self) -> MutexGuard<'_, Option<Miss>> {
        self.last_miss
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SessionStore for BrokenStore {
    async fn load(&self, key: &StoreKey, now: Timestamp) -> Result<Option<Record>, StoreError> {
        let mut record = self.inner.load(key, now).await?;
        if let Some(record) = &mut record {
            match &mut record.state {
                RecordState::Live(live) if self.has(LoadsWithATouch) => {
                    let (version, at) = (record.version, live.last_active_at);
                    let touch = Touch::new(version, version, at, record.expires_at);
                    self.inner.touch(key, touch, now).await?;
                }
                RecordState::Ended { by, .. } if self.has(TakesEveryEndingForItsOwn) => {
                    *by = EndedBy::OwnRequest;
                }
                RecordState::Superseded { successor, .. } if self.has(ForgetsSuccessors) => {
                    *successor = StoreKey::from_bytes([0; 32]);
                }
                _ => {}
            }
        }
        match &record {
            None if self.has(AdoptsUnknownIds) => *self.miss() = Some((*key, None)),
            Some(dead)
                if self.has(AdoptsEndedIds) && !matches!(dead.state, RecordState::Live(_)) =>
            {
                *self.miss() = Some((*key, Some(dead.version)));
                return Ok(None);
            }
            _ => {}
        }
        Ok(record)
    }

    async fn save(
        &self,
        key: &StoreKey,
        mut record: Record,
        options: SaveOptions,
    ) -> Result<SaveOutcome, StoreError> {
        let SaveOptions { expect, now, .. } = options;
        if let RecordState::Live(live) = &mut record.state {
            match self.defect {
                Some(ForgetsUsers) => live.user = None,
                Some(ForgetsLifetimes) => live.lifetime = None,
                Some(ForgetsLifetimesOnRotation) if expect == Expect::Absent => {
                    let user = live.user.as_ref();
                    if user.is_some_and(|user| user.authenticated_at < now) {
                        live.lifetime = None;
                    }
                }
                _ => {}
            }
        }
        let is_update = matches!(expect, Expect::Version(_)) && record.live().is_some();
        if is_update && self.has(ForgetsUpdates) {
            return Ok(SaveOutcome::Saved);
        }
        if is_update && self.has(LoadsBeforeSaving) {
            self.inner.load(key, now).await?;
        }
        let missed = self.miss().take();
        if let (Expect::Absent, Some((missed, version))) = (expect, missed) {
            let expect = version.map_or(Expect::Absent, Expect::Version);
            self.inner
                .save(&missed, record.clone(), SaveOptions::new(expect, now))
                .await?;
        }
        let outcome = self
            .inner
            .save(key, record.clone(), SaveOptions::new(expect, now))
            .await?;
        if self.has(OverwritesOnConflict)
            && matches!(outcome, SaveOutcome::Conflict(_))
            && let Some(there) = self.inner.load(key, now).await?
        {
            let expect = Expect::Version(there.version);
            return self
                .inner
                .save(key, record, SaveOptions::new(expect, now))
                .await;
        }
        Ok(outcome)
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.inner.delete(key).await
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        match self.defect {
            Some(ForgetsTheIndex) => Some(self),
            _ => self.inner.user_index(),
        }
    }

    async fn touch(
        &self,
        key: &StoreKey,
        touch: Touch,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        if self.has(ForgetsTouches) {
            return Ok(SaveOutcome::Saved);
        }
        let outcome = self.inner.touch(key, touch, now).await?;
        match self.defect {
            Some(TouchNeverMisses) => Ok(SaveOutcome::Saved),
            _ => Ok(outcome),
        }
    }
}

/// An index that takes everything and has nothing.
#[async_trait]
impl UserIndex for BrokenStore {
    async fn add(
        &self,
        _: &UserKey,
        _: IndexEntry,
        _: Option<usize>,
        _: Timestamp,
    ) -> Result<AddOutcome, StoreError> {
        Ok(AddOutcome::Added(1))
    }

    async fn remove(&self, _: &UserKey, _: &StoreKey) -> Result<(), StoreError> {
        Ok(())
    }

    async fn list(&self, _: &UserKey, _: Timestamp) -> Result<Vec<IndexEntry>, StoreError> {
        Ok(Vec::new())
    }
}
