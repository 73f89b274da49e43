//! What a handler sees: stored data with the request's changes laid over it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::Arc;

use smallvec::SmallVec;

use super::encoded::{Piece, SessionData, ValueRef, entry_len};
use super::key::EscapedKey;

/// The JSON of one changed value.
pub(crate) type Encoded = Arc<[u8]>;

/// Stored data, and what the request has changed. Unchanged values stay where they are. Reading or changing
/// a key takes time by the logarithm of the number of keys. What is asked of all changes takes time by their
/// number, and only what is asked of all entries goes by the size of the session.
#[derive(Clone)]
pub(crate) struct View {
    base: SessionData,
    cleared: bool,
    /// What each changed key holds now; `None` if it was deleted.
    changes: BTreeMap<EscapedKey<'static>, Option<Encoded>>,
    text: TextLen,
}

/// How long the entries' text is, with a comma behind each.
#[derive(Clone, Copy, Debug)]
struct TextLen(usize);

impl TextLen {
    fn of(data: &SessionData) -> Self {
        match data.is_empty() {
            true => Self(0),
            false => Self(data.json_len() - "{}".len() + ",".len()),
        }
    }

    /// The length of the JSON object: the last entry has no comma behind it.
    fn json_len(self) -> usize {
        "{}".len() + self.0.saturating_sub(",".len())
    }

    /// The length once `key` holds another value; `None` is no value at all.
    fn replace(self, key: &EscapedKey<'_>, old: Option<&[u8]>, new: Option<&[u8]>) -> Self {
        let len = |value: &[u8]| entry_len(key, value) + ",".len();
        Self(self.0 - old.map_or(0, len) + new.map_or(0, len))
    }
}

/// Shows how much there is, not what.
impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View({} changes)", self.changes.len())
    }
}

impl View {
    pub(crate) fn new(base: SessionData) -> Self {
        Self {
            text: TextLen::of(&base),
            base,
            cleared: false,
            changes: BTreeMap::new(),
        }
    }

    pub(crate) fn get(&self, key: &EscapedKey<'_>) -> Option<ValueRef> {
        match self.changes.get(key) {
            Some(value) => value.clone().map(ValueRef::from),
            None if self.cleared => None,
            None => self.base.share(key),
        }
    }

    pub(crate) fn set(&mut self, key: EscapedKey<'static>, value: Encoded) {
        self.change(key, Some(value));
    }

    pub(crate) fn delete(&mut self, key: EscapedKey<'static>) {
        self.change(key, None);
    }

    pub(crate) fn clear(&mut self) {
        self.cleared = true;
        self.changes.clear();
        self.text = TextLen(0);
    }

    /// Whether encoding the view would give anything else than the stored data.
    pub(crate) fn is_changed(&self) -> bool {
        let stored = |key: &EscapedKey<'_>| self.base.get(key);
        let named = || self.changes.keys().filter(|key| stored(key).is_some());
        let mut changes = self.changes.iter();
        changes.any(|(key, value)| stored(key) != value.as_deref())
            || (self.cleared && named().count() < self.base.len())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.text.0 == 0
    }

    /// How long the JSON text is.
    pub(crate) fn json_len(&self) -> usize {
        self.text.json_len()
    }

    /// How long the JSON text would be if `value` lay under `key`, and how long it is without that.
    pub(crate) fn json_len_with(&self, key: &EscapedKey<'_>, value: &[u8]) -> (usize, usize) {
        let old = match self.changes.get(key) {
            Some(value) => value.as_deref(),
            None if self.cleared => None,
            None => self.base.get(key),
        };
        let with = self.text.replace(key, old, Some(value));
        (with.json_len(), self.text.json_len())
    }

    /// The data as it is now. What hasn't changed is copied as it stands.
    pub(crate) fn encode(&self) -> SessionData {
        match self.is_changed() {
            true => SessionData::from_pieces(&self.pieces()),
            false => self.base.clone(),
        }
    }

    /// Keys and values as they are now, in order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (EscapedKey<'_>, &[u8])> {
        self.pieces().into_iter().flat_map(|piece| {
            (0..piece.count()).filter_map(move |nth| match &piece {
                Piece::Kept(data, entries) => {
                    let (key, value) = data.entry(entries.start + nth);
                    Some((EscapedKey::from_text(key)?, value))
                }
                Piece::Entry(key, value) => Some((key.reborrow(), *value)),
            })
        })
    }

    /// The stored entries that weren't changed, and between them the changed ones that weren't deleted.
    fn pieces(&self) -> SmallVec<[Piece<'_>; 8]> {
        let mut pieces = SmallVec::new();
        let stored = if self.cleared { 0 } else { self.base.len() };
        let mut kept = 0;
        for (key, value) in &self.changes {
            #[cfg(test)]
            super::work::step();
            let (before, after) = match self.cleared {
                true => (0, 0),
                false => match self.base.search(key) {
                    Ok(at) => (at, at + 1),
                    Err(at) => (at, at),
                },
            };
            pieces.push(Piece::Kept(&self.base, kept..before));
            pieces.extend(value.as_deref().map(|value| Piece::Entry(key, value)));
            kept = after;
        }
        pieces.push(Piece::Kept(&self.base, kept..stored));
        pieces
    }

    fn change(&mut self, key: EscapedKey<'static>, value: Option<Encoded>) {
        let new = value.as_deref();
        match self.changes.entry(key) {
            Entry::Occupied(mut entry) => {
                let old = entry.get().as_deref();
                self.text = self.text.replace(entry.key(), old, new);
                entry.insert(value);
            }
            Entry::Vacant(entry) => {
                let key = entry.key();
                let old = self.base.get(key).filter(|_| !self.cleared);
                self.text = self.text.replace(key, old, new);
                entry.insert(value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::encoded::json_len;
    use crate::data::work::Numbers;

    /// The length that is kept is the one that counting gives, whatever was done before.
    #[test]
    fn the_kept_length_is_the_real_one() {
        let mut numbers = Numbers(7);
        let key = |n: usize| EscapedKey::new(&format!("\"key{n}\n")).into_owned();
        let mut base = SessionData::empty();
        for round in 0..100 {
            let mut view = View::new(base);
            for _ in 0..60 {
                let (n, len) = (numbers.below(30), 1 + numbers.below(20));
                let value = "1".repeat(len);
                let (with, before) = view.json_len_with(&key(n), value.as_bytes());
                assert_eq!(before, view.encode().json_len());
                match numbers.below(60) {
                    0 => view.clear(),
                    1..=25 => view.delete(key(n)),
                    _ => {
                        view.set(key(n), value.as_bytes().into());
                        assert_eq!(view.encode().json_len(), with);
                    }
                }
                assert_eq!(view.is_empty(), view.encode().is_empty());
            }
            base = match round % 10 {
                0 => SessionData::empty(),
                _ => view.encode(),
            };
        }
    }

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
                    assert_eq!(json_len(&view.pieces()), encoded.json_len());
                    assert_eq!(view.is_changed(), encoded != base);
                    assert_eq!(view.is_empty(), encoded.is_empty());
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
