//! A clock that stands still until a check moves it on.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use session_core::{Clock, SystemClock, Timestamp};

/// The time of the servers of one check: it stands still until it is moved on, so that what a check sees
/// doesn't depend on how long it takes. Waiting takes as long as it does. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct TestClock(Arc<AtomicU64>);

impl TestClock {
    /// A clock that stands at the present time.
    pub fn new() -> Self {
        let now = SystemClock.now().as_unix_millis();
        Self(Arc::new(AtomicU64::new(now)))
    }

    /// Lets time pass.
    pub fn advance(&self, duration: Duration) {
        let later = self.now().saturating_add(duration);
        self.0.store(later.as_unix_millis(), Ordering::SeqCst);
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_millis(self.0.load(Ordering::SeqCst))
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(tokio::time::sleep(duration))
    }
}
