//! The options, and the checks that they have to pass.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::checked::{Checked, SessionConfig};
use super::defaults::{
    DEFAULT_ABSOLUTE_TIMEOUT, DEFAULT_GRACE, DEFAULT_MAX_AGE, DEFAULT_PAYLOAD_LIMIT,
    DEFAULT_REMEMBER_MAX_AGE, DEFAULT_STORE_TIMEOUT, MAX_PAYLOAD_LIMIT,
};
use super::path::PathPattern;
use super::policy::{Cap, Policy, WhenFull};
use crate::error::ConfigError;
use crate::events::{DroppedChanges, DroppedHook};
use crate::store::Lifetime;
use crate::transport::{CookieOptions, MIN_SECRET_LEN, SameSite, Secret, Transport};

impl SessionConfig {
    /// Starts a configuration with the secret that signs the cookie: at least 32 bytes that nobody can
    /// guess, such as `openssl rand -base64 48` gives. There is no default secret.
    pub fn builder(secret: impl Into<Secret>) -> SessionConfigBuilder {
        Self::builder_with_secrets([secret])
    }

    /// Starts a configuration with a list of secrets, the current one first: it signs, all of them verify. A
    /// cookie that was signed under any but the first is signed anew with the next response.
    pub fn builder_with_secrets(
        secrets: impl IntoIterator<Item = impl Into<Secret>>,
    ) -> SessionConfigBuilder {
        SessionConfigBuilder {
            secrets: secrets.into_iter().map(Into::into).collect(),
            cookie: CookieOptions::default(),
            host_only: false,
            max_age: DEFAULT_MAX_AGE,
            absolute_timeout: None,
            remember_max_age: DEFAULT_REMEMBER_MAX_AGE,
            cap: None,
            touch_interval: None,
            grace: DEFAULT_GRACE,
            store_timeout: DEFAULT_STORE_TIMEOUT,
            payload_limit: DEFAULT_PAYLOAD_LIMIT,
            excluded: Vec::new(),
            on_dropped: None,
        }
    }
}

/// Collects options; [`build`](Self::build) checks them all.
#[must_use = "call build() to get the configuration"]
pub struct SessionConfigBuilder {
    secrets: Vec<Secret>,
    cookie: CookieOptions,
    host_only: bool,
    max_age: Duration,
    absolute_timeout: Option<Duration>,
    remember_max_age: Duration,
    cap: Option<Cap>,
    touch_interval: Option<Duration>,
    grace: Duration,
    store_timeout: Duration,
    payload_limit: usize,
    excluded: Vec<String>,
    on_dropped: Option<DroppedHook>,
}

impl SessionConfigBuilder {
    /// Adds a secret that was current before: cookies signed under it are still accepted, and signed
    /// anew. Leave it out, and they are rejected at once.
    pub fn previous_secret(mut self, secret: impl Into<Secret>) -> Self {
        self.secrets.push(secret.into());
        self
    }

    /// The cookie's name. Default: `session_id`. It is part of what is signed.
    pub fn cookie_name(mut self, name: impl Into<String>) -> Self {
        self.cookie.name = name.into();
        self
    }

    /// The path below which the browser sends the cookie. Default: `/`.
    pub fn cookie_path(mut self, path: impl Into<String>) -> Self {
        self.cookie.path = path.into();
        self
    }

    /// The domain whose subdomains get the cookie too. Default: none, so that only this host gets it.
    pub fn cookie_domain(mut self, domain: impl Into<String>) -> Self {
        self.cookie.domain = Some(domain.into());
        self
    }

    /// Whether the cookie is sent over HTTPS only (and by most browsers, though not by all, to localhost).
    /// Default: `true`. It never depends on the request.
    pub fn cookie_secure(mut self, secure: bool) -> Self {
        self.cookie.secure = secure;
        self
    }

    /// Whether scripts in the page can't read the cookie. Default: `true`.
    pub fn cookie_httponly(mut self, http_only: bool) -> Self {
        self.cookie.http_only = http_only;
        self
    }

