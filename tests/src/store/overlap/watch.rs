//! Takes down when each call of a round started and ended, and finds calls that overlapped.
//!
//! Time is counted, not measured: a shared counter goes up by one with every start and every end, so that no two
//! of them have the same time. Two calls overlapped if each started before the other ended.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use session_core::Timestamp;
use session_core::store::{
    AddOutcome, IndexEntry, Record, Replacing, SaveOptions, SaveOutcome, SessionStore, StoreError,
    StoreKey, Touch, UserKey, async_trait,
};

use super::lock;

/// What can overlap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::store) enum Call {
    Load,
    Save,
    Delete,
    Touch,
    Sweep,
    /// To the index of sessions by user.
    Add,
}

/// From when to when each call of a round lasted.
#[derive(Default)]
pub(super) struct Spans {
    /// The number of starts and ends so far.
    clock: AtomicU64,
    ended: Mutex<Vec<Span>>,
}

struct Span {
    call: Call,
    started: u64,
    ended: u64,
}

impl Spans {
    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// Notes that a call starts. It ends when the returned guard is dropped.
    fn start(&self, call: Call) -> UnderWay<'_> {
        UnderWay {
            spans: self,
            call,
            started: self.tick(),
        }
    }

    /// Whether a call of the one kind overlapped one of the other. Forgets them all.
    pub(super) fn take_overlap(&self, [one, other]: [Call; 2]) -> bool {
        let spans = std::mem::take(&mut *lock(&self.ended));
        let of = |kind| spans.iter().filter(move |span| span.call == kind);
        of(one).any(|a| of(other).any(|b| a.overlaps(b)))
    }
}

impl Span {
    fn overlaps(&self, other: &Self) -> bool {
        // Where both kinds are the same, a call also meets itself. No two calls have the same start.
        let is_another = self.started != other.started;
        is_another && self.started < other.ended && other.started < self.ended
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
            ended: self.spans.tick(),
        };
        lock(&self.spans.ended).push(span);
    }
}

/// The store under test, with every call's span taken down.
pub(in crate::store) struct Watched<S> {
    store: Arc<S>,
    spans: Arc<Spans>,
}

impl<S: SessionStore> Watched<S> {
    pub(super) fn new(store: Arc<S>, spans: Arc<Spans>) -> Self {
        Self { store, spans }
    }

    /// Adds to the index of a store that has one.
    pub(in crate::store) async fn add(
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
        options: SaveOptions,
    ) -> Result<SaveOutcome, StoreError> {
        let _under_way = self.spans.start(Call::Save);
        self.store.save(key, record, options).await
    }

    fn replace<'c>(
        &'c self,
        key: &'c StoreKey,
        record: Record,
        replaced: Record,
        now: Timestamp,
    ) -> Replacing<'c> {
        Box::pin(async move {
            let _under_way = self.spans.start(Call::Save);
            self.store.replace(key, record, replaced, now).await
        })
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
