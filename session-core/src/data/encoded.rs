//! A session's data, encoded: one JSON object as text, and an index of where each key's value lies.
//!
//! ```text
//! | count: u32 | count × (key end: u32, value end: u32) | {"a":1,"b":[2]} |
//! ```
//!
//! Integers are little-endian; positions count from the text's first byte. A key ends before its closing
//! quote, a value before the comma or brace that follows it. Keys are unique and in ascending order of
//! their escaped bytes, so that a lookup is a binary search and a value is parsed alone. The text has no
//! white space between its parts.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::key::EscapedKey;

const COUNT_LEN: usize = 4;
const SLOT_LEN: usize = 8;
/// The text of an object without keys, which is also the fewest bytes that a text can have.
const EMPTY_TEXT: &[u8] = b"{}";
/// The encoding of an object without keys.
const EMPTY: &[u8] = b"\0\0\0\0{}";

/// The stored data of a session: a JSON object, kept as encoded bytes that are shared when cloned.
///
/// `None` is the object without keys, and that object is always `None`. Every request begins with it: it
/// costs no allocation, and no reference count that threads contend for.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionData(Option<Arc<[u8]>>);

/// One encoded value, which can be parsed after the lock on its session is gone.
#[derive(Clone, Debug)]
pub(crate) struct ValueRef {
    buffer: Arc<[u8]>,
    range: Range<usize>,
}

impl ValueRef {
    pub(crate) fn json(&self) -> &[u8] {
        &self.buffer[self.range.clone()]
    }
}

impl From<Arc<[u8]>> for ValueRef {
    fn from(buffer: Arc<[u8]>) -> Self {
        Self {
            range: 0..buffer.len(),
            buffer,
        }
    }
}

/// The bytes are not the encoding of any data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct MalformedData;

impl SessionData {
    /// Data without any key.
    pub const fn empty() -> Self {
        Self(None)
    }

    /// The data as one JSON object, byte for byte as stored.
    pub fn as_json(&self) -> &[u8] {
        &self.as_bytes()[self.text_start()..]
    }

    /// The length of the JSON object in bytes, which is what the payload limit counts.
    pub fn json_len(&self) -> usize {
        self.as_json().len()
    }

