//! A part of the store that is locked as a whole.

use std::fmt;
use std::hash::RandomState;
use std::time::Duration;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;
use session_core::Timestamp;
use session_core::store::{Record, SaveOptions, SaveOutcome, StoreKey, Touch};

use crate::entry::{Entry, Holder, len_bytes};
use crate::room::{Amount, Wanted, choose};

/// Below this many records, looking through them costs next to nothing, whenever it happens.
const SMALL: usize = 64;

/// How long a full shard that gave up all that it may refuses without looking again. A flood of requests to a store that
/// is full of what stays would otherwise look through it with each of them.
const REFUSES_FOR: Duration = Duration::from_secs(1);

/// The record doesn't fit.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Full {
    /// What is there isn't given up for it.
    OfWhatStays,
    /// It takes more bytes than a shard may have.
    TooLarge { len_bytes: usize, limit: usize },
}

/// Aligned to cache lines, so that threads at work in neighbouring shards don't wait for each other.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Shard {
    /// Keys and records lie together outside of the table: its places, of which up to half are free, cost a
    /// pointer each, and a lookup in a large store waits for as few cache lines as it can.
    records: HashTable<Box<Entry>>,
    len_bytes: usize,
    limits: Amount,
    /// Records that were created since expired ones were last looked for.
    created: usize,
    /// Records that were given up since the store was made.
    evicted: u64,
    refused: Option<Refused>,
    hasher: RandomState,
}

/// What a full shard has nothing more to give up for.
#[derive(Debug)]
struct Refused {
    at: Timestamp,
    amount: Amount,
    /// Users' sessions have been looked at too, so that a user is refused as well.
    includes_users: bool,
}

