//! Creating: a session where there was none.

use super::{
    Answer, Call, Context, CookieChange, Deed, Found, LiveSession, MAX_ID_DRAWS, Outcome, Step,
};
use crate::data::SessionData;
use crate::error::{Error, ErrorKind};
use crate::id::SessionRef;
use crate::record::LiveRecord;
use crate::store::{Expect, SaveOutcome};

#[derive(Debug)]
pub(super) struct Create {
    data: SessionData,
    draws: u32,
    saving: Option<LiveSession>,
}

impl Create {
    pub(super) fn new(data: SessionData) -> Self {
        Self {
            data,
            draws: 0,
            saving: None,
        }
    }

    pub(super) fn advance(&mut self, answer: Answer, cx: &Context<'_>) -> Step<Outcome> {
        match (answer, self.saving.take()) {
            (Answer::Ready, _) | (Answer::Saved(SaveOutcome::Conflict(_)), _) => {
                self.draw(cx).into()
            }
            (Answer::Saved(SaveOutcome::Saved), Some(created)) => Step::Done(Ok(Outcome {
                found: Found::Live(created),
                cookie: CookieChange::Send,
                deed: Deed::Created,
                dropped: None,
            })),
            (Answer::Failed(error), _) => Step::fail(error),
            _ => Step::fail(super::broken_contract()),
        }
    }

    /// Saves the session under a new id, unless that id is taken, which 256 random bits never are.
    fn draw(&mut self, cx: &Context<'_>) -> Result<Step<Outcome>, Error> {
        if self.draws == MAX_ID_DRAWS {
            return Err(Error::new(
                ErrorKind::Random,
                "every id that the random generator gave was taken",
            ));
        }
        self.draws += 1;
        let id = cx.new_id()?;
        let handle = SessionRef::generate(cx.random).map_err(super::no_randomness)?;
        let record = LiveRecord::new(self.data.clone(), cx.now, handle);
        let (key, version) = (id.store_key(), cx.new_version()?);
        let expires_at = cx.policy.lifetime.expires_at(&record);
        let session = LiveSession {
            id,
            key,
            version,
            expires_at,
            record,
        };
        let call = Call::Save {
            key,
            record: session.to_record(),
            expect: Expect::Absent,
        };
        self.saving = Some(session);
        Ok(Step::Call(call))
    }
}
