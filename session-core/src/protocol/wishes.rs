//! What a request wants of its session.

use std::sync::Arc;

use super::csrf;
use crate::data::{OpLog, SessionData};
use crate::error::Error;
use crate::store::{Lifetime, LiveRecord, SessionUser, Timestamp};

/// What a request wants of its session, in so far as no commit has seen it. It is taken as a whole when a commit
/// begins.
#[derive(Default, Debug)]
pub(crate) struct Wishes {
    /// The session is to end. The operations are those made afterwards.
    pub(crate) end: bool,
    /// The session is to move to a fresh id.
    pub(crate) rotate: bool,
    /// A user is logged in, which rotates too.
    pub(crate) login: Option<LoginWish>,
    /// The client's id is to be signed anew, as it was signed under a previous secret.
    pub(crate) sign_anew: bool,
    /// What is to be done to the data.
    pub(crate) log: OpLog,
    /// What is to be done to the library's own entries. In a box, as few requests have any such wish.
    pub(crate) reserved: Option<Box<OpLog>>,
}

/// What a login makes of a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct LoginWish {
    pub(crate) user: Arc<SessionUser>,
    /// A lifetime of its own, for a login that is to be remembered. Its session outlives the client's closing.
    pub(crate) remembered: Option<Lifetime>,
}

impl Wishes {
    /// Whether the handler asked for nothing. To sign an id anew isn't the handler's wish.
    pub(crate) fn is_empty(&self) -> bool {
        self.log.is_empty() && self.reserved.is_none() && !self.end && !self.rotates()
    }

    /// Whether the session is to move to a fresh id.
    pub(crate) fn rotates(&self) -> bool {
        self.rotate || self.login.is_some()
    }

    /// The library's own entries as this request wants them, where they were `stored`; `None` if they stay as they are.
    pub(crate) fn changed_reserved(
        &self,
        stored: &SessionData,
    ) -> Result<Option<SessionData>, Error> {
        let Some(log) = &self.reserved else {
            return Ok(None);
        };
        let view = log.replay(stored.clone())?;
        Ok(view.is_changed().then(|| view.encode()))
    }

    /// Does to the library's own entries what this request wants. Where the session gets a new id, they learn of that.
    ///
    /// # Errors
    /// [`ErrorKind::PayloadTooLarge`](crate::ErrorKind::PayloadTooLarge) if there would be too much of them.
    pub(super) fn apply_to_reserved(
        &self,
        record: &mut LiveRecord,
        now: Timestamp,
    ) -> Result<(), Error> {
        if let Some(reserved) = self.changed_reserved(record.reserved())? {
            record.set_reserved(reserved)?;
        }
        match csrf::renewed(record.reserved(), self.renewal(), now) {
            Some(reserved) => record.set_reserved(reserved),
            None => Ok(()),
        }
    }

    /// What becomes of the session's CSRF tokens.
    pub(crate) fn renewal(&self) -> csrf::Renewal {
        match (&self.login, self.rotate) {
            (Some(_), _) => csrf::Renewal::Login,
            (None, true) => csrf::Renewal::Rotation,
            (None, false) => csrf::Renewal::None,
        }
    }
}

impl LoginWish {
    /// Makes the session the user's.
    pub(super) fn apply(&self, record: &mut LiveRecord) {
        record.user = Some(self.user.clone());
        record.lifetime = self.remembered;
        record.persistent = self.remembered.map(|_| true);
    }

    /// Whether it is this user who logs in.
    pub(super) fn is_of(&self, user: Option<&SessionUser>) -> bool {
        user.is_some_and(|user| user.name == self.user.name)
    }
}
