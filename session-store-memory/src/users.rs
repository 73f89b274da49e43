//! A part of the index of sessions by user, locked as a whole.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;

use session_core::store::{AddOutcome, IndexEntry, Sample, StoreKey, UserKey};
use session_core::{SessionRef, Timestamp};

/// Below this many additions, looking for what has expired costs next to nothing, whenever it happens.
const SMALL: usize = 64;

const FIRST_KEY: StoreKey = StoreKey::from_bytes([0x00; 32]);
const LAST_KEY: StoreKey = StoreKey::from_bytes([0xFF; 32]);

/// The entries of all users in it, in two orders, so that no operation but a list looks at all entries of a user.
#[derive(Debug, Default)]
pub(crate) struct UserShard {
    entries: BTreeMap<(UserKey, StoreKey), Entry>,
    by_age: BTreeSet<(UserKey, Timestamp, StoreKey)>,
    /// How many entries each user has, expired ones included. No user is here without any.
    counts: HashMap<UserKey, usize>,
    /// Entries that were added since expired ones were last looked for.
    added: usize,
}

/// What there is to know about an entry beside its key.
#[derive(Debug, Clone, Copy)]
struct Entry {
    reference: SessionRef,
    added_at: Timestamp,
    expires_at: Timestamp,
}

impl UserShard {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn add(
        &mut self,
        user: &UserKey,
        entry: IndexEntry,
        cap: Option<usize>,
        now: Timestamp,
    ) -> AddOutcome {
        self.make_room(now);
        let count = self.counts.get(user).copied().unwrap_or(0);
        if cap.is_some_and(|cap| count >= cap && self.has_others(user, &entry, cap, now)) {
            return AddOutcome::Full;
        }
        let IndexEntry {
            key,
            reference,
            added_at,
            expires_at,
            ..
        } = entry;
        let new = Entry {
            reference,
            added_at,
            expires_at,
        };
        match self.entries.insert((*user, key), new) {
            Some(replaced) => drop(self.by_age.remove(&(*user, replaced.added_at, key))),
            None => *self.counts.entry(*user).or_default() += 1,
        }
        self.by_age.insert((*user, added_at, key));
        AddOutcome::Added(self.counts.get(user).copied().unwrap_or(0))
    }

    pub(crate) fn remove(&mut self, user: &UserKey, key: &StoreKey) {
        self.forget(user, key);
        self.give_back();
    }

    pub(crate) fn list(&self, user: &UserKey, now: Timestamp) -> Vec<IndexEntry> {
        let mut entries: Vec<_> = self.living(user, FIRST_KEY..=LAST_KEY, now).collect();
        entries.sort_unstable_by_key(|entry| (entry.added_at, entry.key));
        entries
    }

    pub(crate) fn sample(&self, user: &UserKey, sample: Sample, now: Timestamp) -> Vec<IndexEntry> {
        let first = (*user, Timestamp::from_unix_millis(0), FIRST_KEY);
        let last = (*user, Timestamp::MAX, LAST_KEY);
        let by_age = self.by_age.range(first..=last);
        let oldest = by_age.filter_map(|(_, _, key)| self.living(user, *key..=*key, now).next());
        let mut chosen: Vec<_> = oldest.take(sample.oldest).collect();
        let oldest: HashSet<_> = chosen.iter().map(|entry| entry.key).collect();

        let from = sample.from_key();
        let onwards = self.living(user, from..=LAST_KEY, now);
        let round_the_end = self
            .living(user, FIRST_KEY..=from, now)
            .filter(|entry| entry.key != from);
        let others = onwards
            .chain(round_the_end)
            .filter(|entry| !oldest.contains(&entry.key));
        chosen.extend(others.take(sample.random));
        chosen
    }

    pub(crate) fn delete_expired(&mut self, now: Timestamp, limit: usize) -> usize {
        let expired = self
            .entries
            .iter()
            .filter(|(_, entry)| now >= entry.expires_at);
        let expired: Vec<_> = expired.map(|(place, _)| *place).take(limit).collect();
        for (user, key) in &expired {
            self.forget(user, key);
        }
        self.give_back();
        expired.len()
    }

    /// The user's entries with these keys that haven't expired.
    fn living(
        &self,
        user: &UserKey,
        keys: RangeInclusive<StoreKey>,
        now: Timestamp,
    ) -> impl Iterator<Item = IndexEntry> {
        let places = (*user, *keys.start())..=(*user, *keys.end());
        let entries = self.entries.range(places);
        let living = entries.filter(move |(_, entry)| now < entry.expires_at);
        living.map(|((_, key), entry)| {
            let Entry {
                reference,
                added_at,
                expires_at,
            } = *entry;
            IndexEntry::new(*key, reference, added_at, expires_at)
        })
    }

    /// Whether entries of as many other sessions are there: a session that is being rotated has two.
    fn has_others(&self, user: &UserKey, own: &IndexEntry, cap: usize, now: Timestamp) -> bool {
        let mut others = HashSet::new();
        let mut entries = self.living(user, FIRST_KEY..=LAST_KEY, now);
        others.len() >= cap
            || entries.any(|other| {
                other.reference != own.reference
                    && others.insert(other.reference)
                    && others.len() >= cap
            })
    }

    fn forget(&mut self, user: &UserKey, key: &StoreKey) {
        let Some(entry) = self.entries.remove(&(*user, *key)) else {
            return;
        };
        self.by_age.remove(&(*user, entry.added_at, *key));
        if let Some(count) = self.counts.get_mut(user) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(user);
            }
        }
    }

    /// Every now and then removes what has expired: after half as many additions as there are entries, so that
    /// looking at all of them costs each addition no more than a look at two.
    fn make_room(&mut self, now: Timestamp) {
        self.added += 1;
        if self.added > SMALL.max(self.entries.len() / 2) {
            self.added = 0;
            self.delete_expired(now, usize::MAX);
        }
    }

    /// Shrinks the table when most of it is free.
    fn give_back(&mut self) {
        let len = self.counts.len().max(SMALL);
        if self.counts.capacity() / 4 > len {
            self.counts.shrink_to(len * 2);
        }
    }
}
