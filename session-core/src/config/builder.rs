//! The options, and the checks that they have to pass.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::checked::{Checked, SessionConfig};
use super::defaults::{
    DEFAULT_ABSOLUTE_TIMEOUT, DEFAULT_CLOCK_TOLERANCE, DEFAULT_GRACE, DEFAULT_MAX_AGE,
    DEFAULT_MAX_SESSIONS_PER_USER, DEFAULT_PAYLOAD_LIMIT, DEFAULT_REMEMBER_ABSOLUTE_TIMEOUT,
    DEFAULT_REMEMBER_MAX_AGE, DEFAULT_STORE_TIMEOUT, MAX_PAYLOAD_LIMIT,
};
use super::path::PathPattern;
use super::policy::{Cap, Policy, WhenFull};
use crate::error::ConfigError;
use crate::events::{DroppedChanges, DroppedHook};
use crate::store::Lifetime;
use crate::transport::{CookieOptions, CookieScope, CsrfKeys, MIN_SECRET_LEN, SameSite, Secret};
use token::ConfiguredToken;

impl SessionConfig {
    /// Starts a configuration with the secret that signs the cookie or the token: at least 32 bytes that nobody can
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
            token: ConfiguredToken::default(),
            max_age: DEFAULT_MAX_AGE,
            absolute_timeout: None,
            remember_max_age: DEFAULT_REMEMBER_MAX_AGE,
            remember_absolute_timeout: None,
            kind: None,
            cap: ConfiguredCap::Default,
            touch_interval: None,
            grace: DEFAULT_GRACE,
            clock_tolerance: DEFAULT_CLOCK_TOLERANCE,
            store_timeout: DEFAULT_STORE_TIMEOUT,
            payload_limit: DEFAULT_PAYLOAD_LIMIT,
            excluded: Vec::new(),
            on_dropped: None,
        }
    }
}

/// How many sessions a user may have, as the application said it.
enum ConfiguredCap {
    Default,
    None,
    Max(Cap),
}

/// Collects options; [`build`](Self::build) checks them all.
#[must_use = "call build() to get the configuration"]
pub struct SessionConfigBuilder {
    secrets: Vec<Secret>,
    cookie: CookieOptions,
    host_only: bool,
    token: ConfiguredToken,
    max_age: Duration,
    absolute_timeout: Option<Duration>,
    remember_max_age: Duration,
    remember_absolute_timeout: Option<Duration>,
    kind: Option<String>,
    cap: ConfiguredCap,
    touch_interval: Option<Duration>,
    grace: Duration,
    clock_tolerance: Duration,
    store_timeout: Duration,
    payload_limit: usize,
    excluded: Vec<String>,
    on_dropped: Option<DroppedHook>,
}

