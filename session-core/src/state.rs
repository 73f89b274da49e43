//! What one request knows about its session and wants of it.

use crate::data::SessionData;
use crate::error::{Error, ErrorKind};
use crate::id::SessionId;
use crate::oplog::{Op, OpLog};
use crate::plan::{Binding, CookieChange, Found, Intent, LiveSession, OpenReport, Outcome, Policy};
use crate::record::UserBinding;
use crate::time::Timestamp;
use crate::view::View;

/// The state behind a [`Session`](crate::Session), under its lock.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) found: Found,
    /// No stored session was found when the request's id was looked up.
    pub(crate) is_new: bool,
    loaded_at: Timestamp,
    resign: bool,
    end: bool,
    rotate: bool,
    login: Option<Binding>,
    log: OpLog,
    pub(crate) view: View,
    /// The view may not be what the operations give on the data that was found.
    view_is_stale: bool,
    phase: Phase,
    /// The request's future is gone.
    is_abandoned: bool,
    pub(crate) response_sent: bool,
    /// What the commits so far mean for the cookie.
    cookie: CookieChange,
}

#[derive(Clone, Debug)]
enum Phase {
    Active,
    Committing,
    /// A commit failed, or was abandoned half-way. What is stored isn't known; nothing is tried again, except
    /// that the session can still be ended.
    Failed(Error),
    EndingAfter(Error),
}

impl State {
    pub(crate) fn new() -> Self {
        Self {
            found: Found::Nothing,
            is_new: true,
            loaded_at: Timestamp::default(),
            resign: false,
            end: false,
            rotate: false,
            login: None,
            log: OpLog::default(),
            view: View::new(SessionData::empty()),
            view_is_stale: false,
            phase: Phase::Active,
            is_abandoned: false,
            response_sent: false,
            cookie: CookieChange::Keep,
        }
    }

    pub(crate) fn opened(&mut self, found: Found, report: OpenReport, at: Timestamp) {
        self.loaded_at = at;
        self.view = View::new(stored_data(&found));
        self.is_new = !matches!(found, Found::Live(_));
        self.resign = report.outdated;
        self.found = found;
    }

    /// The live session, unless this request has ended it.
    pub(crate) fn live(&self) -> Option<&LiveSession> {
        match &self.found {
            Found::Live(live) if !self.end => Some(live),
            _ => None,
        }
    }

    pub(crate) fn is_superseded(&self) -> bool {
        matches!(&self.found, Found::Dead(dead) if dead.in_grace)
            && !self.end
            && self.login.is_none()
    }

    /// Whose session it is, if the request ended now.
    pub(crate) fn user(&self) -> Option<&UserBinding> {
        match &self.login {
            Some(login) => Some(&login.user),
            None => self.live()?.record.user.as_deref(),
        }
    }

    /// Whether a commit would have anything to write, activity apart.
    pub(crate) fn is_modified(&self) -> bool {
        let rotates = self.rotate && matches!(self.found, Found::Live(_));
        let ends = self.end && !matches!(self.found, Found::Nothing);
        rotates || ends || self.login.is_some() || self.view.is_changed()
    }

    /// Notes `op`, which `apply` does to the view. Returns what can be dropped once the lock is gone.
    pub(crate) fn record(&mut self, op: Op, apply: impl FnOnce(&mut View)) -> OpLog {
        apply(&mut self.view);
        if self.is_abandoned {
            tracing::error!(target: "session", "a session was changed after its request had been cancelled");
            return OpLog::of(op);
        }
        self.log.push(op)
    }

    pub(crate) fn rotate(&mut self) {
        self.rotate = true;
    }

    /// Logs a user in. What another user left in the session isn't theirs. Returns what can be dropped once
    /// the lock is gone.
    pub(crate) fn log_in(&mut self, login: Binding) -> OpLog {
        let is_anothers = self.user().is_some_and(|user| user.name != login.user.name);
        let hidden = match is_anothers {
            true => self.record(Op::Clear, View::clear),
            false => OpLog::default(),
        };
        if !self.is_abandoned {
            self.login = Some(login);
        }
        hidden
    }

    /// Ends the session: what was wanted before counts no more.
    pub(crate) fn end(&mut self) -> OpLog {
        self.end = true;
        self.rotate = false;
        self.login = None;
        self.view = View::new(SessionData::empty());
        std::mem::take(&mut self.log)
    }

    /// The request was cancelled: what was wanted is forgotten, and so is what tasks that outlive it still
    /// want. Returns what can be dropped once the lock is gone.
    pub(crate) fn cancel(&mut self) -> OpLog {
        (self.is_abandoned, self.response_sent) = (true, true);
        self.abandon()
    }

