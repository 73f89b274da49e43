//! The configuration: every option, its default and the reason for it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::cookie::{CookieOptions, CookieTemplate, SameSite};
use crate::error::ConfigError;
use crate::id::SessionRef;
use crate::plan::{Cap, DropReason, Policy, WhenFull};
use crate::record::Lifetime;
use crate::secret::{MIN_SECRET_LEN, Secret};
use crate::sign::Keyring;

/// The default idle lifetime, the seed's: one hour. It is also what NIST SP 800-63B-4 allows at most
/// between activities at its second assurance level.
pub const DEFAULT_MAX_AGE: Duration = Duration::from_secs(60 * 60);

/// The default absolute timeout: one day, after which NIST SP 800-63B-4 asks for a new authentication at
/// its second assurance level, however active the session is.
pub const DEFAULT_ABSOLUTE_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// The default idle lifetime of a login that is to be remembered: thirty days, within which a visitor who comes
/// once a month stays logged in.
pub const DEFAULT_REMEMBER_MAX_AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The default grace time, in which a request that was under way when its session was rotated or ended
/// isn't taken for a new visitor: one minute, the time that proxies and browsers give a slow request.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(60);

/// The default deadline over all store calls of one load or one commit: five seconds. A store that is
/// slower than that is down, as far as the visitor can tell.
pub const DEFAULT_STORE_TIMEOUT: Duration = Duration::from_secs(5);

/// The default payload limit: 64 KiB of JSON. It is read from the store with each use.
pub const DEFAULT_PAYLOAD_LIMIT: usize = 64 * 1024;

/// The highest payload limit that can be configured: 64 MiB.
pub const MAX_PAYLOAD_LIMIT: usize = 64 * 1024 * 1024;

/// A configuration that has passed every check. Cloning is cheap.
#[derive(Clone)]
pub struct SessionConfig(Arc<Checked>);

pub(crate) struct Checked {
    pub(crate) cookie: CookieTemplate,
    pub(crate) keys: Keyring,
    pub(crate) policy: Policy,
    pub(crate) remembered: Lifetime,
    pub(crate) store_timeout: Duration,
    pub(crate) excluded: Vec<PathPattern>,
    pub(crate) on_dropped: Option<DroppedHook>,
}

pub(crate) type DroppedHook = Arc<dyn Fn(&DroppedChanges) + Send + Sync>;

/// A request's changes were dropped, because its session was ended or rotated by another request.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct DroppedChanges {
    /// Why they were dropped.
    pub reason: DropReason,
    /// The session's public handle, if the request had loaded it.
    pub session: Option<SessionRef>,
}

impl SessionConfig {
    /// Starts a configuration with the secret that signs the cookie: at least 32 bytes that nobody can
    /// guess, such as `openssl rand -base64 48` gives. There is no default secret.
    pub fn builder(secret: impl Into<Secret>) -> SessionConfigBuilder {
        Self::builder_with_secrets([secret])
    }

    /// Starts a configuration with a list of secrets, the current one first: it signs, all of them
    /// verify. A cookie that was signed under a later one is signed anew with the next response.
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

    /// Whether requests for `path` get no session. `path` is the request's original path, as the client
    /// sent it: not percent-decoded, and with nothing stripped by nested routers.
    pub fn is_excluded(&self, path: &str) -> bool {
        self.0.excluded.iter().any(|pattern| pattern.matches(path))
    }

    /// The cookie's name.
    pub fn cookie_name(&self) -> &str {
        self.0.cookie.name()
    }

    pub(crate) fn checked(&self) -> &Checked {
        &self.0
    }
}

impl fmt::Debug for SessionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Checked {
            cookie,
            keys,
            policy,
            store_timeout,
            excluded,
            ..
        } = &*self.0;
        f.debug_struct("SessionConfig")
            .field("cookie", cookie)
            .field("keys", keys)
            .field("policy", policy)
            .field("store_timeout", store_timeout)
            .field("excluded", excluded)
            .finish_non_exhaustive()
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
        let remembered = Lifetime {
            idle: self.remember_max_age,
            absolute: lifetime.absolute.max(self.remember_max_age),
        };
        let cookie = CookieTemplate::new(&self.cookie)?;
        let keys = Keyring::new(cookie.name(), &self.secrets);
        let policy = Policy {
            lifetime,
            touch_interval: self.touch_interval.unwrap_or(self.max_age / 10),
            grace: self.grace,
            payload_limit: self.payload_limit,
            cap: self.cap,
            entry_grace: self.store_timeout.saturating_mul(4),
        };
        let excluded = self
            .excluded
            .iter()
            .map(|path| PathPattern::parse(path))
            .collect::<Result<_, _>>()?;
        let (store_timeout, on_dropped) = (self.store_timeout, self.on_dropped);
        Ok(SessionConfig(Arc::new(Checked {
            cookie,
            keys,
            policy,
            remembered,
            store_timeout,
            excluded,
            on_dropped,
        })))
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
        Ok(Lifetime { idle, absolute })
    }
}

impl fmt::Debug for SessionConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionConfigBuilder")
            .field("cookie", &self.cookie)
            .finish_non_exhaustive()
    }
}

/// A path without a session.
#[derive(Debug)]
pub(crate) struct PathPattern {
    path: String,
    and_below: bool,
}

