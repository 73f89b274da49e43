//! What one request knows about its session and wants of it.

use std::sync::Arc;

use crate::config::Policy;
use crate::data::{Op, OpLog, SessionData, View};
use crate::error::{Error, ErrorKind};
use crate::events::{Done, Events};
use crate::protocol::csrf::{CsrfSeed, Renewal, seed_without_session};
use crate::protocol::{
    ClientChange, Commit, Found, LiveSession, LoginWish, Opened, Outcome, StoredSession, Wishes,
};
use crate::store::{SessionUser, Timestamp};

/// The state behind a [`Session`](crate::Session), under its lock.
#[derive(Debug)]
pub(crate) struct RequestState {
    pub(crate) found: Found,
    /// No stored session was found when the request's id was looked up.
    pub(crate) is_new: bool,
    loaded_at: Timestamp,
    /// What is wanted that no commit has seen.
    pub(super) wishes: Wishes,
    pub(crate) view: View,
    /// Grows whenever the view changes, so that whoever computed something from it without the lock finds out.
    revision: u64,
    /// The view may show what closures gave on older data; the next commit runs the log again before it
    /// believes the view.
    view_is_stale: bool,
    phase: CommitPhase,
    /// The request's future is gone.
    is_abandoned: bool,
    pub(super) response_sent: bool,
    /// The session has another id by now that this request doesn't know, so that the client can't be sent any.
    has_moved: bool,
    /// What the commits so far mean for the client.
    client: ClientChange,
    /// Who was logged out by a commit of this request.
    pub(crate) logged_out: Option<Arc<str>>,
}

/// What others have made of a session since a request loaded it or last [looked](crate::Session::refresh).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Refreshed {
    /// It lives, with the same values and the same user.
    Unchanged,
    /// It lives, and its values or its user have changed.
    Changed,
    /// It is over: it was ended or expired, its visitor logged in, or there was none.
    Ended,
}

/// How far the commits have come.
#[derive(Clone, Debug)]
enum CommitPhase {
    /// None is under way, and none has failed.
    Idle,
    Committing,
    /// A commit failed, or was abandoned half-way. What is stored isn't known; nothing is tried again, except
    /// that the session can still be ended.
    Failed(Error),
    /// The session is being ended after such a failure.
    EndingAfter(Error),
}

/// What the response tells the client.
pub(super) enum ForClient {
    Nothing,
    /// The id of this session, to be kept until it expires.
    Id(Arc<LiveSession>),
    Removal,
}

/// What is left to do about a change when the lock is gone.
#[must_use = "settle it where no lock is held"]
pub(crate) struct Recorded {
    /// What the change hides.
    hidden: OpLog,
    /// The request had been cancelled, so that the change counts for nothing.
    came_too_late: bool,
}

impl Recorded {
    /// Drops what the change hides, and tells of one that came too late. Closures and subscribers are the
    /// application's code, which may use the session.
    pub(crate) fn settle(self, events: &Events) {
        let Self {
            hidden,
            came_too_late,
        } = self;
        drop(hidden);
        if came_too_late {
            events.changed_after_cancellation();
        }
    }
}

impl RequestState {
    pub(super) fn new() -> Self {
        Self {
            found: Found::Nothing,
            is_new: true,
            loaded_at: Timestamp::default(),
            wishes: Wishes::default(),
            view: View::new(SessionData::empty()),
            revision: 0,
            view_is_stale: false,
            phase: CommitPhase::Idle,
            is_abandoned: false,
            response_sent: false,
            has_moved: false,
            client: ClientChange::Keep,
            logged_out: None,
        }
    }

    pub(super) fn opened(&mut self, opened: Opened) {
        let Opened {
            found,
            sign_anew,
            client,
            at,
        } = opened;
        self.client = client;
        self.loaded_at = at;
        self.view = View::new(found.data());
        self.is_new = !matches!(found, Found::Live(_));
        self.wishes.sign_anew = sign_anew;
        self.found = found;
    }

    /// The live session, unless this request has ended it.
    pub(crate) fn live(&self) -> Option<&LiveSession> {
        match &self.found {
            Found::Live(live) if !self.wishes.end => Some(live),
            _ => None,
        }
    }

    /// The same, to be kept.
    pub(super) fn live_session(&self) -> Option<Arc<LiveSession>> {
        match &self.found {
            Found::Live(live) if !self.wishes.end => Some(live.clone()),
            _ => None,
        }
    }

    pub(crate) fn is_superseded(&self) -> bool {
        let Wishes { end, login, .. } = &self.wishes;
        matches!(&self.found, Found::Gone(gone) if gone.is_straggler) && !end && login.is_none()
    }

    /// Whose session it is, if the request ended now.
    pub(crate) fn user(&self) -> Option<&SessionUser> {
        match &self.wishes.login {
            Some(login) => Some(&login.user),
            None => self.live()?.user(),
        }
    }

