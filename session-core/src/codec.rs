//! The one encoding of records for stores that keep bytes.
//!
//! ```text
//! format 1, integers little-endian, times in milliseconds since the Unix epoch:
//!
//!   magic: u8 = 0x53 | format: u8 = 1 | kind: u8 | version: 16 bytes | expires at: u64 | last active or died at: u64 | …
//!
//!   kind 0, live:        created at: u64 | handle: 16 bytes | flags: u8
//!                        [lifetime, flag 1: idle: u64 | absolute: u64]
//!                        [user, flag 2: authenticated at: u64 | length: u32 | name]
//!                        [the user's label, flag 4, never without flag 2: length: u32 | label]
//!                        data (see the module `data`), to the end
//!   kind 1, superseded:  successor: 32 bytes
//!   kind 2, ended:       nothing
//! ```
//!
//! What a touch changes lies side by side at fixed places (bytes 3 to 35), so that an engine can change
//! it without reading or rewriting the data; nothing else depends on those bytes.
//!
//! A reader takes exactly these bytes: trailing ones and unknown kinds are corruption. A flag that it doesn't
//! know stands for something that a newer version added, and so does a higher format number; both are
//! reported as such, so that an old server in a mixed fleet neither loses nor misreads anything.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::data::SessionData;
use crate::id::{SessionRef, StoreKey, Version};
use crate::record::{Lifetime, LiveRecord, Record, RecordState, UserBinding};
use crate::time::Timestamp;

/// Tells a record from bytes that never were one, whatever their second byte says.
const MAGIC: u8 = b'S';
const FORMAT: u8 = 1;
const LIVE: u8 = 0;
const SUPERSEDED: u8 = 1;
const ENDED: u8 = 2;
const HAS_LIFETIME: u8 = 1;
const HAS_USER: u8 = 2;
const HAS_LABEL: u8 = 4;
const KNOWN_FLAGS: u8 = HAS_LIFETIME | HAS_USER | HAS_LABEL;
const KIND_AT: usize = 2;
/// Where the flags of a live record lie: behind magic, format, kind, version, three times and the handle.
const FLAGS_AT: usize = 3 + 16 + 3 * 8 + 16;

/// Bytes that are not a record that this version of the library can read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes were cut off, changed, or never were a record.
    Corrupt,
    /// A newer version of this library wrote them.
    NewerFormat,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Corrupt => "the stored record is corrupt",
            Self::NewerFormat => "the stored record was written by a newer version of this library",
        })
    }
}

impl std::error::Error for DecodeError {}

impl Record {
    /// The record as bytes, in the format that every version of this library from this one on can read.
    ///
    /// Bytes 3 to 19 are the version, 19 to 27 the expiry and 27 to 35 the last activity, both as milliseconds
    /// since the Unix epoch, little-endian: an engine may change them in place, and nothing else depends on
    /// them. Byte 2 is 0 for a live record.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![MAGIC, FORMAT, self.kind()];
        out.extend_from_slice(self.version.as_bytes());
        put_time(&mut out, self.expires_at);
        match &self.state {
            RecordState::Live(live) => {
                put_time(&mut out, live.last_active_at);
                put_live(&mut out, live);
            }
            RecordState::Superseded { successor, at } => {
                put_time(&mut out, *at);
                out.extend_from_slice(successor.as_bytes());
            }
            RecordState::Ended { at } => put_time(&mut out, *at),
        }
        out
    }

    /// Reads [`Record::encode`]'s bytes. Never panics, whatever they are.
    ///
    /// # Errors
    /// [`DecodeError::NewerFormat`] for what only a newer version of this library can read, and
    /// [`DecodeError::Corrupt`] for the rest.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        match bytes {
            [MAGIC, FORMAT, ..] => {}
            [MAGIC, format, ..] if *format > FORMAT => return Err(DecodeError::NewerFormat),
            _ => return Err(DecodeError::Corrupt),
        }
        if bytes.get(KIND_AT) == Some(&LIVE)
            && bytes
                .get(FLAGS_AT)
                .is_some_and(|flags| flags & !KNOWN_FLAGS != 0)
        {
            return Err(DecodeError::NewerFormat);
        }
        read_record(&mut Reader(&bytes[KIND_AT..])).ok_or(DecodeError::Corrupt)
    }

    fn kind(&self) -> u8 {
        match self.state {
            RecordState::Live(_) => LIVE,
            RecordState::Superseded { .. } => SUPERSEDED,
            RecordState::Ended { .. } => ENDED,
        }
    }
}

