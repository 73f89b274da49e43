//! Races in which the calls really overlap, and are seen to.
//!
//! All contenders of a round wait at a barrier. Behind it they pair up, spinning, so that two workers
//! start their calls within the time of a memory access: that is what it takes to make the calls of a
//! store overlap that never waits. A shared counter stamps the start and the end of every call; a round
//! counts if the spans of two calls intersect that the race is about, and rounds go on until enough of
//! them count.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use session_core::store::{Expect, SaveOutcome, SessionStore, StoreError, Touch, async_trait};
use session_core::{Record, StoreKey, Timestamp};
use tokio::sync::Barrier;

use super::bench::{Bench, works};

/// How many tasks contend in a round.
pub(super) const CONTENDERS: usize = 16;

/// How many rounds with overlapping calls a race takes.
const OVERLAPPING_ROUNDS: usize = 50;

/// After how many rounds too few overlaps are a failure: the runtime has one worker, say.
const MOST_ROUNDS: usize = 5_000;

/// How often a contender looks for its partner before it goes on alone.
const SPINS: usize = 20_000;

/// One contender: a task of its own in a round.
pub(super) type Contender<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What can overlap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Call {
    Load,
    Save,
    Delete,
    Touch,
    Sweep,
}

/// Rounds of a race on one store.
pub(super) struct Race<S> {
    /// The calls that have to overlap.
    between: [Call; 2],
    clients: [Arc<Watched<S>>; 2],
    spans: Arc<Spans>,
    rounds: usize,
    overlapping_rounds: usize,
}

impl<S: SessionStore> Race<S> {
    pub(super) fn new(bench: &Bench<S>, between: [Call; 2]) -> Self {
        let spans = Arc::new(Spans::default());
        let watched = |store: &Arc<S>| {
            Arc::new(Watched {
                store: store.clone(),
                spans: spans.clone(),
            })
        };
        let first = watched(&bench.store);
        let second = bench.second.as_ref().map_or_else(|| first.clone(), watched);
        Self {
            between,
            clients: [first, second],
            spans,
            rounds: 0,
            overlapping_rounds: 0,
        }
    }

    /// The store as contender number `at` sees it: every other one through the second client.
    pub(super) fn client(&self, at: usize) -> Arc<Watched<S>> {
        self.clients[at % self.clients.len()].clone()
    }

    /// Whether there has to be another round.
    pub(super) fn goes_on(&self) -> bool {
        if self.overlapping_rounds >= OVERLAPPING_ROUNDS {
            return false;
        }
        assert!(
            self.rounds < MOST_ROUNDS,
            "only in {} of {MOST_ROUNDS} rounds did calls of {:?} overlap, so that nothing is known about \
             races: run the suite on a tokio runtime with two workers or more, on as many processors",
            self.overlapping_rounds,
            self.between
        );
        true
    }

    /// Runs the contenders of one round at once, and returns their answers in order.
    pub(super) async fn round<T: Send + 'static>(
        &mut self,
        contenders: Vec<Contender<T>>,
    ) -> Vec<T> {
        let line = Arc::new(StartingLine::new(contenders.len()));
        let start = |contender: Contender<T>| {
            let line = line.clone();
            tokio::spawn(async move {
                line.cross().await;
                contender.await
            })
        };
        let tasks: Vec<_> = contenders.into_iter().map(start).collect();
        let mut answers = Vec::with_capacity(tasks.len());
        for task in tasks {
            match task.await {
                Ok(answer) => answers.push(answer),
                Err(error) => resume_unwind(error.into_panic()),
            }
        }
        self.rounds += 1;
        self.overlapping_rounds += usize::from(self.spans.take_overlap(self.between));
        answers
    }
}

/// A contender that saves.
pub(super) fn saving<S: SessionStore>(
    client: Arc<Watched<S>>,
    key: StoreKey,
    record: Record,
    expect: Expect,
    now: Timestamp,
) -> Contender<SaveOutcome> {
    Box::pin(async move { works("save", client.save(&key, record, expect, now).await) })
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

/// Lets all contenders go at once, two by two.
struct StartingLine {
    barrier: Barrier,
    contenders: usize,
    crossed: AtomicUsize,
}

impl StartingLine {
    fn new(contenders: usize) -> Self {
        Self {
            barrier: Barrier::new(contenders),
            contenders,
            crossed: AtomicUsize::new(0),
        }
    }

    async fn cross(&self) {
        self.barrier.wait().await;
        let place = self.crossed.fetch_add(1, Ordering::AcqRel);
        let pair = (place | 1).min(self.contenders - 1) + 1;
        for _ in 0..SPINS {
            if self.crossed.load(Ordering::Acquire) >= pair {
                return;
            }
            std::hint::spin_loop();
        }
    }
}

/// From when to when each call of a round lasted, by a clock that counts starts and ends.
#[derive(Default)]
struct Spans {
    clock: AtomicU64,
    ended: Mutex<Vec<Span>>,
}

struct Span {
    call: Call,
    started: u64,
    ended: u64,
}

impl Spans {
    fn start(&self, call: Call) -> UnderWay<'_> {
        UnderWay {
            spans: self,
            call,
            started: self.clock.fetch_add(1, Ordering::SeqCst),
        }
    }

    /// Whether a call of the one kind overlapped one of the other. Forgets them all.
    fn take_overlap(&self, [one, other]: [Call; 2]) -> bool {
        let spans = std::mem::take(&mut *self.lock());
        let of = |kind| spans.iter().filter(move |span| span.call == kind);
        // No two spans share a start, so that a call isn't taken for one that overlaps itself.
        of(one).any(|a| {
            of(other).any(|b| a.started != b.started && a.started < b.ended && b.started < a.ended)
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Span>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that hasn't been answered yet.
struct UnderWay<'s> {
    spans: &'s Spans,
    call: Call,
    started: u64,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let span = Span {
            call: self.call,
            started: self.started,
            ended: self.spans.clock.fetch_add(1, Ordering::SeqCst),
        };
        self.spans.lock().push(span);
    }
}

/// The store under test, with every call's span taken down.
pub(super) struct Watched<S> {
    store: Arc<S>,
    spans: Arc<Spans>,
}

#[async_trait]
impl<S: SessionStore> SessionStore for Watched<S> {
    async fn load(&self, key: &StoreKey, now: Timestamp) -> Result<Option<Record>, StoreError> {
        let _under_way = self.spans.start(Call::Load);
        self.store.load(key, now).await
    }

    async fn save(
        &self,
        key: &StoreKey,
        record: Record,
        expect: Expect,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        let _under_way = self.spans.start(Call::Save);
        self.store.save(key, record, expect, now).await
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        let _under_way = self.spans.start(Call::Delete);
        self.store.delete(key).await
    }

    async fn touch(
        &self,
        key: &StoreKey,
        touch: Touch,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        let _under_way = self.spans.start(Call::Touch);
        self.store.touch(key, touch, now).await
    }

    async fn delete_expired(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let _under_way = self.spans.start(Call::Sweep);
        self.store.delete_expired(now, limit).await
    }
}
