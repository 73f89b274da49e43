//! What a handler sees: stored data with the request's changes laid over it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::data::{EscapedKey, SessionData, ValueRef, entry_len};

/// The JSON of one changed value.
pub(crate) type Encoded = Arc<[u8]>;

/// Stored data, and what the request has changed. Unchanged values stay where they are.
#[derive(Clone, Debug)]
pub(crate) struct View {
    base: SessionData,
    cleared: bool,
    /// Changed keys; `None` means deleted.
    changes: BTreeMap<EscapedKey<'static>, Option<Encoded>>,
}

impl View {
    pub(crate) fn new(base: SessionData) -> Self {
        Self {
            base,
            cleared: false,
            changes: BTreeMap::new(),
        }
    }

    pub(crate) fn into_base(self) -> SessionData {
        self.base
    }

    pub(crate) fn get(&self, key: &EscapedKey<'_>) -> Option<ValueRef> {
        match self.changes.get(key) {
            Some(change) => change.clone().map(ValueRef::from),
            None if self.cleared => None,
            None => self.base.share(key),
        }
    }

    pub(crate) fn set(&mut self, key: EscapedKey<'static>, value: Encoded) {
        self.changes.insert(key, Some(value));
    }

    pub(crate) fn delete(&mut self, key: EscapedKey<'static>) {
        self.changes.insert(key, None);
    }

    pub(crate) fn clear(&mut self) {
        self.cleared = true;
        self.changes.clear();
    }

    /// Whether encoding the view would give anything else than the stored data.
    pub(crate) fn is_changed(&self) -> bool {
        let changed = |(key, change): (&EscapedKey<'_>, &Option<Encoded>)| {
            self.base.get(key) != change.as_deref()
        };
        let gone = |(key, _): (&[u8], &[u8])| !self.names_change(key);
        self.changes.iter().any(changed) || (self.cleared && self.base.entries().any(gone))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries().next().is_none()
    }

    /// How long the JSON text would be if `value` lay under `key`, and how long it is without that.
    pub(crate) fn json_len_with(&self, key: &EscapedKey<'_>, value: &[u8]) -> (usize, usize) {
        let len = self.json_len();
        let added = entry_len(key, value);
        let with = match self.get(key) {
            Some(old) => len - entry_len(key, old.json()) + added,
            None => len + added + usize::from(!self.is_empty()),
        };
        (with, len)
    }

    /// The length of the JSON text that [`View::encode`] would give.
    pub(crate) fn json_len(&self) -> usize {
        let (mut len, mut count) = ("{}".len(), 0_usize);
        for (key, value) in self.entries() {
            len += entry_len(&key, value);
            count += 1;
        }
        len + count.saturating_sub(1)
    }

    /// The data as it is now. What hasn't changed is copied as it stands.
    pub(crate) fn encode(&self) -> SessionData {
        if !self.is_changed() {
            return self.base.clone();
        }
        let entries: Vec<_> = self.entries().collect();
        SessionData::from_entries(entries.iter().map(|(key, value)| (key, *value)))
    }

    /// Keys and values as they are now, in order: the stored ones that weren't changed, merged with the
    /// changed ones that weren't deleted.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (EscapedKey<'_>, &[u8])> {
        let stored = self
            .base
            .entries()
            .filter(|(key, _)| !self.cleared && !self.names_change(key));
        let mut stored = stored
            .filter_map(|(key, value)| Some((EscapedKey::from_text(key)?, value)))
            .peekable();
        let changed = self
            .changes
            .iter()
            .filter_map(|(key, value)| Some((key, value.as_deref()?)));
        let mut changed = changed.peekable();
        std::iter::from_fn(move || match (stored.peek(), changed.peek()) {
            (Some((stored_key, _)), Some((changed_key, _))) if stored_key < *changed_key => {
                stored.next()
            }
            (_, Some(_)) => changed.next().map(|(key, value)| (key.reborrow(), value)),
            (_, None) => stored.next(),
        })
    }

    fn names_change(&self, key: &[u8]) -> bool {
        EscapedKey::from_text(key).is_some_and(|key| self.changes.contains_key(&key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every view over up to three keys: what is read, counted and encoded agrees.
    #[test]
    fn views_read_count_and_encode_alike() {
        let key = |n: usize| EscapedKey::new(["a", "b\"", "c"][n]).into_owned();
        let mut views = 0;
        for stored in 0..8_usize {
            for changes in 0..27_usize {
                for cleared in [false, true] {
                    let mut base = View::new(SessionData::empty());
                    (0..3)
                        .filter(|n| stored >> n & 1 == 1)
                        .for_each(|n| base.set(key(n), b"1"[..].into()));
                    let base = base.encode();
                    let mut view = View::new(base.clone());
                    if cleared {
                        view.clear();
                    }
                    for n in 0..3 {
                        match changes / 3_usize.pow(u32::try_from(n).unwrap()) % 3 {
                            0 => {}
                            1 => view.set(key(n), b"\"new\""[..].into()),
                            _ => view.delete(key(n)),
                        }
                    }
                    let encoded = view.encode();
                    assert_eq!(view.json_len(), encoded.json_len());
                    assert_eq!(view.is_changed(), encoded != base);
                    assert_eq!(view.is_empty(), encoded.len() == 0);
                    for n in 0..3 {
                        let seen = view.get(&key(n));
                        assert_eq!(seen.as_ref().map(ValueRef::json), encoded.get(&key(n)));
                        let (with, without) = view.json_len_with(&key(n), b"12345");
                        assert_eq!(without, encoded.json_len());
                        let mut grown = view.clone();
                        grown.set(key(n), b"12345"[..].into());
                        assert_eq!(with, grown.encode().json_len());
                    }
                    views += 1;
                }
            }
        }
        assert_eq!(views, 8 * 27 * 2);
    }
}
