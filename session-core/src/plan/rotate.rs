//! Rotating: the session moves to a new id, and at no moment is it under none or under two.
//!
//! ```text
//! create new ──saved──▶ bury old ──saved──────────────────────────────▶ done, send the new id
//!                        ▲  │ conflict, error
//!                        │  ▼
//!                        │ look at old ──superseded by our new one────▶ done, send the new id
//!                        │  │       ╰───dead otherwise, or gone───────▶ take new back, we lost
//!                        │  │ live, changed by somebody
//!                        │  ▼
//!                        ╰─ merge it into new
//! ```
//!
//! The new record exists before the old id dies, so that a crash between the two leaves a session. It is
//! taken back only after a definite answer that the old id didn't die in its favour: after an error whose
//! outcome is unknown it may be the only one left.

use std::sync::Arc;

use super::admit::Admit;
use super::{
    Answer, Binding, Call, Context, CookieChange, Deed, Found, LiveSession, MAX_CONFLICTS,
    MAX_ERRORS, MAX_ID_DRAWS, Outcome, Step, too_many_conflicts, was_evicted,
};
use crate::error::{Error, ErrorKind};
use crate::id::{StoreKey, UserKey};
use crate::oplog::OpLog;
use crate::record::{Record, RecordState};
use crate::store::{Expect, SaveOutcome, StoreError, StoreErrorKind};
use crate::view::View;

#[derive(Debug)]
pub(super) struct Rotate {
    old: Arc<LiveSession>,
    log: OpLog,
    view: View,
    /// Whose session it will be, if that changes.
    login: Option<Binding>,
    /// The session under its new id, as last written.
    new: Option<Arc<LiveSession>>,
    state: State,
    /// A burial may still land, though its answer was an error.
    ambiguous: bool,
    draws: u32,
    /// How often another login made room for itself by ending the new id before it was there.
    evictions: u32,
    errors: u32,
    conflicts: u32,
}

#[derive(Debug)]
enum State {
    Drawing,
    Admitting(Box<Admit>),
    /// The id was taken: its entry goes before another one is drawn.
    Redrawing,
    Creating,
    Burying,
    Looking,
    /// Bringing the new record up to the old one as it was found, which comes with it.
    Merging(Arc<LiveSession>),
    TakingBack(Result<Outcome, Error>),
    /// Removing an entry that leads to nothing any more.
    Unlisting(Result<Outcome, Error>),
}

impl Rotate {
    pub(super) fn new(
        old: Arc<LiveSession>,
        log: OpLog,
        view: View,
        login: Option<Binding>,
    ) -> Self {
        let state = State::Drawing;
        Self {
            old,
            log,
            view,
            login,
            new: None,
            state,
            ambiguous: false,
            draws: 0,
            evictions: 0,
            errors: 0,
            conflicts: 0,
        }
    }

    pub(super) fn advance(&mut self, answer: Answer, cx: &Context<'_>) -> Step<Outcome> {
        self.step(answer, cx).into()
    }

    fn step(&mut self, answer: Answer, cx: &Context<'_>) -> Result<Step<Outcome>, Error> {
        match (std::mem::replace(&mut self.state, State::Drawing), answer) {
            (State::Drawing, Answer::Ready)
            | (State::Redrawing, Answer::Unlisted | Answer::Failed(_)) => self.draw(cx),
            (State::Admitting(mut admit), answer) => {
                let step = admit.advance(answer, cx);
                self.admit(admit, step)
            }
            (State::Creating, Answer::Saved(SaveOutcome::Conflict(current))) => {
                self.evictions += u32::from(was_evicted(current.as_deref()));
                self.redraw(cx)
            }
            (State::Creating, Answer::Saved(SaveOutcome::Saved)) => self.bury(cx),
            // The old id lives on; if the new record was written after all, nobody knows its id.
            (State::Creating, Answer::Failed(error)) => Err(error.into()),

            (State::Burying, Answer::Saved(SaveOutcome::Saved)) => self.succeed(cx),
            (State::Burying, Answer::Saved(SaveOutcome::Conflict(Some(record)))) => {
                self.judge(Some(*record), cx)
            }
            (State::Burying, Answer::Saved(SaveOutcome::Conflict(None))) => Ok(self.look()),
            (State::Burying, Answer::Saved(SaveOutcome::Missing)) => self.judge(None, cx),
            (State::Burying, Answer::Failed(error)) => {
                self.ambiguous |= error.kind() != StoreErrorKind::NotApplied;
                self.errors += 1;
                if self.errors < MAX_ERRORS {
                    Ok(self.look())
                } else {
                    self.give_up(error)
                }
            }

            (State::Looking, Answer::Loaded(record)) => self.judge(record, cx),
            (State::Looking, Answer::Failed(error)) => self.give_up(error),

            (State::Merging(fresh), Answer::Saved(SaveOutcome::Saved)) => {
                self.old = fresh;
                self.bury(cx)
            }
            // Somebody found the new record by way of the user and ended it.
            (State::Merging(_), Answer::Saved(_)) => {
                Ok(Step::Done(Ok(Outcome::lost(self.old.key, None))))
            }
            (State::Merging(_), Answer::Failed(error)) => Err(error.into()),

            (State::TakingBack(result), Answer::Deleted) => {
                let new = self.created()?;
                let entry = new.listed_user(cx).map(|user| (user, new.key));
                Ok(self.unlist(entry, result))
            }
            (State::TakingBack(result), Answer::Failed(_))
            | (State::Unlisting(result), Answer::Unlisted | Answer::Failed(_)) => {
                Ok(Step::Done(result))
            }
            _ => Err(super::broken_contract()),
        }
    }