fn put_time(out: &mut Vec<u8>, time: Timestamp) {
    out.extend(time.as_unix_millis().to_le_bytes());
}

fn put_duration(out: &mut Vec<u8>, duration: Duration) {
    put_time(out, Timestamp::default().saturating_add(duration));
}

fn put_live(out: &mut Vec<u8>, live: &LiveRecord) {
    put_time(out, live.created_at);
    out.extend_from_slice(live.handle.as_bytes());
    let lifetime_flag = if live.lifetime.is_some() {
        HAS_LIFETIME
    } else {
        0
    };
    let label = live.user.as_ref().and_then(|user| user.label.as_deref());
    let user_flag = if live.user.is_some() { HAS_USER } else { 0 };
    let label_flag = if label.is_some() { HAS_LABEL } else { 0 };
    out.push(lifetime_flag | user_flag | label_flag);
    if let Some(lifetime) = live.lifetime {
        put_duration(out, lifetime.idle);
        put_duration(out, lifetime.absolute);
    }
    if let Some(user) = &live.user {
        put_time(out, user.authenticated_at);
        put_text(out, &user.name);
    }
    if let Some(label) = label {
        put_text(out, label);
    }
    out.extend_from_slice(live.data.as_bytes());
}

/// A text of 4 GiB doesn't fit the format; the record then reads back as corrupt, not as another.
fn put_text(out: &mut Vec<u8>, text: &str) {
    let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
    out.extend(len.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn read_record(reader: &mut Reader<'_>) -> Option<Record> {
    let [kind] = reader.take()?;
    let version = Version::from_bytes(reader.take()?);
    let expires_at = reader.time()?;
    let at = reader.time()?;
    let state = match kind {
        LIVE => RecordState::Live(read_live(reader, at)?),
        SUPERSEDED => RecordState::Superseded {
            successor: StoreKey::from_bytes(reader.take()?),
            at,
        },
        ENDED => RecordState::Ended { at },
        _ => return None,
    };
    reader.0.is_empty().then_some(Record {
        version,
        expires_at,
        state,
    })
}

fn read_live(reader: &mut Reader<'_>, last_active_at: Timestamp) -> Option<LiveRecord> {
    let created_at = reader.time()?;
    let handle = SessionRef::from_bytes(reader.take()?);
    let [flags] = reader.take()?;
    let mut lifetime = None;
    if flags & HAS_LIFETIME != 0 {
        lifetime = Some(Lifetime {
            idle: reader.duration()?,
            absolute: reader.duration()?,
        });
    }
    let mut user = None;
    if flags & HAS_USER != 0 {
        let authenticated_at = reader.time()?;
        user = Some(UserBinding::new(reader.text()?, authenticated_at));
    }
    if flags & HAS_LABEL != 0 {
        user.as_mut()?.label = Some(reader.text()?.into());
    }
    let data = SessionData::from_bytes(std::mem::take(&mut reader.0)).ok()?;
    Some(LiveRecord {
        data,
        created_at,
        last_active_at,
        handle,
        lifetime,
        user: user.map(Arc::new),
    })
}

/// The bytes that haven't been read yet.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn bytes(&mut self, len: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn text(&mut self) -> Option<&'b str> {
        let len = u32::from_le_bytes(self.take()?) as usize;
        std::str::from_utf8(self.bytes(len)?).ok()
    }

    /// A time that can be represented; anything later is corruption, not the end of time.
    fn time(&mut self) -> Option<Timestamp> {
        let millis = u64::from_le_bytes(self.take()?);
        (millis <= Timestamp::MAX.as_unix_millis()).then(|| Timestamp::from_unix_millis(millis))
    }

    fn duration(&mut self) -> Option<Duration> {
        Some(Duration::from_millis(self.time()?.as_unix_millis()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{EscapedKey, Piece};

    fn records() -> Vec<Record> {
        let time = Timestamp::from_unix_millis;
        let keys = [
            EscapedKey::new("a"),
            EscapedKey::new("nul\0"),
            EscapedKey::new("\u{10348}"),
        ];
        let value = &br#"{"deep":[1,"\u0000"]}"#[..];
        let data = SessionData::from_pieces(&keys.each_ref().map(|key| Piece::Entry(key, value)));
        let mut live = LiveRecord::new(data, time(1), SessionRef::from_bytes([2; 16]));
        live.last_active_at = time(3);
        let mut rich = live.clone();
        rich.lifetime = Some(Lifetime {
            idle: Duration::from_millis(5),
            absolute: Duration::from_secs(6),
        });
        let user = UserBinding::new("anna \u{10348}\0", time(7));
        let label = Some("a \u{10348} phone".into());
        let mut labelled = rich.clone();
        labelled.lifetime = None;
        labelled.user = Some(Arc::new(UserBinding {
            label,
            ..user.clone()
        }));
        rich.user = Some(Arc::new(user));
        let states = [
            RecordState::Live(live),
            RecordState::Live(rich),
            RecordState::Live(labelled),
            RecordState::Superseded {
                successor: StoreKey::from_bytes([4; 32]),
                at: time(8),
            },
            RecordState::Ended { at: Timestamp::MAX },
        ];
        let version = Version::from_bytes([9; 16]);
        states
            .map(|state| Record {
                version,
                expires_at: time(10),
                state,
            })
            .into()
    }

    /// SR-2: everything in a record comes back, NUL and 4-byte characters too.
    #[test]
    fn records_round_trip() {
        for record in records() {
            assert_eq!(Record::decode(&record.encode()), Ok(record));
        }
    }

    /// SR-3: no change to the bytes makes decoding panic, and no shorter or longer input decodes.
    #[test]
    fn broken_records_are_errors() {
        for record in records() {
            let good = record.encode();
            for len in 0..good.len() {
                assert_eq!(
                    Record::decode(&good[..len]),
                    Err(DecodeError::Corrupt),
                    "cut to {len}"
                );
            }
            let long = [&good[..], b"}"].concat();
            assert_eq!(Record::decode(&long), Err(DecodeError::Corrupt));
            for position in 2..good.len() {
                for bit in 0..8 {
                    let mut bytes = good.clone();
                    bytes[position] ^= 1 << bit;
                    if let Ok(record) = Record::decode(&bytes) {
                        assert_eq!(record.encode(), bytes);
                    }
                }
            }
        }
    }

    /// SR-3: a record of a newer version is told from a corrupt one.
    #[test]
    fn a_newer_format_is_told_apart() {
        let mut bytes = records()[0].encode();
        bytes[1] = 2;
        assert_eq!(Record::decode(&bytes), Err(DecodeError::NewerFormat));
        bytes[0] = 0;
        assert_eq!(Record::decode(&bytes), Err(DecodeError::Corrupt));
        bytes[..2].copy_from_slice(&[MAGIC, 0]);
        assert_eq!(Record::decode(&bytes), Err(DecodeError::Corrupt));
        for record in &records()[..3] {
            let mut bytes = record.encode();
            bytes[FLAGS_AT] |= 8;
            assert_eq!(Record::decode(&bytes), Err(DecodeError::NewerFormat));
        }
    }

    /// The format is fixed: these bytes are in people's stores.
    #[test]
    fn the_format_does_not_change() {
        let ended = &records()[4];
        let expected = [
            &[0x53, 1, 2][..],
            &[9; 16],
            &[10, 0, 0, 0, 0, 0, 0, 0],
            &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x1F, 0],
        ];
        assert_eq!(ended.encode(), expected.concat());
    }
}
