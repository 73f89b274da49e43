//! Removing expired records, for those whose store doesn't do it by itself.

use std::fmt;
use std::time::Duration;

use super::contract::SessionStore;
use crate::events;
use crate::time::{Clock, SystemClock};

/// How many records one call removes at most.
const BATCH: usize = 1_000;
/// The pause between two batches, so that a sweep doesn't keep the store from its other work.
const PAUSE: Duration = Duration::from_millis(1);

/// The default clock tolerance, a minute, and the default store timeout, five seconds.
const DEFAULT_MARGIN: Duration = Duration::from_secs(65);

/// Removes expired records every now and then, in bounded batches. Nothing but memory depends on it: an
/// expired record is invisible, whether it has been removed or not.
///
/// ```no_run
/// # use session_core::store::SessionStore;
/// # fn example(store: std::sync::Arc<dyn SessionStore>) {
/// use session_core::Sweeper;
/// tokio::spawn(Sweeper::new(store).run());
/// # }
/// ```
pub struct Sweeper<S, C = SystemClock> {
    store: S,
    clock: C,
    interval: Duration,
    margin: Duration,
}

impl<S: SessionStore> Sweeper<S> {
    /// A sweeper that looks once a minute.
    pub fn new(store: S) -> Self {
        Self::with_clock(store, SystemClock)
    }
}

impl<S: SessionStore, C: Clock> Sweeper<S, C> {
    /// A sweeper on a clock of the caller's, for tests.
    pub fn with_clock(store: S, clock: C) -> Self {
        Self {
            store,
            clock,
            interval: Duration::from_secs(60),
            margin: DEFAULT_MARGIN,
        }
    }

    /// The time between two looks. Default: one minute.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// How long expired records stay. Another server's clock may be behind, and a write that was decided in time may
    /// land late: the margin has to cover the clock tolerance and the store timeout of the configuration. Default: what
    /// covers their defaults, 65 seconds.
    #[must_use]
    pub fn margin(mut self, margin: Duration) -> Self {
        self.margin = margin;
        self
    }

    /// Sweeps until the future is dropped. A failure is logged, and the next look goes on.
    pub async fn run(self) {
        loop {
            self.clock.sleep(self.interval).await;
            self.sweep().await;
        }
    }

    /// Removes everything that expired longer ago than the margin, batch after batch.
    async fn sweep(&self) {
        loop {
            let earlier = self.clock.now().saturating_sub(self.margin);
            match self.store.delete_expired(earlier, BATCH).await {
                Ok(removed) if removed < BATCH => return,
                Ok(_) => self.clock.sleep(PAUSE).await,
                Err(error) => {
                    events::sweep_failed(&error);
                    return;
                }
            }
        }
    }
}

impl<S, C> fmt::Debug for Sweeper<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sweeper")
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}
