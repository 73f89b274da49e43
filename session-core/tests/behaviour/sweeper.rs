//! The sweeper.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use session_core::store::{
    Record, SaveOptions, SaveOutcome, SessionStore, StoreError, StoreKey, async_trait,
};
use session_core::{Clock, Sweeper, Timestamp};

/// A clock whose sleeps end as often as they are allowed to.
struct Alarms(AtomicUsize);

impl Clock for Alarms {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(65_007)
    }

    fn sleep(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let rings = self.0.load(Ordering::SeqCst) > 0;
        if rings {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
        Box::pin(std::future::poll_fn(move |_| {
            if rings {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }))
    }
}

/// Answers sweeps from a list, and notes their limits.
struct Answers(Mutex<Vec<Result<usize, StoreError>>>, Mutex<Vec<usize>>);

#[async_trait]
impl SessionStore for &'static Answers {
    async fn load(&self, _: &StoreKey, _: Timestamp) -> Result<Option<Record>, StoreError> {
        Ok(None)
    }

    async fn save(
        &self,
        _: &StoreKey,
        _: Record,
        _: SaveOptions,
    ) -> Result<SaveOutcome, StoreError> {
        Ok(SaveOutcome::Missing)
    }

    async fn delete(&self, _: &StoreKey) -> Result<(), StoreError> {
        Ok(())
    }

    async fn delete_expired(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        // By the margin earlier than now: by another server's clock it may not be that late.
        assert_eq!(now.as_unix_millis(), 7);
        self.1.lock().unwrap().push(limit);
        self.0.lock().unwrap().pop().unwrap_or(Ok(0))
    }
}

/// TM-6: expired records go in bounded batches until none is left, and a sweep that fails once is followed
/// by others.
#[test]
fn sweeps_go_in_batches_and_go_on_after_a_failure() {
    let script = vec![
        Ok(3),
        Ok(1_000),
        Err(StoreError::unknown("connection reset")),
        Ok(0),
        Ok(1_000),
    ];
    let store: &'static Answers = Box::leak(Box::new(Answers(
        Mutex::new(script),
        Mutex::new(Vec::new()),
    )));
    // An alarm for each of three sweeps, and one for the pause after each full batch.
    let clock = Alarms(AtomicUsize::new(3 + 2));
    let mut run = pin!(Sweeper::with_clock(store, clock).run());
    assert!(
        run.as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    assert_eq!(*store.1.lock().unwrap(), [1_000; 5]);
}
