//! What a store keeps under a key, and how long it counts.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use crate::data::SessionData;
use crate::error::{Error, ErrorKind};
use crate::id::{SessionRef, StoreKey, UserKey, Version};
use crate::time::Timestamp;

/// The most JSON that a record's [reserved entries](LiveRecord::reserved) may take: 4 KiB. It is apart from the
/// payload limit, so that an application's data never stands in the way of a login.
pub const MAX_RESERVED_LEN: usize = 4 * 1024;

/// What a store keeps under a key. Cloning it shares the data.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Record {
    /// A token that is new with every write. A store keeps it as it is given and compares it; it never
    /// makes one.
    pub version: Version,
    /// From this time on the record is missing, whether or not it has been swept.
    pub expires_at: Timestamp,
    /// Whether the session is alive.
    pub state: RecordState,
}

/// Whether the session under a key is alive, and what is left of it if it isn't.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum RecordState {
    /// The session is alive.
    Live(LiveRecord),
    /// A tombstone: the id was rotated, and the session lives on under another key.
    #[non_exhaustive]
    Superseded {
        /// The key that the session moved to.
        successor: StoreKey,
        /// The version that the rotation gave the record under that key.
        successor_version: Version,
        /// Why it moved.
        cause: MoveCause,
        /// When it moved.
        at: Timestamp,
        /// Whose session it was.
        former: FormerSession,
    },
    /// A tombstone: the session was ended.
    #[non_exhaustive]
    Ended {
        /// When it ended.
        at: Timestamp,
        /// Who ended it.
        by: EndedBy,
        /// Whose session it was.
        former: FormerSession,
    },
}

/// What a tombstone says about the session that lived there. Nothing is known where a tombstone was written over an
/// id that had no record.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct FormerSession {
    /// Its public reference.
    pub reference: Option<SessionRef>,
    /// The user whom it belonged to.
    pub user: Option<UserKey>,
}

/// Why a session moved to another id.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum MoveCause {
    /// It was rotated, whatever the request did to its data.
    Rotation,
    /// A user logged in, and that request changed nothing else.
    LoginAlone,
    /// A user logged in, and that request changed the data too.
    LoginAndMore,
}

/// Who ended a session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum EndedBy {
    /// A request that came with it: a logout.
    OwnRequest,
    /// Its user, from another session.
    OtherSession,
    /// An administrator, or whoever else called the manager.
    Administrator,
    /// A login of the same user that needed its place.
    Cap,
    /// Nobody: what had been there has expired, or was never written. The tombstone keeps a write out that lands late.
    Expiry,
}

/// A live session.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct LiveRecord {
    /// What the application stored.
    pub data: SessionData,
    /// What this library keeps in the session for itself; handlers don't see it. At most [`MAX_RESERVED_LEN`] bytes of
    /// JSON. Entries that a version doesn't know are kept as they are.
    pub(super) reserved: SessionData,
    /// When the session began. Survives rotation.
    pub created_at: Timestamp,
    /// Where the absolute timeout counts from.
    pub absolute_from: Timestamp,
    /// When the session ends at the latest. Fixed at the beginning and at a login, so that index entries, which
    /// expire then, never have to be changed. A shorter timeout configured later holds all the same.
    pub absolute_end: Timestamp,
    /// The last activity that was written down. The idle timeout counts from here.
    pub last_active_at: Timestamp,
    /// The public reference. Survives rotation, and changes with the user.
    pub reference: SessionRef,
    /// A lifetime of the session's own, in place of the configured one.
    pub lifetime: Option<Lifetime>,
    /// Whether the client is to keep the session's id when it is closed; `None`: as configured.
    pub persistent: Option<bool>,
    /// What a later version of this library noted that this one may ignore.
    pub flags: RecordFlags,
    /// Whose session it is. Shared, so that records are small: most of what a load does is to hand one on.
    pub user: Option<Arc<SessionUser>>,
}

/// Sixteen flags of a live record that a version of this library may ignore if it doesn't know them, and keeps as
/// they are whenever it writes the record. This version knows none.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct RecordFlags(u16);

/// How long a session lives. Whole milliseconds; a fraction counts as one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lifetime {
    idle_millis: NonZeroU64,
    absolute_millis: u64,
}

/// The user that a session belongs to.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SessionUser {
    /// The application's name for the user.
    pub name: Arc<str>,
    /// When the user proved who they are.
    pub authenticated_at: Timestamp,
    /// What the application said about the session at login, for lists.
    pub label: Option<Arc<str>>,
}

