//! Updating: changes, or mere activity, of a session that stays under its id.
//!
//! ```text
//! decide ──nothing to write──▶ done
//!  ▲  ├───activity only──touch────▶ done, whatever came of it
//!  │  ╰───changes──save──saved────▶ done
//!  │               │ ╰──missing───▶ lost
//!  │               ▼ conflict
//!  ╰─run the log on the fresh record, if it is alive; otherwise lost
//! ```

use std::sync::Arc;

use super::found::{Found, LiveSession};
use super::io::{Io, MAX_CONFLICTS, too_many_conflicts};
use super::outcome::{ClientChange, Outcome};
use super::wishes::Wishes;
use crate::data::View;
use crate::error::{Error, ErrorKind};
use crate::events::Done;
use crate::store::{Expect, Record, RecordState, SaveOutcome, Touch};

/// Saves the session if the view on it has changed, and touches it if mere activity is due.
///
/// On a conflict the whole log runs on what the other request wrote, and everything is decided again.
pub(super) async fn update(
    io: &mut Io<'_>,
    session: &mut Arc<LiveSession>,
    wishes: &Wishes,
    view: &mut View,
    can_send_id: bool,
) -> Result<Outcome, Error> {
    let mut conflicts = 0;
    loop {
        let policy = io.policy();
        let is_active = session.is_touch_due(wishes.sign_anew, can_send_id, io.now(), policy);
        let is_changed = view.is_changed();
        if !is_changed && !is_active {
            return Ok(Outcome::unchanged(Found::Live(session.clone())));
        }
        let mut next = LiveSession::clone(session);
        next.version = io.new_version()?;
        if is_active {
            next.note_activity(io.now(), policy);
        }
        let has_moved = next.record.last_active_at != session.record.last_active_at;
        let client = match is_active && (has_moved || wishes.sign_anew) {
            true => ClientChange::Send,
            false => ClientChange::Keep,
        };
        if !is_changed {
            next.expires_at = next.expires_at.max(session.expires_at);
            return touch(io, session, Arc::new(next), client).await;
        }
        next.record.data = view.encode();
        check_payload(&next, session, policy.payload_limit)?;
        let next = Arc::new(next);
        let expect = Expect::Version(session.version);
        let current = match io.save(&session.key, next.to_record(), expect).await? {
            SaveOutcome::Saved => return Ok(Outcome::stored(next, client, Done::Saved)),
            SaveOutcome::Missing => return Ok(Outcome::lost(session.key, None)),
            SaveOutcome::Conflict(current) => current,
        };
        conflicts += 1;
        let current = match current {
            _ if conflicts > MAX_CONFLICTS => return Err(too_many_conflicts()),
            Some(record) if conflicts == 1 => Some(*record),
            _ => {
                io.back_off(conflicts).await?;
                io.load(&session.key).await?
            }
        };
        *session = match current {
            Some(Record {
                version,
                expires_at,
                state: RecordState::Live(live),
            }) if io.now() < expires_at => {
                *view = wishes.log.replay(live.data.clone())?;
                Arc::new(session.as_stored(version, expires_at, live))
            }
            current => return Ok(Outcome::lost(session.key, current)),
        };
    }
}

/// Notes activity. It isn't tried again: whoever was quicker has noted activity of their own, or ended the session.
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
    Ok(match io.touch(&session.key, touch).await? {
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
