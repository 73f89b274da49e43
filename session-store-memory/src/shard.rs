//! A part of the store that is locked as a whole.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Place;
use session_core::Timestamp;
use session_core::store::{Record, RecordState, SaveOptions, SaveOutcome, StoreKey, Touch};

/// Below this many records, looking through them costs next to nothing, whenever it happens.
const SMALL: usize = 64;

/// A full shard makes room for this part of its bound at once, so that a flood of new sessions doesn't
/// search the shard for each of them.
const ROOM_PART: usize = 16;

/// The shard is full, and of records that are not given up.
#[derive(Debug)]
pub(crate) struct Full;

/// Aligned to cache lines, so that threads at work in neighbouring shards don't wait for each other.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Shard {
    /// Keys and records lie together outside of the table: its places, of which up to half are free, cost a
    /// pointer each, and a lookup in a large store waits for as few cache lines as it can.
    records: HashTable<Box<Entry>>,
    bound: usize,
    /// Records that were created since expired ones were last looked for.
    created: usize,
}

#[derive(Debug)]
struct Entry {
    key: StoreKey,
    record: Record,
    /// Somebody has come back with the session's id since it was created.
    returned: bool,
}

/// What a full shard gives up first comes first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Worth {
    NeverReturned,
    Anonymous,
    Tombstone,
}

impl Shard {
    pub(crate) fn new(bound: usize) -> Self {
        Self {
            records: HashTable::new(),
            bound,
            created: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn load(&mut self, key: &StoreKey, now: Timestamp) -> Option<Record> {
        let entry = self.find(key, now)?;
        // Noted once, so that what is only read stays in the caches of all who read it.
        if !entry.returned {
            entry.returned = true;
        }
        Some(entry.record.clone())
    }

    pub(crate) fn save(
        &mut self,
        key: &StoreKey,
        record: Record,
        options: SaveOptions,
    ) -> Result<SaveOutcome, Full> {
        let SaveOptions { expect, now, .. } = options;
        let current = self.find(key, now);
        let outcome = expect.check(current.as_ref().map(|entry| &entry.record));
        match (&outcome, current) {
            (SaveOutcome::Saved, Some(entry)) => entry.record = record,
            (SaveOutcome::Saved, None) => {
                self.make_room(now)?;
                self.insert(Box::new(Entry::new(*key, record)));
            }
            _ => {}
        }
        Ok(outcome)
    }

    pub(crate) fn delete(&mut self, key: &StoreKey) {
        if let Ok(found) = self
            .records
            .find_entry(hash(key), |entry| entry.key == *key)
        {
            found.remove();
        }
        self.give_back();
    }

    pub(crate) fn touch(&mut self, key: &StoreKey, touch: Touch, now: Timestamp) -> SaveOutcome {
        let Some(entry) = self.find(key, now) else {
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
        let removed = self
            .records
            .extract_if(|entry| entry.record.is_expired(now))
            .take(limit)
            .count();
        self.give_back();
        removed
    }

    /// What lies under `key` and hasn't expired.
    fn find(&mut self, key: &StoreKey, now: Timestamp) -> Option<&mut Entry> {
        let found = self.records.find_mut(hash(key), |entry| entry.key == *key);
        found
            .map(Box::as_mut)
            .filter(|entry| !entry.record.is_expired(now))
    }

    /// Puts an entry in, in place of one that has expired.
    fn insert(&mut self, entry: Box<Entry>) {
        let place = self.records.entry(
            hash(&entry.key),
            |other| other.key == entry.key,
            |other| hash(&other.key),
        );
        match place {
            Place::Occupied(mut expired) => *expired.get_mut() = entry,
            Place::Vacant(free) => drop(free.insert(entry)),
        }
    }

    /// Makes sure that one more record fits, and every now and then removes those that have expired: after
    /// half as many creations as there are records, so that looking at all of them costs each creation no
    /// more than a look at two.
    fn make_room(&mut self, now: Timestamp) -> Result<(), Full> {
        self.created += 1;
        if self.created > SMALL.max(self.records.len() / 2) || self.records.len() >= self.bound {
            self.created = 0;
            self.delete_expired(now, usize::MAX);
        }
        if self.records.len() >= self.bound {
            self.evict();
        }
        if self.records.len() >= self.bound {
            Err(Full)
        } else {
            Ok(())
        }
    }

    /// Removes the least worthy records, the longest inactive among equals.
    fn evict(&mut self) {
        let entries = self.records.iter();
        let mut ranked: Vec<_> = entries
            .filter_map(|entry| Some((entry.worth()?, entry.key)))
            .collect();
        let wanted = (self.bound / ROOM_PART).max(1).min(ranked.len());
        if wanted < ranked.len() {
            ranked.select_nth_unstable(wanted);
        }
        for (_, key) in &ranked[..wanted] {
            if let Ok(found) = self
                .records
                .find_entry(hash(key), |entry| entry.key == *key)
            {
                found.remove();
            }
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

impl Entry {
    /// A session that was active after it began has come back before: it was rotated to this key.
    fn new(key: StoreKey, record: Record) -> Self {
        let returned = record
            .live()
            .is_some_and(|live| live.last_active_at > live.created_at);
        Self {
            key,
            record,
            returned,
        }
    }

    /// How much the record matters, and when it last did; `None` if it must stay.
    fn worth(&self) -> Option<(Worth, Timestamp)> {
        match &self.record.state {
            RecordState::Live(live) if live.user.is_some() => None,
            RecordState::Live(live) if self.returned => {
                Some((Worth::Anonymous, live.last_active_at))
            }
            RecordState::Live(live) => Some((Worth::NeverReturned, live.last_active_at)),
            RecordState::Superseded { at, .. } | RecordState::Ended { at, .. } => {
                Some((Worth::Tombstone, *at))
            }
            // A kind of record that a later version of the core adds: worth what a tombstone is.
            _ => Some((Worth::Tombstone, Timestamp::default())),
        }
    }
}

/// Store keys are SHA-256 of secret ids: their bytes are a hash already, and nobody can choose them. The shard was
/// chosen by the first ones, which are alike for all keys in it; the last are not.
fn hash(key: &StoreKey) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = *key.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}