impl SessionUser {
    /// The user with this name, who proved it at that time.
    pub fn new(name: impl Into<Arc<str>>, authenticated_at: Timestamp) -> Self {
        Self {
            name: name.into(),
            authenticated_at,
            label: None,
        }
    }

    /// The same user, with what the application said about the session at login.
    #[must_use]
    pub fn with_label(mut self, label: Option<Arc<str>>) -> Self {
        self.label = label;
        self
    }

    pub(crate) fn key(&self, kind: &str) -> UserKey {
        UserKey::of(kind, &self.name)
    }
}

impl Record {
    /// A record of this version, missing from `expires_at` on.
    pub const fn new(version: Version, expires_at: Timestamp, state: RecordState) -> Self {
        Self {
            version,
            expires_at,
            state,
        }
    }

    /// The live session, unless the record is a tombstone.
    pub fn live(&self) -> Option<&LiveRecord> {
        match &self.state {
            RecordState::Live(live) => Some(live),
            RecordState::Superseded { .. } | RecordState::Ended { .. } => None,
        }
    }

    /// Whether the record is missing at `now`: at the very moment of expiry it already is.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }

    /// What a tombstone in place of this record says about the session, which is of this kind.
    pub(crate) fn former(&self, kind: &str) -> FormerSession {
        match &self.state {
            RecordState::Live(live) => FormerSession {
                reference: Some(live.reference),
                user: live.user.as_deref().map(|user| user.key(kind)),
            },
            RecordState::Superseded { former, .. } | RecordState::Ended { former, .. } => *former,
        }
    }
}

impl RecordState {
    /// The tombstone of a session that moved to the key `successor` at that time, where its record got the version
    /// `successor_version`.
    pub const fn superseded(
        successor: StoreKey,
        successor_version: Version,
        cause: MoveCause,
        at: Timestamp,
        former: FormerSession,
    ) -> Self {
        Self::Superseded {
            successor,
            successor_version,
            cause,
            at,
            former,
        }
    }

    /// The tombstone of a session that was ended at that time.
    pub const fn ended(at: Timestamp, by: EndedBy, former: FormerSession) -> Self {
        Self::Ended { at, by, former }
    }
}

impl FormerSession {
    /// The session of this reference, and the user whom it belonged to.
    pub const fn new(reference: Option<SessionRef>, user: Option<UserKey>) -> Self {
        Self { reference, user }
    }
}

impl LiveRecord {
    /// A session that begins at `created_at`, with no user, no lifetime of its own, and no absolute end yet.
    pub const fn new(data: SessionData, created_at: Timestamp, reference: SessionRef) -> Self {
        Self {
            data,
            reserved: SessionData::empty(),
            created_at,
            absolute_from: created_at,
            absolute_end: Timestamp::MAX,
            last_active_at: created_at,
            reference,
            lifetime: None,
            persistent: None,
            flags: RecordFlags::from_bits(0),
            user: None,
        }
    }

    /// What this library keeps in the session for itself. Handlers don't see it; it moves with the session and ends
    /// with it.
    pub fn reserved(&self) -> &SessionData {
        &self.reserved
    }

    /// Puts these in place of the reserved entries.
    ///
    /// # Errors
    /// [`ErrorKind::PayloadTooLarge`] above [`MAX_RESERVED_LEN`] bytes of JSON; the record is as it was.
    pub fn set_reserved(&mut self, reserved: SessionData) -> Result<(), Error> {
        if reserved.json_len() > MAX_RESERVED_LEN {
            let len = reserved.json_len();
            let message = format!(
                "the library's own entries in a session would take {len} bytes of JSON; their limit is {MAX_RESERVED_LEN}"
            );
            return Err(Error::new(ErrorKind::PayloadTooLarge, message));
        }
        self.reserved = reserved;
        Ok(())
    }

    /// When the session ends if it isn't used any more: the earlier of its idle and its absolute timeout. Both follow
    /// the lifetime of the session's own, or else `configured`; the absolute end that was fixed at the beginning holds
    /// in any case.
    pub(crate) fn ends_at(&self, configured: Lifetime) -> Timestamp {
        let lifetime = self.lifetime.unwrap_or(configured);
        let idle_end = self
            .last_active_at
            .saturating_add_millis(lifetime.idle_millis.get());
        let absolute_end = self
            .absolute_from
            .saturating_add_millis(lifetime.absolute_millis);
        idle_end.min(absolute_end).min(self.absolute_end)
    }

