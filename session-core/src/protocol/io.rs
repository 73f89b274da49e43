//! The world as one opening or one commit sees it: the store, the time, randomness, and what was configured.

use std::future::Future;
use std::iter::repeat_with;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::found::{LiveSession, StoredSession};
use super::queue::{Place, Queues};
use crate::config::{Policy, SessionConfig};
use crate::error::{Error, ErrorKind};
use crate::events::Events;
use crate::id::{SessionId, SessionRef, StoreKey, UserKey, Version};
use crate::random::{Random, RandomError};
use crate::spawn::Outliving;
use crate::store::{
    AddOutcome, Expect, IndexEntry, Record, RecordState, Sample, SaveOptions, SaveOutcome,
    SessionStore, StoreError, Timestamp, Touch, UserIndex,
};
use crate::time::Clock;

/// How often a commit may run into other requests' commits. Time runs out long before; this is for a
/// store that answers "conflict" to everything, at once.
pub(super) const MAX_CONFLICTS: u32 = 10_000;
/// How many store errors an ending or a rotation looks past to learn what became of its write.
pub(super) const MAX_ERRORS: u32 = 3;

/// What all requests share.
pub(crate) struct Environment {
    pub(crate) config: SessionConfig,
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) outliving: Arc<Outliving>,
    pub(crate) events: Arc<Events>,
    /// Where updates wait that met a conflict.
    pub(crate) queues: Queues<Arc<LiveSession>>,
}

impl Environment {
    /// The index of a store that has one.
    ///
    /// # Errors
    /// [`ErrorKind::NoUserIndex`]
    pub(crate) fn index(&self) -> Result<&dyn UserIndex, Error> {
        let no_index = || {
            let message = "the store has no index of sessions by user";
            Error::new(ErrorKind::NoUserIndex, message)
        };
        self.store().user_index().ok_or_else(no_index)
    }

    /// The store behind the `Arc`. `Arc<S>` implements `SessionStore` too; a call through it would box each
    /// future twice.
    fn store(&self) -> &dyn SessionStore {
        &*self.store
    }
}

/// The output of a story (one `async fn` of the protocol), or `None` when its time is up first. All its store
/// calls and pauses share the configured time.
pub(crate) fn in_time<F: Future>(env: &Environment, story: F) -> InTime<'_, F> {
    InTime {
        story,
        env,
        timer: None,
    }
}

pin_project! {
    /// The future of [`in_time`]. It is no `async fn`, which would keep the story twice.
    pub(crate) struct InTime<'e, F> {
        #[pin]
        story: F,
        env: &'e Environment,
        // Made when something has to be waited for: a store that answers at once costs no timer.
        timer: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    }
}

impl<F: Future> Future for InTime<'_, F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.story.poll(cx) {
            return Poll::Ready(Some(output));
        }
        let Environment { clock, config, .. } = this.env;
        let timer = this
            .timer
            .get_or_insert_with(|| clock.sleep(config.policy().store_timeout));
        timer.as_mut().poll(cx).map(|()| None)
    }
}

/// What a story may look at and do.
pub(super) struct Io<'e> {
    env: &'e Environment,
    now: Timestamp,
    has_waited: bool,
    is_pausing: bool,
}

impl<'e> Io<'e> {
    pub(super) fn new(env: &'e Environment) -> Self {
        Self {
            env,
            now: env.clock.now(),
            has_waited: false,
            is_pausing: false,
        }
    }

    /// The time that the story decides by. It is read again only once a call was pending, because reading the clock
    /// costs as much as a lookup in memory.
    pub(super) fn now(&self) -> Timestamp {
        self.now
    }