    /// Draws an id, and enters it in the index of the user first, if there is one.
    fn draw(&mut self, cx: &Context<'_>) -> Result<Step<Outcome>, Error> {
        if self.evictions > MAX_CONFLICTS {
            return Err(too_many_conflicts());
        }
        if self.draws - self.evictions == MAX_ID_DRAWS {
            return Err(Error::new(
                ErrorKind::Random,
                "every id that the random generator gave was taken",
            ));
        }
        self.draws += 1;
        let id = cx.new_id()?;
        let new = LiveSession {
            key: id.store_key(),
            id,
            ..self.moved(&self.old, cx)?
        };
        let listed_user = new.listed_user(cx);
        let entry = new.entry(cx);
        self.new = Some(Arc::new(new));
        match listed_user {
            Some(user) => {
                // Only a login is one session more.
                let cap = cx.policy.cap.filter(|_| self.login.is_some());
                let mut admit = Box::new(Admit::new(user, entry, cap));
                let step = admit.start();
                self.admit(admit, step)
            }
            None => self.create(),
        }
    }

    fn admit(&mut self, admit: Box<Admit>, step: Step<()>) -> Result<Step<Outcome>, Error> {
        match step {
            Step::Done(Ok(())) => self.create(),
            Step::Done(Err(error)) => Err(error),
            Step::Call(call) => {
                self.state = State::Admitting(admit);
                Ok(Step::Call(call))
            }
            Step::Pause(pause) => {
                self.state = State::Admitting(admit);
                Ok(Step::Pause(pause))
            }
        }
    }

    fn create(&mut self) -> Result<Step<Outcome>, Error> {
        let new = self.created()?;
        let call = Call::Save {
            key: new.key,
            record: new.to_record(),
            expect: Expect::Absent,
        };
        self.state = State::Creating;
        Ok(Step::Call(call))
    }

    fn redraw(&mut self, cx: &Context<'_>) -> Result<Step<Outcome>, Error> {
        let taken = self.created()?;
        let key = taken.key;
        match taken.listed_user(cx) {
            Some(user) => {
                self.state = State::Redrawing;
                Ok(Step::Call(Call::Unlist { user, key }))
            }
            None => self.draw(cx),
        }
    }

    /// Ends with `result` when the entry is gone, or can't be removed: then it is removed another time.
    fn unlist(
        &mut self,
        entry: Option<(UserKey, StoreKey)>,
        result: Result<Outcome, Error>,
    ) -> Step<Outcome> {
        match entry {
            Some((user, key)) => {
                self.state = State::Unlisting(result);
                Step::Call(Call::Unlist { user, key })
            }
            None => Step::Done(result),
        }
    }

    /// `source` with the request's changes, active now. The payload limit doesn't stand in the way.
    fn moved(&self, source: &LiveSession, cx: &Context<'_>) -> Result<LiveSession, Error> {
        let mut moved = LiveSession {
            version: cx.new_version()?,
            ..source.clone()
        };
        moved.record.data = self.view.encode();
        if let Some(Binding { user, lifetime }) = self.login.clone() {
            (moved.record.user, moved.record.lifetime) = (Some(user), lifetime);
        }
        moved.record.last_active_at = moved.record.last_active_at.max(cx.now);
        moved.expires_at = cx.policy.lifetime.expires_at(&moved.record);
        Ok(moved)
    }

