//! What the CSRF middleware asks of requests.

use super::path::{PathPattern, as_routed};
use crate::error::ConfigError;

/// What the adapters' CSRF middleware asks of requests. The default protects every path.
///
/// ```
/// use session_core::CsrfConfig;
///
/// # fn config() -> Result<CsrfConfig, session_core::ConfigError> {
/// CsrfConfig::builder()
///     .exclude_path("/webhooks/*")
///     .trusted_origin("https://accounts.example.com")
///     .build()
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CsrfConfig {
    pub(crate) header: String,
    pub(crate) field: String,
    pub(crate) protected: Option<Vec<PathPattern>>,
    pub(crate) excluded: Vec<PathPattern>,
    pub(crate) trusted_origins: Vec<String>,
}

/// Collects the options of a [`CsrfConfig`]; [`build`](Self::build) checks them all.
#[derive(Clone, Debug)]
#[must_use = "call build() to get the configuration"]
pub struct CsrfConfigBuilder {
    header: String,
    field: String,
    protected: Vec<String>,
    excluded: Vec<String>,
    trusted_origins: Vec<String>,
}

impl CsrfConfig {
    /// Starts a configuration.
    pub fn builder() -> CsrfConfigBuilder {
        CsrfConfigBuilder {
            header: "x-csrf-token".to_owned(),
            field: "csrf_token".to_owned(),
            protected: Vec::new(),
            excluded: Vec::new(),
            trusted_origins: Vec::new(),
        }
    }

    /// Whether requests for `path` need a token, if their method changes something.
    ///
    /// A path is excluded only as it was sent, and protected also as a router may understand it: otherwise `/%61ccount`
    /// would pass by what protects `/account`.
    pub(crate) fn protects(&self, path: &str) -> bool {
        let is_among =
            |patterns: &[PathPattern], path: &str| patterns.iter().any(|one| one.matches(path));
        if is_among(&self.excluded, path) {
            return false;
        }
        let Some(protected) = &self.protected else {
            return true;
        };
        is_among(protected, &as_routed(path))
    }
}

impl Default for CsrfConfig {
    fn default() -> Self {
        Self {
            header: "x-csrf-token".to_owned(),
            field: "csrf_token".to_owned(),
            protected: None,
            excluded: Vec::new(),
            trusted_origins: Vec::new(),
        }
    }
}

impl CsrfConfigBuilder {
    /// The request header in which scripts send the token. Default: `X-CSRF-Token`.
    pub fn header(mut self, name: impl Into<String>) -> Self {
        self.header = name.into();
        self
    }

    /// The field of a form in which the token comes. Default: `csrf_token`. Only forms of the type
    /// `application/x-www-form-urlencoded` are looked into; others send the header.
    pub fn field(mut self, name: impl Into<String>) -> Self {
        self.field = name.into();
        self
    }

    /// Protects this path, and others only if they are named too: `/account` is one path, `/account/*` is that and
    /// everything below. Default: every path is protected, which forgets none.
    pub fn protect_path(mut self, path: impl Into<String>) -> Self {
        self.protected.push(path.into());
        self
    }

    /// Leaves a path unprotected, in the same form: one that others than browsers post to, and that looks at no cookie.
    pub fn exclude_path(mut self, path: impl Into<String>) -> Self {
        self.excluded.push(path.into());
        self
    }

