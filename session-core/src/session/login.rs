//! What an application says when a user logs in.

use std::sync::Arc;

use crate::config::Policy;
use crate::error::{Error, ErrorKind};
use crate::protocol::LoginWish;
use crate::store::{SessionUser, Timestamp};

/// The longest user name that a login takes: 1 KiB. It is read from the store with each use of the session, and whoever
/// needs more than that for a name has put something else into it.
pub const MAX_USER_NAME_LEN: usize = 1024;

/// The longest label that a login takes: 1 KiB. A list of devices shows a line of it; browsers' descriptions of
/// themselves, which applications like to take for one, stay well below that.
pub const MAX_LABEL_LEN: usize = 1024;

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
    /// The login of the user with this name: whatever the application knows its users by, and never changes. At most
    /// [`MAX_USER_NAME_LEN`] bytes.
    pub fn new(user: impl Into<Arc<str>>) -> Self {
        Self {
            user: user.into(),
            remember: false,
            label: None,
        }
    }

    /// Whether the session lives as long as
    /// [`remember_max_age`](crate::SessionConfigBuilder::remember_max_age) and
    /// [`remember_absolute_timeout`](crate::SessionConfigBuilder::remember_absolute_timeout) say, instead of `max_age` and
    /// `absolute_timeout`. Its cookie outlives the browser, also where those of others don't. Default: `false`.
    #[must_use]
    pub fn remember(mut self, remember: bool) -> Self {
        self.remember = remember;
        self
    }

    /// What the list of the user's sessions shows for this one, such as a description of the device. Default:
    /// nothing; no property of the request is ever stored by itself. At most [`MAX_LABEL_LEN`] bytes.
    #[must_use]
    pub fn label(mut self, label: impl Into<Arc<str>>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// # Errors
    /// [`ErrorKind::PayloadTooLarge`] if the name or the label is too long.
    pub(super) fn check(&self) -> Result<(), Error> {
        check_len("user name", &self.user, MAX_USER_NAME_LEN)?;
        let label = self.label.as_deref().unwrap_or_default();
        check_len("label", label, MAX_LABEL_LEN)
    }

    pub(super) fn into_wish(self, authenticated_at: Timestamp, policy: &Policy) -> LoginWish {
        let user = SessionUser::new(self.user, authenticated_at).with_label(self.label);
        LoginWish {
            user: Arc::new(user),
            remembered: self.remember.then_some(policy.remembered),
        }
    }
}

fn check_len(what: &str, text: &str, max: usize) -> Result<(), Error> {
    match text.len() {
        len if len > max => {
            let message = format!("a login's {what} has {len} bytes; its limit is {max}");
            Err(Error::new(ErrorKind::PayloadTooLarge, message))
        }
        _ => Ok(()),
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
