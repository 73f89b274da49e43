//! The decisions, without I/O: what opening and committing a session means in store calls.
//!
//! A plan is a state machine. It is given the answer to its last step, the time, and a source of
//! randomness, and names the next step. It has no clock, no store and nothing asynchronous in it, so that
//! every interleaving can be tried in tests; the driver in [`crate::manager`] carries the steps out.

mod admit;
mod commit;
mod create;
mod devices;
mod end;
mod open;
mod rotate;
mod survey;
mod update;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use commit::{Commit, Intent};
pub(crate) use devices::{EndSessions, ListSessions, Which};
pub(crate) use open::{Ids, Open, OpenReport};

use crate::error::{Error, ErrorKind};
use crate::id::{SessionId, StoreKey, UserKey, Version};
use crate::random::{Random, RandomError};
use crate::record::{Lifetime, LiveRecord, Record, RecordState, UserBinding};
use crate::store::{AddOutcome, Expect, IndexEntry, SaveOutcome, StoreError, Touch};
use crate::time::Timestamp;

/// How often a commit may run into other requests' commits. Time runs out long before; this is for a
/// store that answers "conflict" to everything, at once.
const MAX_CONFLICTS: u32 = 10_000;
/// How many store errors an ending or a rotation looks past to learn what became of its write.
const MAX_ERRORS: u32 = 3;
/// How many ids are drawn when the one before was taken. A second is already a broken generator.
const MAX_ID_DRAWS: u32 = 4;
/// How many rotations an ending follows.
const MAX_CHAIN: u32 = 1_000;

/// The numbers that decide.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(crate) lifetime: Lifetime,
    pub(crate) touch_interval: Duration,
    pub(crate) grace: Duration,
    pub(crate) payload_limit: usize,
    pub(crate) cap: Option<Cap>,
    /// How old an index entry without a record must be to be taken for one that was left behind: older than any
    /// commit can take.
    pub(crate) entry_grace: Duration,
}

/// How many sessions a user may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cap {
    pub(crate) max: usize,
    pub(crate) when_full: WhenFull,
}

/// What happens to a login when the user has as many sessions as one may have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum WhenFull {
    /// The session that was rotated or logged in the longest ago is ended.
    EndOldest,
    /// The login fails with [`ErrorKind::TooManySessions`].
    Refuse,
}

/// What a login makes of a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Binding {
    pub(crate) user: Arc<UserBinding>,
    pub(crate) lifetime: Option<Lifetime>,
}

/// What a plan may look at beside the last answer.
pub(crate) struct Context<'c> {
    pub(crate) now: Timestamp,
    pub(crate) random: &'c dyn Random,
    pub(crate) policy: &'c Policy,
    /// Whether the store has an index of sessions by user.
    pub(crate) has_index: bool,
}

/// What is to be done next.
#[derive(Debug)]
pub(crate) enum Step<T> {
    Call(Call),
    /// Wait this long, so that others get their turn, and come back with [`Answer::Ready`].
    Pause(Duration),
    Done(Result<T, Error>),
}

/// A store call.
#[derive(Debug)]
pub(crate) enum Call {
    Load(StoreKey),
    Save {
        key: StoreKey,
        record: Record,
        expect: Expect,
    },
    Touch {
        key: StoreKey,
        touch: Touch,
    },
    Delete(StoreKey),
    /// Adds an entry to a user's index.
    List {
        user: UserKey,
        entry: IndexEntry,
        cap: Option<usize>,
    },
    Unlist {
        user: UserKey,
        key: StoreKey,
    },
    Entries(UserKey),
}

/// How the last step went.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Nothing has been asked yet, or the pause is over.
    Ready,
    Loaded(Option<Record>),
    Saved(SaveOutcome),
    Deleted,
    Listed(AddOutcome),
    Unlisted,
    Entries(Vec<IndexEntry>),
    Failed(StoreError),
}

/// What the request's id leads to. Shared, so that it is passed on and kept without copying what it is.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// No session: no id, or an id under which nothing lives.
    Nothing,
    Live(Arc<LiveSession>),
    /// Several live sessions came with one request. None is used, but a logout ends them all.
    Several(Vec<Arc<LiveSession>>),
    /// A session that was rotated or ended.
    Dead(Arc<DeadSession>),
}

/// A live session and the id it lives under.
#[derive(Clone, Debug)]
pub(crate) struct LiveSession {
    pub(crate) id: SessionId,
    pub(crate) key: StoreKey,
    pub(crate) version: Version,
    pub(crate) expires_at: Timestamp,
    pub(crate) record: LiveRecord,
}

/// What is left of a session under an id that has been rotated away or ended, or that has just expired.
#[derive(Clone, Debug)]
pub(crate) struct DeadSession {
    pub(crate) key: StoreKey,
    /// What lies there, if it has been seen.
    pub(crate) record: Option<Record>,
    /// Died so recently that the request may have been under way: it isn't a visitor without a session,
    /// and must not get a new one.
    pub(crate) in_grace: bool,
}

/// What a commit does to the visitor's cookie.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CookieChange {
    Keep,
    /// Send the session's id, to be kept until it expires.
    Send,
    Remove,
}

/// What a commit did, for those who watch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Deed {
    Nothing,
    Created,
    Saved,
    Touched,
    /// Nothing, for the session was gone when it was to be written.
    FoundGone,
    Rotated,
    Ended,
}

