//! Committing: what the end of a request means.

use super::create::Create;
use super::end::End;
use super::rotate::Rotate;
use super::update::Update;
use super::{Answer, Binding, Context, CookieChange, Deed, DropReason, Found, Outcome, Step};
use crate::data::SessionData;
use crate::error::{Error, ErrorKind};
use crate::oplog::OpLog;
use crate::view::View;

/// What a request found and what it wants.
#[derive(Debug)]
pub(crate) struct Intent {
    pub(crate) found: Found,
    /// The request ended the session; the operations are those made afterwards.
    pub(crate) end: bool,
    pub(crate) rotate: bool,
    /// The request logged a user in, which rotates too.
    pub(crate) login: Option<Binding>,
    pub(crate) log: OpLog,
    /// What the operations made of the data that was found.
    pub(crate) view: View,
    /// The operations have to be done again before the view can be believed.
    pub(crate) view_is_stale: bool,
    /// The cookie was signed under a previous secret.
    pub(crate) resign: bool,
    /// The response head hasn't left, so that a cookie can still be sent.
    pub(crate) can_send_cookie: bool,
}

/// Carries out an [`Intent`].
#[derive(Debug)]
pub(crate) struct Commit {
    state: State,
}

#[derive(Debug)]
enum State {
    Deciding(Intent),
    Creating(Create),
    Updating(Update),
    Rotating(Rotate),
    /// Ending, and then beginning a new session with what was stored after the end.
    Ending {
        end: End,
        then: Option<Create>,
        can_send_cookie: bool,
    },
    Decided,
}

impl Commit {
    pub(crate) fn new(intent: Intent) -> Self {
        Self {
            state: State::Deciding(intent),
        }
    }

    pub(crate) fn advance(&mut self, answer: Answer, cx: &Context<'_>) -> Step<Outcome> {
        match &mut self.state {
            State::Creating(create) => return create.advance(answer, cx),
            State::Updating(update) => return update.advance(answer, cx),
            State::Rotating(rotate) => return rotate.advance(answer, cx),
            State::Deciding(_) | State::Ending { .. } | State::Decided => {}
        }
        match std::mem::replace(&mut self.state, State::Decided) {
            State::Deciding(intent) => self.decide(intent, cx),
            State::Ending {
                mut end,
                then,
                can_send_cookie,
            } => {
                let step = end.advance(answer, cx);
                self.end(end, step, then, can_send_cookie, cx)
            }
            _ => Step::fail(super::broken_contract()),
        }
    }

    fn decide(&mut self, intent: Intent, cx: &Context<'_>) -> Step<Outcome> {
        let Intent {
            found,
            end,
            rotate,
            login,
            log,
            mut view,
            view_is_stale,
            resign,
            can_send_cookie,
        } = intent;
        if view_is_stale {
            view = match log.replay(view.into_base()) {
                Ok(view) => view,
                // A logout doesn't fail for what was wanted beside it.
                Err(_) if end => View::new(SessionData::empty()),
                Err(error) => return Step::fail(error),
            };
        }
        let rotate = rotate || login.is_some();
        // A new session that is empty is never stored, unless it is somebody's.
        let is_stored = !view.is_empty() || login.is_some();
        let creation = || is_stored.then(|| Create::new(view.encode(), login.clone()));
        match found {
            Found::Live(session) if end => {
                let mut end = End::new(session.key, Vec::new());
                let step = end.start(Some(session.to_record()), cx);
                self.end(end, step, creation(), can_send_cookie, cx)
            }
            Found::Several(mut sessions) if end => match sessions.pop() {
                Some(session) => {
                    let mut end = End::new(session.key, sessions);
                    let step = end.start(Some(session.to_record()), cx);
                    self.end(end, step, creation(), can_send_cookie, cx)
                }
                None => Step::fail(super::broken_contract()),
            },
            Found::Dead(dead) if end => {
                let mut end = End::new(dead.key, Vec::new());
                let step = end.start(dead.record.clone(), cx);
                self.end(end, step, creation(), can_send_cookie, cx)
            }
            Found::Live(_) if rotate && !can_send_cookie => Step::fail(response_sent()),
            Found::Live(session) if rotate => {
                let mut rotate = Rotate::new(session, log, view, login);
                let step = rotate.advance(Answer::Ready, cx);
                self.state = State::Rotating(rotate);
                step
            }
            Found::Live(session) => {
                let mut update = Update::new(session, log, view, resign, can_send_cookie);
                let step = update.advance(Answer::Ready, cx);
                self.state = State::Updating(update);
                step
            }
            // A login starts afresh: it must not be lost because an earlier one's response was.
            Found::Dead(dead) if dead.in_grace && login.is_none() => {
                let dropped = (rotate || view.is_changed()).then_some(DropReason::Superseded);
                Step::Done(Ok(Outcome {
                    dropped,
                    ..Outcome::unchanged(Found::Dead(dead))
                }))
            }
            found @ (Found::Nothing | Found::Several(_) | Found::Dead(_)) => match creation() {
                Some(_) if !can_send_cookie => Step::fail(response_sent()),
                Some(create) => self.create(create, cx),
                None => Step::Done(Ok(Outcome::unchanged(found))),
            },
        }
    }

    fn create(&mut self, mut create: Create, cx: &Context<'_>) -> Step<Outcome> {
        let step = create.advance(Answer::Ready, cx);
        self.state = State::Creating(create);
        step
    }

    fn end(
        &mut self,
        end: End,
        step: Step<()>,
        then: Option<Create>,
        can_send_cookie: bool,
        cx: &Context<'_>,
    ) -> Step<Outcome> {
        match (step, then) {
            (Step::Done(Ok(())), None) => Step::Done(Ok(Outcome {
                found: Found::Nothing,
                cookie: CookieChange::Remove,
                deed: Deed::Ended,
                dropped: None,
            })),
            (Step::Done(Ok(())), Some(_)) if !can_send_cookie => Step::fail(response_sent()),
            (Step::Done(Ok(())), Some(create)) => self.create(create, cx),
            (Step::Done(Err(error)), _) => Step::fail(error),
            (Step::Pause(pause), then) => {
                self.state = State::Ending {
                    end,
                    then,
                    can_send_cookie,
                };
                Step::Pause(pause)
            }
            (Step::Call(call), then) => {
                self.state = State::Ending {
                    end,
                    then,
                    can_send_cookie,
                };
                Step::Call(call)
            }
        }
    }
}

fn response_sent() -> Error {
    let message = "the response has been sent, so the cookie of a new or rotated session can't be: \
                   commit before returning the response";
    Error::new(ErrorKind::ResponseSent, message)
}
