//! The cookie's name and attributes: checked once, at build time, and rendered for each response.

use std::sync::Arc;
use std::time::Duration;

use cookie::Cookie;

use super::scope::CookieScope;
use crate::error::ConfigError;

/// The longest lifetime that browsers grant a cookie, in seconds: 400 days (RFC 6265bis, 5.6.2).
pub(crate) const MAX_COOKIE_AGE_SECS: u64 = 400 * 24 * 60 * 60;

/// The `SameSite` attribute: on which requests from other sites the browser sends the cookie.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SameSite {
    /// Never from another site. A visitor who follows a link to the application arrives signed out.
    Strict,
    /// From another site only when the visitor navigates there with a safe method. The default.
    #[default]
    Lax,
    /// Always. Needs `Secure`, and protection against cross-site request forgery.
    None,
}

/// What the configuration says about the cookie.
#[derive(Clone, Debug)]
pub(crate) struct CookieOptions {
    pub(crate) name: String,
    pub(crate) scope: CookieScope,
    /// Where earlier versions of the deployment set the cookie.
    pub(crate) former_scopes: Vec<CookieScope>,
    pub(crate) secure: bool,
    pub(crate) http_only: bool,
    pub(crate) same_site: SameSite,
    pub(crate) partitioned: bool,
    pub(crate) persistent: bool,
}

impl Default for CookieOptions {
    fn default() -> Self {
        Self {
            name: "session_id".to_owned(),
            scope: CookieScope::default(),
            former_scopes: Vec::new(),
            secure: true,
            http_only: true,
            same_site: SameSite::Lax,
            partitioned: false,
            persistent: true,
        }
    }
}

/// Renders Set-Cookie values from options that have passed every check.
#[derive(Clone, Debug)]
pub(crate) struct CookieTemplate {
    name: String,
    /// The attributes that a cookie and its removal share, as `; Name=value` each.
    attributes: String,
    removal: String,
    /// A removal for each scope that the deployment has left.
    former_removals: Arc<[String]>,
    persistent: bool,
}

