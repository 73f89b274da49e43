//! The one encoding of records for stores that keep bytes.
//!
//! ```text
//! format 2, integers little-endian, times in milliseconds since the Unix epoch:
//!
//!   magic: u8 = 0x53 | format: u8 = 2 | kind: u8 | version: 16 bytes | expires at: u64 | last active or died at: u64 | …
//!
//!   kind 0, live:        created at: u64 | absolute from: u64 | absolute end: u64 | reference: 16 bytes
//!                        fields: u8 | flags: u16
//!                        [field 1, a lifetime of its own: idle: u64 | absolute: u64]
//!                        [field 2, the user: authenticated at: u64 | length: u32 | name]
//!                        [field 4, the user's label, never without field 2: length: u32 | label]
//!                        [field 8, the reserved entries: length: u32 | data (see the module `data`)]
//!                        data, to the end
//!                        (fields 16 and 32 have no bytes: the client keeps the id when it is closed, or forgets it)
//!   kind 1, superseded:  former | successor: 32 bytes | its version: 16 bytes
//!                        cause: u8 (0 rotation, 1 login alone, 2 login and more)
//!   kind 2, ended:       former | by: u8 (0 own request, 1 other session, 2 administrator, 3 cap, 4 expiry)
//!
//!   former = fields: u8 | [field 1: reference: 16 bytes] | [field 2: key of the user: 32 bytes]
//! ```
//!
//! What a touch changes lies side by side at fixed places (bytes 3 to 35), so that an engine can change
//! it without reading or rewriting the data; nothing else depends on those bytes.
//!
//! What a later version may add:
//!
//! - **Flags and reserved entries**, which an older version ignores and writes back as they are. A deployment that
//!   used them can be rolled back.
//! - **Fields**, kinds, values of `by` and `cause`, and format numbers, which an older version doesn't understand. It reports such
//!   a record as one of a newer version, so that an old server in a mixed fleet neither loses nor misreads anything.
//!
//! Everything else is exact: missing and trailing bytes are corruption. Format 1 was never released; its records are
//! corrupt too, which makes their visitors anonymous.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::record::{
    EndedBy, FormerSession, Lifetime, LiveRecord, MoveCause, Record, RecordFlags, RecordState,
    SessionUser,
};
use crate::data::SessionData;
use crate::id::{SessionRef, StoreKey, UserKey, Version};
use crate::time::Timestamp;

/// Tells a record from bytes that never were one, whatever their second byte says.
const MAGIC: u8 = b'S';
const FORMAT: u8 = 2;
const KIND_AT: usize = 2;

const LIVE: u8 = 0;
const SUPERSEDED: u8 = 1;
const ENDED: u8 = 2;

const HAS_LIFETIME: u8 = 1;
const HAS_USER: u8 = 2;
const HAS_LABEL: u8 = 4;
const HAS_RESERVED: u8 = 8;
const IS_PERSISTENT: u8 = 16;
const IS_NOT_PERSISTENT: u8 = 32;
const KNOWN_FIELDS: u8 =
    HAS_LIFETIME | HAS_USER | HAS_LABEL | HAS_RESERVED | IS_PERSISTENT | IS_NOT_PERSISTENT;

const HAS_REFERENCE: u8 = 1;
const HAS_USER_KEY: u8 = 2;
const KNOWN_FORMER_FIELDS: u8 = HAS_REFERENCE | HAS_USER_KEY;

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
            RecordState::Live(live) => put_live(&mut out, live),
            RecordState::Superseded {
                successor,
                successor_version,
                cause,
                at,
                former,
            } => {
                put_time(&mut out, *at);
                put_former(&mut out, former);
                out.extend_from_slice(successor.as_bytes());
                out.extend_from_slice(successor_version.as_bytes());
                out.push(cause_code(*cause));
            }
            RecordState::Ended { at, by, former } => {
                put_time(&mut out, *at);
                put_former(&mut out, former);
                out.push(ended_by_code(*by));
            }
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
        let mut reader = Reader(&bytes[KIND_AT..]);
        let record = read_record(&mut reader)?;
        match reader.0.is_empty() {
            true => Ok(record),
            false => Err(DecodeError::Corrupt),
        }
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
    put_time(out, live.last_active_at);
    put_time(out, live.created_at);
    put_time(out, live.absolute_from);
    put_time(out, live.absolute_end);
    out.extend_from_slice(live.reference.as_bytes());
    out.push(fields_of(live));
    out.extend(live.flags.bits().to_le_bytes());
    if let Some(lifetime) = live.lifetime {
        put_duration(out, lifetime.idle());
        put_duration(out, lifetime.absolute());
    }
    if let Some(user) = &live.user {
        put_time(out, user.authenticated_at);
        put_bytes(out, user.name.as_bytes());
        if let Some(label) = &user.label {
            put_bytes(out, label.as_bytes());
        }
    }
    if !live.reserved().is_empty() {
        put_bytes(out, live.reserved().as_bytes());
    }
    out.extend_from_slice(live.data.as_bytes());
}

