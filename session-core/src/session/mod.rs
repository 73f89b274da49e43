//! What handlers call.

mod key;
mod lifecycle;
mod login;
#[expect(
    clippy::module_inception,
    reason = "the folder is named after what it is about"
)]
mod session;
mod users;
mod values;

pub use key::{Key, KeyName, SessionKey, WriteKey};
pub use login::{Login, MAX_LABEL_LEN, MAX_USER_NAME_LEN};
pub use session::Session;
