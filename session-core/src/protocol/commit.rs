//! Committing: what the end of a request means.

use super::end::end_all;
use super::found::Found;
use super::insert::create;
use super::io::{Environment, Io, in_time};
use super::outcome::Outcome;
use super::rotate::rotate;
use super::update::update;
use super::wishes::Wishes;
use crate::data::{SessionData, View};
use crate::error::{Error, ErrorKind};
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
}

/// Carries out what a request wants, all store calls under one deadline, and tells those who watch.
///
/// The stories take what they need out of `commit`, so that it lies in the future of the request's end once.
pub(crate) async fn commit(env: &Environment, commit: &mut Commit) -> Result<Outcome, Error> {
    let before = commit.found.reference();
    let mut io = Io::new(env);
    let committed = in_time(env, carry_out(&mut io, commit)).await;
    let committed = committed.unwrap_or_else(|| Err(io.late()));
    match &committed {
        Ok(outcome) => {
            let session = before.or_else(|| outcome.found.reference());
            events::committed(outcome.done, session);
            if let Some(reason) = outcome.dropped {
                let dropped = DroppedChanges { reason, session };
                events::changes_dropped(&dropped, env.config.on_dropped());
            }
        }
        Err(error) => events::failed("commit", error),
    }
    committed
}

async fn carry_out(io: &mut Io<'_>, commit: &mut Commit) -> Result<Outcome, Error> {
    let Commit {
        found,
        wishes,
        view,
        can_send_id,
    } = commit;
    let view = match view {
        Some(view) => view,
        None => view.insert(run_anew(found, wishes)?),
    };
    // A new session that is empty is never stored, unless it is somebody's.
    let is_stored = !view.is_empty() || wishes.login.is_some();
    if wishes.end && !matches!(found, Found::Nothing) {
        // In a box, which keeps the future of every other commit below a kilobyte.
        Box::pin(end_all(io, found)).await?;
        if !is_stored {
            return Ok(Outcome::ended());
        }
        return begin_anew(io, view, wishes, *can_send_id).await;
    }
    match found {
        Found::Live(_) if wishes.rotates() && !*can_send_id => Err(response_sent()),
        Found::Live(session) if wishes.rotates() => rotate(io, session, wishes, view).await,
        Found::Live(session) => update(io, session, wishes, view, *can_send_id).await,
        // A login starts afresh: it must not be lost because an earlier one's response was.
        Found::Gone(gone) if gone.is_straggler && wishes.login.is_none() => {
            let is_dropped = wishes.rotate || view.is_changed();
            Ok(Outcome {
                dropped: is_dropped.then_some(DropReason::Superseded),
                ..Outcome::unchanged(found.clone())
            })
        }
        Found::Nothing | Found::SeveralLive(_) | Found::Gone(_) if is_stored => {
            begin_anew(io, view, wishes, *can_send_id).await
        }
        Found::Nothing | Found::SeveralLive(_) | Found::Gone(_) => {
            Ok(Outcome::unchanged(found.clone()))
        }
    }
}

async fn begin_anew(
    io: &mut Io<'_>,
    view: &View,
    wishes: &Wishes,
    can_send_id: bool,
) -> Result<Outcome, Error> {
    match can_send_id {
        true => create(io, view.encode(), wishes.login.as_ref()).await,
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