impl SessionConfigBuilder {
    /// Adds a secret that was current before: cookies signed under it are still accepted, and signed
    /// anew. Leave it out, and they are rejected at once.
    ///
    /// A new secret goes to a fleet of servers in this order, and nobody is signed out:
    ///
    /// 1. All servers get the new secret as a previous one: `builder(old).previous_secret(new)`. They understand what
    ///    others will sign with it, and go on signing with the old one.
    /// 2. When no server is left without it, all get `builder(new).previous_secret(old)`. Cookies are signed anew
    ///    as their visitors come.
    /// 3. When the idle lifetime ([`max_age`](Self::max_age), or [`remember_max_age`](Self::remember_max_age) where
    ///    logins are remembered) has passed since the last server of the first step stopped, the old one is left out.
    ///
    /// With the first step left out, servers that lack the new secret take visitors for strangers.
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
        self.cookie.scope.path = path.into();
        self
    }

    /// The domain whose subdomains get the cookie too. Default: none, so that only this host gets it.
    pub fn cookie_domain(mut self, domain: impl Into<String>) -> Self {
        self.cookie.scope.domain = Some(domain.into());
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
    /// hold either way. That of a [remembered](crate::Login::remember) login outlives it in any case.
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

    /// A domain and path that the cookie had before; none as the domain for a cookie of the host alone. Call it once
    /// for each. Default: none.
    ///
    /// Say it when you change [`cookie_domain`](Self::cookie_domain) or [`cookie_path`](Self::cookie_path). To a browser
    /// the same name with another domain or path is another cookie: it keeps the one that it has, and sends both from
    /// then on. If both lead to a live session, neither is used. So each response that carries our cookie, or takes it
    /// away, also takes away the one in each former scope, by a Set-Cookie beside it. A response that leaves the cookie
    /// alone leaves the former ones alone too, and the sessions that they lead to go on.
    ///
    /// The removal is sent with the name and the other attributes that the cookie has now. A cookie without a domain is
    /// removed by the host that set it, and by no other.
    ///
    /// Take it out again when no browser has such a cookie any more: when the idle lifetime
    /// ([`max_age`](Self::max_age), or [`remember_max_age`](Self::remember_max_age) where logins are remembered) has
    /// passed since the last server stopped that set it. By then each session has sent its cookie anew or has ended.
    ///
    /// ```
    /// use session_core::SessionConfig;
    ///
    /// // Until this release, the cookie was for the host that set it, below /shop.
    /// let config = SessionConfig::builder("not a secret: it stands in the documentation")
    ///     .cookie_domain("example.com")
    ///     .former_cookie_scope(None, "/shop")
    ///     .build()?;
    /// # Ok::<(), session_core::ConfigError>(())
    /// ```
    pub fn former_cookie_scope(mut self, domain: Option<&str>, path: &str) -> Self {
        self.cookie.former_scopes.push(CookieScope {
            domain: domain.map(str::to_owned),
            path: path.to_owned(),
        });
        self
    }

    /// The idle lifetime: a session that isn't used for this long ends. Default: one hour
    /// ([`DEFAULT_MAX_AGE`]). Resolution: a millisecond; the browser's `Max-Age` is whole seconds,
    /// rounded up, and at most 400 days.
    pub fn max_age(mut self, max_age: Duration) -> Self {
        self.max_age = max_age;
        self
    }

    /// The absolute lifetime, counted from the session's beginning and anew from each login, however active it is.
    /// Default: one day ([`DEFAULT_ABSOLUTE_TIMEOUT`]), or `max_age` where that is longer.
    ///
    /// It is fixed in a session when it begins or logs in. A shorter one holds at once for all, a longer one for
    /// sessions that begin or log in later.
    pub fn absolute_timeout(mut self, timeout: Duration) -> Self {
        self.absolute_timeout = Some(timeout);
        self
    }

    /// The idle lifetime of a session whose login is [remembered](crate::Login::remember), in place of
    /// `max_age`. Default: thirty days ([`DEFAULT_REMEMBER_MAX_AGE`]).
    pub fn remember_max_age(mut self, max_age: Duration) -> Self {
        self.remember_max_age = max_age;
        self
    }

    /// The absolute lifetime of a session whose login is [remembered](crate::Login::remember), in place of
    /// `absolute_timeout`. Default: one year ([`DEFAULT_REMEMBER_ABSOLUTE_TIMEOUT`]), or `remember_max_age` where that
    /// is longer.
    pub fn remember_absolute_timeout(mut self, timeout: Duration) -> Self {
        self.remember_absolute_timeout = Some(timeout);
        self
    }

    /// What kind of sessions these are. Sessions of different kinds are never listed, counted or ended together, on one
    /// store too: a customer's list doesn't show the session that an administrator of the same name has. Default: the
    /// cookie's name, or for a token the name of its request header, in lower case.
    ///
    /// Applications that share a store need more than that: a prefix or a table each.
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// How many sessions a user may have at once, and what happens to a login beyond that. The store needs an index of
    /// sessions by user. Default: one hundred ([`DEFAULT_MAX_SESSIONS_PER_USER`]), of which the oldest is ended, where
    /// the store has an index.
    pub fn max_sessions_per_user(mut self, max: usize, when_full: WhenFull) -> Self {
        self.cap = ConfiguredCap::Max(Cap { max, when_full });
        self
    }

    /// Lets a user have any number of sessions at once.
    pub fn unlimited_sessions_per_user(mut self) -> Self {
        self.cap = ConfiguredCap::None;
        self
    }

    /// How much time passes before activity is written down again, and the cookie sent again with it.
    /// Default: a tenth of `max_age`. Zero writes on every use; an interval above `max_age` never comes, so that
    /// a session ends `max_age` after it began, however active it is.
    pub fn touch_interval(mut self, interval: Duration) -> Self {
        self.touch_interval = Some(interval);
        self
    }

    /// For how long a request counts as one that was under way, if it comes with an id that its own browser rotated or
    /// ended: it gets no new session, and what it wants is dropped. Default: one minute ([`DEFAULT_GRACE`]). It can't be
    /// shorter than the clock tolerance, which comes on top.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// By how much the clocks of servers that share the store may differ. Lists, endings, the number of
    /// sessions per user and sweeping allow for it. Beyond it nothing is promised, and a session that is dated further
    /// ahead counts as expired for its visitor, with an event. Default: one minute ([`DEFAULT_CLOCK_TOLERANCE`]).
    ///
    /// A session expires for its visitor by the clock of the server that is asked. Where this is longer than the default,
    /// tell the [`Sweeper`](crate::Sweeper::margin) too.
    pub fn clock_tolerance(mut self, tolerance: Duration) -> Self {
        self.clock_tolerance = tolerance;
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
    /// request, or because several sessions came with it ([`DropReason`](crate::DropReason) says which). Default: none.
    /// It is called for each such request, while the `tracing` event comes once a second at most. The hook runs on the
    /// request's own task: it must be quick and must not panic.
    pub fn on_dropped(mut self, hook: impl Fn(&DroppedChanges) + Send + Sync + 'static) -> Self {
        self.on_dropped = Some(Arc::new(hook));
        self
    }

    /// Checks everything and derives the keys. The error says what to change.
    pub fn build(self) -> Result<SessionConfig, ConfigError> {
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
        if self.grace < self.clock_tolerance {
            return Err(ConfigError::new(format!(
                "grace ({:?}) is shorter than clock_tolerance ({:?}): a late request could look early; raise grace or \
                 lower clock_tolerance",
                self.grace, self.clock_tolerance
            )));
        }
        let (cap, needs_index) = self.check_cap()?;
        let remembered = self.check_remembered()?;
        let transport = self.transport()?;
        let kind = self.kind.as_deref().unwrap_or(transport.name());
        let policy = Policy {
            lifetime,
            remembered,
            touch_interval: self.touch_interval.unwrap_or(self.max_age / 10),
            clock_tolerance: self.clock_tolerance,
            window: self.grace.saturating_add(self.clock_tolerance),
            payload_limit: self.payload_limit,
            cap,
            needs_index,
            kind: kind.into(),
            store_timeout: self.store_timeout,
            margin: self.clock_tolerance.saturating_add(self.store_timeout),
        };
        let patterns = self.excluded.iter().map(|path| PathPattern::parse(path));
        let excluded = patterns.collect::<Result<_, _>>()?;
        Ok(SessionConfig::new(Checked {
            transport,
            csrf_keys: CsrfKeys::new(&self.secrets),
            policy,
            excluded,
            on_dropped: self.on_dropped,
        }))
    }

    /// The cap, and whether the application can't do without it.
    fn check_cap(&self) -> Result<(Option<Cap>, bool), ConfigError> {
        match self.cap {
            ConfiguredCap::None => Ok((None, false)),
            ConfiguredCap::Max(Cap { max: 0, .. }) => Err(ConfigError::new(
                "max_sessions_per_user is zero: nobody could log in; allow at least one, or call \
                 unlimited_sessions_per_user()",
            )),
            ConfiguredCap::Max(cap) => Ok((Some(cap), true)),
            ConfiguredCap::Default => {
                let cap = Cap {
                    max: DEFAULT_MAX_SESSIONS_PER_USER,
                    when_full: WhenFull::EndOldest,
                };
                Ok((Some(cap), false))
            }
        }
    }

    fn check_remembered(&self) -> Result<Lifetime, ConfigError> {
        let idle = self.remember_max_age;
        if idle.is_zero() {
            return Err(ConfigError::new(
                "remember_max_age is zero: remembered logins would end at once; choose a longer one",
            ));
        }
        let absolute = self
            .remember_absolute_timeout
            .unwrap_or(DEFAULT_REMEMBER_ABSOLUTE_TIMEOUT.max(idle));
        if idle > absolute {
            return Err(ConfigError::new(format!(
                "remember_max_age ({idle:?}) is longer than remember_absolute_timeout ({absolute:?}): \
                 lower the first or raise the second"
            )));
        }
        Ok(Lifetime::new(idle, absolute))
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
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

mod token;

#[cfg(test)]
mod tests;
