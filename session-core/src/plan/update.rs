//! Updating: changes, or mere activity, of a session that stays under its id.

use std::sync::Arc;

use super::{
    Answer, Call, Context, CookieChange, Deed, Found, LiveSession, MAX_CONFLICTS, Outcome, Step,
    too_many_conflicts,
};
use crate::error::{Error, ErrorKind};
use crate::oplog::OpLog;
use crate::record::{Record, RecordState};
use crate::store::{Expect, SaveOutcome, Touch};
use crate::view::View;

#[derive(Debug)]
pub(super) struct Update {
    /// The session as last read.
    session: Arc<LiveSession>,
    log: OpLog,
    view: View,
    /// The cookie has to be sent anew, whether or not activity is due.
    resign: bool,
    /// Without a cookie there is no note of activity: the two age together.
    can_send_cookie: bool,
    conflicts: u32,
    writing: Option<(Arc<LiveSession>, Deed)>,
}

impl Update {
    pub(super) fn new(
        session: Arc<LiveSession>,
        log: OpLog,
        view: View,
        resign: bool,
        can_send_cookie: bool,
    ) -> Self {
        Self {
            session,
            log,
            view,
            resign,
            can_send_cookie,
            conflicts: 0,
            writing: None,
        }
    }

    pub(super) fn advance(&mut self, answer: Answer, cx: &Context<'_>) -> Step<Outcome> {
        let key = self.session.key;
        match answer {
            Answer::Ready if self.conflicts > 0 => Step::Call(Call::Load(key)),
            Answer::Ready => self.write(cx).into(),
            Answer::Saved(outcome) => match self.writing.take() {
                Some((written, deed)) => self.written(outcome, written, deed, cx).into(),
                None => Step::fail(super::broken_contract()),
            },
            Answer::Loaded(record) => self.start_again(record, cx).into(),
            Answer::Failed(error) => Step::fail(error),
            Answer::Deleted | Answer::Listed(_) | Answer::Unlisted | Answer::Entries(_) => {
                Step::fail(super::broken_contract())
            }
        }
    }

    /// Decides from the session as last read: save it, touch it, or leave it.
    fn write(&mut self, cx: &Context<'_>) -> Result<Step<Outcome>, Error> {
        let mut next = LiveSession::clone(&self.session);
        let active = next.is_touch_due(self.resign, self.can_send_cookie, cx.now, cx.policy);
        if active {
            next.record.last_active_at = next.record.last_active_at.max(cx.now);
            next.expires_at = cx.policy.lifetime.expires_at(&next.record);
        }
        let key = next.key;
        let expected = self.session.version;
        if self.view.is_changed() {
            next.record.data = self.view.encode();
            self.check_payload(&next, cx)?;
            next.version = cx.new_version()?;
            let call = Call::Save {
                key,
                record: next.to_record(),
                expect: Expect::Version(expected),
            };
            self.writing = Some((Arc::new(next), Deed::Saved));
            return Ok(Step::Call(call));
        }
        if active {
            next.version = cx.new_version()?;
            next.expires_at = next.expires_at.max(self.session.expires_at);
            let (last_active_at, expires_at) = (next.record.last_active_at, next.expires_at);
            let touch = Touch {
                expected,
                version: next.version,
                last_active_at,
                expires_at,
            };
            self.writing = Some((Arc::new(next), Deed::Touched));
            return Ok(Step::Call(Call::Touch { key, touch }));
        }
        Ok(Step::Done(Ok(Outcome::unchanged(Found::Live(
            self.session.clone(),
        )))))
    }

    /// The limit was checked when the values were set; what others saved since may have come on top.
    fn check_payload(&self, next: &LiveSession, cx: &Context<'_>) -> Result<(), Error> {
        let (len, old_len) = (
            next.record.data.json_len(),
            self.session.record.data.json_len(),
        );
        if len > cx.policy.payload_limit && len > old_len {
            let message =
                "the session is over the payload limit, together with what other requests stored";
            return Err(Error::new(ErrorKind::PayloadTooLarge, message));
        }
        Ok(())
    }

    fn written(
        &mut self,
        outcome: SaveOutcome,
        written: Arc<LiveSession>,
        deed: Deed,
        cx: &Context<'_>,
    ) -> Result<Step<Outcome>, Error> {
        let key = self.session.key;
        match outcome {
            SaveOutcome::Saved => {
                let moved = written.record.last_active_at != self.session.record.last_active_at;
                let cookie = if self.can_send_cookie && (moved || self.resign) {
                    CookieChange::Send
                } else {
                    CookieChange::Keep
                };
                let found = Found::Live(written);
                Ok(Step::Done(Ok(Outcome {
                    found,
                    cookie,
                    deed,
                    dropped: None,
                })))
            }
            // A touch isn't tried again: whoever was quicker has noted activity of their own, or ended the
            // session. Nothing was wanted, so that nothing is dropped.
            SaveOutcome::Conflict(current) if deed == Deed::Touched => {
                Ok(Step::Done(Ok(match current {
                    Some(record) if record.live().is_none() => Outcome::gone(key, Some(*record)),
                    _ => Outcome::unchanged(Found::Live(self.session.clone())),
                })))
            }
            SaveOutcome::Missing if deed == Deed::Touched => {
                Ok(Step::Done(Ok(Outcome::gone(key, None))))
            }
            SaveOutcome::Missing => Ok(Step::Done(Ok(Outcome::lost(key, None)))),
            SaveOutcome::Conflict(current) => {
                self.conflicts += 1;
                if self.conflicts > MAX_CONFLICTS {
                    return Err(too_many_conflicts());
                }
                match current {
                    Some(record) if self.conflicts == 1 => self.start_again(Some(*record), cx),
                    _ => Ok(Step::Pause(cx.back_off(self.conflicts)?)),
                }
            }
        }
    }

    /// Does the whole log again on what lies in the store now, and decides everything again.
    fn start_again(
        &mut self,
        record: Option<Record>,
        cx: &Context<'_>,
    ) -> Result<Step<Outcome>, Error> {
        let key = self.session.key;
        match record {
            Some(Record {
                version,
                expires_at,
                state: RecordState::Live(live),
            }) if cx.now < expires_at => {
                self.view = self.log.replay(live.data.clone())?;
                self.session = Arc::new(LiveSession {
                    id: self.session.id.clone(),
                    key,
                    version,
                    expires_at,
                    record: live,
                });
                self.write(cx)
            }
            other => Ok(Step::Done(Ok(Outcome::lost(key, other)))),
        }
    }
}
