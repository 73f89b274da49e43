//! What carries the id: the cookie, or a token in a header.

use super::SessionConfigBuilder;
use crate::error::ConfigError;
use crate::transport::{CookieOptions, CookieScope, TokenOptions, Transport};

/// What was said about the token.
#[derive(Default, Debug)]
pub(super) struct ConfiguredToken {
    is_bearer: bool,
    header: Option<String>,
    response_header: Option<String>,
}

impl SessionConfigBuilder {
    /// Ids travel as a token in the request header `Authorization: Bearer TOKEN` in place of a cookie, for clients that
    /// keep no cookies, such as apps and programs. Default: a cookie.
    ///
    /// Everything else is as with the cookie: the token is new with each rotation, and a response carries it when the
    /// cookie would be sent, in the header `Session-Token` ([`token_response_header`](Self::token_response_header)). The
    /// client then uses that one. An empty value says that there is none any more. How long the client keeps a token is
    /// its own affair; the session's lifetimes hold on the server. A token is never read from the URL or the body, a
    /// cookie's value is no token, and a token is no cookie.
    ///
    /// The options of the cookie would do nothing, so that [`build`](Self::build) refuses them. An application that wants
    /// both, the cookie for browsers and the token for others, has two sessions, one of them with a name of its own.
    ///
    /// Scripts of a page of another origin see the response header only if the application says so with
    /// `Access-Control-Expose-Headers`. Whatever a script can read, one that was smuggled in can too: in browsers the
    /// cookie is safer.
    ///
    /// ```
    /// use session_core::SessionConfig;
    ///
    /// let config = SessionConfig::builder("not a secret: it stands in the documentation")
    ///     .bearer_token()
    ///     .build()?;
    /// # Ok::<(), session_core::ConfigError>(())
    /// ```
    pub fn bearer_token(mut self) -> Self {
        self.token.is_bearer = true;
        self
    }

    /// As [`bearer_token`](Self::bearer_token), with the bare token as the value of the request header `name`, such as
    /// `x-session`. The header's name is signed with the id, so that another name makes the tokens that are out there
    /// worthless.
    pub fn token_header(mut self, name: impl Into<String>) -> Self {
        self.token.header = Some(name.into());
        self
    }

    /// The response header that a token goes out in. Default: `Session-Token`.
    pub fn token_response_header(mut self, name: impl Into<String>) -> Self {
        self.token.response_header = Some(name.into());
        self
    }

    /// What carries the id, once its options have passed every check.
    pub(super) fn transport(&self) -> Result<Transport, ConfigError> {
        let ConfiguredToken {
            is_bearer,
            header,
            response_header,
        } = &self.token;
        match (is_bearer, header) {
            (true, Some(header)) => Err(ConfigError::new(format!(
                "bearer_token() and token_header({header:?}) are two places for one token: leave one of them out"
            ))),
            (false, None) if response_header.is_some() => Err(ConfigError::new(
                "token_response_header is set, and ids travel in a cookie: call bearer_token() or token_header(), or \
                 leave it out",
            )),
            (false, None) => Transport::cookie(&self.cookie_options(), &self.secrets),
            (true, None) | (false, Some(_)) => {
                self.check_that_no_cookie_is_meant()?;
                let options = TokenOptions {
                    read_from: header.clone(),
                    sent_in: response_header.clone(),
                };
                Transport::token(&options, &self.secrets)
            }
        }
    }

    fn cookie_options(&self) -> CookieOptions {
        let mut options = self.cookie.clone();
        if self.host_only {
            options.name = format!("__Host-{}", options.name);
            options.secure = true;
            options.scope = CookieScope::default();
        }
        options
    }

    fn check_that_no_cookie_is_meant(&self) -> Result<(), ConfigError> {
        let mut meant = changed(&self.cookie);
        meant.extend(self.host_only.then_some("cookie_host_only"));
        if meant.is_empty() {
            return Ok(());
        }
        Err(ConfigError::new(format!(
            "ids travel in a token, for which {} means nothing: leave that out, or configure a second session for the \
             cookie",
            meant.join(", ")
        )))
    }
}

/// The options that aren't as they are by default, by the names of their methods.
fn changed(options: &CookieOptions) -> Vec<&'static str> {
    let default = CookieOptions::default();
    let changed = [
        ("cookie_name", options.name != default.name),
        ("cookie_path", options.scope.path != default.scope.path),
        ("cookie_domain", options.scope.domain.is_some()),
        ("former_cookie_scope", !options.former_scopes.is_empty()),
        ("cookie_secure", options.secure != default.secure),
        ("cookie_httponly", options.http_only != default.http_only),
        ("cookie_samesite", options.same_site != default.same_site),
        (
            "cookie_partitioned",
            options.partitioned != default.partitioned,
        ),
        (
            "cookie_persistent",
            options.persistent != default.persistent,
        ),
    ];
    let changed = changed.into_iter().filter(|(_, is_changed)| *is_changed);
    changed.map(|(option, _)| option).collect()
}
