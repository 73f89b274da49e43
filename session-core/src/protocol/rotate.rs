//! Rotating: the session moves to a fresh id, and at no moment is it under none or under two.
//!
//! ```text
//! insert new ──saved──▶ tombstone over old ──saved─────────────────────▶ done, send the new id
//!                        ▲  │ conflict, error
//!                        │  ▼
//!                        │ what lies under old ──our tombstone─────────▶ done, send the new id
//!                        │  │       ╰────────────another one, nothing──▶ take new back, we lost
//!                        │  │ alive, changed by somebody
//!                        │  ▼
//!                        ╰─ merge it into new
//! ```
//!
//! The new record exists before the old id dies, so that a crash between the two leaves a session. It is
//! taken back only after a definite answer that the old id didn't die in its favour: after an error whose
//! outcome is unknown it may be the only one left.

use std::sync::Arc;

use super::found::LiveSession;
use super::insert::insert;
use super::io::{Io, MAX_CONFLICTS, MAX_ERRORS, Wait, too_many_conflicts};
use super::outcome::{ClientChange, Outcome};
use super::wishes::{LoginWish, Wishes};
use crate::data::View;
use crate::error::{Error, ErrorKind};
use crate::events::Done;
use crate::store::{
    Expect, LiveRecord, Record, RecordState, SaveOutcome, StoreError, StoreErrorKind,
};

/// Moves the session to a fresh id, with what the request wants done to it. The payload limit doesn't stand in the way.
pub(super) async fn rotate(
    io: &mut Io<'_>,
    old: &mut Arc<LiveSession>,
    wishes: &Wishes,
    view: &mut View,
) -> Result<Outcome, Error> {
    // Only a login is one session more.
    let cap = io.policy().cap.filter(|_| wishes.login.is_some());
    let record = moved(io, old, view, wishes.login.as_ref());
    let mut new = insert(io, &record, cap).await?;
    let (mut errors, mut conflicts) = (0, 0);
    // Saving our tombstone failed with an unknown outcome: the store may have written it, or may still do so.
    let mut may_land = false;
    loop {
        let written = write_tombstone(io, old, &new)?.await;
        let there = match written {
            Ok(SaveOutcome::Saved) => return Ok(moved_to(io, old, new).await),
            Ok(SaveOutcome::Conflict(Some(record))) => Ok(Some(*record)),
            Ok(SaveOutcome::Conflict(None)) => io.load(&old.key).await,
            Ok(SaveOutcome::Missing) => Ok(None),
            Err(error) => {
                may_land |= error.kind() != StoreErrorKind::NotApplied;
                errors += 1;
                match errors < MAX_ERRORS {
                    true => io.load(&old.key).await,
                    false => Err(error),
                }
            }
        };
        conflicts += 1;
        match decide(old, &new, there, may_land, conflicts) {
            Next::Succeed => return Ok(moved_to(io, old, new).await),
            Next::LeaveNew(error) => return Err(error),
            Next::TakeNewBack(result) => {
                take_back(io, &new).await;
                return result;
            }
            Next::TryAgain => {}
            Next::Merge(fresh) => {
                // The version has moved on, so that no earlier tombstone of ours can land any more.
                may_land = false;
                *view = match wishes.log.replay(fresh.record.data.clone()) {
                    Ok(view) => view,
                    Err(error) => {
                        take_back(io, &new).await;
                        return Err(error);
                    }
                };
                let merged = moved(io, &fresh, view, wishes.login.as_ref());
                let merged = Arc::new(new.rewritten(io.new_version()?, merged, io.policy()));
                let expect = Expect::Version(new.version);
                match io.save(&new.key, merged.to_record(), expect).await? {
                    SaveOutcome::Saved => (*old, new) = (fresh, merged),
                    // Somebody found the new id by way of the user, and ended it.
                    SaveOutcome::Conflict(_) | SaveOutcome::Missing => {
                        return Ok(Outcome::lost(old.key, None));
                    }
                }
            }
        }
    }
}