    /// On which requests from other sites the browser sends the cookie. Default: [`SameSite::Lax`].
    pub fn cookie_samesite(mut self, same_site: SameSite) -> Self {
        self.cookie.same_site = same_site;
        self
    }

    /// Whether a cookie in an embedded page belongs to the embedding site too (CHIPS). Default: `false`.
    pub fn cookie_partitioned(mut self, partitioned: bool) -> Self {
        self.cookie.partitioned = partitioned;
        self
    }

    /// Whether the cookie outlives the browser, with a `Max-Age`. Default: `true`. The server's timeouts
    /// hold either way.
    pub fn cookie_persistent(mut self, persistent: bool) -> Self {
        self.cookie.persistent = persistent;
        self
    }

    /// The strictest form in one call: the name gets the prefix `__Host-`, with `Secure`, the path `/`
    /// and no domain, whatever else is said about these. Nothing but this host, over HTTPS, can then set the
    /// cookie.
    pub fn cookie_host_only(mut self) -> Self {
        self.host_only = true;
        self
    }

    /// The idle lifetime: a session that isn't used for this long ends. Default: one hour
    /// ([`DEFAULT_MAX_AGE`]). Resolution: a millisecond; the browser's `Max-Age` is whole seconds,
    /// rounded up, and at most 400 days.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// The absolute lifetime, counted from the session's beginning, however active it is. Default: one
    /// day ([`DEFAULT_ABSOLUTE_TIMEOUT`]), or `max_age` where that is longer.
    pub fn absolute_timeout(mut self, timeout: Duration) -> Self {
        self.absolute_timeout = Some(timeout);
        self
    }

    /// The idle lifetime of a session whose login is [remembered](crate::Login::remember), in place of
    /// `max_age`. Its absolute timeout is the configured one, or this where that is shorter. Default: thirty
    /// days ([`DEFAULT_REMEMBER_MAX_AGE`]).
    pub fn remember_max_age(mut self, max_age: Duration) -> Self {
        self.remember_max_age = max_age;
        self
    }

    /// How many sessions a user may have at once, and what happens to a login beyond that. Default: any
    /// number. The store needs an index of sessions by user.
    pub fn max_sessions_per_user(mut self, max: usize, when_full: WhenFull) -> Self {
        self.cap = Some(Cap { max, when_full });
        self
    }

    /// How much time passes before activity is written down again, and the cookie sent again with it.
    /// Default: a tenth of `max_age`. Zero writes on every use; an interval above `max_age` never comes, so that
    /// a session ends `max_age` after it began, however active it is.
    pub fn touch_interval(mut self, interval: Duration) -> Self {
        self.touch_interval = Some(interval);
        self
    }

    /// For how long a request that comes with an ended or rotated id counts as one that was under way,
    /// and gets no new session. Default: one minute ([`DEFAULT_GRACE`]).
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The deadline over all store calls of one load or one commit. Default: five seconds
    /// ([`DEFAULT_STORE_TIMEOUT`]).
    pub fn store_timeout(mut self, timeout: Duration) -> Self {
        self.store_timeout = timeout;
        self
    }

    /// The most JSON that a session may hold, in bytes. Default: 64 KiB ([`DEFAULT_PAYLOAD_LIMIT`]).
    pub fn payload_limit(mut self, bytes: usize) -> Self {
        self.payload_limit = bytes;
        self
    }

    /// A path without a session: `/health` excludes exactly that, `/static/*` everything below `/static/`
    /// and `/static` itself. Compared with the request's original path as the client sent it, unless a
    /// middleware further out has rewritten that.
    pub fn exclude_path(mut self, path: impl Into<String>) -> Self {
        self.excluded.push(path.into());
        self
    }

    /// Several paths at once, each as for [`exclude_path`](Self::exclude_path).
    pub fn exclude_paths(mut self, paths: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.excluded.extend(paths.into_iter().map(Into::into));
        self
    }

