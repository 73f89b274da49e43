//! Paths without a session.

use percent_encoding::percent_decode_str;

use crate::error::ConfigError;

/// A path, or all below one: those without a session, for example.
#[derive(Clone, Debug)]
pub(crate) struct PathPattern {
    path: String,
    and_below: bool,
}

impl PathPattern {
    pub(super) fn parse(pattern: &str) -> Result<Self, ConfigError> {
        let (path, and_below) = match pattern.strip_suffix("/*") {
            Some(path) => (path, true),
            None => (pattern, false),
        };
        let starts = path.starts_with('/') || (and_below && path.is_empty());
        if !starts || path.contains(['*', '?', '#']) {
            return Err(ConfigError::new(format!(
                "path {pattern:?} is not usable: write \"/health\" for one path \
                 or \"/static/*\" for everything below one"
            )));
        }
        Ok(Self {
            path: path.to_owned(),
            and_below,
        })
    }

    /// The same pattern for paths as routers may make them.
    pub(super) fn routed(self) -> Self {
        Self {
            path: as_routed(&self.path),
            ..self
        }
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        match path.strip_prefix(&self.path) {
            Some(rest) => rest.is_empty() || (self.and_below && rest.starts_with('/')),
            None => false,
        }
    }
}

/// A path as routers and middlewares may make it: percent-decoded, with several slashes as one, and none at the end.
pub(super) fn as_routed(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let parts = decoded.split('/').filter(|part| !part.is_empty());
    parts.flat_map(|part| ["/", part]).collect()
}