/// Which optional fields a live record has.
fn fields_of(live: &LiveRecord) -> u8 {
    let has_label = live.user.as_ref().is_some_and(|user| user.label.is_some());
    let present = [
        (live.lifetime.is_some(), HAS_LIFETIME),
        (live.user.is_some(), HAS_USER),
        (has_label, HAS_LABEL),
        (!live.reserved().is_empty(), HAS_RESERVED),
        (live.persistent == Some(true), IS_PERSISTENT),
        (live.persistent == Some(false), IS_NOT_PERSISTENT),
    ];
    let bits = present
        .iter()
        .filter_map(|(is_there, bit)| is_there.then_some(bit));
    bits.fold(0, |fields, bit| fields | bit)
}

fn put_former(out: &mut Vec<u8>, former: &FormerSession) {
    let reference = former.reference.map_or(0, |_| HAS_REFERENCE);
    let user = former.user.map_or(0, |_| HAS_USER_KEY);
    out.push(reference | user);
    if let Some(reference) = &former.reference {
        out.extend_from_slice(reference.as_bytes());
    }
    if let Some(user) = &former.user {
        out.extend_from_slice(user.as_bytes());
    }
}

fn cause_code(cause: MoveCause) -> u8 {
    match cause {
        MoveCause::Rotation => 0,
        MoveCause::LoginAlone => 1,
        MoveCause::LoginAndMore => 2,
    }
}

fn ended_by_code(by: EndedBy) -> u8 {
    match by {
        EndedBy::OwnRequest => 0,
        EndedBy::OtherSession => 1,
        EndedBy::Administrator => 2,
        EndedBy::Cap => 3,
        EndedBy::Expiry => 4,
    }
}

/// Bytes with their length before them. 4 GiB don't fit the format; the record then reads back as corrupt, not as
/// another.
fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend(len.to_le_bytes());
    out.extend_from_slice(bytes);
}

fn read_record(reader: &mut Reader<'_>) -> Result<Record, DecodeError> {
    let [kind] = reader.take()?;
    let version = Version::from_bytes(reader.take()?);
    let expires_at = reader.time()?;
    let at = reader.time()?;
    let state = match kind {
        LIVE => RecordState::Live(read_live(reader, at)?),
        SUPERSEDED => {
            let former = read_former(reader)?;
            let successor = StoreKey::from_bytes(reader.take()?);
            let successor_version = Version::from_bytes(reader.take()?);
            let cause = match reader.take()? {
                [0] => MoveCause::Rotation,
                [1] => MoveCause::LoginAlone,
                [2] => MoveCause::LoginAndMore,
                _ => return Err(DecodeError::NewerFormat),
            };
            RecordState::superseded(successor, successor_version, cause, at, former)
        }
        ENDED => {
            let former = read_former(reader)?;
            let by = match reader.take()? {
                [0] => EndedBy::OwnRequest,
                [1] => EndedBy::OtherSession,
                [2] => EndedBy::Administrator,
                [3] => EndedBy::Cap,
                [4] => EndedBy::Expiry,
                _ => return Err(DecodeError::NewerFormat),
            };
            RecordState::ended(at, by, former)
        }
        _ => return Err(DecodeError::NewerFormat),
    };
    Ok(Record::new(version, expires_at, state))
}

