//! Who a session belongs to: logins, and what can be said about a user's sessions.

use std::sync::Arc;

use crate::id::SessionRef;
use crate::record::{LiveRecord, UserBinding};
use crate::time::Timestamp;

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

    pub(crate) fn is_remembered(&self) -> bool {
        self.remember
    }

    pub(crate) fn into_binding(self, authenticated_at: Timestamp) -> UserBinding {
        UserBinding {
            name: self.user,
            authenticated_at,
            label: self.label,
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

/// One of a user's sessions, as a list of devices shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Names the session. It is no credential, and stays the same over rotation.
    pub reference: SessionRef,
    /// Whether it is the session that asks.
    pub is_current: bool,
    /// When the session began, which may have been before the login.
    pub created_at: Timestamp,
    /// The last activity that was written down: up to a tenth of `max_age` older than the last use.
    pub last_active_at: Timestamp,
    /// When the user logged in.
    pub authenticated_at: Timestamp,
    /// What the application said about it at login.
    pub label: Option<Arc<str>>,
}

impl SessionInfo {
    /// What is known about a live session; none if it belongs to nobody.
    pub(crate) fn of(live: &LiveRecord, current: Option<SessionRef>) -> Option<Self> {
        let user = live.user.as_ref()?;
        Some(Self {
            reference: live.handle,
            is_current: current == Some(live.handle),
            created_at: live.created_at,
            last_active_at: live.last_active_at,
            authenticated_at: user.authenticated_at,
            label: user.label.clone(),
        })
    }
}
