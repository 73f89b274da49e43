//! Where a commit goes on when the request that began it is gone.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::sync::Notify;

use crate::events::Events;

/// A piece of work that nobody waits for.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs what outlives its request. Applications use [`TokioSpawner`]; tests bring their own.
pub trait Spawner: Send + Sync + 'static {
    /// Runs `task` to its end, elsewhere. It gives it back if there is nowhere to run it.
    ///
    /// # Errors
    /// The task.
    fn spawn(&self, task: Task) -> Result<(), Task>;
}

/// The tokio runtime that drops the request. actix-web and axum run on one, and so does poem.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioSpawner;

impl Spawner for TokioSpawner {
    fn spawn(&self, task: Task) -> Result<(), Task> {
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                drop(runtime.spawn(task));
                Ok(())
            }
            Err(_) => Err(task),
        }
    }
}

/// How many pieces of work may outlive their requests at a time. Each is bounded by the store timeout; beyond this number
/// visitors leave faster than the store works.
const MAX_OUTLIVING: usize = 10_000;

/// The work that has outlived its requests.
pub(crate) struct Outliving {
    spawner: Arc<dyn Spawner>,
    count: AtomicUsize,
    /// Told whenever a piece of work has come to its end.
    ended: Notify,
    events: Arc<Events>,
}

impl Outliving {
    pub(crate) fn new(spawner: Arc<dyn Spawner>, events: Arc<Events>) -> Arc<Self> {
        Arc::new(Self {
            spawner,
            count: AtomicUsize::new(0),
            ended: Notify::new(),
            events,
        })
    }

    /// Runs `work` to its end, though nobody waits for it.
    pub(crate) fn spawn(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        if self.count.fetch_add(1, Ordering::AcqRel) >= MAX_OUTLIVING {
            self.end();
            return self.events.commit_cut_off();
        }
        // Made here: a runtime that is about to stop may drop the task before it has run.
        let place = Place {
            outliving: self.clone(),
            has_run: false,
        };
        let task = Box::pin(async move {
            let mut place = place;
            place.has_run = true;
            work.await;
            drop(place);
        });
        drop(self.spawner.spawn(task));
    }

    /// Waits until everything that has outlived its request has come to its end.
    pub(crate) async fn drain(&self) {
        loop {
            let mut ended = pin!(self.ended.notified());
            ended.as_mut().enable();
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            ended.await;
        }
    }

    fn end(&self) {
        self.count.fetch_sub(1, Ordering::AcqRel);
        self.ended.notify_waiters();
    }
}

/// What work that outlives its request takes up, until it is dropped.
struct Place {
    outliving: Arc<Outliving>,
    has_run: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.has_run {
            self.outliving.events.commit_cut_off();
        }
        self.outliving.end();
    }
}

/// Work that goes on elsewhere if whoever waits for it goes away after it has begun.
pub(crate) struct Outlive<T: Send + 'static> {
    work: Option<Pin<Box<dyn Future<Output = T> + Send>>>,
    has_begun: bool,
    outliving: Arc<Outliving>,
}

impl<T: Send + 'static> Outlive<T> {
    pub(crate) fn new(
        outliving: &Arc<Outliving>,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Self {
        Self {
            work: Some(Box::pin(work)),
            has_begun: false,
            outliving: outliving.clone(),
        }
    }
}

impl<T: Send + 'static> Future for Outlive<T> {
    type Output = T;

    #[expect(clippy::panic, reason = "as every future that is polled after its end")]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        self.has_begun = true;
        let Some(work) = &mut self.work else {
            panic!("`Outlive` polled after it was ready");
        };
        let polled = work.as_mut().poll(cx);
        if polled.is_ready() {
            self.work = None;
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Outlive<T> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take()
            && self.has_begun
        {
            self.outliving.spawn(async move { drop(work.await) });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::time::SystemClock;

    /// A runtime that is about to stop.
    struct Discards;

    impl Spawner for Discards {
        fn spawn(&self, task: Task) -> Result<(), Task> {
            drop(task);
            Ok(())
        }
    }

    /// CM-4: work that was taken and never ran keeps nobody waiting.
    #[test]
    fn what_never_runs_is_not_waited_for() {
        let events = Arc::new(Events::new(Arc::new(SystemClock)));
        let outliving = Outliving::new(Arc::new(Discards), events);
        outliving.spawn(async {});
        let mut cx = Context::from_waker(Waker::noop());
        assert!(pin!(outliving.drain()).poll(&mut cx).is_ready());
    }
}