fn read_live(
    reader: &mut Reader<'_>,
    last_active_at: Timestamp,
) -> Result<LiveRecord, DecodeError> {
    let created_at = reader.time()?;
    let (absolute_from, absolute_end) = (reader.time()?, reader.time()?);
    let reference = SessionRef::from_bytes(reader.take()?);
    let [fields] = reader.take()?;
    if fields & !KNOWN_FIELDS != 0 {
        return Err(DecodeError::NewerFormat);
    }
    let has = |field: u8| fields & field != 0;
    let flags = RecordFlags::from_bits(u16::from_le_bytes(reader.take()?));
    let mut lifetime = None;
    if has(HAS_LIFETIME) {
        let (idle, absolute) = (reader.duration()?, reader.duration()?);
        if idle.is_zero() {
            return Err(DecodeError::Corrupt);
        }
        lifetime = Some(Lifetime::new(idle, absolute));
    }
    let mut user = None;
    if has(HAS_USER) {
        let authenticated_at = reader.time()?;
        let name = reader.text()?;
        let label = match has(HAS_LABEL) {
            true => Some(reader.text()?.into()),
            false => None,
        };
        user = Some(Arc::new(
            SessionUser::new(name, authenticated_at).with_label(label),
        ));
    } else if has(HAS_LABEL) {
        return Err(DecodeError::Corrupt);
    }
    let mut reserved = SessionData::empty();
    if has(HAS_RESERVED) {
        let len = reader.len()?;
        reserved = reader.data(len)?;
    }
    let persistent = match (has(IS_PERSISTENT), has(IS_NOT_PERSISTENT)) {
        (false, false) => None,
        (is_persistent, is_not) if is_persistent != is_not => Some(is_persistent),
        _ => return Err(DecodeError::Corrupt),
    };
    let data = reader.data(reader.0.len())?;
    let mut live = LiveRecord::new(data, created_at, reference);
    (live.absolute_from, live.absolute_end) = (absolute_from, absolute_end);
    (live.last_active_at, live.lifetime) = (last_active_at, lifetime);
    (live.persistent, live.flags, live.user) = (persistent, flags, user);
    // As it is, whatever its length: a later version may allow more.
    live.reserved = reserved;
    Ok(live)
}

fn read_former(reader: &mut Reader<'_>) -> Result<FormerSession, DecodeError> {
    let [fields] = reader.take()?;
    if fields & !KNOWN_FORMER_FIELDS != 0 {
        return Err(DecodeError::NewerFormat);
    }
    let mut former = FormerSession::default();
    if fields & HAS_REFERENCE != 0 {
        former.reference = Some(SessionRef::from_bytes(reader.take()?));
    }
    if fields & HAS_USER_KEY != 0 {
        former.user = Some(UserKey::from_bytes(reader.take()?));
    }
    Ok(former)
}

/// The bytes that haven't been read yet.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(DecodeError::Corrupt)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn bytes(&mut self, len: usize) -> Result<&'b [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(DecodeError::Corrupt)?;
        self.0 = rest;
        Ok(taken)
    }

    fn len(&mut self) -> Result<usize, DecodeError> {
        let len = u32::from_le_bytes(self.take()?);
        usize::try_from(len).map_err(|_| DecodeError::Corrupt)
    }

    fn text(&mut self) -> Result<&'b str, DecodeError> {
        let len = self.len()?;
        std::str::from_utf8(self.bytes(len)?).map_err(|_| DecodeError::Corrupt)
    }

    fn data(&mut self, len: usize) -> Result<SessionData, DecodeError> {
        SessionData::from_bytes(self.bytes(len)?).map_err(|_| DecodeError::Corrupt)
    }

    /// A time that is out of range didn't come from us.
    fn time(&mut self) -> Result<Timestamp, DecodeError> {
        let millis = u64::from_le_bytes(self.take()?);
        let time = Timestamp::from_unix_millis(millis);
        match time.as_unix_millis() == millis {
            true => Ok(time),
            false => Err(DecodeError::Corrupt),
        }
    }

    fn duration(&mut self) -> Result<Duration, DecodeError> {
        Ok(self.time()?.saturating_since(Timestamp::default()))
    }
}

#[cfg(test)]
mod tests;