    /// Lets the absolute timeout count from `now`, and fixes its end, by the lifetime of the session's own or else by
    /// `configured`.
    pub(crate) fn begin_absolute(&mut self, now: Timestamp, configured: Lifetime) {
        let lifetime = self.lifetime.unwrap_or(configured);
        self.absolute_from = now;
        self.absolute_end = self
            .absolute_from
            .saturating_add_millis(lifetime.absolute_millis);
    }
}

impl RecordFlags {
    /// The flags with these bits.
    pub const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// The flags as bits, for stores that keep them apart.
    pub const fn bits(self) -> u16 {
        self.0
    }
}

impl Lifetime {
    /// Lives for `idle` without activity, and for `absolute` however active it is. An idle lifetime of zero counts as a
    /// millisecond.
    pub fn new(idle: Duration, absolute: Duration) -> Self {
        Self {
            idle_millis: NonZeroU64::new(millis(idle)).unwrap_or(NonZeroU64::MIN),
            absolute_millis: millis(absolute),
        }
    }

    /// How long a session lives without activity.
    pub const fn idle(self) -> Duration {
        Duration::from_millis(self.idle_millis.get())
    }

    /// How long it lives at most, however active it is.
    pub const fn absolute(self) -> Duration {
        Duration::from_millis(self.absolute_millis)
    }
}

/// Whole milliseconds, rounded up, and no more than a [`Timestamp`] can express.
fn millis(duration: Duration) -> u64 {
    Timestamp::default()
        .saturating_add(duration)
        .as_unix_millis()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{EscapedKey, Piece};

    fn time(millis: u64) -> Timestamp {
        Timestamp::from_unix_millis(millis)
    }

    fn lifetime(idle: u64, absolute: u64) -> Lifetime {
        Lifetime::new(Duration::from_millis(idle), Duration::from_millis(absolute))
    }

    /// A session that began at 1000, when the configuration said this, and is active ever since.
    fn live(configured: Lifetime) -> LiveRecord {
        let reference = SessionRef::from_bytes([2; 16]);
        let mut live = LiveRecord::new(SessionData::empty(), time(1_000), reference);
        live.begin_absolute(time(1_000), configured);
        live.last_active_at = time(1_400);
        live
    }

    /// TM-1: the absolute end is fixed when the session begins. A longer timeout that is configured later, or that a
    /// login gives the session, doesn't put it off by itself.
    #[test]
    fn a_raised_configuration_prolongs_no_session() {
        let mut live = live(lifetime(200, 500));
        assert_eq!(live.ends_at(lifetime(200, 500)), time(1_500));
        assert_eq!(live.ends_at(lifetime(200, 5_000)), time(1_500));
        live.lifetime = Some(lifetime(200, 5_000));
        assert_eq!(live.ends_at(lifetime(200, 500)), time(1_500));
        // A login does, which begins the timeout anew.
        live.begin_absolute(time(1_300), lifetime(200, 500));
        assert_eq!(live.absolute_end, time(6_300));
        assert_eq!(live.ends_at(lifetime(200, 500)), time(1_600));
    }

    /// TM-1: a shorter timeout, idle or absolute, holds for the sessions that are there already.
    #[test]
    fn a_lowered_configuration_holds_at_once() {
        let live = live(lifetime(200, 5_000));
        assert_eq!(live.ends_at(lifetime(200, 5_000)), time(1_600));
        assert_eq!(live.ends_at(lifetime(50, 5_000)), time(1_450));
        assert_eq!(live.ends_at(lifetime(200, 450)), time(1_450));
    }

    /// ST-9: what the library keeps for itself has a limit of its own, and more than that changes nothing.
    #[test]
    fn reserved_entries_have_a_limit_of_their_own() {
        let data = |json_len: usize| {
            let value = format!("\"{}\"", "x".repeat(json_len - r#"{"a":""}"#.len()));
            let key = EscapedKey::new("a");
            SessionData::from_pieces(&[Piece::Entry(&key, value.as_bytes())])
        };
        let mut live = live(lifetime(200, 500));
        let longest = data(MAX_RESERVED_LEN);
        assert_eq!(longest.json_len(), MAX_RESERVED_LEN);
        live.set_reserved(longest.clone()).unwrap();
        let error = live.set_reserved(data(MAX_RESERVED_LEN + 1)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PayloadTooLarge);
        assert_eq!(*live.reserved(), longest);
    }
}