/// Why a request's changes were dropped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum DropReason {
    /// The session was ended or rotated before this request loaded it.
    Superseded,
    /// The session was ended, rotated or expired while this request was under way.
    LostRace,
}

/// How a commit ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What the session is from now on.
    pub(crate) found: Found,
    pub(crate) cookie: CookieChange,
    pub(crate) deed: Deed,
    pub(crate) dropped: Option<DropReason>,
}

impl Context<'_> {
    fn new_version(&self) -> Result<Version, Error> {
        Version::generate(self.random).map_err(no_randomness)
    }

    fn new_id(&self) -> Result<SessionId, Error> {
        SessionId::generate(self.random).map_err(no_randomness)
    }

    /// A record that buries `old`. It lasts as long as the record would have, and never less than the
    /// grace time: a slow logout that comes with the old id has to find it.
    fn tombstone(&self, old: &Record, state: RecordState) -> Result<Record, Error> {
        let expires_at = old
            .expires_at
            .max(self.now.saturating_add(self.policy.grace));
        Ok(Record {
            version: self.new_version()?,
            expires_at,
            state,
        })
    }

    /// A pause before the next try, random, so that those who collided don't collide again; its upper
    /// bound doubles with each conflict.
    fn back_off(&self, conflicts: u32) -> Result<Duration, Error> {
        const FIRST_MICROS: u64 = 500;
        const DOUBLINGS: u32 = 6;
        let bound_micros = FIRST_MICROS << conflicts.min(DOUBLINGS);
        let mut bytes = [0; 8];
        self.random.fill(&mut bytes).map_err(no_randomness)?;
        Ok(Duration::from_micros(
            u64::from_le_bytes(bytes) % bound_micros,
        ))
    }
}

impl LiveSession {
    /// The user in whose index the session has to be.
    fn listed_user(&self, cx: &Context<'_>) -> Option<UserKey> {
        let user = self.record.user.as_ref()?;
        cx.has_index.then(|| user.key())
    }

    /// Its entry in that index. The session doesn't outlive its absolute timeout, and neither does the entry.
    fn entry(&self, cx: &Context<'_>) -> IndexEntry {
        let absolute = self.record.lifetime.unwrap_or(cx.policy.lifetime).absolute;
        IndexEntry {
            key: self.key,
            handle: self.record.handle,
            added_at: cx.now,
            expires_at: self.record.created_at.saturating_add(absolute),
        }
    }

    /// Whether a request that changes nothing has something to write all the same: activity, or a cookie that is
    /// to be signed anew. Both take a response that can carry the cookie, with which the record ages.
    pub(crate) fn is_touch_due(
        &self,
        resign: bool,
        can_send_cookie: bool,
        now: Timestamp,
        policy: &Policy,
    ) -> bool {
        let inactive = now.saturating_since(self.record.last_active_at);
        can_send_cookie && (resign || inactive >= policy.touch_interval)
    }

    /// The record as it lies in the store.
    pub(crate) fn to_record(&self) -> Record {
        let state = RecordState::Live(self.record.clone());
        Record {
            version: self.version,
            expires_at: self.expires_at,
            state,
        }
    }
}

impl<T> Step<T> {
    fn fail(error: impl Into<Error>) -> Self {
        Self::Done(Err(error.into()))
    }

    fn map<U>(self, f: impl FnOnce(T) -> U) -> Step<U> {
        match self {
            Self::Call(call) => Step::Call(call),
            Self::Pause(pause) => Step::Pause(pause),
            Self::Done(result) => Step::Done(result.map(f)),
        }
    }
}

/// Lets a plan use `?` for what can fail without a store.
impl<T> From<Result<Self, Error>> for Step<T> {
    fn from(step: Result<Self, Error>) -> Self {
        step.unwrap_or_else(|error| Self::Done(Err(error)))
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::with_source(
            ErrorKind::StoreUnavailable,
            "the session store failed",
            error,
        )
    }
}

impl Outcome {
    fn unchanged(found: Found) -> Self {
        Self {
            found,
            cookie: CookieChange::Keep,
            deed: Deed::Nothing,
            dropped: None,
        }
    }

    /// The session died under this request. What the request wanted is dropped, and so is whatever it may
    /// still want: it must not start another session in place of the one that somebody ended or rotated.
    fn lost(key: StoreKey, record: Option<Record>) -> Self {
        Self {
            dropped: Some(DropReason::LostRace),
            ..Self::gone(key, record)
        }
    }

    /// The session died under this request, which wanted nothing of it.
    fn gone(key: StoreKey, record: Option<Record>) -> Self {
        let dead = DeadSession {
            key,
            record,
            in_grace: true,
        };
        Self {
            deed: Deed::FoundGone,
            ..Self::unchanged(Found::Dead(Arc::new(dead)))
        }
    }
}

/// Whether a new id's place was taken by the tombstone of a login that reached the cap and ended the oldest
/// session, which was this one, about to be written.
fn was_evicted(current: Option<&Record>) -> bool {
    current.is_some_and(|record| matches!(record.state, RecordState::Ended { .. }))
}

fn no_randomness(error: RandomError) -> Error {
    Error::with_source(ErrorKind::Random, "the random generator failed", error)
}

fn too_many_conflicts() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "other requests kept changing the session",
    )
}

/// The store answered something that the call can't be answered with.
fn broken_contract() -> Error {
    Error::new(
        ErrorKind::StoreUnavailable,
        "the session store broke its contract",
    )
}
