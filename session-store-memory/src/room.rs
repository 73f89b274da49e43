//! Making room in a full shard: what it gives up, in which order, and for whom.
//!
//! 1. What a holder has above its share goes first, so that nobody's records push out those of others.
//! 2. Then goes what is worth least; among equals, what has lain idle for long and takes much.
//! 3. Users' sessions go last, and only for another one: those of whoever has the most. Nobody's only one goes.
//!
//! Choosing looks at all records of the shard. So it takes more than is needed at the moment, and the next ones come
//! without.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::mem;

use session_core::store::{Record, StoreKey};
use session_core::{SessionRef, Timestamp};

use crate::entry::{Entry, Holder, Worth};

/// The whole of a shard. Parts of it are whole numbers.
const WHOLE: usize = 1 << 20;

/// The part of a full shard that one holder may have, tombstones included: a thirty-second. In the store as a whole
/// that is more than the hundred sessions of the core's default cap, unless the store is small.
const SHARE: usize = WHOLE / 32;

/// What is left to a holder that had more than its share.
const AFTER_A_CUT: usize = SHARE / 4 * 3;

/// A full shard makes room for this part of its limits at once.
const ROOM_PART: usize = 16;

/// The same where it takes sessions of users.
const CAREFUL_ROOM_PART: usize = 64;

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
        let reference = entry.record.live().map(|live| live.reference);
        entry.key == self.key || reference.is_some_and(|own| self.reference == Some(own))
    }
}

/// The keys of what a shard with these limits gives up of its entries, so that what is wanted fits in; `None` if it
/// doesn't, whatever may be given up.
pub(crate) fn choose<'e>(
    entries: impl Iterator<Item = &'e Entry>,
    taken: Amount,
    limits: Amount,
    wanted: &Wanted,
    now: Timestamp,
) -> Option<Vec<StoreKey>> {
    let missing = limits.missing(taken, wanted.amount);
    let mut choice = Choice::new(entries, limits, wanted, now);
    choice.cut_to_shares();
    if !choice.freed.covers(missing) {
        choice.give_up_the_least(limits.rounded_up(missing, ROOM_PART));
    }
    if !choice.freed.covers(missing) && wanted.is_of_user {
        choice.take_from_the_largest(limits.rounded_up(missing, CAREFUL_ROOM_PART));
    }
    choice.freed.covers(missing).then_some(choice.chosen)
}

struct Choice<'e> {
    limits: Amount,
    now: Timestamp,
    /// What each holder has, what is wanted included.
    held: HashMap<Holder, Amount>,
    left: Vec<&'e Entry>,
    chosen: Vec<StoreKey>,
    freed: Amount,
}

impl<'e> Choice<'e> {
    fn new(
        entries: impl Iterator<Item = &'e Entry>,
        limits: Amount,
        wanted: &Wanted,
        now: Timestamp,
    ) -> Self {
        let mut held = HashMap::from([(wanted.holder, wanted.amount)]);
        let mut left = Vec::new();
        for entry in entries {
            held.entry(entry.holder).or_default().add(Amount::of(entry));
            if !wanted.spares(entry) {
                left.push(entry);
            }
        }
        Self {
            limits,
            now,
            held,
            left,
            chosen: Vec::new(),
            freed: Amount::default(),
        }
    }

    /// Takes from each holder what it has above its share: its tombstones first, then what has been idle longest. A
    /// holder keeps one record, however large it is.
    fn cut_to_shares(&mut self) {
        let held = self.held.iter();
        let above: HashSet<_> = held
            .filter(|(_, amount)| self.limits.part(**amount) > SHARE)
            .map(|(holder, _)| *holder)
            .collect();
        if above.is_empty() {
            return;
        }
        let left = mem::take(&mut self.left).into_iter();
        let (mut theirs, left): (Vec<_>, _) = left.partition(|entry| above.contains(&entry.holder));
        self.left = left;
        let now = self.now;
        theirs.sort_unstable_by_key(|entry| {
            (
                entry.record.live().is_some(),
                Reverse(entry.idle_millis(now)),
            )
        });
        for entry in theirs {
            let held = self.held_by(entry.holder);
            if held.records > 1 && self.limits.part(held) > AFTER_A_CUT {
                self.take(entry);
            } else {
                self.left.push(entry);
            }
        }
    }

    /// Takes what is worth least. Users' sessions stay. Among equals that goes first which has taken most room for the
    /// longest time: a visitor with little data has left, when one with a hundred times as much has been idle for a
    /// hundredth of the time.
    fn give_up_the_least(&mut self, goal: Amount) {
        let left = self.left.iter().enumerate();
        let mut least: BinaryHeap<_> = left
            .filter(|(_, entry)| entry.worth() < Worth::Session)
            .map(|(at, entry)| (Reverse(entry.worth()), waste(entry, self.now), at))
            .collect();
        while !self.freed.covers(goal) {
            let Some((.., at)) = least.pop() else { return };
            self.take(self.left[at]);
        }
    }

    /// Takes sessions of users: what has been idle longest of whoever has the most, time and again.
    fn take_from_the_largest(&mut self, goal: Amount) {
        let mut sessions: Vec<_> = self.left.clone();
        sessions.retain(|entry| entry.worth() == Worth::Session);
        sessions.sort_unstable_by_key(|entry| entry.idle_millis(self.now));
        let mut by_holder: HashMap<_, Vec<_>> = HashMap::new();
        for entry in sessions {
            by_holder.entry(entry.holder).or_default().push(entry);
        }
        let holders = by_holder.keys();
        let mut largest: BinaryHeap<_> = holders
            .map(|holder| (self.limits.part(self.held_by(*holder)), *holder))
            .collect();
        while !self.freed.covers(goal) {
            let Some((_, holder)) = largest.pop() else {
                return;
            };
            if self.held_by(holder).records > 1
                && let Some(entry) = by_holder.get_mut(&holder).and_then(Vec::pop)
            {
                self.take(entry);
                largest.push((self.limits.part(self.held_by(holder)), holder));
            }
        }
    }

    fn held_by(&self, holder: Holder) -> Amount {
        self.held.get(&holder).copied().unwrap_or_default()
    }

    fn take(&mut self, entry: &Entry) {
        let amount = Amount::of(entry);
        self.held.entry(entry.holder).or_default().subtract(amount);
        self.freed.add(amount);
        self.chosen.push(entry.key);
    }
}

/// What an entry takes, times how long it has been idle.
fn waste(entry: &Entry, now: Timestamp) -> u64 {
    let idle_millis = entry.idle_millis(now).saturating_add(1);
    idle_millis.saturating_mul(entry.len_bytes() as u64)
}
