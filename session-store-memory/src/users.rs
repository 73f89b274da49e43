//! A part of the index of sessions by user, locked as a whole.

use std::collections::{HashMap, HashSet};

use session_core::Timestamp;
use session_core::store::{AddOutcome, IndexEntry, StoreKey, UserKey};

/// Below this many additions, looking for what has expired costs next to nothing, whenever it happens.
const SMALL: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct UserShard {
    /// Each user's entries in order of their addition; no user is without any.
    users: HashMap<UserKey, Vec<IndexEntry>>,
    /// Entries that were added since expired ones were last looked for.
    added: usize,
}

impl UserShard {
    pub(crate) fn len(&self) -> usize {
        self.users.values().map(Vec::len).sum()
    }

    pub(crate) fn add(
        &mut self,
        user: &UserKey,
        entry: IndexEntry,
        cap: Option<usize>,
        now: Timestamp,
    ) -> AddOutcome {
        self.make_room(now);
        let mut entries = self.list(user, now);
        let is_full = cap.is_some_and(|cap| {
            let others = entries.iter().map(|entry| entry.reference);
            let others: HashSet<_> = others
                .filter(|reference| *reference != entry.reference)
                .collect();
            others.len() >= cap
        });
        if is_full {
            return AddOutcome::Full(entries);
        }
        entries.retain(|other| other.key != entry.key);
        let position = entries.partition_point(|other| other.added_at <= entry.added_at);
        entries.insert(position, entry);
        let count = entries.len();
        self.users.insert(*user, entries);
        AddOutcome::Added(count)
    }

    pub(crate) fn remove(&mut self, user: &UserKey, key: &StoreKey) {
        if let Some(entries) = self.users.get_mut(user) {
            entries.retain(|entry| entry.key != *key);
            if entries.is_empty() {
                self.users.remove(user);
            }
        }
        self.give_back();
    }

    pub(crate) fn list(&self, user: &UserKey, now: Timestamp) -> Vec<IndexEntry> {
        let entries = self.users.get(user).into_iter().flatten();
        entries
            .filter(|entry| now < entry.expires_at)
            .copied()
            .collect()
    }

    pub(crate) fn delete_expired(&mut self, now: Timestamp, limit: usize) -> usize {
        let mut removed = 0;
        self.users.retain(|_, entries| {
            entries.retain(|entry| {
                let goes = removed < limit && now >= entry.expires_at;
                removed += usize::from(goes);
                !goes
            });
            !entries.is_empty()
        });
        self.give_back();
        removed
    }

    /// Every now and then removes what has expired: after half as many additions as there are users, so that
    /// looking at all of them costs each addition no more than a look at two.
    fn make_room(&mut self, now: Timestamp) {
        self.added += 1;
        if self.added > SMALL.max(self.users.len() / 2) {
            self.added = 0;
            self.delete_expired(now, usize::MAX);
        }
    }

    /// Shrinks the table when most of it is free.
    fn give_back(&mut self) {
        let len = self.users.len().max(SMALL);
        if self.users.capacity() / 4 > len {
            self.users.shrink_to(len * 2);
        }
    }
}
