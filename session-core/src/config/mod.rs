//! The configuration: every option, its default and the reason for it, and the checks.

mod builder;
mod checked;
mod csrf;
mod defaults;
mod path;
mod policy;

pub use builder::SessionConfigBuilder;
pub use checked::SessionConfig;
pub use csrf::{CsrfConfig, CsrfConfigBuilder};
pub use defaults::{
    DEFAULT_ABSOLUTE_TIMEOUT, DEFAULT_CLOCK_TOLERANCE, DEFAULT_GRACE, DEFAULT_MAX_AGE,
    DEFAULT_MAX_SESSIONS_PER_USER, DEFAULT_PAYLOAD_LIMIT, DEFAULT_REMEMBER_ABSOLUTE_TIMEOUT,
    DEFAULT_REMEMBER_MAX_AGE, DEFAULT_STORE_TIMEOUT, MAX_PAYLOAD_LIMIT,
};
pub use policy::WhenFull;

pub(crate) use policy::{Cap, Policy};