    /// Another site whose pages may post here with a token, such as `https://accounts.example.com`: scheme, host, and the
    /// port where it isn't the usual one. Default: none, and a request from another site is refused whatever it brings.
    pub fn trusted_origin(mut self, origin: impl Into<String>) -> Self {
        self.trusted_origins.push(origin.into());
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    /// If a path, a name or an origin isn't usable. The error says what to change.
    pub fn build(self) -> Result<CsrfConfig, ConfigError> {
        let header = self.header.to_ascii_lowercase();
        if http::HeaderName::from_bytes(header.as_bytes()).is_err() {
            return Err(ConfigError::new(format!(
                "{header:?} is no name of a header: choose letters, digits and hyphens"
            )));
        }
        if self.field.is_empty() {
            return Err(ConfigError::new(
                "the form field for the CSRF token has no name: choose one such as \"csrf_token\"",
            ));
        }
        if matches!(
            &*header,
            "cookie" | "host" | "origin" | "content-type" | "authorization" | "sec-fetch-site"
        ) {
            return Err(ConfigError::new(format!(
                "the header {header:?} means something else: choose another for the CSRF token, such as \"X-CSRF-Token\""
            )));
        }
        let parse = |paths: &[String]| -> Result<Vec<_>, _> {
            paths.iter().map(|path| PathPattern::parse(path)).collect()
        };
        let trusted_origins = self.trusted_origins.iter().map(|origin| check(origin));
        Ok(CsrfConfig {
            header,
            field: self.field,
            protected: match self.protected.is_empty() {
                true => None,
                false => {
                    let protected = parse(&self.protected)?.into_iter();
                    Some(protected.map(PathPattern::routed).collect())
                }
            },
            excluded: parse(&self.excluded)?,
            trusted_origins: trusted_origins.collect::<Result<_, _>>()?,
        })
    }
}

/// An origin as browsers send it.
fn check(origin: &str) -> Result<String, ConfigError> {
    let host = origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"));
    // Browsers leave the usual port out.
    let usual_port = match origin.starts_with("https") {
        true => ":443",
        false => ":80",
    };
    let is_usable = host.is_some_and(|host| {
        let is_name = host.is_ascii() && !host.contains(['/', '?', '#', '@', '*', ' ']);
        is_name && !host.is_empty() && !host.ends_with(usual_port)
    });
    match is_usable {
        true => Ok(origin.to_ascii_lowercase()),
        false => Err(ConfigError::new(format!(
            "{origin:?} is no origin: write scheme and host, such as \"https://accounts.example.com\", without a path \
             or the usual port"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(builder: CsrfConfigBuilder) -> bool {
        builder.build().is_err()
    }

    /// What would never match, or always, doesn't start.
    #[test]
    fn options_are_checked() {
        let builder = CsrfConfig::builder;
        for origin in [
            "accounts.example.com",
            "https://",
            "https://a.example/",
            "https://*.example",
            "ftp://a.example",
            "https://a.example:443",
            "http://a.example:80",
            "https://ä.example",
        ] {
            assert!(errors(builder().trusted_origin(origin)), "{origin}");
        }
        assert!(errors(builder().header("x csrf")));
        assert!(errors(builder().header("Cookie")));
        assert!(errors(builder().field("")));
        assert!(errors(builder().exclude_path("webhooks")));
        assert!(errors(builder().protect_path("*")));
        let config = builder()
            .header("X-Token")
            .trusted_origin("https://A.example:8443")
            .build()
            .unwrap();
        assert_eq!(config.header, "x-token");
        assert_eq!(config.trusted_origins, ["https://a.example:8443"]);
    }

    /// CS-1: paths are protected unless they are excluded, or others are named.
    #[test]
    fn paths_are_protected_unless_excluded() {
        let all = CsrfConfig::builder().exclude_path("/hooks/*").build();
        let all = all.unwrap();
        assert!(all.protects("/") && all.protects("/account"));
        assert!(!all.protects("/hooks/1"));
        let some = CsrfConfig::builder()
            .protect_path("/account/*")
            .exclude_path("/account/hook")
            .build()
            .unwrap();
        assert!(some.protects("/account/email"));
        assert!(!some.protects("/") && !some.protects("/account/hook"));
        for other in [
            "/%61ccount/email",
            "//account///email",
            "/account%2Femail",
            "/account/email/",
            "/account/%68ook",
            "/account/",
        ] {
            assert!(some.protects(other), "{other}");
        }
        assert!(all.protects("/%68ooks/1"));
        // However a pattern is written, and however a middleware further in makes paths alike.
        for (pattern, path) in [
            ("/", "//"),
            ("/account/", "/account"),
            ("/account/", "//account/"),
            ("/caf%C3%A9", "/caf%c3%a9"),
            ("/*", "/anything"),
        ] {
            let one = CsrfConfig::builder().protect_path(pattern).build().unwrap();
            assert!(one.protects(pattern.trim_end_matches('*')), "{pattern}");
            assert!(one.protects(path), "{pattern} {path}");
        }
    }
}
