//! One request's sessions, from entering to the response.

mod finished;
mod handle;
mod load;
mod run;
mod sessions;
mod shared;
mod state;

pub use finished::Finished;
pub use handle::SessionHandle;
pub use load::Load;
pub use run::Run;
pub use sessions::{Main, RequestSessions};
pub use shared::CommitStatus;
pub use state::Refreshed;

pub(crate) use shared::Shared;
pub(crate) use state::RequestState;