/// What has to be done after a tombstone over the old id was refused, or nobody knows whether it landed.
enum Next {
    /// It landed.
    Succeed,
    /// It may have landed, or may still: the new record may be the only one left.
    LeaveNew(Error),
    /// It certainly didn't land, and won't. Nobody knows the new record.
    TakeNewBack(Result<Outcome, Error>),
    TryAgain,
    /// Somebody changed the session, which is this now.
    Merge(Arc<LiveSession>),
}

/// Decides by what lies under the old id.
fn decide(
    old: &LiveSession,
    new: &LiveSession,
    there: Result<Option<Record>, StoreError>,
    may_land: bool,
    conflicts: u32,
) -> Next {
    let record = match there {
        Ok(Some(record)) => record,
        Ok(None) if may_land => return Next::LeaveNew(unknown_outcome()),
        Ok(None) => return Next::TakeNewBack(Ok(Outcome::lost(old.key, None))),
        Err(error) if may_land => return Next::LeaveNew(error.into()),
        Err(error) => return Next::TakeNewBack(Err(error.into())),
    };
    match record.state {
        RecordState::Superseded { successor, .. } if successor == new.key => Next::Succeed,
        RecordState::Superseded { .. } | RecordState::Ended { .. } => {
            Next::TakeNewBack(Ok(Outcome::lost(old.key, Some(record))))
        }
        RecordState::Live(_) if record.version == old.version => match conflicts > MAX_CONFLICTS {
            true => Next::LeaveNew(too_many_conflicts()),
            false => Next::TryAgain,
        },
        RecordState::Live(_) if conflicts > MAX_CONFLICTS => {
            Next::TakeNewBack(Err(too_many_conflicts()))
        }
        RecordState::Live(live) => {
            let fresh = old.as_stored(record.version, record.expires_at, live);
            Next::Merge(Arc::new(fresh))
        }
    }
}

/// `source` with the request's changes, active now.
fn moved(io: &Io<'_>, source: &LiveSession, view: &View, login: Option<&LoginWish>) -> LiveRecord {
    let mut record = source.record.clone();
    record.data = view.encode();
    if let Some(LoginWish { user, lifetime }) = login.cloned() {
        (record.user, record.lifetime) = (Some(user), lifetime);
        record.fix_absolute_end(io.policy().lifetime);
    }
    record.last_active_at = record.last_active_at.max(io.now());
    record
}

/// Puts a tombstone that names `new` where `old` lies.
fn write_tombstone<'c, 'e>(
    io: &'c mut Io<'e>,
    old: &'c LiveSession,
    new: &LiveSession,
) -> Result<Wait<'c, 'e, Result<SaveOutcome, StoreError>>, Error> {
    let record = old.to_record();
    let state = RecordState::superseded(new.key, new.version, io.now(), record.former());
    let tombstone = io.tombstone(Some(&record), state)?;
    Ok(io.save(&old.key, tombstone, Expect::Version(old.version)))
}

/// The session lives under its new id: the old one leaves the index.
async fn moved_to(io: &mut Io<'_>, old: &LiveSession, new: Arc<LiveSession>) -> Outcome {
    remove_from_index(io, old).await;
    Outcome::stored(new, ClientChange::Send, Done::Rotated)
}

/// Removes the new record, which nobody knows, and its entry. Where that fails, both expire.
async fn take_back(io: &mut Io<'_>, new: &LiveSession) {
    if io.delete(&new.key).await.is_ok() {
        remove_from_index(io, new).await;
    }
}

async fn remove_from_index(io: &mut Io<'_>, session: &LiveSession) {
    if let Some(user) = session.listed_user(io.has_index()) {
        io.remove_entry(&user, &session.key).await;
    }
}

fn unknown_outcome() -> Error {
    let message = "the session store failed, and what became of the rotation can't be learned";
    Error::new(ErrorKind::StoreUnavailable, message)
}
