//! Updating: changes, or mere activity, of a session that stays under its id.
//!
//! ```text
//! decide ──nothing to write──▶ done
//!  ▲  ├───activity only──touch────▶ done, whatever came of it
//!  │  ╰───changes──save──saved────▶ done; whoever is next in the queue starts from it
//!  │               │ ╰──missing───▶ lost
//!  │               ▼ conflict
//!  │               ├──the first───▶ queue up behind the other updates of this process
//!  │               ▼
//!  ╰─run the log on the fresh record, if it is alive; otherwise lost
//! ```

use std::sync::Arc;

use super::found::{Found, LiveSession, StoredSession};
use super::io::{Io, MAX_CONFLICTS, too_many_conflicts};
use super::outcome::{ClientChange, Outcome};
use super::queue::Place;
use super::wishes::Wishes;
use crate::data::View;
use crate::error::{Error, ErrorKind};
use crate::events::Done;
use crate::events::metrics::{Count, count};
use crate::store::{Record, SaveOutcome, Touch};

/// Saves the session if the view on it has changed, and touches it if mere activity is due.
///
/// On a conflict the whole log runs on what the other request wrote, and everything is decided again. From the first one
/// on the updates of this process take turns, so that a thousand of them cost a few thousand calls, and not a million.
pub(super) async fn update(
    io: &mut Io<'_>,
    session: &mut Arc<LiveSession>,
    wishes: &Wishes,
    view: &mut View,
    can_note_activity: bool,
) -> Result<Outcome, Error> {
    let mut conflicts = 0;
    let mut place: Option<Box<Place<'_, _>>> = None;
    loop {
        let policy = io.policy();
        let is_active = session.is_touch_due(wishes.sign_anew, can_note_activity, io.now(), policy);
        let reserved = wishes.changed_reserved(session.record.reserved())?;
        let is_changed = view.is_changed() || reserved.is_some();
        if !is_changed && !is_active {
            return Ok(Outcome::unchanged(Found::Live(session.clone())));
        }
        let mut next = LiveSession::clone(session);
        next.stored.version = io.new_version()?;
        if is_active {
            next.stored.note_activity(io.now(), policy);
        }
        let has_moved = next.record.last_active_at != session.record.last_active_at;
        let client = match is_active && (has_moved || wishes.sign_anew) {
            true => ClientChange::Send,
            false => ClientChange::Keep,
        };
        if !is_changed {
            next.stored.expires_at = next.expires_at.max(session.expires_at);
            return touch(io, session, Arc::new(next), client).await;
        }
        next.stored.record.data = view.encode();
        if let Some(reserved) = reserved {
            next.stored.record.set_reserved(reserved)?;
        }
        check_payload(&next, session, policy.payload_limit)?;
        let next = Arc::new(next);
        let conflict = match io.replace(session, next.to_record()).await? {
            SaveOutcome::Saved => {
                if let Some(place) = place {
                    place.hand_on(next.clone());
                }
                return Ok(Outcome::stored(next, client, Done::Saved));
            }
            SaveOutcome::Missing => return Ok(Outcome::lost(session.key, None)),
            SaveOutcome::Conflict(current) => current,
        };
        conflicts += 1;
        count(Count::Conflict);
        if conflicts > MAX_CONFLICTS {
            return Err(too_many_conflicts());
        }
        let brought = match conflict.map(|record| in_place_of(session, *record)) {
            Some(Err(tombstone)) => return Ok(Outcome::lost(session.key, Some(*tombstone))),
            Some(Ok(fresh)) => Some(fresh),
            None => None,
        };
        let start = match &place {
            None => {
                let place = place.insert(io.take_place(session.key, brought));
                io.turn(place).await
            }
            // The first one in its turn: a newcomer of this process was in between, or another process.
            Some(_) if conflicts == 2 => brought,
            Some(_) => {
                io.back_off(conflicts).await?;
                None
            }
        };
        let fresh = match start {
            Some(fresh) => Some(Ok(fresh)),
            None => {
                let loaded = io.load(&session.key).await?;
                loaded.map(|record| in_place_of(session, record))
            }
        };
        *session = match fresh {
            Some(Ok(fresh)) if io.now() < fresh.expires_at => fresh,
            Some(Ok(_)) | None => return Ok(Outcome::lost(session.key, None)),
            Some(Err(tombstone)) => return Ok(Outcome::lost(session.key, Some(*tombstone))),
        };
        *view = wishes.log.replay(session.record.data.clone())?;
    }
}

/// The session as `record` has it now; the record, if it is no live one.
fn in_place_of(session: &LiveSession, record: Record) -> Result<Arc<LiveSession>, Box<Record>> {
    let stored = StoredSession::of(session.key, record)?;
    let id = session.id.clone();
    Ok(Arc::new(LiveSession { id, stored }))
}

/// Notes activity, which is optional. It is not tried again: whoever was quicker has noted activity of their own, or
/// ended the session.
/// The request wanted no change, so there is none to report as dropped.
async fn touch(
    io: &mut Io<'_>,
    session: &Arc<LiveSession>,
    next: Arc<LiveSession>,
    client: ClientChange,
) -> Result<Outcome, Error> {
    let touch = Touch::new(
        session.version,
        next.version,
        next.record.last_active_at,
        next.expires_at,
    );
    let touched = match io.touch(&session.key, touch).await {
        Ok(touched) => touched,
        Err(error) => {
            io.events().optional_write_failed(&error.into());
            return Ok(Outcome::unchanged(Found::Live(session.clone())));
        }
    };
    Ok(match touched {
        SaveOutcome::Saved => Outcome::stored(next, client, Done::Touched),
        SaveOutcome::Missing => Outcome::gone(session.key, None),
        SaveOutcome::Conflict(Some(record)) if record.live().is_none() => {
            Outcome::gone(session.key, Some(*record))
        }
        SaveOutcome::Conflict(_) => Outcome::unchanged(Found::Live(session.clone())),
    })
}

/// The limit was checked when the values were set; what others saved since may have come on top.
fn check_payload(next: &LiveSession, session: &LiveSession, limit: usize) -> Result<(), Error> {
    let len = next.record.data.json_len();
    if len > limit && len > session.record.data.json_len() {
        let message =
            "the session is over the payload limit, together with what other requests stored";
        return Err(Error::new(ErrorKind::PayloadTooLarge, message));
    }
    Ok(())
}
