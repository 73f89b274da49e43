//! What the servers see of the world: a store, a clock and a generator that the scheduler controls.

use std::collections::{HashMap, HashSet};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use session_core::store::{DecodeError, SaveOptions, SessionStore, StoreError, UserIndex, Version};
use session_core::{Clock, Random, RandomError, Timestamp};
use session_store_memory::MemoryStore;

use super::calls::{Reply, StoreCall};
use super::mix::{Mix, Terms};
use super::oracle::{Oracle, Promises};

/// How many servers share the store.
pub(super) const SERVERS: usize = 3;

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
    pub(super) terms: Terms,
    /// How far each server's clock is ahead, in milliseconds.
    pub(super) ahead: [u64; SERVERS],
    /// The versions of the records that can't be read any more.
    pub(super) unreadable: HashSet<Version>,
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
    /// The deadline over the request's store calls, and when that is.
    Deadline(u64),
    /// A pause of the handler, or of the driver between two tries.
    Pause,
}

impl World {
    pub(super) fn new(mix: Mix, seed: u64, checked: Promises) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let terms = mix.terms(&mut rng);
        let skew = terms.skew_millis();
        let ahead = [0, skew * 7 / 20, skew];
        Self(Arc::new(Mutex::new(State {
            rng,
            now: 1_000_000,
            store: MemoryStore::new(),
            oracle: Oracle::new(terms, checked),
            current: 0,
            waiting: Vec::new(),
            terms,
            ahead,
            unreadable: HashSet::new(),
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

    pub(super) async fn wait_for(&self, what: What) -> Result<Reply, StoreError> {
        let call = self.state().submit(what);
        let _withdraw = Withdraw { world: self, call };
        poll_fn(|_| match self.state().answers.remove(&call) {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        })
        .await
    }

    /// Carries `call` out and shows it to the oracle.
    ///
    /// # Errors
    /// If the answer would be a record that can't be read.
    pub(super) fn execute(&self, request: usize, call: &StoreCall) -> Result<Reply, StoreError> {
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
            StoreCall::AddEntry(user, entry, cap, now) => {
                Reply::Added(ready(store.add(user, *entry, *cap, *now)))
            }
            StoreCall::RemoveEntry(user, key) => {
                ready(store.remove(user, key));
                Reply::Done
            }
            StoreCall::Entries(user, now) => Reply::Entries(ready(store.list(user, *now))),
        };
        let mut state = self.state();
        let record = reply.record();
        if record.is_some_and(|record| state.unreadable.contains(&record.version)) {
            state.oracle.unreadable(request, call);
            return Err(DecodeError::Corrupt.into());
        }
        let now = Timestamp::from_unix_millis(state.now);
        state.oracle.observe(request, call, &reply, now);
        Ok(reply)
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

/// The memory store never waits, and never fails as long as it isn't full.
fn ready<T>(call: Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + '_>>) -> T {
    let mut call = call;
    match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(answer)) => answer,
        Poll::Ready(Err(error)) => panic!("the memory store failed: {error}"),
        Poll::Pending => panic!("the memory store waited"),
    }
}

/// One server's clock: the world's, a little off.
pub(super) struct ServerClock {
    pub(super) world: World,
    pub(super) server: usize,
}

impl Clock for ServerClock {
    fn now(&self) -> Timestamp {
        let state = self.world.state();
        Timestamp::from_unix_millis(state.now + state.ahead[self.server])
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let world = self.world.clone();
        let state = world.state();
        let what = match duration == state.terms.store_timeout {
            true => What::Deadline(state.now + state.terms.store_timeout_millis()),
            false => What::Pause,
        };
        drop(state);
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
