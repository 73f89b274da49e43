//! Making room in a full shard: what it gives up, in which order, and for whom.
//!
//! 1. What a holder has above its share goes first, so that nobody's records push out those of others.
//! 2. Then goes what is worth least; among equals, what has lain idle for long and takes much.
//! 3. Users' sessions go last, and only for another one: those of whoever has the most. Nobody's only one goes.
//!
//! Choosing looks at all records of the shard. So it takes more than is needed at the moment, and the next ones come
//! without. It looks at each record once, since most of its time is waiting for their cache lines.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::mem;

use session_core::store::{Record, StoreKey};
use session_core::{SessionRef, Timestamp};

use crate::entry::{Entry, Holder, Worth};

/// The whole of a shard. Parts of it are whole numbers.
const WHOLE: usize = 1 << 20;

/// The part of a full shard that one holder may have, tombstones included: a thirty-second. In the store as a whole
/// that is more than the hundred sessions of the core's default cap, unless the store is small.
const SHARE: usize = WHOLE / 32;

/// What is left to a holder that had more than its share: half of it.
const AFTER_A_CUT: usize = SHARE / 2;

/// A full shard makes room for this part of its limits at once.
const ROOM_PART: usize = 16;

/// The same where it takes sessions of users.
const CAREFUL_ROOM_PART: usize = 64;

/// Holders are counted in this many groups first. Most groups together have less than a share, so that few holders have
/// to be counted by themselves.
const GROUPS: usize = 256;

/// Records and their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Amount {
    pub(crate) records: usize,
    pub(crate) bytes: usize,
}

/// What a save needs room for.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// Where the record will lie. What lies there isn't given up.
    pub(crate) key: StoreKey,
    /// The session that will live there. It isn't given up where it lives so far, since it is about to move.
    reference: Option<SessionRef>,
    pub(crate) is_of_user: bool,
    pub(crate) holder: Holder,
    pub(crate) amount: Amount,
}

impl Amount {
    pub(crate) fn of(entry: &Entry) -> Self {
        Self {
            records: 1,
            bytes: entry.len_bytes(),
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.records += other.records;
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    pub(crate) fn subtract(&mut self, other: Self) {
        self.records = self.records.saturating_sub(other.records);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }

    /// What has to go so that `wanted` fits in here beside `taken`.
    pub(crate) fn missing(self, mut taken: Self, wanted: Self) -> Self {
        taken.add(wanted);
        taken.subtract(self);
        taken
    }

    const fn covers(self, other: Self) -> bool {
        self.records >= other.records && self.bytes >= other.bytes
    }

    /// How much of this, as a whole, `amount` is: in records or in bytes, whichever is more.
    fn part(self, amount: Self) -> usize {
        let part = |amount: usize, of: usize| amount.saturating_mul(WHOLE) / of.max(1);
        part(amount.records, self.records).max(part(amount.bytes, self.bytes))
    }

    /// At least `missing`; of what is missing at all, at least one part in `parts` of this.
    fn rounded_up(self, missing: Self, parts: usize) -> Self {
        let round = |missing: usize, limit: usize| match missing {
            0 => 0,
            _ => missing.max(limit / parts),
        };
        Self {
            records: round(missing.records, self.records),
            bytes: round(missing.bytes, self.bytes),
        }
    }
}

impl Wanted {
    /// Room for `record` under `key`.
    pub(crate) fn new(key: StoreKey, record: &Record, holder: Holder, amount: Amount) -> Self {
        let live = record.live();
        Self {
            key,
            reference: live.map(|live| live.reference),
            is_of_user: live.is_some_and(|live| live.user.is_some()),
            holder,
            amount,
        }
    }

    fn spares(&self, entry: &Entry) -> bool {
        let moves = || {
            let reference = entry.record.live().map(|live| live.reference);
            reference.is_some() && reference == self.reference
        };
        entry.key == self.key || entry.holder == self.holder && moves()
    }
}

/// What a shard gives up.
#[derive(Debug)]
pub(crate) struct GivenUp {
    pub(crate) keys: Vec<StoreKey>,
    /// How many of the keys, the first ones, are of records that have expired.
    pub(crate) expired: usize,
    /// What is wanted fits in then. Otherwise nothing is given up but what has expired.
    pub(crate) is_enough: bool,
    /// There is nothing else that is given up for a visitor; for a user either.
    pub(crate) is_all: bool,
    pub(crate) is_all_for_users: bool,
}

/// What a shard with these limits gives up of its entries, so that what is wanted fits in.
pub(crate) fn choose<'e>(
    entries: impl Iterator<Item = &'e Entry>,
    taken: Amount,
    limits: Amount,
    wanted: &Wanted,
    now: Timestamp,
) -> GivenUp {
    let missing = limits.missing(taken, wanted.amount);
    let mut choice = Choice::new(entries, limits, wanted, now);
    let expired = choice.chosen.len();
    if !choice.freed.covers(missing) {
        choice.cut_to_shares(wanted);
    }
    let (mut is_all, mut is_all_for_users) = (false, false);
    if !choice.freed.covers(missing) {
        is_all = !choice.give_up_the_least(limits.rounded_up(missing, ROOM_PART));
    }
    if !choice.freed.covers(missing) && wanted.is_of_user {
        let goal = limits.rounded_up(missing, CAREFUL_ROOM_PART);
        is_all_for_users = !choice.take_from_the_largest(goal, wanted);
    }
    let is_enough = choice.freed.covers(missing);
    let given_up = if is_enough { usize::MAX } else { expired };
    let given_up = choice.chosen.iter().take(given_up);
    GivenUp {
        keys: given_up.map(|entry| entry.key).collect(),
        expired,
        is_enough,
        is_all,
        is_all_for_users,
    }
}

struct Choice<'e> {
    limits: Amount,
    /// What hasn't been chosen.
    left: Vec<Candidate<'e>>,
    chosen: Vec<&'e Entry>,
    freed: Amount,
}

