//! What a request wants of its session.

use std::sync::Arc;

use crate::data::OpLog;
use crate::store::{Lifetime, LiveRecord, SessionUser};

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
        self.log.is_empty() && !self.end && !self.rotates()
    }

    /// Whether the session is to move to a fresh id.
    pub(crate) fn rotates(&self) -> bool {
        self.rotate || self.login.is_some()
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
