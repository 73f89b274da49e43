//! What an application says when a user logs in.

use std::sync::Arc;

use crate::config::Policy;
use crate::protocol::LoginWish;
use crate::store::{SessionUser, Timestamp};

/// A login: the user's name, and whether this browser is to be remembered.
///
/// ```
/// use session_core::Login;
///
/// let login = Login::new("ada").remember(true).label("Firefox on Linux");
/// # let _ = login;
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Login {
    user: Arc<str>,
    remember: bool,
    label: Option<Arc<str>>,
}

impl Login {
    /// The login of the user with this name: whatever the application knows its users by, and never changes.
    pub fn new(user: impl Into<Arc<str>>) -> Self {
        Self {
            user: user.into(),
            remember: false,
            label: None,
        }
    }

    /// Whether the session lives as long as
    /// [`remember_max_age`](crate::SessionConfigBuilder::remember_max_age) says, instead of `max_age`. Default:
    /// `false`.
    #[must_use]
    pub fn remember(mut self, remember: bool) -> Self {
        self.remember = remember;
        self
    }

    /// What the list of the user's sessions shows for this one, such as a description of the device. Default:
    /// nothing; no property of the request is ever stored by itself.
    #[must_use]
    pub fn label(mut self, label: impl Into<Arc<str>>) -> Self {
        self.label = Some(label.into());
        self
    }

    pub(super) fn into_wish(self, authenticated_at: Timestamp, policy: &Policy) -> LoginWish {
        let user = SessionUser::new(self.user, authenticated_at).with_label(self.label);
        LoginWish {
            user: Arc::new(user),
            lifetime: self.remember.then_some(policy.remembered),
        }
    }
}

impl From<&str> for Login {
    fn from(user: &str) -> Self {
        Self::new(user)
    }
}

impl From<String> for Login {
    fn from(user: String) -> Self {
        Self::new(user)
    }
}

impl From<&String> for Login {
    fn from(user: &String) -> Self {
        Self::new(user.as_str())
    }
}