/// What there is to know about an entry.
#[derive(Clone, Copy)]
struct Candidate<'e> {
    entry: &'e Entry,
    holder: Holder,
    amount: Amount,
    worth: Worth,
    is_live: bool,
    idle_millis: u64,
    /// It counts, and isn't given up.
    is_spared: bool,
}

impl<'e> Choice<'e> {
    /// What has expired is chosen from the start.
    fn new(
        entries: impl Iterator<Item = &'e Entry>,
        limits: Amount,
        wanted: &Wanted,
        now: Timestamp,
    ) -> Self {
        let mut choice = Self {
            limits,
            left: Vec::with_capacity(entries.size_hint().0),
            chosen: Vec::new(),
            freed: Amount::default(),
        };
        for entry in entries {
            if entry.record.is_expired(now) {
                choice.take(entry);
            } else {
                choice.left.push(Candidate::new(entry, wanted, now));
            }
        }
        choice
    }

    /// Takes from each holder what it has above its share: its tombstones first, then what has been idle longest. A
    /// holder keeps one record, however large it is.
    fn cut_to_shares(&mut self, wanted: &Wanted) {
        let mut groups = [Amount::default(); GROUPS];
        groups[wanted.holder.group(GROUPS)].add(wanted.amount);
        for candidate in &self.left {
            groups[candidate.holder.group(GROUPS)].add(candidate.amount);
        }
        let limits = self.limits;
        let may_be_above = |holder: Holder| limits.part(groups[holder.group(GROUPS)]) > SHARE;
        if !groups.iter().any(|group| limits.part(*group) > SHARE) {
            return;
        }
        let left = mem::take(&mut self.left).into_iter();
        let (mut theirs, left): (Vec<_>, _) =
            left.partition(|candidate| may_be_above(candidate.holder));
        self.left = left;
        let mut held = held(&theirs, wanted);
        let mut allowed = HashMap::new();
        for (holder, amount) in &held {
            let is_above = limits.part(*amount) > SHARE;
            allowed.insert(*holder, if is_above { AFTER_A_CUT } else { WHOLE });
        }
        theirs.sort_unstable_by_key(|theirs| (theirs.is_live, Reverse(theirs.idle_millis)));
        for candidate in theirs {
            let allowed = allowed.get(&candidate.holder).copied().unwrap_or(WHOLE);
            let held = held.entry(candidate.holder).or_default();
            if candidate.is_spared || held.records <= 1 || limits.part(*held) <= allowed {
                self.left.push(candidate);
            } else {
                held.subtract(candidate.amount);
                self.take(candidate.entry);
            }
        }
    }