    /// Called when a request's changes were dropped, because its session was ended or rotated by another
    /// request. Default: none; there is a `tracing` event in any case. The hook runs on the request's own
    /// task: it must be quick and must not panic.
    pub fn on_dropped(mut self, hook: impl Fn(&DroppedChanges) + Send + Sync + 'static) -> Self {
        self.on_dropped = Some(Arc::new(hook));
        self
    }

    /// Checks everything and derives the keys. The error says what to change.
    pub fn build(mut self) -> Result<SessionConfig, ConfigError> {
        if self.host_only {
            self.cookie.name = format!("__Host-{}", self.cookie.name);
            self.cookie.secure = true;
            self.cookie.path = "/".to_owned();
            self.cookie.domain = None;
        }
        self.check_secrets()?;
        let lifetime = self.check_lifetime()?;
        if self.store_timeout.is_zero() {
            return Err(ConfigError::new(
                "store_timeout is zero: no store call would ever be in time",
            ));
        }
        if self.payload_limit > MAX_PAYLOAD_LIMIT {
            return Err(ConfigError::new(format!(
                "payload_limit is {} bytes: choose at most {MAX_PAYLOAD_LIMIT} (64 MiB), \
                 and keep large things elsewhere",
                self.payload_limit
            )));
        }
        if self.cap.is_some_and(|cap| cap.max == 0) {
            return Err(ConfigError::new(
                "max_sessions_per_user is zero: nobody could log in; allow at least one",
            ));
        }
        if self.remember_max_age.is_zero() {
            return Err(ConfigError::new(
                "remember_max_age is zero: remembered logins would end at once; choose a longer one",
            ));
        }
        let remembered_absolute = lifetime.absolute().max(self.remember_max_age);
        let policy = Policy {
            lifetime,
            remembered: Lifetime::new(self.remember_max_age, remembered_absolute),
            touch_interval: self.touch_interval.unwrap_or(self.max_age / 10),
            grace: self.grace,
            payload_limit: self.payload_limit,
            cap: self.cap,
            store_timeout: self.store_timeout,
            entry_grace: self.store_timeout.saturating_mul(4),
        };
        let transport = Transport::cookie(&self.cookie, &self.secrets)?;
        let patterns = self.excluded.iter().map(|path| PathPattern::parse(path));
        let excluded = patterns.collect::<Result<_, _>>()?;
        Ok(SessionConfig::new(Checked {
            transport,
            policy,
            excluded,
            on_dropped: self.on_dropped,
        }))
    }

    fn check_secrets(&self) -> Result<(), ConfigError> {
        if self.secrets.is_empty() {
            return Err(ConfigError::new(
                "there is no secret: pass at least one, the current one first",
            ));
        }
        for (position, secret) in self.secrets.iter().enumerate() {
            let len = secret.expose().len();
            if len < MIN_SECRET_LEN {
                return Err(ConfigError::new(format!(
                    "secret number {} has {len} bytes, which can be guessed: use at least {MIN_SECRET_LEN}, \
                     for example from `openssl rand -base64 48`",
                    position + 1
                )));
            }
            if self.secrets[..position].contains(secret) {
                return Err(ConfigError::new(format!(
                    "secret number {} is the same as an earlier one: leave it out, \
                     or pass the secret that was current before",
                    position + 1
                )));
            }
        }
        Ok(())
    }

    fn check_lifetime(&self) -> Result<Lifetime, ConfigError> {
        let idle = self.max_age;
        if idle.is_zero() {
            return Err(ConfigError::new(
                "max_age is zero: sessions would end at once; choose a longer one",
            ));
        }
        let absolute = self
            .absolute_timeout
            .unwrap_or(DEFAULT_ABSOLUTE_TIMEOUT.max(idle));
        if idle > absolute {
            return Err(ConfigError::new(format!(
                "max_age ({idle:?}, the idle lifetime) is longer than absolute_timeout ({absolute:?}): \
                 lower max_age or raise absolute_timeout"
            )));
        }
        Ok(Lifetime::new(idle, absolute))
    }
}

impl fmt::Debug for SessionConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionConfigBuilder")
            .field("cookie", &self.cookie)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
