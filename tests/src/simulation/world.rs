//! What the servers see of the world: a store, a clock and a generator that the scheduler controls.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use session_core::store::{
    Expect, Record, SaveOptions, SaveOutcome, SessionStore, StoreError, StoreKey, Touch,
    async_trait,
};
use session_core::{Clock, Random, RandomError, Timestamp};
use session_store_memory::MemoryStore;

use super::oracle::Oracle;

/// The deadline that the servers are configured with; a sleep of this length is that deadline.
pub(super) const STORE_TIMEOUT: Duration = Duration::from_secs(3600);

/// How far the servers' clocks may be apart.
pub(super) const MAX_SKEW_MILLIS: u64 = 20;

/// The state that scheduler, store, clocks and generator share.
#[derive(Clone)]
pub(super) struct World(Arc<Mutex<State>>);

pub(super) struct State {
    pub(super) rng: fastrand::Rng,
    pub(super) now: u64,
    pub(super) store: MemoryStore,
    pub(super) oracle: Oracle,
    /// The request that is being polled.
    pub(super) current: usize,
    pub(super) waiting: Vec<Waiting>,
    answers: HashMap<u64, Result<Reply, StoreError>>,
    next_call: u64,
}

/// Something that a request waits for.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    pub(super) request: usize,
    call: u64,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Store(Box<StoreCall>),
    /// The deadline over the request's store calls.
    Deadline,
    /// A pause of the handler, or of a commit between two tries.
    Pause,
}

#[derive(Clone, Debug)]
pub(super) enum StoreCall {
    Load(StoreKey, Timestamp),
    Save(StoreKey, Record, Expect, Timestamp),
    Touch(StoreKey, Touch, Timestamp),
    Delete(StoreKey),
}

#[derive(Clone, Debug)]
pub(super) enum Reply {
    Loaded(Option<Record>),
    Outcome(SaveOutcome),
    Done,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            rng: fastrand::Rng::with_seed(seed),
            now: 1_000_000,
            store: MemoryStore::new(),
            oracle: Oracle::default(),
            current: 0,
            waiting: Vec::new(),
            answers: HashMap::new(),
            next_call: 0,
        })))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A point at which others may run.
    pub(super) async fn pause(&self) {
        let _ = self.wait_for(What::Pause).await;
    }

    async fn wait_for(&self, what: What) -> Result<Reply, StoreError> {
        let call = self.state().submit(what);
        let _withdraw = Withdraw { world: self, call };
        poll_fn(|_| match self.state().answers.remove(&call) {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        })
        .await
    }

    /// Carries `call` out and shows it to the oracle.
    pub(super) fn execute(&self, request: usize, call: &StoreCall) -> Reply {
        let store = self.state().store.clone();
        let reply = match call {
            StoreCall::Load(key, now) => Reply::Loaded(ready(store.load(key, *now))),
            StoreCall::Save(key, record, expect, now) => Reply::Outcome(ready(store.save(
                key,
                record.clone(),
                SaveOptions::new(*expect, *now),
            ))),
            StoreCall::Touch(key, touch, now) => {
                Reply::Outcome(ready(store.touch(key, *touch, *now)))
            }
            StoreCall::Delete(key) => {
                ready(store.delete(key));
                Reply::Done
            }
        };
        let mut state = self.state();
        let at = Timestamp::from_unix_millis(state.now + MAX_SKEW_MILLIS);
        state.oracle.observe(request, call, &reply, at);
        reply
    }
}

impl State {
    fn submit(&mut self, what: What) -> u64 {
        self.next_call += 1;
        self.waiting.push(Waiting {
            request: self.current,
            call: self.next_call,
            what,
        });
        self.next_call
    }

    /// Ends the wait with `answer`.
    pub(super) fn answer(&mut self, waiting: &Waiting, answer: Result<Reply, StoreError>) {
        self.waiting.retain(|other| other.call != waiting.call);
        self.answers.insert(waiting.call, answer);
    }
}

/// Whoever stops waiting is not woken any more.
struct Withdraw<'w> {
    world: &'w World,
    call: u64,
}

impl Drop for Withdraw<'_> {
    fn drop(&mut self) {
        self.world
            .state()
            .waiting
            .retain(|waiting| waiting.call != self.call);
    }
}

/// The memory store never waits, and never fails as long as it has no bound.
fn ready<T>(call: Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + '_>>) -> T {
    let mut call = call;
    match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(answer)) => answer,
        Poll::Ready(Err(error)) => panic!("the memory store failed: {error}"),
        Poll::Pending => panic!("the memory store waited"),
    }
}

/// The store that the servers are given.
pub(super) struct ScheduledStore(pub(super) World);

#[async_trait]
impl SessionStore for ScheduledStore {
    async fn load(&self, key: &StoreKey, now: Timestamp) -> Result<Option<Record>, StoreError> {
        match self
            .0
            .wait_for(What::Store(Box::new(StoreCall::Load(*key, now))))
            .await?
        {
            Reply::Loaded(record) => Ok(record),
            other => panic!("a load was answered with {other:?}"),
        }
    }

    async fn save(
        &self,
        key: &StoreKey,
        record: Record,
        options: SaveOptions,
    ) -> Result<SaveOutcome, StoreError> {
        let SaveOptions { expect, now, .. } = options;
        outcome(
            self.0
                .wait_for(What::Store(Box::new(StoreCall::Save(
                    *key, record, expect, now,
                ))))
                .await,
        )
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        self.0
            .wait_for(What::Store(Box::new(StoreCall::Delete(*key))))
            .await
            .map(|_| ())
    }

    async fn touch(
        &self,
        key: &StoreKey,
        touch: Touch,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        outcome(
            self.0
                .wait_for(What::Store(Box::new(StoreCall::Touch(*key, touch, now))))
                .await,
        )
    }
}

fn outcome(reply: Result<Reply, StoreError>) -> Result<SaveOutcome, StoreError> {
    match reply? {
        Reply::Outcome(outcome) => Ok(outcome),
        other => panic!("a write was answered with {other:?}"),
    }
}

/// One server's clock: the world's, a little off.
pub(super) struct ServerClock {
    pub(super) world: World,
    pub(super) ahead_millis: u64,
}

impl Clock for ServerClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.world.state().now + self.ahead_millis)
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let world = self.world.clone();
        let what = if duration == STORE_TIMEOUT {
            What::Deadline
        } else {
            What::Pause
        };
        Box::pin(async move {
            let _ = world.wait_for(what).await;
        })
    }
}

/// The world's generator.
pub(super) struct SeededRandom(pub(super) World);

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), RandomError> {
        self.0.state().rng.fill(buffer);
        Ok(())
    }
}