    /// Takes what is worth least; says whether that freed as much as was to be. Users' sessions stay. Among equals that
    /// goes first which has taken most room for the longest time: what has a hundred times as many bytes goes after a
    /// hundredth of the time.
    fn give_up_the_least(&mut self, goal: Amount) -> bool {
        let left = self.left.iter().enumerate();
        let mut least: BinaryHeap<_> = left
            .filter(|(_, candidate)| candidate.worth < Worth::Session && !candidate.is_spared)
            .map(|(at, candidate)| (Reverse(candidate.worth), candidate.waste(), at))
            .collect();
        while !self.freed.covers(goal) {
            let Some((.., at)) = least.pop() else {
                return false;
            };
            self.take(self.left[at].entry);
        }
        true
    }

    /// Takes sessions of users: what has been idle longest of whoever has the most, time and again; says whether that
    /// freed as much as was to be. All tombstones have
    /// been taken by then, so that what is left are users' sessions and what is spared.
    fn take_from_the_largest(&mut self, goal: Amount, wanted: &Wanted) -> bool {
        let mut sessions = mem::take(&mut self.left);
        sessions.retain(|candidate| candidate.worth == Worth::Session || candidate.is_spared);
        let mut held = held(&sessions, wanted);
        let holders = held.iter();
        let mut largest: BinaryHeap<_> = holders
            .map(|(holder, amount)| (self.limits.part(*amount), *holder))
            .collect();
        sessions.sort_unstable_by_key(|session| session.idle_millis);
        let mut by_holder: HashMap<_, Vec<_>> = HashMap::new();
        for session in sessions.iter().filter(|session| !session.is_spared) {
            by_holder.entry(session.holder).or_default().push(session);
        }
        while !self.freed.covers(goal) {
            let Some((_, holder)) = largest.pop() else {
                return false;
            };
            let held = held.entry(holder).or_default();
            if held.records > 1
                && let Some(session) = by_holder.get_mut(&holder).and_then(Vec::pop)
            {
                held.subtract(session.amount);
                largest.push((self.limits.part(*held), holder));
                self.take(session.entry);
            }
        }
        true
    }

    fn take(&mut self, entry: &'e Entry) {
        self.freed.add(Amount::of(entry));
        self.chosen.push(entry);
    }
}

impl<'e> Candidate<'e> {
    fn new(entry: &'e Entry, wanted: &Wanted, now: Timestamp) -> Self {
        Self {
            entry,
            holder: entry.holder,
            amount: Amount::of(entry),
            worth: entry.worth(),
            is_live: entry.record.live().is_some(),
            idle_millis: entry.idle_millis(now),
            is_spared: wanted.spares(entry),
        }
    }

    /// What it takes, times how long it has been idle.
    fn waste(&self) -> u64 {
        let idle_millis = self.idle_millis.saturating_add(1);
        idle_millis.saturating_mul(self.amount.bytes as u64)
    }
}

/// What each holder has of these, with what is wanted.
fn held(candidates: &[Candidate<'_>], wanted: &Wanted) -> HashMap<Holder, Amount> {
    let mut held = HashMap::from([(wanted.holder, wanted.amount)]);
    for candidate in candidates {
        let amount = held.entry(candidate.holder).or_default();
        amount.add(candidate.amount);
    }
    held
}
