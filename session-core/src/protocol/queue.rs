//! The queue of those whose updates of one session met a conflict.
//!
//! ```text
//! enter ──nobody is there──────────▶ turn ──hand_on, or dropped──▶ the next one's turn
//!   ╰─────somebody has the turn──▶ wait ──▶ turn
//! ```
//!
//! Whoever has the turn is alone among the requests of this process that have met a conflict, and tries its update until
//! it is through. It hands on the record that it wrote, so that the next one starts from there without a load. Only
//! newcomers, which haven't met a conflict yet, and other processes can still get in between.
//!
//! A turn is no lock: what is written is still written under a condition, so that somebody who writes without a turn
//! costs a try and no data. The mutex is held for as long as it takes to look into the table, never over a store call,
//! a wake-up or a closure of the application's.

use std::collections::hash_map::{Entry, HashMap};
use std::collections::vec_deque::VecDeque;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::id::StoreKey;
use crate::store::Timestamp;
use crate::time::Clock;

/// Those that have the turn or wait for it, by session. What is handed on is an `R`.
pub(crate) struct Queues<R>(Mutex<Table<R>>);

struct Table<R> {
    /// Nobody waits without somebody who has the turn; when the last one goes, so does the queue.
    queues: HashMap<StoreKey, Queue<R>>,
    /// The number of the next place. No two places ever have the same one.
    next_number: u64,
}

struct Queue<R> {
    /// The place whose turn it is.
    turn: u64,
    since: Timestamp,
    /// What the one whose turn it is starts from, until it takes it.
    handed_on: Option<R>,
    /// Behind it, in the order in which they came. So the numbers ascend.
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    number: u64,
    /// None until it waits.
    waker: Option<Waker>,
}

impl<R> Default for Queues<R> {
    fn default() -> Self {
        Self(Mutex::new(Table {
            queues: HashMap::new(),
            next_number: 0,
        }))
    }
}

impl<R> Queues<R> {
    /// Takes a place at the end of the queue. Where nobody is before it, it has its turn at once, and starts from `own`.
    ///
    /// Nobody has the turn for longer than `longest`, which is how long a commit may take. One that took longer isn't
    /// polled any more: its turn is over, so that the session isn't stuck with it.
    pub(super) fn enter<'q>(
        &'q self,
        key: StoreKey,
        own: Option<R>,
        clock: &'q dyn Clock,
        longest: Duration,
    ) -> Place<'q, R> {
        let now = clock.now();
        let mut table = self.table();
        let number = table.next_number;
        table.next_number += 1;
        let mut next = None;
        match table.queues.entry(key) {
            Entry::Vacant(vacant) => {
                vacant.insert(Queue {
                    turn: number,
                    since: now,
                    handed_on: own,
                    waiting: VecDeque::new(),
                });
            }
            Entry::Occupied(mut occupied) => {
                let queue = occupied.get_mut();
                queue.waiting.push_back(Waiting {
                    number,
                    waker: None,
                });
                if now.saturating_since(queue.since) > longest {
                    next = queue.pass_on(None, now).flatten();
                }
            }
        }
        drop(table);
        wake(next);
        Place {
            queues: self,
            clock,
            key,
            number,
        }
    }

    /// Whoever panics under the lock leaves nothing half done behind it.
    fn table(&self) -> MutexGuard<'_, Table<R>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R> Queue<R> {
    /// Gives the turn to the next one, and what it starts from. `None` if nobody waits.
    fn pass_on(&mut self, record: Option<R>, now: Timestamp) -> Option<Option<Waker>> {
        let next = self.waiting.pop_front()?;
        self.turn = next.number;
        self.since = now;
        self.handed_on = record;
        Some(next.waker)
    }

    fn position(&self, number: u64) -> Option<usize> {
        let position = self
            .waiting
            .binary_search_by_key(&number, |waiting| waiting.number);
        position.ok()
    }
}

/// A place in a queue. Dropped, it is given up, and the turn with it: by a commit that has ended, one that panicked, and
/// one whose request or whose time is gone.
#[must_use]
pub(super) struct Place<'q, R> {
    queues: &'q Queues<R>,
    clock: &'q dyn Clock,
    key: StoreKey,
    number: u64,
}

impl<R> Place<'_, R> {
    /// Waits for the turn. Gives what there is to start from: the record that was handed on, or the place's own if it
    /// didn't have to wait.
    pub(super) async fn turn(&self) -> Option<R> {
        poll_fn(|cx| self.poll_turn(cx)).await
    }

    fn poll_turn(&self, cx: &Context<'_>) -> Poll<Option<R>> {
        let mut table = self.queues.table();
        let Some(queue) = table.queues.get_mut(&self.key) else {
            return Poll::Ready(None);
        };
        if queue.turn == self.number {
            return Poll::Ready(queue.handed_on.take());
        }
        // One that isn't there any more has missed its turn, and goes on without.
        let Some(position) = queue.position(self.number) else {
            return Poll::Ready(None);
        };
        let waker = &mut queue.waiting[position].waker;
        match waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Gives up the place, and hands on the record that was written.
    pub(super) fn hand_on(self, written: R) {
        self.leave(Some(written));
    }

    fn leave(&self, written: Option<R>) {
        let now = self.clock.now();
        let mut table = self.queues.table();
        let Entry::Occupied(mut occupied) = table.queues.entry(self.key) else {
            return;
        };
        let queue = occupied.get_mut();
        if queue.turn != self.number {
            let left = queue.position(self.number);
            let left = left.and_then(|position| queue.waiting.remove(position));
            drop(table);
            return drop(left);
        }
        match queue.pass_on(written, now) {
            Some(next) => {
                drop(table);
                wake(next);
            }
            None => {
                let left = occupied.remove();
                drop(table);
                drop(left);
            }
        }
    }
}