    /// A login of the same user, with the label and the lifetime that the session has; `None` if nobody is logged in.
    pub(crate) fn reauthentication(&self, now: Timestamp) -> Option<LoginWish> {
        let user = self.user()?;
        let remembered = match &self.wishes.login {
            Some(login) => login.remembered,
            None => self.live()?.record.lifetime,
        };
        let user = SessionUser::new(user.name.clone(), now).with_label(user.label.clone());
        Some(LoginWish {
            user: Arc::new(user),
            remembered,
        })
    }

    /// Whether a commit would have anything to write, activity apart.
    pub(crate) fn is_modified(&self) -> bool {
        let Wishes {
            end, rotate, login, ..
        } = &self.wishes;
        let rotates = *rotate && matches!(self.found, Found::Live(_));
        let ends = *end && !matches!(self.found, Found::Nothing);
        let is_reserved_changed = || {
            let stored = self.live().map(|live| live.record.reserved().clone());
            let changed = self
                .wishes
                .changed_reserved(&stored.unwrap_or_else(SessionData::empty));
            !matches!(changed, Ok(None))
        };
        rotates || ends || login.is_some() || self.view.is_changed() || is_reserved_changed()
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    /// Notes `op`, which `apply` does to the view.
    pub(crate) fn record(&mut self, op: Op, apply: impl FnOnce(&mut View)) -> Recorded {
        apply(&mut self.view);
        self.revision += 1;
        let hidden = match self.is_abandoned {
            true => OpLog::of(op),
            false => self.wishes.log.push(op),
        };
        Recorded {
            hidden,
            came_too_late: self.is_abandoned,
        }
    }

    /// The library's own entries as this request wants them. Their operations are the library's, and run under the lock.
    pub(crate) fn reserved(&self) -> Result<View, Error> {
        let stored = self.live().map(|live| live.record.reserved().clone());
        let stored = stored.unwrap_or_else(SessionData::empty);
        match &self.wishes.reserved {
            Some(log) => log.replay(stored),
            None => Ok(View::new(stored)),
        }
    }

    /// Notes what is to be done to the library's own entries.
    pub(crate) fn record_reserved(&mut self, op: Op) -> Recorded {
        let hidden = match self.is_abandoned {
            true => OpLog::of(op),
            false => self.wishes.reserved.get_or_insert_default().push(op),
        };
        Recorded {
            hidden,
            came_too_late: self.is_abandoned,
        }
    }

    /// What a CSRF token is made of, if the request has no session to keep that in, and won't have one.
    pub(crate) fn csrf_seed_without_session(&self) -> Option<CsrfSeed> {
        let begins_one = self.wishes.end || self.wishes.login.is_some();
        seed_without_session(&self.found).filter(|_| !begins_one)
    }

    /// What becomes of the session's CSRF tokens, if the request ended now.
    pub(crate) fn renewal(&self) -> Renewal {
        self.wishes.renewal()
    }

    pub(crate) fn rotate(&mut self) {
        self.wishes.rotate = true;
    }

    /// Logs a user in. What another user left in the session isn't theirs.
    pub(crate) fn log_in(&mut self, login: LoginWish) -> Recorded {
        let is_anothers = self.user().is_some_and(|user| user.name != login.user.name);
        let recorded = match is_anothers {
            true => self.record(Op::Clear, View::clear),
            false => Recorded {
                hidden: OpLog::default(),
                came_too_late: self.is_abandoned,
            },
        };
        if !self.is_abandoned {
            if is_anothers {
                self.wishes.reserved = Some(Box::new(OpLog::of(Op::Clear)));
            }
            self.wishes.login = Some(login);
        }
        recorded
    }

    /// Ends the session: what was wanted before counts no more. Returns what can be dropped once the lock is gone.
    pub(crate) fn end(&mut self) -> Wishes {
        self.view = View::new(SessionData::empty());
        self.revision += 1;
        let end = Wishes {
            end: true,
            sign_anew: self.wishes.sign_anew,
            ..Wishes::default()
        };
        std::mem::replace(&mut self.wishes, end)
    }

    /// The request was cancelled: what was wanted is forgotten, and so is what tasks that outlive it still
    /// want. Returns what can be dropped once the lock is gone.
    pub(super) fn cancel(&mut self) -> Wishes {
        (self.is_abandoned, self.response_sent) = (true, true);
        std::mem::take(&mut self.wishes)
    }

    /// [Settles the response](Self::settle_response) if a commit that starts now would have nothing to do, and nothing
    /// to fail for. Without a time of its own it goes by that of the load.
    pub(super) fn settle_if_nothing_to_write(
        &mut self,
        now: Option<Timestamp>,
        is_use: bool,
        policy: &Policy,
    ) -> Option<ForClient> {
        let now = now.unwrap_or(self.loaded_at);
        let can_send_id = self.can_send_id() && is_use;
        let is_touch_due = match &self.found {
            Found::Live(live) => live.is_touch_due(self.wishes.sign_anew, can_send_id, now, policy),
            Found::Nothing | Found::SeveralLive(_) | Found::Gone(_) => false,
        };
        let is_settled = matches!(self.phase, CommitPhase::Idle)
            && self.wishes.is_empty()
            && !self.view_is_stale
            && !is_touch_due;
        is_settled.then(|| self.settle_response())
    }

    /// From now on the client can't be sent anything; this is what the commits so far mean for it.
    pub(super) fn settle_response(&mut self) -> ForClient {
        self.response_sent = true;
        match (self.client, &self.found) {
            (ClientChange::Send, Found::Live(live)) if !self.has_moved => {
                ForClient::Id(live.clone())
            }
            (ClientChange::Remove, _) => ForClient::Removal,
            _ => ForClient::Nothing,
        }
    }

    /// Starts a commit with everything that was wanted up to now. Where an earlier one failed, that is the
    /// error, together with what can be dropped once the lock is gone; an ending goes ahead all the same.
    pub(super) fn begin_commit(&mut self, is_use: bool) -> Result<Commit, (Error, Wishes)> {
        let failed = match &self.phase {
            CommitPhase::Idle => None,
            CommitPhase::Failed(error) | CommitPhase::EndingAfter(error) => Some(error.clone()),
            CommitPhase::Committing => Some(Error::new(
                ErrorKind::StoreUnavailable,
                "an earlier commit was abandoned half-way; what it wrote isn't known",
            )),
        };
        let wishes = std::mem::take(&mut self.wishes);
        self.phase = match failed {
            None => CommitPhase::Committing,
            Some(error) if wishes.end => CommitPhase::EndingAfter(error),
            Some(error) => {
                self.phase = CommitPhase::Failed(error.clone());
                return Err((error, wishes));
            }
        };
        let view = (!self.view_is_stale).then(|| self.view.clone());
        self.view_is_stale = false;
        Ok(Commit {
            found: self.found.clone(),
            wishes,
            view,
            can_send_id: self.can_send_id(),
            is_use,
        })
    }

    fn can_send_id(&self) -> bool {
        !self.response_sent && !self.has_moved
    }

    /// Takes note of what others have made of the session; `None` if it is over. What is wanted is laid over it.
    pub(super) fn refreshed(&mut self, fresh: Option<StoredSession>) -> Refreshed {
        let Found::Live(session) = &self.found else {
            return Refreshed::Ended;
        };
        let refreshed = match &fresh {
            None => Refreshed::Ended,
            Some(fresh) if fresh.version == session.version => return Refreshed::Unchanged,
            Some(fresh) => {
                let (new, old) = (&fresh.record, &session.record);
                match (&new.data, &new.user) == (&old.data, &old.user) {
                    true => Refreshed::Unchanged,
                    false => Refreshed::Changed,
                }
            }
        };
        self.found = match fresh {
            Some(stored) => {
                self.has_moved |= stored.key != session.key;
                let id = session.id.clone();
                Found::Live(Arc::new(LiveSession { id, stored }))
            }
            None => Found::over(session.key, None),
        };
        self.show_stored();
        refreshed
    }

    /// Takes note that the session's activity has been written down.
    pub(super) fn activity_noted(&mut self, noted: Arc<LiveSession>) {
        self.found = Found::Live(noted);
        if self.can_send_id() {
            self.client = ClientChange::Send;
        }
    }

    /// Shows what is stored, and what was wanted since laid over it.
    ///
    /// Closures don't run under the lock: the view shows what they gave when they were first run, and the next commit
    /// runs them again before it believes that.
    fn show_stored(&mut self) {
        let data = match self.wishes.end {
            true => SessionData::empty(),
            false => self.found.data(),
        };
        self.view = self.wishes.log.project(&self.view, data);
        self.revision += 1;
        self.view_is_stale = !self.wishes.log.is_empty();
    }

    /// Whether the commit that was begun comes after a failed one. Then it ends the session, and begins nothing whose id
    /// couldn't be sent.
    pub(super) fn is_ending_only(&self) -> bool {
        matches!(self.phase, CommitPhase::EndingAfter(_))
    }

    /// Takes note of how a commit ended. What was wanted while it ran is laid over what it left.
    pub(super) fn end_commit(&mut self, result: Result<Outcome, Error>) -> Result<(), Error> {
        let outcome = match (&self.phase, result) {
            (CommitPhase::EndingAfter(error), _) => Err(error.clone()),
            (_, result) => result,
        };
        let outcome = outcome.inspect_err(|error| {
            self.phase = CommitPhase::Failed(error.clone());
        })?;
        self.client = match (outcome.client, &outcome.found) {
            // An earlier commit may have wanted the id sent. The session is gone by now, and a dead id isn't sent.
            (ClientChange::Keep, Found::Gone(_)) => ClientChange::Keep,
            (ClientChange::Keep, _) => self.client,
            (change, _) => change,
        };
        // A session that is begun where there was one takes the place of one that was ended.
        if matches!(outcome.done, Done::Ended | Done::Created)
            && let Found::Live(ended) = &self.found
        {
            self.logged_out = ended.user().map(|user| user.name.clone());
        }
        self.found = outcome.found;
        self.show_stored();
        self.phase = CommitPhase::Idle;
        Ok(())
    }
}