impl CookieTemplate {
    pub(crate) fn new(options: &CookieOptions) -> Result<Self, ConfigError> {
        check_grammar(options)?;
        check_rules(options)?;
        check_former_scopes(options)?;
        let rendered = empty_cookie(options, &options.scope).to_string();
        let name_len = options.name.len() + "=".len();
        let former_scopes = options.former_scopes.iter();
        Ok(Self {
            name: options.name.clone(),
            attributes: rendered[name_len..].to_owned(),
            removal: removal(options, &options.scope),
            former_removals: former_scopes.map(|scope| removal(options, scope)).collect(),
            persistent: options.persistent,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A Set-Cookie value for `value` that the browser forgets after `lifetime`, and when it is closed unless the cookie
    /// is persistent.
    pub(crate) fn set(&self, value: &str, lifetime: Duration, persistent: Option<bool>) -> String {
        let max_age = match persistent.unwrap_or(self.persistent) {
            true => format!("; Max-Age={}", max_age_secs(lifetime)),
            false => String::new(),
        };
        // At its length at once: formatted piece by piece, it would be moved each time it grows.
        [&self.name, "=", value, &self.attributes, &max_age].concat()
    }

    /// A Set-Cookie value that makes the browser forget the cookie. It repeats the attributes that
    /// decide which cookie is hit.
    pub(crate) fn removal(&self) -> &str {
        &self.removal
    }

    /// The same for each scope that the deployment has left. They are shared by all responses.
    pub(crate) fn former_removals(&self) -> &Arc<[String]> {
        &self.former_removals
    }
}

/// The cookie without a value and a lifetime.
fn empty_cookie<'o>(options: &'o CookieOptions, scope: &'o CookieScope) -> Cookie<'o> {
    let mut cookie = Cookie::new(options.name.as_str(), "");
    cookie.set_path(scope.path.as_str());
    if let Some(domain) = &scope.domain {
        cookie.set_domain(domain.as_str());
    }
    cookie.set_secure(options.secure);
    cookie.set_http_only(options.http_only);
    cookie.set_same_site(match options.same_site {
        SameSite::Strict => cookie::SameSite::Strict,
        SameSite::Lax => cookie::SameSite::Lax,
        SameSite::None => cookie::SameSite::None,
    });
    cookie.set_partitioned(options.partitioned);
    cookie
}

fn removal(options: &CookieOptions, scope: &CookieScope) -> String {
    let mut cookie = empty_cookie(options, scope);
    cookie.make_removal();
    cookie.to_string()
}

/// Whole seconds, rounded up (zero would remove the cookie), and no more than browsers grant.
fn max_age_secs(lifetime: Duration) -> u64 {
    let rounded_up = lifetime
        .as_secs()
        .saturating_add(u64::from(lifetime.subsec_nanos() > 0));
    rounded_up.clamp(1, MAX_COOKIE_AGE_SECS)
}

fn check_grammar(options: &CookieOptions) -> Result<(), ConfigError> {
    let CookieOptions { name, scope, .. } = options;
    if name.is_empty() || !name.bytes().all(is_token_byte) {
        return Err(ConfigError::new(format!(
            "cookie name {name:?} is not a token (RFC 6265, 4.1.1): \
             use letters, digits and any of !#$%&'*+-.^_`|~"
        )));
    }
    scope.check()
}

fn check_rules(options: &CookieOptions) -> Result<(), ConfigError> {
    let CookieOptions {
        name,
        scope: CookieScope { domain, path },
        secure,
        http_only,
        same_site,
        partitioned,
        ..
    } = options;
    let error = |message: String| Err(ConfigError::new(message));
    if *same_site == SameSite::None && !secure {
        return error(
            "SameSite=None needs Secure, or browsers drop the cookie: \
             call cookie_secure(true) or choose SameSite::Lax"
                .to_owned(),
        );
    }
    if *partitioned && !secure {
        return error(
            "Partitioned needs Secure, or browsers drop the cookie: \
             call cookie_secure(true) or cookie_partitioned(false)"
                .to_owned(),
        );
    }
    let lower = name.to_ascii_lowercase();
    let prefix = |prefix: &str| lower.starts_with(prefix);
    let (host, http) = (
        prefix("__host-"),
        prefix("__http-") || prefix("__host-http-"),
    );
    if (host || http || prefix("__secure-")) && !secure {
        return error(format!(
            "the prefix of cookie name {name:?} needs Secure: call cookie_secure(true)"
        ));
    }
    if http && !http_only {
        return error(format!(
            "the prefix of cookie name {name:?} needs HttpOnly: call cookie_httponly(true)"
        ));
    }
    if host && domain.is_some() {
        return error(format!(
            "the prefix of cookie name {name:?} forbids Domain: \
             leave cookie_domain out, or use the prefix __Secure-"
        ));
    }
    if host && path != "/" {
        return error(format!(
            "the prefix of cookie name {name:?} needs the path \"/\": \
             leave cookie_path out, or use the prefix __Secure-"
        ));
    }
    Ok(())
}

fn check_former_scopes(options: &CookieOptions) -> Result<(), ConfigError> {
    let CookieOptions {
        name,
        scope,
        former_scopes,
        ..
    } = options;
    let error = |message: String| Err(ConfigError::new(message));
    for (position, former) in former_scopes.iter().enumerate() {
        let CookieScope { domain, path } = former;
        if let Err(reason) = former.check() {
            return error(format!("former_cookie_scope: {reason}"));
        }
        if former.is_same(scope) {
            return error(format!(
                "former_cookie_scope({domain:?}, {path:?}) is where the cookie is set now, and would remove it: \
                 leave it out, or pass the domain and path that were configured before"
            ));
        }
        if former_scopes[..position]
            .iter()
            .any(|earlier| earlier.is_same(former))
        {
            return error(format!(
                "former_cookie_scope({domain:?}, {path:?}) was called twice: leave one out"
            ));
        }
        if name.to_ascii_lowercase().starts_with("__host-") {
            return error(format!(
                "the prefix of cookie name {name:?} allows one scope only, so that the cookie was never set in \
                 another: leave former_cookie_scope out"
            ));
        }
    }
    Ok(())
}

/// RFC 9110's `tchar`, which is what RFC 6265 allows in a cookie's name.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(change: impl FnOnce(&mut CookieOptions)) -> Result<CookieTemplate, ConfigError> {
        let mut options = CookieOptions::default();
        change(&mut options);
        CookieTemplate::new(&options)
    }

    fn attributes(set_cookie: &str) -> Vec<&str> {
        let mut parts: Vec<_> = set_cookie.split("; ").collect();
        parts[1..].sort_unstable();
        parts
    }

    /// CK-1: the defaults of fastmiddleware, and everything else that is offered.
    #[test]
    fn attributes_are_rendered() {
        let hour = Duration::from_secs(3600);
        let default = render(|_| {}).unwrap().set("v", hour, None);
        assert_eq!(
            attributes(&default),
            [
                "session_id=v",
                "HttpOnly",
                "Max-Age=3600",
                "Path=/",
                "SameSite=Lax",
                "Secure"
            ]
        );
        let all = render(|options| {
            options.scope.path = "/app".to_owned();
            options.scope.domain = Some("example.com".to_owned());
            options.same_site = SameSite::None;
            options.partitioned = true;
            options.persistent = false;
        });
        assert_eq!(
            attributes(&all.unwrap().set("v", hour, None)),
            [
                "session_id=v",
                "Domain=example.com",
                "HttpOnly",
                "Partitioned",
                "Path=/app",
                "SameSite=None",
                "Secure"
            ]
        );
        let bare = render(|options| {
            (options.secure, options.http_only, options.same_site) =
                (false, false, SameSite::Strict);
        });
        assert_eq!(
            attributes(&bare.unwrap().set("v", hour, None)),
            ["session_id=v", "Max-Age=3600", "Path=/", "SameSite=Strict"]
        );
    }

    /// CK-2: a removal repeats every attribute that decides which cookie is hit.
    #[test]
    fn a_removal_hits_the_same_cookie() {
        let template = render(|options| {
            options.scope.path = "/app".to_owned();
            options.scope.domain = Some("example.com".to_owned());
            options.partitioned = true;
        })
        .unwrap();
        let removal = attributes(template.removal());
        assert_eq!(removal[0], "session_id=");
        for attribute in [
            "Path=/app",
            "Domain=example.com",
            "Secure",
            "HttpOnly",
            "SameSite=Lax",
            "Partitioned",
            "Max-Age=0",
        ] {
            assert!(
                removal.contains(&attribute),
                "{attribute} is missing in {removal:?}"
            );
        }
        assert!(
            removal
                .iter()
                .any(|attribute| attribute.starts_with("Expires=")),
            "{removal:?}"
        );
    }

    /// CK-3: name, path and domain follow their grammar, and the error says what to change.
    #[test]
    fn grammar_is_checked() {
        for name in [
            "",
            "a b",
            "a;b",
            "a=b",
            "a,b",
            "a\"b",
            "é",
            "a\r\nSet-Cookie: x",
            "a\0",
        ] {
            let error = render(|options| options.name = name.to_owned())
                .unwrap_err()
                .to_string();
            assert!(error.contains("use letters, digits"), "{error}");
        }
        for path in ["", "app", "/a;b", "/a\r\nX: y", "/é", "/\u{7f}"] {
            let error = render(|options| options.scope.path = path.to_owned())
                .unwrap_err()
                .to_string();
            assert!(error.contains("start it with \"/\""), "{error}");
        }
        for domain in [
            "",
            ".example.com",
            "example..com",
            "a;b",
            "a b",
            "https://a.b",
            "a:80",
            "-a.b",
            "é.com",
        ] {
            let error = render(|options| options.scope.domain = Some(domain.to_owned()))
                .unwrap_err()
                .to_string();
            assert!(error.contains("write it like \"example.com\""), "{error}");
        }
        for name in ["a", "__Host-id", "!#$%&'*+-.^_`|~"] {
            assert!(
                render(|options| options.name = name.to_owned()).is_ok(),
                "{name}"
            );
        }
    }

    /// CK-4: the prefixes' rules hold, however they are spelled, and the error says what to change.
    #[test]
    fn prefix_rules_are_checked() {
        let secure = |options: &mut CookieOptions| options.secure = false;
        let domain =
            |options: &mut CookieOptions| options.scope.domain = Some("example.com".to_owned());
        let path = |options: &mut CookieOptions| options.scope.path = "/app".to_owned();
        let http = |options: &mut CookieOptions| options.http_only = false;
        type Change = fn(&mut CookieOptions);
        let cases: [(&str, &[(Change, &str)]); 4] = [
            ("__Secure-id", &[(secure, "cookie_secure(true)")]),
            (
                "__Host-id",
                &[
                    (secure, "cookie_secure(true)"),
                    (domain, "leave cookie_domain out"),
                    (path, "leave cookie_path out"),
                ],
            ),
            (
                "__Http-id",
                &[
                    (secure, "cookie_secure(true)"),
                    (http, "cookie_httponly(true)"),
                ],
            ),
            (
                "__Host-Http-id",
                &[
                    (secure, "cookie_secure(true)"),
                    (http, "cookie_httponly(true)"),
                    (domain, "leave cookie_domain out"),
                    (path, "leave cookie_path out"),
                ],
            ),
        ];
        for (name, refused) in cases {
            for spelled in [
                name.to_owned(),
                name.to_ascii_lowercase(),
                name.to_ascii_uppercase(),
            ] {
                assert!(
                    render(|options| options.name.clone_from(&spelled)).is_ok(),
                    "{spelled}"
                );
                for (change, advice) in refused {
                    let error = render(|options| {
                        options.name.clone_from(&spelled);
                        change(options);
                    });
                    let error = error.unwrap_err().to_string();
                    assert!(error.contains(advice), "{spelled}: {error}");
                }
            }
        }
        for change in [
            |options: &mut CookieOptions| options.same_site = SameSite::None,
            |options: &mut CookieOptions| options.partitioned = true,
        ] {
            assert!(render(change).is_ok());
            let error = render(|options| {
                change(options);
                options.secure = false;
            });
            assert!(
                error
                    .unwrap_err()
                    .to_string()
                    .contains("cookie_secure(true)")
            );
        }
    }

    /// CK-5: Max-Age is at most 400 days, at least a second, and no duration panics.
    #[test]
    fn max_age_is_clamped() {
        assert_eq!(max_age_secs(Duration::MAX), 34_560_000);
        assert_eq!(max_age_secs(Duration::from_secs(34_560_001)), 34_560_000);
        assert_eq!(max_age_secs(Duration::from_millis(3_599_001)), 3600);
        assert_eq!(max_age_secs(Duration::from_millis(1)), 1);
        assert_eq!(max_age_secs(Duration::ZERO), 1);
    }
}