impl<R> Drop for Place<'_, R> {
    fn drop(&mut self) {
        self.leave(None);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::pin::{Pin, pin};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    const KEY: StoreKey = StoreKey::from_bytes([1; 32]);
    const LONGEST: Duration = Duration::from_secs(5);

    /// A clock that is set by hand.
    #[derive(Default)]
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp::from_unix_millis(self.0.load(Ordering::Relaxed))
        }

        fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
            Box::pin(std::future::pending())
        }
    }

    #[derive(Default)]
    struct Scene {
        queues: Queues<&'static str>,
        clock: Hand,
    }

    impl Scene {
        fn enter(&self, own: &'static str) -> Place<'_, &'static str> {
            self.queues.enter(KEY, Some(own), &self.clock, LONGEST)
        }

        fn is_empty(&self) -> bool {
            self.queues.table().queues.is_empty()
        }
    }

    #[derive(Default)]
    struct Bell(AtomicUsize);

    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn poll(place: &Place<'_, &'static str>) -> Poll<Option<&'static str>> {
        pin!(place.turn()).poll(&mut Context::from_waker(Waker::noop()))
    }

    /// CM-10: those that wait get their turn in the order in which they came, each with what the one before it wrote.
    #[test]
    fn the_turn_passes_in_order_with_what_was_written() {
        let scene = Scene::default();
        let [first, second, third] = ["1", "2", "3"].map(|own| scene.enter(own));
        assert_eq!(poll(&third), Poll::Pending);
        assert_eq!(poll(&second), Poll::Pending);
        assert_eq!(poll(&first), Poll::Ready(Some("1")));
        first.hand_on("written");
        assert_eq!(poll(&third), Poll::Pending);
        assert_eq!(poll(&second), Poll::Ready(Some("written")));
        // It gives up: nobody knows what is stored now.
        drop(second);
        assert_eq!(poll(&third), Poll::Ready(None));
        third.hand_on("for nobody");
        assert!(scene.is_empty());
        assert_eq!(poll(&scene.enter("4")), Poll::Ready(Some("4")));
    }

    /// CM-10: the next one, and nobody else, is woken.
    #[test]
    fn the_next_one_is_woken() {
        let scene = Scene::default();
        let first = scene.enter("1");
        let waiting = ["2", "3"].map(|own| (scene.enter(own), Arc::new(Bell::default())));
        for (place, bell) in &waiting {
            let waker = Waker::from(bell.clone());
            let polled = pin!(place.turn()).poll(&mut Context::from_waker(&waker));
            assert_eq!(polled, Poll::Pending);
        }
        drop(first);
        let rung = waiting
            .each_ref()
            .map(|(_, bell)| bell.0.load(Ordering::Relaxed));
        assert_eq!(rung, [1, 0]);
    }

    /// CM-10: one that stops waiting is in nobody's way, whether it has waited or not, and leaves nothing behind.
    #[test]
    fn one_that_stops_waiting_blocks_nobody() {
        let scene = Scene::default();
        let [first, second, third, fourth] = ["1", "2", "3", "4"].map(|own| scene.enter(own));
        assert_eq!(poll(&second), Poll::Pending);
        drop(third);
        drop(second);
        first.hand_on("written");
        assert_eq!(poll(&fourth), Poll::Ready(Some("written")));
        drop(fourth);
        assert!(scene.is_empty());
    }

    /// CM-10: one that was dropped when its turn had come, and before it knew, passes the turn on.
    #[test]
    fn a_turn_that_nobody_took_is_passed_on() {
        let scene = Scene::default();
        let [first, second, third] = ["1", "2", "3"].map(|own| scene.enter(own));
        first.hand_on("written");
        drop(second);
        assert_eq!(poll(&third), Poll::Ready(None));
        drop(third);
        assert!(scene.is_empty());
    }

    /// CM-10: a panic gives up the turn.
    #[test]
    fn a_panic_gives_up_the_turn() {
        let scene = Scene::default();
        let first = scene.enter("1");
        let second = scene.enter("2");
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let _turn = first;
            panic!("a closure of the application's");
        }));
        assert!(panicked.is_err());
        assert_eq!(poll(&second), Poll::Ready(None));
        drop(second);
        assert!(scene.is_empty());
    }

    /// CM-10: the deadline gives up the turn, also of one that isn't polled any more and so can't notice.
    #[test]
    fn a_turn_ends_with_the_deadline() {
        let scene = Scene::default();
        let [stuck, second] = ["1", "2"].map(|own| scene.enter(own));
        scene.clock.0.store(5_000, Ordering::Relaxed);
        let third = scene.enter("3");
        assert_eq!(poll(&second), Poll::Pending);
        scene.clock.0.store(5_001, Ordering::Relaxed);
        let fourth = scene.enter("4");
        assert_eq!(poll(&second), Poll::Ready(None));
        // Whoever missed its turn goes on without, and takes nobody's turn away.
        assert_eq!(poll(&stuck), Poll::Ready(None));
        drop(stuck);
        assert_eq!(poll(&third), Poll::Pending);
        second.hand_on("written");
        assert_eq!(poll(&third), Poll::Ready(Some("written")));
        drop([third, fourth]);
        assert!(scene.is_empty());
    }

    /// CM-10: sessions don't wait for each other.
    #[test]
    fn each_session_has_a_queue_of_its_own() {
        let scene = Scene::default();
        let first = scene.enter("1");
        let other = StoreKey::from_bytes([2; 32]);
        let other = scene.queues.enter(other, Some("2"), &scene.clock, LONGEST);
        assert_eq!(poll(&other), Poll::Ready(Some("2")));
        drop([first, other]);
        assert!(scene.is_empty());
    }
}
