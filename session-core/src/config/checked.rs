//! A configuration that has passed every check.

use std::fmt;
use std::sync::Arc;

use super::path::PathPattern;
use super::policy::Policy;
use crate::events::DroppedHook;
use crate::transport::{CsrfKeys, Transport};

/// A configuration that has passed every check. Cloning is cheap.
#[derive(Clone)]
pub struct SessionConfig(Arc<Checked>);

pub(super) struct Checked {
    pub(super) transport: Transport,
    pub(super) csrf_keys: CsrfKeys,
    pub(super) policy: Policy,
    pub(super) excluded: Vec<PathPattern>,
    pub(super) on_dropped: Option<DroppedHook>,
}

impl SessionConfig {
    pub(super) fn new(checked: Checked) -> Self {
        Self(Arc::new(checked))
    }

    /// Whether requests for `path` get no session. `path` is the request's original path, as the client
    /// sent it: not percent-decoded, and with nothing stripped by nested routers.
    pub fn is_excluded(&self, path: &str) -> bool {
        self.0.excluded.iter().any(|pattern| pattern.matches(path))
    }

    /// The cookie's name; nothing if ids travel in a token ([`bearer_token`](crate::SessionConfigBuilder::bearer_token)).
    pub fn cookie_name(&self) -> Option<&str> {
        self.0.transport.cookie_name()
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.0.transport
    }

    pub(crate) fn csrf_keys(&self) -> &CsrfKeys {
        &self.0.csrf_keys
    }

    pub(crate) fn policy(&self) -> &Policy {
        &self.0.policy
    }

    pub(crate) fn on_dropped(&self) -> Option<&DroppedHook> {
        self.0.on_dropped.as_ref()
    }
}

impl fmt::Debug for SessionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Checked {
            transport,
            policy,
            excluded,
            csrf_keys: _,
            on_dropped: _,
        } = &*self.0;
        f.debug_struct("SessionConfig")
            .field("transport", transport)
            .field("policy", policy)
            .field("excluded", excluded)
            .finish_non_exhaustive()
    }
}
