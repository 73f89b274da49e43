//! Logging in: a user's session begins, where a visitor's was or where there was none.
//!
//! ```text
//! what came along
//!  ├─ several live sessions ──────────── end them all ──────────────▶ begin a session
//!  ├─ another user's session ─────────── end it ────────────────────▶ begin a session
//!  ├─ a visitor's, or the user's own ─── rotate ──moved─────────────▶ done
//!  │                                      │ lost
//!  │                                      ▼
//!  ├─ a session that moved a moment ago ─ go on with its successor, if that is what this user's login left
//!  │                                      │ otherwise
//!  │                                      ▼
//!  ╰─ nothing, or what is dead ───────────────────────────────────▶ begin a session
//! ```
//!
//! So a form that was sent twice is one login, and the data stays. Whatever was written by the other login or since may
//! be what a second factor earned: then this one begins afresh, and leaves the successor alone.

use super::end::{Ending, end, end_all};
use super::found::{Found, StoredSession};
use super::insert::create;
use super::io::{Io, MAX_CONFLICTS, too_many_conflicts};
use super::outcome::{ClientChange, Outcome};
use super::rotate::{OnChange, Rotated, rotate};
use super::wishes::{LoginWish, Wishes};
use crate::data::{SessionData, View};
use crate::error::Error;
use crate::events::Done;
use crate::store::{MoveCause, Record, RecordState};

/// Logs a user in.
pub(super) async fn log_in(
    io: &mut Io<'_>,
    found: &Found,
    wishes: &Wishes,
    view: &mut View,
) -> Result<Outcome, Error> {
    let Some(login) = &wishes.login else {
        unreachable!("only logins come here");
    };
    let mut from = match found {
        Found::Nothing => None,
        Found::SeveralLive(_) => {
            end_all(io, found).await?;
            None
        }
        Found::Live(session) => match session.user() {
            Some(user) if user.name != login.user.name => {
                let there = Ok(Some(session.to_record()));
                end(io, session.key, there, Ending::OWN).await?;
                None
            }
            _ => Some(session.stored.clone()),
        },
        Found::Gone(gone) if gone.is_straggler => {
            let successor = successor(io, gone.record.as_ref(), login).await?;
            if let Some(successor) = &successor {
                *view = wishes.log.replay(successor.record.data.clone())?;
            }
            successor
        }
        Found::Gone(_) => None,
    };
    // The session that the request came with may be changed meanwhile. One that another login left may not.
    let mut on_change = match found {
        Found::Live(_) => OnChange::Merge,
        _ => OnChange::GiveUp,
    };
    for _ in 0..=MAX_CONFLICTS {
        let Some(mut old) = from else {
            return create(io, view.encode(), wishes).await;
        };
        let lost = match rotate(io, &mut old, wishes, view, on_change).await? {
            Rotated::Moved(new) => {
                return Ok(Outcome::stored(new, ClientChange::Send, Done::Rotated));
            }
            Rotated::Lost(record) => record,
        };
        on_change = OnChange::GiveUp;
        from = successor(io, lost.as_ref(), login).await?;
        let base = match &from {
            Some(successor) => successor.record.data.clone(),
            None => SessionData::empty(),
        };
        *view = wishes.log.replay(base)?;
    }
    Err(too_many_conflicts())
}

/// The session that a login of the same user left when it moved the one that lay there, as that login left it.
async fn successor(
    io: &mut Io<'_>,
    tombstone: Option<&Record>,
    login: &LoginWish,
) -> Result<Option<StoredSession>, Error> {
    let Some(RecordState::Superseded {
        successor,
        successor_version,
        cause: MoveCause::LoginAlone,
        ..
    }) = tombstone.map(|tombstone| &tombstone.state)
    else {
        return Ok(None);
    };
    let record = match io.load(successor).await {
        Ok(Some(record)) => record,
        Ok(None) => return Ok(None),
        Err(error) if error.is_about_the_record() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let session = StoredSession::of(*successor, record).ok();
    Ok(session
        .filter(|session| session.version == *successor_version && login.is_of(session.user())))
}
