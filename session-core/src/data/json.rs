//! Session data from the JSON of a store that keeps JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeOwned, IgnoredAny};

use super::encoded::{Piece, SessionData};
use super::key::EscapedKey;

impl SessionData {
    /// Data from the text of a JSON object, for stores that keep JSON in place of [`Record::encode`]'s bytes.
    /// [`as_json`](Self::as_json) gives that text. Of a key that occurs twice the last value counts; the values
    /// themselves are kept byte for byte.
    ///
    /// ```
    /// use session_core::store::SessionData;
    ///
    /// let data = SessionData::from_json(br#"{ "visits": 3, "cart": [1, 2] }"#).unwrap();
    /// assert_eq!(data.as_json(), br#"{"cart":[1, 2],"visits":3}"#);
    /// ```
    ///
    /// [`Record::encode`]: crate::store::Record::encode
    ///
    /// # Errors
    /// If the text isn't a JSON object.
    pub fn from_json(text: &[u8]) -> Result<Self, ParseDataError> {
        let mut rest = Text(text);
        let mut entries = BTreeMap::new();
        rest.expect(b'{')?;
        if !rest.take(b'}') {
            loop {
                let (key, _) = rest.value::<String>()?;
                rest.expect(b':')?;
                let (IgnoredAny, value) = rest.value()?;
                entries.insert(key, value);
                if !rest.take(b',') {
                    break;
                }
            }
            rest.expect(b'}')?;
        }
        if !rest.0.trim_ascii().is_empty() {
            return Err(ParseDataError(()));
        }
        let mut entries: Vec<_> = entries
            .iter()
            .map(|(key, value)| (EscapedKey::new(key), *value))
            .collect();
        // Escaping may change the order.
        entries.sort();
        let pieces: Vec<_> = entries
            .iter()
            .map(|(key, value)| Piece::Entry(key, value))
            .collect();
        Ok(Self::from_pieces(&pieces))
    }
}

/// What hasn't been read yet of a JSON text. The values are read by `serde_json`; what it calls a raw value is a feature
/// that changes how it reads others.
struct Text<'t>(&'t [u8]);

impl<'t> Text<'t> {
    /// Goes past this byte and the white space before it, if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        match self.0.trim_ascii_start().split_first() {
            Some((first, rest)) if *first == byte => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), ParseDataError> {
        self.take(byte).then_some(()).ok_or(ParseDataError(()))
    }

    /// Goes past the next value; gives it, and its bytes.
    fn value<T: DeserializeOwned>(&mut self) -> Result<(T, &'t [u8]), ParseDataError> {
        let text = self.0.trim_ascii_start();
        let mut values = serde_json::Deserializer::from_slice(text).into_iter::<T>();
        let Some(Ok(value)) = values.next() else {
            return Err(ParseDataError(()));
        };
        let (bytes, rest) = text.split_at(values.byte_offset());
        self.0 = rest;
        Ok((value, bytes))
    }
}

/// A text that is no JSON object. What it was isn't shown: it may have been session data.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParseDataError(());

impl fmt::Display for ParseDataError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("session data has to be one JSON object")
    }
}

impl std::error::Error for ParseDataError {}

#[cfg(test)]
mod tests {
    use super::*;

    /// SR-2: what a store kept as JSON comes back as it was.
    #[test]
    fn json_round_trips() {
        for text in [
            "{}",
            " { } ",
            r#"{"":null}"#,
            "{\n \"a\" : 1 ,\t\"b\":true , \"c\": \"x\" }\n",
            r#"{"\"quoted\"":1,"a":[1e400,{"b":"\u0000"}],"\u0001":-0.10,"\ud800\udf48":"x"}"#,
        ] {
            let data = SessionData::from_json(text.as_bytes()).unwrap();
            let again = SessionData::from_json(data.as_json()).unwrap();
            assert_eq!(data, again);
            assert_eq!(SessionData::from_bytes(data.as_bytes()), Ok(data.clone()));
            let values = |json: &[u8]| -> BTreeMap<String, Vec<u8>> {
                let data = SessionData::from_json(json).unwrap();
                let entries = (0..data.len()).map(|at| data.entry(at));
                entries
                    .map(|(key, value)| {
                        let key = EscapedKey::from_text(key).unwrap().unescape();
                        (key.unwrap(), value.to_vec())
                    })
                    .collect()
            };
            assert_eq!(values(text.as_bytes()), values(data.as_json()));
        }
    }

    #[test]
    fn of_a_key_twice_the_last_counts() {
        let data = SessionData::from_json(br#"{"a":1,"a":2}"#).unwrap();
        assert_eq!(data.as_json(), br#"{"a":2}"#);
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        for text in [
            "",
            "[]",
            "null",
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{} {}",
            "{\"a\":1,}",
        ] {
            assert!(SessionData::from_json(text.as_bytes()).is_err(), "{text}");
        }
    }
}
