//! Looking through a user's index: which entries lead to live sessions.

use super::io::Io;
use crate::error::Error;
use crate::id::UserKey;
use crate::store::{IndexEntry, LiveRecord, RecordState, StoreErrorKind};

/// What was found.
pub(super) struct LookedThrough {
    /// The live sessions, in the order of the entries.
    pub(super) live: Vec<LiveRecord>,
    /// How many entries are gone now.
    pub(super) removed: usize,
}

/// Loads what each entry stands for, and removes the entries of what is dead.
///
/// A tombstone is final, so that its entry goes at once. Where nothing lies, a login may be about to write its
/// record: such an entry goes only when it is older than any commit can take. What can't be read is no session to
/// show, and none to count; it is left alone.
pub(super) async fn look_through(
    io: &mut Io<'_>,
    user: &UserKey,
    entries: Vec<IndexEntry>,
) -> Result<LookedThrough, Error> {
    let mut found = LookedThrough {
        live: Vec::new(),
        removed: 0,
    };
    for entry in entries {
        let record = match io.load(&entry.key).await {
            Ok(record) => record,
            Err(error) if error.kind() == StoreErrorKind::Corrupt => continue,
            Err(error) => return Err(error.into()),
        };
        let is_dead = match record {
            None => is_left_behind(io, &entry),
            Some(record) => match record.state {
                RecordState::Live(live) => {
                    let end = record.expires_at.min(live.ends_at(io.policy().lifetime));
                    if io.now() < end {
                        found.live.push(live);
                    }
                    false
                }
                RecordState::Superseded { .. } | RecordState::Ended { .. } => true,
            },
        };
        if is_dead && io.remove_entry(user, &entry.key).await {
            found.removed += 1;
        }
    }
    Ok(found)
}

/// Whether an entry without a record is older than any commit can take.
pub(super) fn is_left_behind(io: &Io<'_>, entry: &IndexEntry) -> bool {
    io.now().saturating_since(entry.added_at) >= io.policy().entry_grace
}