    fn bury(&mut self, cx: &Context<'_>) -> Result<Step<Outcome>, Error> {
        let successor = self.created()?.key;
        let state = RecordState::Superseded {
            successor,
            at: cx.now,
        };
        let tombstone = cx.tombstone(&self.old.to_record(), state)?;
        self.state = State::Burying;
        let expect = Expect::Version(self.old.version);
        Ok(Step::Call(Call::Save {
            key: self.old.key,
            record: tombstone,
            expect,
        }))
    }

    fn look(&mut self) -> Step<Outcome> {
        self.state = State::Looking;
        Step::Call(Call::Load(self.old.key))
    }

    /// Decides by what lies under the old id.
    fn judge(&mut self, record: Option<Record>, cx: &Context<'_>) -> Result<Step<Outcome>, Error> {
        let new_key = self.created()?.key;
        let Some(record) = record else {
            if self.ambiguous {
                let message =
                    "the session store failed, and what became of the rotation can't be learned";
                return Err(Error::new(ErrorKind::StoreUnavailable, message));
            }
            return self.take_back(Ok(Outcome::lost(self.old.key, None)));
        };
        match record.state {
            RecordState::Superseded { successor, .. } if successor == new_key => self.succeed(cx),
            RecordState::Superseded { .. } | RecordState::Ended { .. } => {
                self.take_back(Ok(Outcome::lost(self.old.key, Some(record))))
            }
            RecordState::Live(_) if record.version == self.old.version => {
                self.conflicts += 1;
                if self.conflicts > MAX_CONFLICTS {
                    return Err(too_many_conflicts());
                }
                self.bury(cx)
            }
            RecordState::Live(live) => {
                // The version has moved on, so that no earlier burial of ours can land any more.
                self.ambiguous = false;
                let Record {
                    version,
                    expires_at,
                    ..
                } = record;
                self.merge(
                    LiveSession {
                        version,
                        expires_at,
                        record: live,
                        ..LiveSession::clone(&self.old)
                    },
                    cx,
                )
            }
        }
    }

    /// Does the request again on the old session as it is now, and saves that under the new id.
    fn merge(&mut self, fresh: LiveSession, cx: &Context<'_>) -> Result<Step<Outcome>, Error> {
        self.conflicts += 1;
        if self.conflicts > MAX_CONFLICTS {
            return self.take_back(Err(too_many_conflicts()));
        }
        self.view = match self.log.replay(fresh.record.data.clone()) {
            Ok(view) => view,
            Err(error) => return self.take_back(Err(error)),
        };
        let new = self.created()?;
        let expect = Expect::Version(new.version);
        let merged = LiveSession {
            id: new.id.clone(),
            key: new.key,
            ..self.moved(&fresh, cx)?
        };
        let call = Call::Save {
            key: merged.key,
            record: merged.to_record(),
            expect,
        };
        self.new = Some(Arc::new(merged));
        self.state = State::Merging(Arc::new(fresh));
        Ok(Step::Call(call))
    }

    fn succeed(&mut self, cx: &Context<'_>) -> Result<Step<Outcome>, Error> {
        let found = Found::Live(self.created()?.clone());
        let entry = self.old.listed_user(cx).map(|user| (user, self.old.key));
        let outcome = Outcome {
            found,
            cookie: CookieChange::Send,
            deed: Deed::Rotated,
            dropped: None,
        };
        Ok(self.unlist(entry, Ok(outcome)))
    }

    fn give_up(&mut self, error: StoreError) -> Result<Step<Outcome>, Error> {
        if self.ambiguous {
            return Err(error.into());
        }
        self.take_back(Err(error.into()))
    }

    /// Removes the new record, which nobody knows, and then ends with `result`.
    fn take_back(&mut self, result: Result<Outcome, Error>) -> Result<Step<Outcome>, Error> {
        let key = self.created()?.key;
        self.state = State::TakingBack(result);
        Ok(Step::Call(Call::Delete(key)))
    }

    fn created(&self) -> Result<&Arc<LiveSession>, Error> {
        self.new.as_ref().ok_or_else(super::broken_contract)
    }
}
