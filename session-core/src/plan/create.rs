//! Creating: a session where there was none.

use std::sync::Arc;

use super::admit::Admit;
use super::{
    Answer, Binding, Call, Context, CookieChange, Deed, Found, LiveSession, MAX_CONFLICTS,
    MAX_ID_DRAWS, Outcome, Step, was_evicted,
};
use crate::data::SessionData;
use crate::error::{Error, ErrorKind};
use crate::id::SessionRef;
use crate::record::LiveRecord;
use crate::store::{Expect, SaveOutcome};

#[derive(Debug)]
pub(super) struct Create {
    data: SessionData,
    /// Whose session it will be.
    binding: Option<Binding>,
    draws: u32,
    /// How often another login made room for itself by ending this one before it was there.
    evictions: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Drawing,
    Admitting(Box<Admit>, Arc<LiveSession>),
    Saving(Arc<LiveSession>),
    /// The id was taken: its entry goes before another one is drawn.
    Unlisting,
}

impl Create {
    pub(super) fn new(data: SessionData, binding: Option<Binding>) -> Self {
        Self {
            data,
            binding,
            draws: 0,
            evictions: 0,
            state: State::Drawing,
        }
    }

    pub(super) fn advance(&mut self, answer: Answer, cx: &Context<'_>) -> Step<Outcome> {
        match (std::mem::replace(&mut self.state, State::Drawing), answer) {
            (State::Drawing, Answer::Ready)
            | (State::Unlisting, Answer::Unlisted | Answer::Failed(_)) => self.draw(cx).into(),
            (State::Admitting(mut admit, session), answer) => {
                let step = admit.advance(answer, cx);
                self.admit(admit, session, step)
            }
            (State::Saving(created), Answer::Saved(SaveOutcome::Saved)) => {
                Step::Done(Ok(Outcome {
                    found: Found::Live(created),
                    cookie: CookieChange::Send,
                    deed: Deed::Created,
                    dropped: None,
                }))
            }
            (State::Saving(taken), Answer::Saved(SaveOutcome::Conflict(current))) => {
                self.evictions += u32::from(was_evicted(current.as_deref()));
                match taken.listed_user(cx) {
                    Some(user) => {
                        self.state = State::Unlisting;
                        Step::Call(Call::Unlist {
                            user,
                            key: taken.key,
                        })
                    }
                    None => self.draw(cx).into(),
                }
            }
            (State::Saving(_), Answer::Failed(error)) => Step::fail(error),
            _ => Step::fail(super::broken_contract()),
        }
    }

    /// Draws an id, and enters it in the index of the user first, if there is one.
    fn draw(&mut self, cx: &Context<'_>) -> Result<Step<Outcome>, Error> {
        if self.evictions > MAX_CONFLICTS {
            return Err(super::too_many_conflicts());
        }
        if self.draws - self.evictions == MAX_ID_DRAWS {
            return Err(Error::new(
                ErrorKind::Random,
                "every id that the random generator gave was taken",
            ));
        }
        self.draws += 1;
        let id = cx.new_id()?;
        let handle = SessionRef::generate(cx.random).map_err(super::no_randomness)?;
        let mut record = LiveRecord::new(self.data.clone(), cx.now, handle);
        if let Some(Binding { user, lifetime }) = self.binding.clone() {
            (record.user, record.lifetime) = (Some(user), lifetime);
        }
        let (key, version) = (id.store_key(), cx.new_version()?);
        let expires_at = cx.policy.lifetime.expires_at(&record);
        let session = Arc::new(LiveSession {
            id,
            key,
            version,
            expires_at,
            record,
        });
        Ok(match session.listed_user(cx) {
            Some(user) => {
                let mut admit = Box::new(Admit::new(user, session.entry(cx), cx.policy.cap));
                let step = admit.start();
                self.admit(admit, session, step)
            }
            None => self.save(session),
        })
    }

    fn admit(
        &mut self,
        admit: Box<Admit>,
        session: Arc<LiveSession>,
        step: Step<()>,
    ) -> Step<Outcome> {
        match step {
            Step::Done(Ok(())) => self.save(session),
            Step::Done(Err(error)) => Step::Done(Err(error)),
            Step::Call(call) => {
                self.state = State::Admitting(admit, session);
                Step::Call(call)
            }
            Step::Pause(pause) => {
                self.state = State::Admitting(admit, session);
                Step::Pause(pause)
            }
        }
    }

    /// Saves the session under its new id, unless that id is taken, which 256 random bits never are.
    fn save(&mut self, session: Arc<LiveSession>) -> Step<Outcome> {
        let call = Call::Save {
            key: session.key,
            record: session.to_record(),
            expect: Expect::Absent,
        };
        self.state = State::Saving(session);
        Step::Call(call)
    }
}