    fn abandon(&mut self) -> OpLog {
        (self.end, self.rotate, self.login) = (false, false, None);
        std::mem::take(&mut self.log)
    }

    /// Whether something was wanted that no commit has seen.
    pub(crate) fn has_uncommitted(&self) -> bool {
        !self.log.is_empty() || self.end || self.rotate || self.login.is_some()
    }

    /// [Settles the cookie](Self::settle_cookie) if a commit that starts now would have nothing to do, and nothing to
    /// fail for. Without a time of its own it goes by that of the load.
    pub(crate) fn settle_if_nothing_to_write(
        &mut self,
        now: Option<Timestamp>,
        policy: &Policy,
    ) -> Option<Cookie> {
        let now = now.unwrap_or(self.loaded_at);
        let can_send_cookie = !self.response_sent;
        let touch_due = match &self.found {
            Found::Live(live) => live.is_touch_due(self.resign, can_send_cookie, now, policy),
            Found::Nothing | Found::Several(_) | Found::Dead(_) => false,
        };
        let is_settled = matches!(self.phase, Phase::Active)
            && !self.has_uncommitted()
            && !self.view_is_stale
            && !touch_due;
        is_settled.then(|| self.settle_cookie())
    }

    /// Starts a commit with everything that was wanted up to now. Where an earlier one failed, that is the
    /// error, together with what can be dropped once the lock is gone; an ending goes ahead all the same.
    pub(crate) fn begin_commit(&mut self) -> Result<Intent, (Error, OpLog)> {
        let failed = match &self.phase {
            Phase::Active => None,
            Phase::Failed(error) | Phase::EndingAfter(error) => Some(error.clone()),
            Phase::Committing => Some(Error::new(
                ErrorKind::StoreUnavailable,
                "an earlier commit was abandoned half-way; what it wrote isn't known",
            )),
        };
        match failed {
            None => self.phase = Phase::Committing,
            Some(error) if self.end => self.phase = Phase::EndingAfter(error),
            Some(error) => {
                self.phase = Phase::Failed(error.clone());
                return Err((error, self.abandon()));
            }
        }
        Ok(Intent {
            found: self.found.clone(),
            end: std::mem::take(&mut self.end),
            rotate: std::mem::take(&mut self.rotate),
            login: self.login.take(),
            log: std::mem::take(&mut self.log),
            view: self.view.clone(),
            view_is_stale: std::mem::take(&mut self.view_is_stale),
            resign: std::mem::take(&mut self.resign),
            can_send_cookie: !self.response_sent,
        })
    }

    /// From now on no cookie can be sent; this is what the commits so far mean for it.
    pub(crate) fn settle_cookie(&mut self) -> Cookie {
        self.response_sent = true;
        match (self.cookie, &self.found) {
            (CookieChange::Send, Found::Live(live)) => {
                Cookie::Send(live.id.clone(), live.expires_at)
            }
            (CookieChange::Remove, _) => Cookie::Remove,
            _ => Cookie::Keep,
        }
    }

    /// Takes note of how a commit ended. What was wanted while it ran is laid over what it left.
    pub(crate) fn end_commit(&mut self, result: Result<Outcome, Error>) -> Result<(), Error> {
        let result = match &self.phase {
            Phase::EndingAfter(error) => Err(error.clone()),
            _ => result,
        };
        let settled = result.map(|outcome| {
            self.cookie = match (outcome.cookie, &outcome.found) {
                // Never for an id that is known to be dead.
                (CookieChange::Keep, Found::Dead(_)) => CookieChange::Keep,
                (CookieChange::Keep, _) => self.cookie,
                (change, _) => change,
            };
            let data = if self.end {
                SessionData::empty()
            } else {
                stored_data(&outcome.found)
            };
            self.found = outcome.found;
            data
        });
        match settled {
            Ok(data) => {
                // Closures don't run under the lock: the view shows what they gave when they were first
                // run, and the next commit runs them again before it believes that.
                self.view = self.log.project(&self.view, data);
                self.view_is_stale = !self.log.is_empty();
                self.phase = Phase::Active;
                Ok(())
            }
            Err(error) => {
                self.phase = Phase::Failed(error.clone());
                Err(error)
            }
        }
    }
}

/// What the response does to the cookie.
pub(crate) enum Cookie {
    Keep,
    Send(SessionId, Timestamp),
    Remove,
}

fn stored_data(found: &Found) -> SessionData {
    match found {
        Found::Live(live) => live.record.data.clone(),
        Found::Nothing | Found::Several(_) | Found::Dead(_) => SessionData::empty(),
    }
}