    /// The encoding of data and index, for stores that keep bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or(EMPTY)
    }

    /// Reads an encoding back. Checks everything that later reads rely on, in time linear in the number
    /// of keys; the values themselves are checked when somebody asks for them.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, MalformedData> {
        let (count, rest) = bytes
            .split_first_chunk::<COUNT_LEN>()
            .ok_or(MalformedData)?;
        let count = u32::from_le_bytes(*count) as usize;
        let index_len = count.checked_mul(SLOT_LEN).ok_or(MalformedData)?;
        let (index, text) = rest.split_at_checked(index_len).ok_or(MalformedData)?;
        check_text(index, text)?;
        Ok(Self((count > 0).then(|| bytes.into())))
    }

    /// Puts pieces together, whose keys must be unique and in ascending order.
    pub(crate) fn from_pieces(pieces: &[Piece<'_>]) -> Self {
        let count: usize = pieces.iter().map(Piece::count).sum();
        if count == 0 {
            return Self::empty();
        }
        let len = COUNT_LEN + count * SLOT_LEN + json_len(pieces);
        let mut bytes: Arc<[u8]> = std::iter::repeat_n(0, len).collect();
        let (head, text) = Arc::make_mut(&mut bytes).split_at_mut(COUNT_LEN + count * SLOT_LEN);
        head[..COUNT_LEN].copy_from_slice(&position(count));
        let mut writer = Writer {
            slots: head[COUNT_LEN..].chunks_exact_mut(SLOT_LEN),
            text,
            end: 0,
        };
        pieces.iter().for_each(|piece| writer.write(piece));
        writer.put(b"}");
        Self(Some(bytes))
    }

    /// The JSON of the value under `key`.
    pub(crate) fn get(&self, key: &EscapedKey<'_>) -> Option<&[u8]> {
        self.find(key).map(|value| &self.as_json()[value])
    }

    /// The JSON of the value under `key`, kept alive apart from the rest of the session.
    pub(crate) fn share(&self, key: &EscapedKey<'_>) -> Option<ValueRef> {
        let value = self.find(key)?;
        let start = self.text_start();
        Some(ValueRef {
            buffer: self.0.clone()?,
            range: start + value.start..start + value.end,
        })
    }

    /// Where the value under `key` lies in the text.
    fn find(&self, key: &EscapedKey<'_>) -> Option<Range<usize>> {
        let at = self.search(key).ok()?;
        Some(self.ranges(at).1)
    }

    /// Which entry is `key`'s; otherwise, which one it would be.
    pub(crate) fn search(&self, key: &EscapedKey<'_>) -> Result<usize, usize> {
        let text = self.as_json();
        let (mut low, mut high) = (0, self.len());
        while low < high {
            #[cfg(test)]
            super::work::step();
            let middle = usize::midpoint(low, high);
            match text[self.ranges(middle).0].cmp(key.as_bytes()) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    /// Keys and the JSON of their values, in order.
    #[cfg(test)]
    fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        (0..self.len()).map(|at| self.entry(at))
    }

    /// The key and the JSON of the value of an entry.
    pub(crate) fn entry(&self, at: usize) -> (&[u8], &[u8]) {
        let (key, value) = self.ranges(at);
        let text = self.as_json();
        (&text[key], &text[value])
    }

    /// Where the text of these entries lies, from the first one's key with its quotes to the last one's value.
    fn span(&self, entries: &Range<usize>) -> Range<usize> {
        match entries.is_empty() {
            true => 0..0,
            false => self.ranges(entries.start).0.start - 1..self.ranges(entries.end - 1).1.end,
        }
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.read(0)
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn text_start(&self) -> usize {
        COUNT_LEN + self.len() * SLOT_LEN
    }

    /// Where the key and the value of entry `at` lie in the text.
    fn ranges(&self, at: usize) -> (Range<usize>, Range<usize>) {
        let slot = COUNT_LEN + at * SLOT_LEN;
        let key_start = if at == 0 { 2 } else { self.read(slot - 4) + 2 };
        let key_end = self.read(slot);
        (key_start..key_end, key_end + 2..self.read(slot + 4))
    }

    fn read(&self, at: usize) -> usize {
        read_u32(self.as_bytes(), at)
    }
}

/// A part of an encoding that is to be put together.
#[derive(Clone, Debug)]
pub(crate) enum Piece<'p> {
    /// Entries of other data that lie next to each other. They are copied as a whole: a session that is saved
    /// is mostly what it was.
    Kept(&'p SessionData, Range<usize>),
    /// A key as it stands in the text, and the JSON of its value.
    Entry(&'p EscapedKey<'p>, &'p [u8]),
}

impl Piece<'_> {
    /// How many keys it has.
    pub(crate) fn count(&self) -> usize {
        match self {
            Self::Kept(_, entries) => entries.len(),
            Self::Entry(..) => 1,
        }
    }

    /// Its length in the text, the comma before it apart.
    fn text_len(&self) -> usize {
        match self {
            Self::Kept(data, entries) => data.span(entries).len(),
            Self::Entry(key, value) => entry_len(key, value),
        }
    }
}

/// The length of the JSON object that the pieces give.
pub(crate) fn json_len(pieces: &[Piece<'_>]) -> usize {
    let texts = pieces.iter().filter(|piece| piece.count() > 0);
    let (count, len) = texts.fold((0_usize, EMPTY_TEXT.len()), |(count, len), piece| {
        (count + 1, len + piece.text_len())
    });
    len + count.saturating_sub(1)
}

/// Writes pieces into an encoding whose length fits.
struct Writer<'b> {
    slots: std::slice::ChunksExactMut<'b, u8>,
    text: &'b mut [u8],
    /// The end of what has been written of the text.
    end: usize,
}

impl Writer<'_> {
    fn write(&mut self, piece: &Piece<'_>) {
        if piece.count() == 0 {
            return;
        }
        self.put(if self.end == 0 { b"{" } else { b"," });
        match piece {
            Piece::Kept(data, entries) => {
                let span = data.span(entries);
                let (from, to) = (span.start, self.end);
                self.put(&data.as_json()[span]);
                for at in entries.clone() {
                    let (key, value) = data.ranges(at);
                    self.put_slot(key.end - from + to, value.end - from + to);
                }
            }
            Piece::Entry(key, value) => {
                self.put(b"\"");
                self.put(key.as_bytes());
                let key_end = self.end;
                self.put(b"\":");
                self.put(value);
                self.put_slot(key_end, self.end);
            }
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        let end = self.end + bytes.len();
        self.text[self.end..end].copy_from_slice(bytes);
        self.end = end;
    }

    fn put_slot(&mut self, key_end: usize, value_end: usize) {
        if let Some(slot) = self.slots.next() {
            slot[..4].copy_from_slice(&position(key_end));
            slot[4..].copy_from_slice(&position(value_end));
        }
    }
}

impl fmt::Debug for SessionData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "SessionData({} keys, {} bytes)",
            self.len(),
            self.json_len()
        )
    }
}

/// What an entry adds to the text, its comma apart.
pub(crate) fn entry_len(key: &EscapedKey<'_>, value: &[u8]) -> usize {
    key.as_bytes().len() + "\"\":".len() + value.len()
}

