//! Races in which the calls really overlap, and are seen to.
//!
//! All contenders of a round wait at a barrier. Behind it they pair up, spinning, so that two workers
//! start their calls within the time of a memory access: that is what it takes to make the calls of a
//! store overlap that never waits. A shared counter stamps the start and the end of every call; a round
//! counts if the spans of two calls intersect that the race is about, and rounds go on until enough of
//! them count.

use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use session_core::store::{
    AddOutcome, Expect, IndexEntry, SaveOutcome, SessionStore, StoreError, Touch, async_trait,
};
use session_core::{Record, StoreKey, Timestamp, UserKey};
use tokio::runtime::Handle;
use tokio::sync::Barrier;

use super::bench::{Bench, works};

/// How many tasks contend in a round.
pub(super) const CONTENDERS: usize = 16;

/// How many rounds a race has at least.
const FEWEST_ROUNDS: usize = 50;

/// In how many of them calls have to overlap. On a machine that has nothing else to do nearly all do.
const OVERLAPPING_ROUNDS: usize = 10;

/// After how many rounds too few overlaps are a failure.
const MOST_ROUNDS: usize = 5_000;

const TOO_FEW_WORKERS: &str = "nothing is known about races unless calls overlap: run the suite on a tokio \
    runtime with at least two workers, and on as many processors";

/// How often a contender looks for its partner before it goes on alone.
const SPINS: usize = 100_000;

const SPINS_BETWEEN_YIELDS: usize = 20_000;

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
    /// To the index of sessions by user.
    Add,
}

/// Two races at once would take the processors from each other, and few calls would overlap.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Rounds of a race on one store.
pub(super) struct Race<S> {
    _turn: tokio::sync::MutexGuard<'static, ()>,
    /// The calls that have to overlap.
    between: [Call; 2],
    clients: [Arc<Watched<S>>; 2],
    spans: Arc<Spans>,
    rounds: usize,
    overlapping_rounds: usize,
}

impl<S: SessionStore> Race<S> {
    pub(super) async fn new(bench: &Bench<S>, between: [Call; 2]) -> Self {
        let workers = Handle::current().metrics().num_workers();
        assert!(
            workers > 1,
            "{TOO_FEW_WORKERS}; this runtime has one worker"
        );
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
            _turn: ONE_AT_A_TIME.lock().await,
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
        if self.rounds >= FEWEST_ROUNDS && self.overlapping_rounds >= OVERLAPPING_ROUNDS {
            return false;
        }
        assert!(
            self.rounds < MOST_ROUNDS,
            "{TOO_FEW_WORKERS}; {:?} overlapped in only {} of {MOST_ROUNDS} rounds",
            self.between,
            self.overlapping_rounds
        );
        true
    }

    /// Runs the contenders of one round at once, the first beside the second, the third beside the fourth
    /// and so on, and returns their answers in order.
    pub(super) async fn round<T: Send + 'static>(
        &mut self,
        contenders: Vec<Contender<T>>,
    ) -> Vec<T> {
        let count = contenders.len();
        let line = Arc::new(StartingLine::new(contenders));
        let tasks: Vec<_> = (0..count)
            .map(|_| tokio::spawn(line.clone().cross()))
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
        self.overlapping_rounds += usize::from(self.spans.take_overlap(self.between));
        answers.into_iter().map(|(_, answer)| answer).collect()
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
struct StartingLine<T> {
    barrier: Barrier,
    contenders: Vec<Mutex<Option<Contender<T>>>>,
    crossed: AtomicUsize,
    /// How far each pair has come.
    meetings: Vec<AtomicU8>,
    /// Whether a partner stayed away.
    is_apart: AtomicBool,
}

/// A pair of which only the first may have come has zero.
const SECOND_IS_HERE: u8 = 1;
const BOTH_ARE_HERE: u8 = 2;

impl<T> StartingLine<T> {
    fn new(contenders: Vec<Contender<T>>) -> Self {
        let count = contenders.len();
        let waiting = |contender| Mutex::new(Some(contender));
        Self {
            barrier: Barrier::new(count),
            contenders: contenders.into_iter().map(waiting).collect(),
            crossed: AtomicUsize::new(0),
            meetings: (0..count.div_ceil(2)).map(|_| AtomicU8::new(0)).collect(),
            is_apart: AtomicBool::new(false),
        }
    }

    /// Runs the contender whose turn it is. Which task that is only shows when it runs, so that partners
    /// are on different workers.
    async fn cross(self: Arc<Self>) -> (usize, T) {
        self.barrier.wait().await;
        let place = self.crossed.fetch_add(1, Ordering::AcqRel);
        let contender = lock(&self.contenders[place]).take();
        let contender = contender.expect("every place is taken once");
        self.meet_partner(place);
        (place, contender.await)
    }

    /// Returns when the partner is here and knows that this one is, so that neither has been put to sleep
    /// by the system while it waited. If the partner doesn't come for a while, one worker has all tasks of
    /// this round, and nobody waits any more.
    fn meet_partner(&self, place: usize) {
        let meeting = &self.meetings[place / 2];
        if place.is_multiple_of(2) {
            self.spin_until(meeting, SECOND_IS_HERE);
            meeting.store(BOTH_ARE_HERE, Ordering::Release);
        } else {
            meeting.store(SECOND_IS_HERE, Ordering::Release);
            self.spin_until(meeting, BOTH_ARE_HERE);
        }
    }

    fn spin_until(&self, meeting: &AtomicU8, stage: u8) {
        for spin in 1..=SPINS {
            let is_reached = meeting.load(Ordering::Acquire) >= stage;
            if is_reached || self.is_apart.load(Ordering::Relaxed) {
                return;
            }
            // Now and then the partner gets the processor, in case that both have the same one.
            if spin.is_multiple_of(SPINS_BETWEEN_YIELDS) {
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
        self.is_apart.store(true, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
        let spans = std::mem::take(&mut *lock(&self.ended));
        let of = |kind| spans.iter().filter(move |span| span.call == kind);
        // No two spans share a start, so that a call isn't taken for one that overlaps itself.
        of(one).any(|a| {
            of(other).any(|b| a.started != b.started && a.started < b.ended && b.started < a.ended)
        })
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
        lock(&self.spans.ended).push(span);
    }
}

/// The store under test, with every call's span taken down.
pub(super) struct Watched<S> {
    store: Arc<S>,
    spans: Arc<Spans>,
}

impl<S: SessionStore> Watched<S> {
    /// Adds to the index of a store that has one.
    pub(super) async fn add(
        &self,
        user: &UserKey,
        entry: IndexEntry,
        cap: Option<usize>,
        now: Timestamp,
    ) -> Result<AddOutcome, StoreError> {
        let _under_way = self.spans.start(Call::Add);
        let index = self.store.user_index();
        let index = index.expect("the clause has made sure that there is one");
        index.add(user, entry, cap, now).await
    }
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
