//! What handlers call.

mod csrf;
mod draft;
mod flash;
mod key;
mod lifecycle;
mod login;
#[expect(
    clippy::module_inception,
    reason = "the folder is named after what it is about"
)]
mod session;
mod step_up;
mod typed;
mod users;
mod values;

pub use csrf::CsrfToken;
pub use draft::Draft;
pub use flash::{Flash, FlashLevel, MAX_FLASH_LEN};
pub use key::{Key, KeyName, SessionKey, WriteKey};
pub use login::{Login, MAX_LABEL_LEN, MAX_USER_NAME_LEN};
pub use session::Session;
pub use typed::{Place, Typed, TypedData};