impl Shard {
    pub(crate) fn new(limits: Amount, hasher: RandomState) -> Self {
        Self {
            records: HashTable::new(),
            len_bytes: 0,
            limits,
            created: 0,
            evicted: 0,
            refused: None,
            hasher,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn len_bytes(&self) -> usize {
        self.len_bytes
    }

    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    pub(crate) fn load(&mut self, key: &StoreKey, now: Timestamp) -> Option<Record> {
        let entry = find(&mut self.records, key, now)?;
        entry.note_return();
        Some(entry.record.clone())
    }

    pub(crate) fn save(
        &mut self,
        key: &StoreKey,
        record: Record,
        options: SaveOptions,
    ) -> Result<SaveOutcome, Full> {
        let SaveOptions { expect, now, .. } = options;
        let current = find(&mut self.records, key, now);
        let outcome = expect.check(current.as_ref().map(|entry| &entry.record));
        match (&outcome, current) {
            (SaveOutcome::Saved, Some(mut entry)) => {
                let (before, after) = (entry.len_bytes(), len_bytes(&record));
                if after > before && self.len_bytes + (after - before) > self.limits.bytes {
                    let grows_by = Amount {
                        records: 0,
                        bytes: after - before,
                    };
                    let wanted = Wanted::new(*key, &record, entry.holder, grows_by);
                    self.make_room(&wanted, after, now)?;
                    let Some(again) = find(&mut self.records, key, now) else {
                        return Ok(SaveOutcome::Missing);
                    };
                    entry = again;
                }
                entry.replace(record, after);
                self.len_bytes = self.len_bytes - before + after;
            }
            (SaveOutcome::Saved, None) => self.create(key, record, now)?,
            _ => {}
        }
        Ok(outcome)
    }

    pub(crate) fn delete(&mut self, key: &StoreKey) {
        self.remove(key);
        self.give_back();
    }

    pub(crate) fn touch(&mut self, key: &StoreKey, touch: Touch, now: Timestamp) -> SaveOutcome {
        let Some(entry) = find(&mut self.records, key, now) else {
            return SaveOutcome::Missing;
        };
        match touch.apply(entry.record.clone()) {
            Ok(touched) => {
                entry.record = touched;
                SaveOutcome::Saved
            }
            Err(outcome) => outcome,
        }
    }

    pub(crate) fn delete_expired(&mut self, now: Timestamp, limit: usize) -> usize {
        let mut removed = Amount::default();
        self.records
            .extract_if(|entry| entry.record.is_expired(now))
            .take(limit)
            .for_each(|entry| removed.add(Amount::of(&entry)));
        self.len_bytes -= removed.bytes;
        self.give_back();
        removed.records
    }

    /// Puts a record where none is, or one that has expired. Every now and then it removes what has expired: after half
    /// as many creations as there are records, so that looking at all of them costs each creation no more than a look
    /// at two.
    fn create(&mut self, key: &StoreKey, record: Record, now: Timestamp) -> Result<(), Full> {
        self.created += 1;
        if self.created > SMALL.max(self.records.len() / 2) {
            self.created = 0;
            self.delete_expired(now, usize::MAX);
        }
        let len_bytes = len_bytes(&record);
        let holder = Holder::of(key, &record, &self.hasher);
        let amount = Amount {
            records: 1,
            bytes: len_bytes,
        };
        if !self.has_room_for(amount) {
            let wanted = Wanted::new(*key, &record, holder, amount);
            self.make_room(&wanted, len_bytes, now)?;
        }
        self.insert(Box::new(Entry::new(*key, record, len_bytes, holder)));
        Ok(())
    }

    /// Puts an entry in, in place of one that has expired.
    fn insert(&mut self, entry: Box<Entry>) {
        self.len_bytes += entry.len_bytes();
        let place = self.records.entry(
            hash(&entry.key),
            |other| other.key == entry.key,
            |other| hash(&other.key),
        );
        match place {
            Place::Occupied(mut expired) => {
                self.len_bytes -= expired.get().len_bytes();
                *expired.get_mut() = entry;
            }
            Place::Vacant(free) => drop(free.insert(entry)),
        }
    }

    fn has_room_for(&self, amount: Amount) -> bool {
        self.limits.missing(self.taken(), amount) == Amount::default()
    }

    fn taken(&self) -> Amount {
        Amount {
            records: self.records.len(),
            bytes: self.len_bytes,
        }
    }

    /// Makes room in a full shard. `len_bytes` is what the record takes that needs it.
    fn make_room(&mut self, wanted: &Wanted, len_bytes: usize, now: Timestamp) -> Result<(), Full> {
        let limit = self.limits.bytes;
        if len_bytes > limit {
            return Err(Full::TooLarge { len_bytes, limit });
        }
        let refused = self.refused.as_ref();
        if refused.is_some_and(|refused| refused.includes(wanted, now)) {
            return Err(Full::OfWhatStays);
        }
        let entries = self.records.iter().map(Box::as_ref);
        let given_up = choose(entries, self.taken(), self.limits, wanted, now);
        for key in &given_up.keys {
            self.remove(key);
        }
        self.evicted += (given_up.keys.len() - given_up.expired) as u64;
        if given_up.is_all {
            self.refused = Some(Refused {
                at: now,
                amount: match given_up.is_enough {
                    true => Amount::default(),
                    false => wanted.amount,
                },
                includes_users: given_up.is_all_for_users,
            });
        }
        match given_up.is_enough {
            true => Ok(()),
            false => Err(Full::OfWhatStays),
        }
    }

    fn remove(&mut self, key: &StoreKey) {
        let found = self
            .records
            .find_entry(hash(key), |entry| entry.key == *key);
        if let Ok(found) = found {
            let (entry, _) = found.remove();
            self.len_bytes -= entry.len_bytes();
        }
    }

    /// Shrinks the table when most of it is free. Growing again doubles it, so that the two don't alternate.
    fn give_back(&mut self) {
        let len = self.records.len().max(SMALL);
        if self.records.capacity() / 4 > len {
            self.records.shrink_to(len * 2, |entry| hash(&entry.key));
        }
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OfWhatStays => f.write_str(
                "the memory store is full of sessions that are not given up: `max_bytes` or `max_sessions` is too low",
            ),
            Self::TooLarge { len_bytes, limit } => write!(
                f,
                "a record takes {len_bytes} bytes, and a shard of the memory store has {limit}: `max_bytes` is too low"
            ),
        }
    }
}

impl std::error::Error for Full {}

impl Refused {
    /// Whether a shard that had nothing more to give up for this has nothing for what is wanted now either.
    fn includes(&self, wanted: &Wanted, now: Timestamp) -> bool {
        let is_recent = now >= self.at && now < self.at.saturating_add(REFUSES_FOR);
        let is_as_much = wanted.amount.records >= self.amount.records
            && wanted.amount.bytes >= self.amount.bytes;
        is_recent && is_as_much && (self.includes_users || !wanted.is_of_user)
    }
}

/// What lies under `key` and hasn't expired.
fn find<'r>(
    records: &'r mut HashTable<Box<Entry>>,
    key: &StoreKey,
    now: Timestamp,
) -> Option<&'r mut Entry> {
    let found = records.find_mut(hash(key), |entry| entry.key == *key);
    found
        .map(Box::as_mut)
        .filter(|entry| !entry.record.is_expired(now))
}

/// Store keys are SHA-256 of secret ids: their bytes are a hash already, and nobody can choose them. The shard was
/// chosen by the first ones, which are alike for all keys in it; the last are not.
fn hash(key: &StoreKey) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = *key.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}
