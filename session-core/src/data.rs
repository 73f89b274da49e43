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

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

const COUNT_LEN: usize = 4;
const SLOT_LEN: usize = 8;
/// The text of an object without keys, which is also the fewest bytes that a text can have.
const EMPTY_TEXT: &[u8] = b"{}";

/// The stored data of a session: a JSON object, kept as encoded bytes that are shared when cloned.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionData(Arc<[u8]>);

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

/// A key as it stands in the text: escaped, without its quotes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct EscapedKey<'k>(Cow<'k, str>);

impl SessionData {
    /// Data without any key.
    pub fn empty() -> Self {
        static EMPTY: OnceLock<SessionData> = OnceLock::new();
        EMPTY
            .get_or_init(|| Self::from_entries(std::iter::empty()))
            .clone()
    }

    /// The data as one JSON object, byte for byte as stored.
    pub fn as_json(&self) -> &[u8] {
        &self.0[self.text_start()..]
    }

    /// The length of the JSON object in bytes, which is what the payload limit counts.
    pub fn json_len(&self) -> usize {
        self.as_json().len()
    }

    /// The encoding of data and index, for stores that keep bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
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
        Ok(Self(bytes.into()))
    }

    /// Encodes entries, which must be unique and in ascending order of their keys.
    pub(crate) fn from_entries<'e>(
        entries: impl Iterator<Item = (&'e EscapedKey<'e>, &'e [u8])> + Clone,
    ) -> Self {
        let (mut count, mut text_len) = (0, EMPTY_TEXT.len());
        for (key, value) in entries.clone() {
            text_len += entry_len(key, value) + usize::from(count > 0);
            count += 1;
        }
        let mut bytes = Vec::with_capacity(COUNT_LEN + count * SLOT_LEN + text_len);
        let mut text = Vec::with_capacity(text_len);
        bytes.extend(position(count));
        for (key, value) in entries {
            text.extend_from_slice(if text.is_empty() { b"{\"" } else { b",\"" });
            text.extend_from_slice(key.0.as_bytes());
            bytes.extend(position(text.len()));
            text.extend_from_slice(b"\":");
            text.extend_from_slice(value);
            bytes.extend(position(text.len()));
        }
        if text.is_empty() {
            text.push(b'{');
        }
        text.push(b'}');
        bytes.extend_from_slice(&text);
        Self(bytes.into())
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
            buffer: self.0.clone(),
            range: start + value.start..start + value.end,
        })
    }

    /// Where the value under `key` lies in the text.
    fn find(&self, key: &EscapedKey<'_>) -> Option<Range<usize>> {
        let text = self.as_json();
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            let (found, value) = self.ranges(middle);
            match text[found].cmp(key.0.as_bytes()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Some(value),
            }
        }
        None
    }

    /// Keys and the JSON of their values, in order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        let text = self.as_json();
        (0..self.len()).map(move |at| {
            let (key, value) = self.ranges(at);
            (&text[key], &text[value])
        })
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.read(0)
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
        read_u32(&self.0, at)
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

impl<'k> EscapedKey<'k> {
    pub(crate) fn new(key: &'k str) -> Self {
        if key
            .bytes()
            .all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\')
        {
            return Self(Cow::Borrowed(key));
        }
        let mut literal = serde_json::Value::from(key).to_string();
        literal.pop();
        literal.remove(0);
        Self(Cow::Owned(literal))
    }

    pub(crate) fn into_owned(self) -> EscapedKey<'static> {
        EscapedKey(Cow::Owned(self.0.into_owned()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    pub(crate) fn reborrow(&self) -> EscapedKey<'_> {
        EscapedKey(Cow::Borrowed(&self.0))
    }

    /// The escaped key in these bytes of a text; `None` if they aren't UTF-8.
    pub(crate) fn from_text(bytes: &'k [u8]) -> Option<Self> {
        std::str::from_utf8(bytes)
            .ok()
            .map(|text| Self(Cow::Borrowed(text)))
    }

    /// The key as the application wrote it; `None` if it isn't the inside of a JSON string.
    pub(crate) fn unescape(&self) -> Option<String> {
        if !self.0.contains('\\') {
            return Some(self.0.clone().into_owned());
        }
        serde_json::from_str(&format!("\"{}\"", self.0)).ok()
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
        SessionData::from_entries(entries.iter().map(|(key, value)| (key, *value)))
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