/// Walks the index: each position must lie behind the one before it, each part must be delimited as the
/// format says, and each key must be greater than the one before it.
fn check_text(index: &[u8], text: &[u8]) -> Result<(), MalformedData> {
    if index.is_empty() {
        return if text == EMPTY_TEXT {
            Ok(())
        } else {
            Err(MalformedData)
        };
    }
    let (mut end, mut previous_key): (usize, Option<&[u8]>) = (0, None);
    for slot in index.chunks_exact(SLOT_LEN) {
        let (key_end, value_end) = (read_u32(slot, 0), read_u32(slot, 4));
        let delimiter: &[u8] = if previous_key.is_none() {
            b"{\""
        } else {
            b",\""
        };
        let key = text.get(end + 2..key_end).ok_or(MalformedData)?;
        let value = text.get(key_end + 2..value_end).ok_or(MalformedData)?;
        let delimited = text[end..].starts_with(delimiter) && text[key_end..].starts_with(b"\":");
        let ascending = previous_key.is_none_or(|previous| previous < key);
        if !delimited || !ascending || value.is_empty() || std::str::from_utf8(key).is_err() {
            return Err(MalformedData);
        }
        (end, previous_key) = (value_end, Some(key));
    }
    if &text[end..] == b"}" {
        Ok(())
    } else {
        Err(MalformedData)
    }
}

fn read_u32(bytes: &[u8], at: usize) -> usize {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word) as usize
}

/// A position in the encoding. The payload limit is far below 4 GiB, and a merge of two payloads too.
fn position(at: usize) -> [u8; 4] {
    u32::try_from(at).unwrap_or(u32::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(entries: &[(&str, &str)]) -> SessionData {
        let mut entries: Vec<_> = entries
            .iter()
            .map(|(key, value)| (EscapedKey::new(key), value.as_bytes()))
            .collect();
        entries.sort();
        let pieces = entries.iter();
        let pieces: Vec<_> = pieces
            .map(|(key, value)| Piece::Entry(key, value))
            .collect();
        SessionData::from_pieces(&pieces)
    }

    /// SR-2: whatever the keys are, the text is JSON.
    #[test]
    fn the_text_is_one_json_object() {
        assert_eq!(SessionData::empty().as_json(), b"{}");
        let three = data(&[("b", "[2]"), ("a", "1"), ("q\"\n", "\"x\"")]);
        assert_eq!(three.as_json(), br#"{"a":1,"b":[2],"q\"\n":"x"}"#);
        assert_eq!(three.json_len(), 27);
        for key in [
            "nul\0",
            "line\n",
            "\u{1f}",
            "\u{7f}",
            "\u{10348}",
            "\"\\",
            "",
        ] {
            let text = data(&[(key, "1")]);
            let parsed: serde_json::Value = serde_json::from_slice(text.as_json()).unwrap();
            assert_eq!(parsed, serde_json::json!({ key: 1 }));
        }
    }

    #[test]
    fn every_key_is_found_and_no_other() {
        let names: Vec<_> = (0..100)
            .map(|n| format!("key{n}\"\u{1}\u{10348}"))
            .collect();
        let values: Vec<_> = (0..100).map(|n| n.to_string()).collect();
        let entries: Vec<_> = names
            .iter()
            .zip(&values)
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let data = data(&entries);
        for (name, value) in entries {
            assert_eq!(data.get(&EscapedKey::new(name)), Some(value.as_bytes()));
            assert_eq!(data.get(&EscapedKey::new(&name[1..])), None);
        }
        assert_eq!(data.get(&EscapedKey::new("")), None);
    }

    #[test]
    fn an_encoding_reads_back() {
        for data in [
            SessionData::empty(),
            data(&[("", "null")]),
            data(&[("a", "1"), ("b", "{}")]),
        ] {
            assert_eq!(SessionData::from_bytes(data.as_bytes()), Ok(data));
        }
    }

    /// SR-3: whatever byte is changed or cut off, reading gives an error or data that can be walked.
    #[test]
    fn broken_encodings_never_panic() {
        let good = data(&[("a", "1"), ("bc", "[2,3]"), ("d\"", "\"x\"")]);
        let walk = |bytes: &[u8]| {
            if let Ok(data) = SessionData::from_bytes(bytes) {
                for (key, value) in data.entries() {
                    let key = EscapedKey::from_text(key).unwrap();
                    assert_eq!(data.get(&key), Some(value));
                }
            }
        };
        for len in 0..good.as_bytes().len() {
            assert!(
                SessionData::from_bytes(&good.as_bytes()[..len]).is_err(),
                "cut to {len}"
            );
        }
        for position in 0..good.as_bytes().len() {
            for value in 0..=255 {
                let mut bytes = good.as_bytes().to_vec();
                bytes[position] = value;
                walk(&bytes);
            }
        }
        walk(&[0xFF; 64]);
    }
}
