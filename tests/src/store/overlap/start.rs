//! Lets the contenders of a round go at once, two by two.
//!
//! Each contender has a *place*, which is its number in the round. Those in places 0 and 1 are partners, those in
//! places 2 and 3, and so on. Partners start their calls within the time of a memory access, in four steps:
//!
//! 1. There is a task for every contender. All tasks wait at a barrier until the last one is there.
//! 2. Behind the barrier each task takes the next place, and with it the contender that it runs.
//! 3. The two tasks of a pair meet: each waits until it knows that the other is running now. A task waits by
//!    looking again and again, since one that has to be woken starts far too late. It keeps its worker busy
//!    meanwhile, so that the place beside it is taken by a task on another worker.
//! 4. Both start their calls.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Barrier;

use super::{Contender, lock};

/// How often a task looks for its partner before it goes on alone.
const MOST_LOOKS: usize = 100_000;

/// After how many looks a task leaves the processor to others for a moment.
const LOOKS_BETWEEN_YIELDS: usize = 20_000;

/// The first stage of a pair's meeting. Before it the stage is zero, whether or not the first partner is there.
const SECOND_IS_HERE: u8 = 1;

/// The last stage: the first partner has seen the second.
const BOTH_ARE_HERE: u8 = 2;

pub(super) struct StartingLine<T> {
    barrier: Barrier,
    /// The next place that nobody has taken.
    next_place: AtomicUsize,
    /// By place, those that haven't started.
    contenders: Vec<Mutex<Option<Contender<T>>>>,
    /// How far each pair's meeting has come.
    meetings: Vec<AtomicU8>,
    /// A partner stayed away, so that nobody waits for one any more.
    has_given_up: AtomicBool,
}

impl<T> StartingLine<T> {
    pub(super) fn new(contenders: Vec<Contender<T>>) -> Self {
        let count = contenders.len();
        let not_started = |contender| Mutex::new(Some(contender));
        Self {
            barrier: Barrier::new(count),
            next_place: AtomicUsize::new(0),
            contenders: contenders.into_iter().map(not_started).collect(),
            meetings: (0..count.div_ceil(2)).map(|_| AtomicU8::new(0)).collect(),
            has_given_up: AtomicBool::new(false),
        }
    }

    /// What each task of the round does. Returns the place that it took, and that contender's answer.
    pub(super) async fn run_next(self: Arc<Self>) -> (usize, T) {
        self.barrier.wait().await;
        let place = self.next_place.fetch_add(1, Ordering::AcqRel);
        let contender = lock(&self.contenders[place]).take();
        let contender = contender.expect("every place is taken once");
        self.meet_partner(place);
        (place, contender.await)
    }

    /// Returns when the partner is here and knows that this one is. Both have answered the other just now, so that
    /// the system has put neither to sleep while it waited.
    fn meet_partner(&self, place: usize) {
        let meeting = &self.meetings[place / 2];
        if place.is_multiple_of(2) {
            self.wait_until(meeting, SECOND_IS_HERE);
            meeting.store(BOTH_ARE_HERE, Ordering::Release);
        } else {
            meeting.store(SECOND_IS_HERE, Ordering::Release);
            self.wait_until(meeting, BOTH_ARE_HERE);
        }
    }

    /// Returns when the meeting has come to `stage`, or when nobody waits any more. If the partner doesn't come for
    /// a while, one worker has all the tasks of this round, and waiting for partners is in vain.
    fn wait_until(&self, meeting: &AtomicU8, stage: u8) {
        for look in 1..=MOST_LOOKS {
            let is_reached = meeting.load(Ordering::Acquire) >= stage;
            if is_reached || self.has_given_up.load(Ordering::Relaxed) {
                return;
            }
            // Two workers may share one processor; then the partner can only come when this one leaves it.
            if look.is_multiple_of(LOOKS_BETWEEN_YIELDS) {
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
        self.has_given_up.store(true, Ordering::Relaxed);
    }
}
