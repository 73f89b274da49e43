//! What opening and committing a session mean in store calls: one `async fn` a story, over one small `io`.
//!
//! ```text
//! open         what the ids of a request lead to
//! commit       what the end of a request means, which is one or two of:
//!   insert       a session under a fresh id, for one that begins and for one that is rotated
//!   update       changes, or mere activity, of a session that stays under its id
//!     queue        updates of one session that met a conflict are tried one after the other
//!   rotate       a session moves to a fresh id
//!   login        a user's session begins, where a visitor's was or where there was none
//!   end          a session ends, whichever of its ids is known
//!   index        an id is added to the list of a user's sessions, and room made for it
//! csrf         what becomes of a session's CSRF tokens when it moves, and where a late request's are good
//! refresh      what others have made of a session that is used after its response
//! users        a user's sessions are listed, and ended from elsewhere
//!   look_through which entries of such a list lead to live sessions
//! ```
//!
//! No story knows a framework, a transport, or what a store is made of; time, randomness and the store come in through
//! [`io`]. So tests can run every interleaving of them, and can drop them at every `.await`.

mod commit;
pub(crate) mod csrf;
mod end;
mod found;
mod index;
mod insert;
mod io;
mod login;
mod look_through;
mod open;
mod outcome;
mod queue;
mod refresh;
mod rotate;
mod update;
mod users;
mod wishes;

pub use users::SessionInfo;

pub(crate) use commit::{Commit, commit};
pub(crate) use found::{Found, LiveSession, StoredSession};
pub(crate) use io::{Environment, in_time};
pub(crate) use open::{Opened, open};
pub(crate) use outcome::{ClientChange, Outcome};
pub(crate) use queue::Queues;
pub(crate) use refresh::{note_activity, refresh};
pub(crate) use users::{Which, end_sessions, list_sessions};
pub(crate) use wishes::{LoginWish, Wishes};
