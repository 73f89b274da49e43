//! Ending: a logout ends the session, whichever of its ids it came with.
//!
//! ```text
//! what lies there ──ended already──────────────────────▶ done
//!  ▲  │  ╰──superseded──▶ go on with the successor
//!  │  │ alive, or nothing
//!  │  ▼
//!  │ write the tombstone ──saved──▶ leave the index ────▶ done
//!  ╰──┤ conflict, error
//! ```

use super::found::Found;
use super::io::{Io, MAX_CONFLICTS, MAX_ERRORS, Wait, broken_contract, too_many_conflicts};
use crate::error::Error;
use crate::id::StoreKey;
use crate::store::{EndedBy, Expect, Record, RecordState, SaveOutcome, StoreError};

/// How many rotations an ending follows.
const MAX_CHAIN: u32 = 1_000;

/// Ends whatever came with a request.
pub(super) async fn end_all(io: &mut Io<'_>, found: &Found) -> Result<(), Error> {
    let by = EndedBy::OwnRequest;
    match found {
        Found::Nothing => {}
        Found::Live(session) => {
            end(io, session.key, Ok(Some(session.to_record())), by).await?;
        }
        Found::SeveralLive(sessions) => {
            for session in sessions {
                end(io, session.key, Ok(Some(session.to_record())), by).await?;
            }
        }
        Found::Gone(gone) => {
            let there = match &gone.record {
                Some(record) => Ok(Some(record.clone())),
                None => io.load(&gone.key).await,
            };
            end(io, gone.key, there, by).await?;
        }
    }
    Ok(())
}

/// Writes a tombstone over the session under `key`, where `there` was seen to lie, following rotations to where it
/// lives now. Says whether that was a live session.
///
/// It tries again without a pause: those who write the session pause after a conflict, so an ending gets through.
pub(super) async fn end(
    io: &mut Io<'_>,
    mut key: StoreKey,
    mut there: Result<Option<Record>, StoreError>,
    by: EndedBy,
) -> Result<bool, Error> {
    let (mut errors, mut conflicts, mut followed) = (0, 0, 0);
    loop {
        let record = match there {
            Ok(record) => record,
            // Whether a write landed is seen by looking; writing the tombstone twice does no harm.
            Err(error) => {
                errors += 1;
                if errors == MAX_ERRORS {
                    return Err(error.into());
                }
                there = io.load(&key).await;
                continue;
            }
        };
        match record.as_ref().map(|record| &record.state) {
            Some(RecordState::Ended { .. }) => return Ok(false),
            Some(RecordState::Superseded { successor, .. }) => {
                followed += 1;
                if followed > MAX_CHAIN {
                    return Err(broken_contract());
                }
                key = *successor;
                there = io.load(&key).await;
                continue;
            }
            Some(RecordState::Live(_)) | None => {}
        }
        let was_alive = record.is_some();
        let former = record.as_ref().map(Record::former).unwrap_or_default();
        let written = write_tombstone(io, &key, record, by)?.await;
        there = match written {
            Ok(SaveOutcome::Saved) => {
                if let Some(user) = former.user.filter(|_| io.has_index()) {
                    io.remove_entry(&user, &key).await;
                }
                return Ok(was_alive);
            }
            Ok(SaveOutcome::Missing) => Ok(None),
            Ok(SaveOutcome::Conflict(current)) => {
                conflicts += 1;
                match current {
                    _ if conflicts > MAX_CONFLICTS => return Err(too_many_conflicts()),
                    Some(record) => Ok(Some(*record)),
                    None => io.load(&key).await,
                }
            }
            Err(error) => Err(error),
        };
    }
}

/// Puts a tombstone where `record` lies, or where nothing does. A session that isn't there may have expired by this
/// server's clock alone. Another server's may be behind, or this one may be set back; a logout holds by every clock.
fn write_tombstone<'c, 'e>(
    io: &'c mut Io<'e>,
    key: &'c StoreKey,
    record: Option<Record>,
    by: EndedBy,
) -> Result<Wait<'c, 'e, Result<SaveOutcome, StoreError>>, Error> {
    let expect = match &record {
        Some(record) => Expect::Version(record.version),
        None => Expect::Absent,
    };
    let former = record.as_ref().map(Record::former).unwrap_or_default();
    let state = RecordState::ended(io.now(), by, former);
    let tombstone = io.tombstone(record.as_ref(), state)?;
    Ok(io.save(key, tombstone, expect))
}
