//! Committing: what the end of a request means.

use std::sync::Arc;

use super::end::{Ending, end, end_all};
use super::found::{Found, LiveSession};
use super::insert::create;
use super::io::{Environment, Io, in_time};
use super::login::log_in;
use super::outcome::Outcome;
use super::rotate::{OnChange, rotate};
use super::update::update;
use super::wishes::Wishes;
use crate::data::{SessionData, View};
use crate::error::{Error, ErrorKind};
use crate::events::metrics::{self, Timing};
use crate::events::{self, DropReason, DroppedChanges};

/// What a request found and what it wants.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) found: Found,
    pub(crate) wishes: Wishes,
    /// The data that was found with the operations applied; `None` if the log has to run first.
    pub(crate) view: Option<View>,
    /// The response head hasn't left, so that the client can still be sent an id.
    pub(crate) can_send_id: bool,
    /// The request counts as activity: its handler didn't merely peek.
    pub(crate) is_use: bool,
}

impl Commit {
    /// The end of the session and nothing else; nothing if the request doesn't want that.
    pub(crate) fn only_the_end(self) -> Option<Self> {
        let wishes = Wishes {
            end: true,
            ..Wishes::default()
        };
        self.wishes.end.then(|| Self {
            wishes,
            view: None,
            ..self
        })
    }

    /// Whether nothing but a note of activity or a new signature is at stake.
    fn is_optional(&self) -> bool {
        let is_changed = self.view.as_ref().is_none_or(View::is_changed);
        let Wishes { end, reserved, .. } = &self.wishes;
        !end && !self.wishes.rotates() && !is_changed && reserved.is_none()
    }
}

/// Carries out what a request wants, all store calls under one deadline, and tells those who watch. What is optional
/// never fails the request. It says in `dropped` what was dropped, in a box: there seldom is anything.
///
/// The stories take what they need out of `commit`, so that it lies in the future of the request's end once.
pub(crate) async fn commit(
    env: &Environment,
    commit: &mut Commit,
    dropped: &mut Option<Box<DroppedChanges>>,
) -> Result<Outcome, Error> {
    let before = commit.found.reference();
    let is_optional = commit.is_optional();
    let mut io = Io::new(env);
    let stopwatch = metrics::start(Timing::Commit);
    let committed = in_time(env, carry_out(&mut io, commit)).await;
    let committed = committed.unwrap_or_else(|| Err(io.late()));
    stopwatch.stop();
    match committed {
        Ok(outcome) => {
            let session = before.or_else(|| outcome.found.reference());
            events::committed(outcome.done, session);
            if let Some(reason) = outcome.dropped {
                let changes = dropped.insert(Box::new(DroppedChanges { reason, session }));
                env.events.changes_dropped(changes, env.config.on_dropped());
            }
            Ok(outcome)
        }
        Err(error) if is_optional => {
            env.events.optional_write_failed(&error);
            Ok(Outcome::unchanged(commit.found.clone()))
        }
        Err(error) => {
            env.events.failed("commit", &error);
            Err(error)
        }
    }
}

async fn carry_out(io: &mut Io<'_>, commit: &mut Commit) -> Result<Outcome, Error> {
    let Commit {
        found,
        wishes,
        view,
        can_send_id,
        is_use,
    } = commit;
    let view = match view {
        Some(view) => view,
        None => view.insert(run_anew(found, wishes)?),
    };
    let (can_send_id, is_use) = (*can_send_id, *is_use);
    // A new session that is empty is never stored, unless it is somebody's, or the library keeps something in it.
    let is_stored = !view.is_empty()
        || wishes.login.is_some()
        || wishes.changed_reserved(&SessionData::empty())?.is_some();
    if wishes.end && !matches!(found, Found::Nothing) {
        // In a box, which keeps the future of every other commit below a kilobyte.
        let has_ended = Box::pin(end_all(io, found)).await?;
        return match is_stored {
            true => begin(io, view, wishes, can_send_id).await,
            false => Ok(Outcome::ended(has_ended)),
        };
    }
    if wishes.login.is_some() {
        return match can_send_id {
            true => Box::pin(log_in(io, found, wishes, view)).await,
            false => Err(response_sent()),
        };
    }
    match found {
        Found::Live(_) if wishes.rotate && !can_send_id => Err(response_sent()),
        Found::Live(session) if wishes.rotate => {
            let mut old = session.stored.clone();
            let rotated = Box::pin(rotate(io, &mut old, wishes, view, OnChange::Merge)).await?;
            Ok(rotated.outcome(&old))
        }
        Found::Live(session) => update(io, session, wishes, view, can_send_id && is_use).await,
        Found::Gone(gone) if gone.is_straggler => {
            let is_dropped = wishes.rotate || is_stored;
            Ok(Outcome {
                dropped: is_dropped.then_some(DropReason::Superseded),
                ..Outcome::unchanged(found.clone())
            })
        }
        Found::SeveralLive(sessions) if is_stored => {
            match Box::pin(end_those_of_nobody(io, sessions)).await? {
                true => begin(io, view, wishes, can_send_id).await,
                // The next request has the user's session for itself.
                false => Ok(Outcome {
                    dropped: Some(DropReason::SeveralSessions),
                    ..Outcome::unchanged(found.clone())
                }),
            }
        }
        Found::Nothing | Found::Gone(_) if is_stored => begin(io, view, wishes, can_send_id).await,
        Found::Nothing | Found::SeveralLive(_) | Found::Gone(_) => {
            Ok(Outcome::unchanged(found.clone()))
        }
    }
}

/// Of several live sessions that came with one request, ends those that belong to no user. Says whether there was no
/// other: a cookie that somebody planted must not sign a visitor out.
async fn end_those_of_nobody(
    io: &mut Io<'_>,
    sessions: &[Arc<LiveSession>],
) -> Result<bool, Error> {
    for session in sessions.iter().filter(|session| session.user().is_none()) {
        let there = Ok(Some(session.to_record()));
        end(io, session.key, there, Ending::OWN).await?;
    }
    Ok(sessions.iter().all(|session| session.user().is_none()))
}

async fn begin(
    io: &mut Io<'_>,
    view: &View,
    wishes: &Wishes,
    can_send_id: bool,
) -> Result<Outcome, Error> {
    match can_send_id {
        true => create(io, view.encode(), wishes).await,
        false => Err(response_sent()),
    }
}

/// What the wishes make of the data that was found, or of no data after an end.
fn run_anew(found: &Found, wishes: &Wishes) -> Result<View, Error> {
    if !wishes.end {
        return wishes.log.replay(found.data());
    }
    // A logout doesn't fail for what was wanted beside it.
    let empty = SessionData::empty();
    Ok(wishes
        .log
        .replay(empty.clone())
        .unwrap_or_else(|_| View::new(empty)))
}

fn response_sent() -> Error {
    let message = "the response has been sent, so the cookie of a new or rotated session can't be: \
                   commit before returning the response";
    Error::new(ErrorKind::ResponseSent, message)
}
