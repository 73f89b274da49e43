//! What a handler sees: stored data with the request's changes laid over it.

use std::sync::Arc;

use smallvec::SmallVec;

use super::encoded::{Piece, SessionData, ValueRef, entry_len, json_len};
use super::key::EscapedKey;

/// The JSON of one changed value.
pub(crate) type Encoded = Arc<[u8]>;

/// Stored data, and what the request has changed. Unchanged values stay where they are: whatever is asked of
/// a view, other than for all of it, takes time by the number of changes, not by the size of the session.
#[derive(Clone, Debug)]
pub(crate) struct View {
    base: SessionData,
    cleared: bool,
    /// In ascending order of their keys.
    changes: Vec<Change>,
}

#[derive(Clone, Debug)]
struct Change {
    key: EscapedKey<'static>,
    /// `None` if the key was deleted.
    value: Option<Encoded>,
}

impl View {
    pub(crate) fn new(base: SessionData) -> Self {
        Self {
            base,
            cleared: false,
            changes: Vec::new(),
        }
    }

    pub(crate) fn get(&self, key: &EscapedKey<'_>) -> Option<ValueRef> {
        match self.find(key) {
            Ok(at) => self.changes[at].value.clone().map(ValueRef::from),
            Err(_) if self.cleared => None,
            Err(_) => self.base.share(key),
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
    }

    /// Whether encoding the view would give anything else than the stored data.
    pub(crate) fn is_changed(&self) -> bool {
        let stored = |change: &Change| self.base.get(&change.key);
        let is_other = |change: &Change| stored(change) != change.value.as_deref();
        let named = || {
            self.changes
                .iter()
                .filter(|change| stored(change).is_some())
        };
        self.changes.iter().any(is_other) || (self.cleared && named().count() < self.base.len())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pieces().iter().all(|piece| piece.count() == 0)
    }

    /// How long the JSON text would be if `value` lay under `key`, and how long it is without that.
    pub(crate) fn json_len_with(&self, key: &EscapedKey<'_>, value: &[u8]) -> (usize, usize) {
        let pieces = self.pieces();
        let len = json_len(&pieces);
        let added = entry_len(key, value);
        let with = match self.get(key) {
            Some(old) => len - entry_len(key, old.json()) + added,
            None => {
                let is_first = pieces.iter().all(|piece| piece.count() == 0);
                len + added + usize::from(!is_first)
            }
        };
        (with, len)
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
        for Change { key, value } in &self.changes {
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
        match self.find(&key) {
            Ok(at) => self.changes[at].value = value,
            Err(at) => self.changes.insert(at, Change { key, value }),
        }
    }

    fn find(&self, key: &EscapedKey<'_>) -> Result<usize, usize> {
        self.changes.binary_search_by(|change| change.key.cmp(key))
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
