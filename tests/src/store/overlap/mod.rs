//! Races in which the calls really overlap, and are seen to.
//!
//! A clause says which two kinds of calls have to overlap. Then it runs rounds until enough of them had such an
//! overlap, and checks each round:
//!
//! ```text
//! let mut race = Race::new(&bench, [Call::Save, Call::Touch]).await;
//! while race.goes_on() {
//!     // Put a record there that the contenders of this round fight for.
//!     let contenders = (0..CONTENDERS).map(|at| saving(race.client(at), key, …));
//!     let answers = race.round(contenders.collect()).await;
//!     // Check the answers, and what is stored now.
//! }
//! ```
//!
//! Two things make that possible:
//!
//! - `start` lets the contenders of a round go, two by two and so close together that even the calls of a store
//!   that never waits overlap.
//! - `watch` takes down when each call started and ended, and finds the overlaps.

mod start;
mod watch;

use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use session_core::Timestamp;
use session_core::store::{
    Expect, Record, SaveOptions, SaveOutcome, SessionStore, StoreKey, Touch,
};
use tokio::runtime::Handle;

use super::bench::{Bench, works};
use start::StartingLine;
use watch::Spans;
pub(super) use watch::{Call, Watched};

/// How many tasks contend in a round.
pub(super) const CONTENDERS: usize = 16;

/// How many rounds a race has at least.
const FEWEST_ROUNDS: usize = 50;

/// In how many rounds calls have to overlap. On a machine that has nothing else to do they overlap in nearly all.
const FEWEST_OVERLAPPING_ROUNDS: usize = 10;

/// After how many rounds too few overlaps are a failure.
const MOST_ROUNDS: usize = 5_000;

const TOO_FEW_WORKERS: &str = "nothing is known about races unless calls overlap: run the suite on a tokio \
    runtime with at least two workers, and on as many processors";

/// One contender: a task of its own in a round.
pub(super) type Contender<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A contender that saves.
pub(super) fn saving<S: SessionStore>(
    client: Arc<Watched<S>>,
    key: StoreKey,
    record: Record,
    expect: Expect,
    now: Timestamp,
) -> Contender<SaveOutcome> {
    Box::pin(async move {
        works(
            "save",
            client
                .save(&key, record, SaveOptions::new(expect, now))
                .await,
        )
    })
}

/// A contender that touches.
pub(super) fn touching<S: SessionStore>(
    client: Arc<Watched<S>>,
    key: StoreKey,
    touch: Touch,
    now: Timestamp,
) -> Contender<SaveOutcome> {
    Box::pin(async move { works("touch", client.touch(&key, touch, now).await) })
}

/// Two races at once would take the processors from each other, and few calls would overlap.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Rounds of contenders on one store.
pub(super) struct Race<S> {
    /// Held for as long as the race lasts.
    _turn: tokio::sync::MutexGuard<'static, ()>,
    /// The two kinds of calls of which one has to overlap the other.
    must_overlap: [Call; 2],
    /// Two clients of the store, or the same one twice.
    clients: [Arc<Watched<S>>; 2],
    /// When the calls through these clients started and ended.
    spans: Arc<Spans>,
    rounds: usize,
    overlapping_rounds: usize,
}

impl<S: SessionStore> Race<S> {
    pub(super) async fn new(bench: &Bench<S>, must_overlap: [Call; 2]) -> Self {
        let workers = Handle::current().metrics().num_workers();
        assert!(
            workers > 1,
            "{TOO_FEW_WORKERS}; this runtime has one worker"
        );
        let spans = Arc::new(Spans::default());
        let watched = |store: &Arc<S>| Arc::new(Watched::new(store.clone(), spans.clone()));
        let first = watched(&bench.store);
        let second = bench.second.as_ref().map_or_else(|| first.clone(), watched);
        Self {
            _turn: ONE_AT_A_TIME.lock().await,
            must_overlap,
            clients: [first, second],
            spans,
            rounds: 0,
            overlapping_rounds: 0,
        }
    }

    /// The store as contender number `at` sees it: every other contender goes through the second client.
    pub(super) fn client(&self, at: usize) -> Arc<Watched<S>> {
        self.clients[at % self.clients.len()].clone()
    }

    /// Whether there has to be another round.
    pub(super) fn goes_on(&self) -> bool {
        if self.rounds >= FEWEST_ROUNDS && self.overlapping_rounds >= FEWEST_OVERLAPPING_ROUNDS {
            return false;
        }
        assert!(
            self.rounds < MOST_ROUNDS,
            "{TOO_FEW_WORKERS}; {:?} overlapped in only {} of {MOST_ROUNDS} rounds",
            self.must_overlap,
            self.overlapping_rounds
        );
        true
    }

    /// Runs the contenders of one round at once, the first beside the second, the third beside the fourth
    /// and so on. Returns their answers in the contenders' order.
    pub(super) async fn round<T: Send + 'static>(
        &mut self,
        contenders: Vec<Contender<T>>,
    ) -> Vec<T> {
        let count = contenders.len();
        let line = Arc::new(StartingLine::new(contenders));
        let tasks: Vec<_> = (0..count)
            .map(|_| tokio::spawn(line.clone().run_next()))
            .collect();
        let mut answers = Vec::with_capacity(count);
        for task in tasks {
            match task.await {
                Ok(answer) => answers.push(answer),
                Err(error) => resume_unwind(error.into_panic()),
            }
        }
        answers.sort_unstable_by_key(|(place, _)| *place);
        self.rounds += 1;
        self.overlapping_rounds += usize::from(self.spans.take_overlap(self.must_overlap));
        answers.into_iter().map(|(_, answer)| answer).collect()
    }
}

/// Whoever panics under one of these locks leaves nothing half done behind it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
