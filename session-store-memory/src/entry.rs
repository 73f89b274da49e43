//! A record as a shard keeps it: what it takes, whose it is, and what it is worth.

use std::hash::{BuildHasher, RandomState};

use session_core::Timestamp;
use session_core::store::{
    FormerSession, IndexEntry, Record, RecordState, SessionData, SessionUser, StoreKey,
};

/// What an allocation takes beside its bytes, and what it is rounded up to, with common allocators.
const ALLOCATION_HEAD: usize = 8;
const ALLOCATION_STEP: usize = 16;

/// The two counters of an `Arc`.
const ARC_HEAD: usize = 2 * size_of::<usize>();

/// What data has beside its JSON: the number of its keys, and for each where it lies.
const COUNT: usize = 4;
const SLOT: usize = 8;

/// A place in a shard's table: a pointer and a byte of its hash, of which up to seven in twelve are free.
const PLACE: usize = 24;

/// What an entry of the index of sessions by user takes: it stands there twice, in two orders, each time with its user's
/// key and with the room that trees keep to grow, and the user is counted.
const INDEX_ENTRY: usize = 5 * size_of::<IndexEntry>();

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) key: StoreKey,
    pub(crate) record: Record,
    pub(crate) holder: Holder,
    len: LenAndReturned,
}

/// What an entry takes, as [`len_bytes`] counted it, and in the highest bit whether somebody has come back with the
/// session's id since it was created. In one word, an entry has just the size that allocators have a place for; with a
/// byte more it would take sixteen.
#[derive(Clone, Copy, Debug)]
struct LenAndReturned(u32);

const RETURNED: u32 = 1 << 31;

/// Who holds a record: an account, or a session without a user, with the tombstones that each leaves. It is a hash, in
/// which two of them may be alike: they then share what one may have.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Holder(u32);

/// What a full shard gives up first comes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Worth {
    /// A visitor who never came back, or the tombstone of a session without a user.
    Passing,
    /// A visitor who came back.
    Visitor,
    /// The tombstone of a user's session.
    Tombstone,
    /// A user's session.
    Session,
}

impl Entry {
    /// A session that was active after it began has come back before: it was rotated to this key.
    pub(crate) fn new(key: StoreKey, record: Record, len_bytes: usize, holder: Holder) -> Self {
        let returned = record
            .live()
            .is_some_and(|live| live.last_active_at > live.created_at);
        Self {
            key,
            record,
            holder,
            len: LenAndReturned::new(len_bytes, returned),
        }
    }

    pub(crate) fn len_bytes(&self) -> usize {
        self.len.len_bytes()
    }

    /// Somebody has come back with the session's id.
    pub(crate) fn note_return(&mut self) {
        // Noted once, so that what is only read stays in the caches of all who read it.
        if !self.len.returned() {
            self.len.0 |= RETURNED;
        }
    }

    /// Puts another record in. The holder stays: a session that gets another user gets another key, and a tombstone
    /// belongs to whoever had the session.
    pub(crate) fn replace(&mut self, record: Record, len_bytes: usize) {
        self.record = record;
        self.len = LenAndReturned::new(len_bytes, self.len.returned());
    }

    pub(crate) fn worth(&self) -> Worth {
        match &self.record.state {
            RecordState::Live(live) if live.user.is_some() => Worth::Session,
            RecordState::Live(_) if self.len.returned() => Worth::Visitor,
            RecordState::Live(_) => Worth::Passing,
            RecordState::Superseded { former, .. } | RecordState::Ended { former, .. }
                if former.user.is_some() =>
            {
                Worth::Tombstone
            }
            _ => Worth::Passing,
        }
    }

    /// For how long, in milliseconds, nothing has happened to the session.
    pub(crate) fn idle_millis(&self, now: Timestamp) -> u64 {
        let last = match &self.record.state {
            RecordState::Live(live) => live.last_active_at,
            RecordState::Superseded { at, .. } | RecordState::Ended { at, .. } => *at,
            // A kind of record that a later version of the core adds.
            _ => Timestamp::default(),
        };
        now.as_unix_millis().saturating_sub(last.as_unix_millis())
    }
}

impl LenAndReturned {
    /// No record has two gigabytes.
    fn new(len_bytes: usize, returned: bool) -> Self {
        let len = u32::try_from(len_bytes).unwrap_or(u32::MAX) & !RETURNED;
        Self(len | if returned { RETURNED } else { 0 })
    }

    const fn len_bytes(self) -> usize {
        (self.0 & !RETURNED) as usize
    }

    const fn returned(self) -> bool {
        self.0 & RETURNED != 0
    }
}

impl Holder {
    /// Users' names come from outside. The hash is one that nobody can foresee, so that nobody can choose a name that
    /// shares what another user may have.
    pub(crate) fn of(key: &StoreKey, record: &Record, hasher: &RandomState) -> Self {
        match &record.state {
            RecordState::Live(live) => match &live.user {
                Some(user) => Self::from_hash(hasher.hash_one(&*user.name)),
                None => Self::from_random(live.reference.as_bytes()),
            },
            RecordState::Superseded { former, .. } | RecordState::Ended { former, .. } => {
                Self::of_former(key, former)
            }
            _ => Self::from_random(key.as_bytes()),
        }
    }

    /// Whose the tombstone is that is put where no session is.
    fn of_former(key: &StoreKey, former: &FormerSession) -> Self {
        match (&former.user, &former.reference) {
            (Some(user), _) => Self::from_random(user.as_bytes()),
            (None, Some(reference)) => Self::from_random(reference.as_bytes()),
            (None, None) => Self::from_random(key.as_bytes()),
        }
    }

    /// Which one it belongs to of so many groups.
    pub(crate) const fn group(self, count: usize) -> usize {
        self.0 as usize % count
    }

    /// A part of bytes that are random, or a hash.
    fn from_random(bytes: &[u8]) -> Self {
        let first = bytes.first_chunk().copied().unwrap_or_default();
        Self(u32::from_le_bytes(first))
    }

    fn from_hash(hash: u64) -> Self {
        Self::from_random(&hash.to_le_bytes())
    }
}

/// What a record takes in the store: its entry, its data and everything else that it refers to, each with what an
/// allocator adds. What several records share counts with each.
pub(crate) fn len_bytes(record: &Record) -> usize {
    let entry = allocation(size_of::<Entry>()) + PLACE;
    match record.live() {
        None => entry,
        Some(live) => {
            let user = live.user.as_deref().map_or(0, user_len_bytes);
            entry + data_len_bytes(&live.data) + data_len_bytes(live.reserved()) + user
        }
    }
}

fn data_len_bytes(data: &SessionData) -> usize {
    match data.is_empty() {
        true => 0,
        false => allocation(ARC_HEAD + COUNT + data.len() * SLOT + data.json_len()),
    }
}

fn user_len_bytes(user: &SessionUser) -> usize {
    let text = |text: &str| allocation(ARC_HEAD + text.len());
    let label = user.label.as_deref().map_or(0, text);
    allocation(ARC_HEAD + size_of::<SessionUser>()) + text(&user.name) + label + INDEX_ENTRY
}

const fn allocation(len: usize) -> usize {
    (len + ALLOCATION_HEAD).next_multiple_of(ALLOCATION_STEP)
}
