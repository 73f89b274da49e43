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
        let this = self.clone();
        let task = Box::pin(async move {
            let _ended = EndOnDrop(this);
            work.await;
        });
        if let Err(task) = self.spawner.spawn(task) {
            // It has never run, so that its guard isn't there yet.
            drop(task);
            self.end();
            self.events.commit_cut_off();
        }
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

struct EndOnDrop(Arc<Outliving>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end();
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