    pub(super) fn policy(&self) -> &'e Policy {
        self.env.config.policy()
    }

    pub(super) fn events(&self) -> &'e Events {
        &self.env.events
    }

    /// Whether the store has an index of sessions by user.
    pub(super) fn has_index(&self) -> bool {
        self.env.store().user_index().is_some()
    }

    pub(super) fn load<'c>(
        &'c mut self,
        key: &'c StoreKey,
    ) -> Wait<'c, 'e, Result<Option<Record>, StoreError>> {
        let call = self.env.store().load(key, self.now);
        Wait { io: self, call }
    }

    /// A load by whoever concludes something from the absence of a record: what has expired within the margin is still
    /// there.
    pub(super) fn load_earlier<'c>(
        &'c mut self,
        key: &'c StoreKey,
    ) -> Wait<'c, 'e, Result<Option<Record>, StoreError>> {
        let earlier = self.policy().earlier(self.now);
        let call = self.env.store().load(key, earlier);
        Wait { io: self, call }
    }

    /// Many loads by whoever concludes something from the absence of records, in the order of the keys.
    pub(super) async fn load_earlier_many(
        &mut self,
        keys: &[StoreKey],
    ) -> Vec<Result<Option<Record>, StoreError>> {
        let earlier = self.policy().earlier(self.now);
        let call = self.env.store().load_many(keys, earlier);
        let records = Wait { io: self, call }.await;
        // A store that forgets one hasn't answered it.
        let missing = keys.len() - records.len().min(keys.len());
        let forgotten = || Err(StoreError::unknown("the store answered fewer records"));
        let filled = records
            .into_iter()
            .chain(repeat_with(forgotten).take(missing));
        filled.take(keys.len()).collect()
    }

    /// A save by whoever ends what may have expired within the margin.
    pub(super) fn save_earlier<'c>(
        &'c mut self,
        key: &'c StoreKey,
        record: Record,
        expect: Expect,
    ) -> Wait<'c, 'e, Result<SaveOutcome, StoreError>> {
        let options = SaveOptions::new(expect, self.policy().earlier(self.now));
        let call = self.env.store().save(key, record, options);
        Wait { io: self, call }
    }

    pub(super) fn save<'c>(
        &'c mut self,
        key: &'c StoreKey,
        record: Record,
        expect: Expect,
    ) -> Wait<'c, 'e, Result<SaveOutcome, StoreError>> {
        let options = SaveOptions::new(expect, self.now);
        let call = self.env.store().save(key, record, options);
        Wait { io: self, call }
    }

    /// A save in the place of `replaced`, as it was read or written under its key.
    pub(super) fn replace<'c>(
        &'c mut self,
        replaced: &'c StoredSession,
        record: Record,
    ) -> Wait<'c, 'e, Result<SaveOutcome, StoreError>> {
        let (key, replaced) = (&replaced.key, replaced.to_record());
        let call = self.env.store().replace(key, record, replaced, self.now);
        Wait { io: self, call }
    }

    pub(super) fn touch<'c>(
        &'c mut self,
        key: &'c StoreKey,
        touch: Touch,
    ) -> Wait<'c, 'e, Result<SaveOutcome, StoreError>> {
        let call = self.env.store().touch(key, touch, self.now);
        Wait { io: self, call }
    }

    pub(super) fn delete<'c>(
        &'c mut self,
        key: &'c StoreKey,
    ) -> Wait<'c, 'e, Result<(), StoreError>> {
        let call = self.env.store().delete(key);
        Wait { io: self, call }
    }

    /// Adds an entry to a user's index, if fewer than `cap` other sessions are there.
    pub(super) async fn add_entry(
        &mut self,
        user: &UserKey,
        entry: IndexEntry,
        cap: Option<usize>,
    ) -> Result<AddOutcome, Error> {
        let call = self.env.index()?.add(user, entry, cap, self.now);
        Ok(Wait { io: self, call }.await?)
    }

    /// Removes an entry from a user's index. Where that fails, or there is no index, the entry is left for whoever
    /// looks through the index next.
    pub(super) async fn remove_entry(&mut self, user: &UserKey, key: &StoreKey) -> bool {
        let Ok(index) = self.env.index() else {
            return false;
        };
        let call = index.remove(user, key);
        Wait { io: self, call }.await.is_ok()
    }

    /// A user's entries as they are at one moment, those that expired within the margin too.
    pub(super) async fn entries(&mut self, user: &UserKey) -> Result<Vec<IndexEntry>, Error> {
        let earlier = self.policy().earlier(self.now);
        let call = self.env.index()?.list(user, earlier);
        Ok(Wait { io: self, call }.await?)
    }

    /// Some of a user's entries: as many of those that were added first, and as many of the others, chosen at random.
    pub(super) async fn some_entries(
        &mut self,
        user: &UserKey,
        oldest: usize,
        random: usize,
    ) -> Result<Vec<IndexEntry>, Error> {
        let mut seed = [0; 8];
        self.env
            .random
            .fill_unique(&mut seed)
            .map_err(no_randomness)?;
        let sample = Sample::new(oldest, random, u64::from_le_bytes(seed));
        let earlier = self.policy().earlier(self.now);
        let call = self.env.index()?.sample(user, sample, earlier);
        Ok(Wait { io: self, call }.await?)
    }

    /// Waits before the next try, for a random time, so that those who collided don't collide again. Its upper
    /// bound doubles with each conflict.
    pub(super) async fn back_off(&mut self, conflicts: u32) -> Result<(), Error> {
        const FIRST_MICROS: u64 = 500;
        const DOUBLINGS: u32 = 6;
        let bound_micros = FIRST_MICROS << conflicts.min(DOUBLINGS);
        let mut bytes = [0; 8];
        self.env.random.fill(&mut bytes).map_err(no_randomness)?;
        let micros = u64::from_le_bytes(bytes) % bound_micros;
        let call = self.env.clock.sleep(Duration::from_micros(micros));
        self.is_pausing = true;
        Wait { io: self, call }.await;
        self.is_pausing = false;
        Ok(())
    }

    /// Takes a place among the updates of this process that met a conflict over the session under `key`. `own` is what
    /// the conflict brought.
    ///
    /// In a box: few commits have a place, and the futures of the others stay as small as they are.
    pub(super) fn take_place(
        &self,
        key: StoreKey,
        own: Option<Arc<LiveSession>>,
    ) -> Box<Place<'e, Arc<LiveSession>>> {
        let Environment { queues, clock, .. } = self.env;
        let longest = self.policy().store_timeout;
        Box::new(queues.enter(key, own, &**clock, longest))
    }

    /// Waits for the turn. Gives the session to start from, unless it has to be loaded.
    pub(super) async fn turn(
        &mut self,
        place: &Place<'e, Arc<LiveSession>>,
    ) -> Option<Arc<LiveSession>> {
        self.is_pausing = true;
        let call = Box::pin(place.turn());
        let start = Wait { io: self, call }.await;
        self.is_pausing = false;
        start
    }

    pub(super) fn new_id(&self) -> Result<SessionId, Error> {
        SessionId::generate(&*self.env.random).map_err(no_randomness)
    }

    pub(super) fn new_version(&self) -> Result<Version, Error> {
        Version::generate(&*self.env.random).map_err(no_randomness)
    }

    pub(super) fn new_reference(&self) -> Result<SessionRef, Error> {
        SessionRef::generate(&*self.env.random).map_err(no_randomness)
    }

    /// A tombstone in place of `old`. It lasts as long as the record would have, and never less than what may still come
    /// for it: a slow logout with the old id, or the late record of a login.
    pub(super) fn tombstone(
        &self,
        old: Option<&Record>,
        state: RecordState,
    ) -> Result<Record, Error> {
        let Policy { window, margin, .. } = self.policy();
        let shortest = self.now.saturating_add(*window.max(margin));
        let expires_at = old.map_or(shortest, |old| old.expires_at.max(shortest));
        Ok(Record::new(self.new_version()?, expires_at, state))
    }

    /// The error of a story whose time was up.
    pub(super) fn late(&self) -> Error {
        match self.is_pausing {
            true => {
                let message = "other requests kept changing the session until the time was up";
                Error::new(ErrorKind::Conflict, message)
            }
            false => not_in_time().into(),
        }
    }
}