impl PathPattern {
    fn parse(pattern: &str) -> Result<Self, ConfigError> {
        let (path, and_below) = match pattern.strip_suffix("/*") {
            Some(path) => (path, true),
            None => (pattern, false),
        };
        let starts = path.starts_with('/') || (and_below && path.is_empty());
        if !starts || path.contains(['*', '?', '#']) {
            return Err(ConfigError::new(format!(
                "excluded path {pattern:?} is not usable: write \"/health\" for one path \
                 or \"/static/*\" for everything below one"
            )));
        }
        Ok(Self {
            path: path.to_owned(),
            and_below,
        })
    }

    fn matches(&self, path: &str) -> bool {
        match path.strip_prefix(&self.path) {
            Some(rest) => rest.is_empty() || (self.and_below && rest.starts_with('/')),
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> SessionConfigBuilder {
        SessionConfig::builder([1; 32])
    }

    fn error(builder: SessionConfigBuilder) -> String {
        builder.build().unwrap_err().to_string()
    }

    /// SG-5: a short secret, no secret and the same one twice don't start; the error says what to do.
    #[test]
    fn bad_secrets_do_not_start() {
        assert!(good().build().is_ok());
        assert!(error(SessionConfig::builder("secret")).contains("use at least 32"));
        assert!(error(SessionConfig::builder([1; 31])).contains("use at least 32"));
        assert!(error(good().previous_secret("short")).contains("secret number 2 has 5 bytes"));
        assert!(
            error(good().previous_secret([1; 32])).contains("same as an earlier one: leave it out")
        );
        let none: [&str; 0] = [];
        assert!(error(SessionConfig::builder_with_secrets(none)).contains("pass at least one"));
    }

    /// TM-1: an idle timeout above the absolute one doesn't start, unless the absolute one is the
    /// default, which then follows.
    #[test]
    fn lifetimes_are_checked() {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let lifetime =
            |builder: SessionConfigBuilder| builder.build().unwrap().checked().policy.lifetime;
        assert_eq!(
            lifetime(good()),
            Lifetime {
                idle: hours(1),
                absolute: hours(24)
            }
        );
        assert_eq!(
            lifetime(good().max_age(hours(48))),
            Lifetime {
                idle: hours(48),
                absolute: hours(48)
            }
        );
        let longer = good().max_age(hours(3)).absolute_timeout(hours(2));
        assert!(error(longer).contains("lower max_age or raise absolute_timeout"));
        assert!(error(good().max_age(Duration::ZERO)).contains("choose a longer one"));
    }

    /// TM-5: the longest durations are taken.
    #[test]
    fn the_longest_durations_are_taken() {
        let longest = good()
            .max_age(Duration::MAX)
            .absolute_timeout(Duration::MAX)
            .touch_interval(Duration::MAX)
            .grace(Duration::MAX)
            .store_timeout(Duration::MAX);
        assert!(longest.build().is_ok());
        assert!(error(good().store_timeout(Duration::ZERO)).contains("store_timeout is zero"));
    }

    /// TM-3: activity is written down after a tenth of the idle lifetime.
    #[test]
    fn the_touch_interval_follows_max_age() {
        let interval = |builder: SessionConfigBuilder| {
            builder.build().unwrap().checked().policy.touch_interval
        };
        assert_eq!(interval(good()), Duration::from_secs(360));
        assert_eq!(
            interval(good().max_age(Duration::from_secs(50))),
            Duration::from_secs(5)
        );
        assert_eq!(
            interval(good().touch_interval(Duration::from_secs(7))),
            Duration::from_secs(7)
        );
    }

    /// CK-1: the strictest form in one call.
    #[test]
    fn the_host_prefix_comes_with_its_attributes() {
        // In any order, and also twice.
        let config = good()
            .cookie_host_only()
            .cookie_name("id")
            .cookie_domain("example.com")
            .cookie_secure(false)
            .cookie_path("/app")
            .cookie_host_only()
            .build()
            .unwrap();
        let cookie = config.checked().cookie.set("v", Duration::from_secs(1));
        assert!(cookie.starts_with("__Host-id=v;"), "{cookie}");
        assert!(
            cookie.contains("; Secure")
                && cookie.contains("; Path=/;")
                && !cookie.contains("Domain")
        );
    }

    #[test]
    fn paths_are_excluded_exactly_or_with_what_is_below() {
        let config = good()
            .exclude_path("/health")
            .exclude_paths(["/static/*", "/a/b"])
            .build()
            .unwrap();
        for path in ["/health", "/static", "/static/", "/static/x/y", "/a/b"] {
            assert!(config.is_excluded(path), "{path}");
        }
        for path in [
            "/",
            "/health/",
            "/healthy",
            "/staticx",
            "/a",
            "/a/b/c",
            "/x/health",
            "health",
        ] {
            assert!(!config.is_excluded(path), "{path}");
        }
        assert!(
            good()
                .exclude_path("/*")
                .build()
                .unwrap()
                .is_excluded("/anything")
        );
        for bad in ["health", "", "/a*", "/*/a", "/a?b", "*"] {
            assert!(
                error(good().exclude_path(bad)).contains("write \"/health\""),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_payload_limit_beyond_the_format_does_not_start() {
        assert!(error(good().payload_limit(MAX_PAYLOAD_LIMIT + 1)).contains("choose at most"));
    }

    /// LG-1, SG-8: nothing secret is shown.
    #[test]
    fn debug_hides_the_secrets() {
        let builder = SessionConfig::builder("correct horse battery staple, and then some");
        let shown = [
            format!("{builder:?}"),
            format!("{:?}", builder.build().unwrap()),
        ]
        .concat();
        assert!(
            !shown.contains("horse") && !shown.contains("99, 111, 114"),
            "{shown}"
        );
    }
}