/// The error of a call whose time was up.
pub(super) fn not_in_time() -> StoreError {
    StoreError::unknown("the store didn't answer in time")
}

/// A call that is under way. When it ends, the story's time moves on, if there was anything to wait for.
///
/// It isn't an `async fn`, which would keep the record twice: as its argument and in the call. So a commit's
/// future stays below a kilobyte, which allocators hand out quickly.
pub(super) struct Wait<'c, 'e, T> {
    io: &'c mut Io<'e>,
    call: Pin<Box<dyn Future<Output = T> + Send + 'c>>,
}

impl<T> Future for Wait<'_, '_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        // Handed on as it is: a record that is taken out and put back is copied twice.
        let polled = self.call.as_mut().poll(cx);
        self.io.has_waited |= polled.is_pending();
        if polled.is_ready() && self.io.has_waited {
            self.io.now = self.io.env.clock.now();
        }
        polled
    }
}

fn no_randomness(error: RandomError) -> Error {
    Error::with_source(ErrorKind::Random, "the random generator failed", error)
}

pub(super) fn too_many_conflicts() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "other requests kept changing the session",
    )
}

/// The store answered something that the call can't be answered with.
pub(super) fn broken_contract() -> Error {
    Error::new(
        ErrorKind::StoreUnavailable,
        "the session store broke its contract",
    )
}
