//! What every adapter's CSRF middleware decides by.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::config::CsrfConfig;
use crate::error::{Error, ErrorKind};
use crate::request::Main;

/// The longest form that a CSRF middleware reads to find the token: 64 KiB. Longer ones send the token in the header.
pub const MAX_CSRF_FORM_LEN: usize = 64 * 1024;

/// What a CSRF middleware does with a request.
#[derive(Clone)]
pub enum CsrfStep {
    /// It passes the request on: the method is one that changes nothing, or the path isn't protected.
    Pass,
    /// It loads the session and [checks](crate::Session::check_csrf) this token.
    Check(String),
    /// It reads the body, up to [`MAX_CSRF_FORM_LEN`], checks what [`CsrfConfig::token_in_form`] finds there, and passes
    /// the body on.
    ReadForm,
    /// It answers with this error.
    Refuse(Error),
}

/// Shows no token.
impl fmt::Debug for CsrfStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("Pass"),
            Self::Check(_) => f.write_str("Check(..)"),
            Self::ReadForm => f.write_str("ReadForm"),
            Self::Refuse(error) => f.debug_tuple("Refuse").field(error).finish(),
        }
    }
}

impl CsrfConfig {
    /// What to do with a request. `path` is the original one, as for
    /// [`SessionConfig::is_excluded`](crate::SessionConfig::is_excluded). `header` gives the first value of the header of a
    /// name in lower case; for `host` that is also what HTTP/2 has in its place, `:authority`.
    ///
    /// Where the request comes from is looked at first: a browser says so in `Sec-Fetch-Site`, or else in `Origin`
    /// (OWASP's CSRF cheat sheet). A WebSocket, whose opening can't bring a token, is asked for that alone.
    pub fn step<'r>(
        &self,
        method: &str,
        path: &str,
        header: impl Fn(&str) -> Option<&'r [u8]>,
    ) -> CsrfStep {
        if !self.protects(path) {
            return CsrfStep::Pass;
        }
        if is_socket(method, &header) {
            return match self.is_of_this_site(&header) {
                true => CsrfStep::Pass,
                false => CsrfStep::Refuse(Error::csrf("the WebSocket comes from another site")),
            };
        }
        if matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE") {
            return CsrfStep::Pass;
        }
        if !self.is_of_this_site(&header) {
            return CsrfStep::Refuse(Error::csrf("the request comes from another site"));
        }
        if let Some(token) = header(&self.header) {
            return CsrfStep::Check(String::from_utf8_lossy(token).into_owned());
        }
        match header("content-type").is_some_and(is_form) {
            true => CsrfStep::ReadForm,
            false => CsrfStep::Refuse(Error::csrf("the request has no CSRF token")),
        }
    }

    /// The token in the body of a form.
    ///
    /// # Errors
    /// [`ErrorKind::Csrf`] if there is none.
    pub fn token_in_form(&self, body: &[u8]) -> Result<String, Error> {
        let mut fields = form_urlencoded::parse(body);
        let found = fields.find(|(name, _)| *name == self.field);
        let (_, token) = found.ok_or_else(|| Error::csrf("the form has no CSRF token"))?;
        Ok(token.into_owned())
    }

    /// The error for a form that is too long to be looked through.
    pub fn form_too_long() -> Error {
        let message = format!(
            "a form of more than {MAX_CSRF_FORM_LEN} bytes has to send its CSRF token in a header"
        );
        Error::new(ErrorKind::PayloadTooLarge, message)
    }

    fn is_of_this_site<'r>(&self, header: &impl Fn(&str) -> Option<&'r [u8]>) -> bool {
        let origin = header("origin").map(<[u8]>::to_ascii_lowercase);
        let is_trusted = origin.as_deref().is_some_and(|origin| {
            let mut trusted = self.trusted_origins.iter();
            trusted.any(|trusted| trusted.as_bytes() == origin)
        });
        if is_trusted {
            return true;
        }
        match (header("sec-fetch-site"), origin) {
            (Some(site), _) => matches!(site, b"same-origin" | b"none"),
            (None, Some(origin)) => {
                // The scheme may be that between a proxy and us, so that the host alone is compared.
                let host = header("host").map(<[u8]>::to_ascii_lowercase);
                let parts = std::str::from_utf8(&origin).ok();
                let origin_host = parts.and_then(|origin| origin.split_once("://"));
                match (origin_host, host) {
                    (Some((_, origin_host)), Some(host)) => origin_host.as_bytes() == host,
                    _ => false,
                }
            }
            // No browser of today posts without either; the token decides.
            (None, None) => true,
        }
    }
}

/// Makes the response `R` to what is refused with an error `E`.
type OnRefused<E, R> = Arc<dyn Fn(&E) -> R + Send + Sync>;

/// What an adapter's CSRF middleware for the session `N` consists of: the rules, and the response to what is refused.
/// Cloning is cheap.
pub struct CsrfMiddleware<E, R, N = Main> {
    config: Arc<CsrfConfig>,
    on_refused: OnRefused<E, R>,
    name: PhantomData<fn() -> N>,
}

impl<E, R, N> CsrfMiddleware<E, R, N> {
    /// A middleware that answers with `on_refused`'s response to what is refused, and where the session can't be loaded.
    pub fn new(config: CsrfConfig, on_refused: impl Fn(&E) -> R + Send + Sync + 'static) -> Self {
        Self {
            config: Arc::new(config),
            on_refused: Arc::new(on_refused),
            name: PhantomData,
        }
    }

    /// The same for the session called `M`.
    pub fn named<M>(self) -> CsrfMiddleware<E, R, M> {
        CsrfMiddleware {
            config: self.config,
            on_refused: self.on_refused,
            name: PhantomData,
        }
    }

    /// Another response in the same cases.
    #[must_use]
    pub fn on_refused(mut self, on_refused: impl Fn(&E) -> R + Send + Sync + 'static) -> Self {
        self.on_refused = Arc::new(on_refused);
        self
    }

    /// The rules.
    pub fn config(&self) -> &CsrfConfig {
        &self.config
    }

    /// The response to what is refused.
    pub fn response(&self, error: &E) -> R {
        (self.on_refused)(error)
    }
}

impl<E, R, N> Clone for CsrfMiddleware<E, R, N> {
    fn clone(&self) -> Self {
        Self {
            config: self.config.clone(),
            on_refused: self.on_refused.clone(),
            name: PhantomData,
        }
    }
}

impl<E, R, N> fmt::Debug for CsrfMiddleware<E, R, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CsrfMiddleware")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// Whether this opens a WebSocket: by an upgrade in HTTP/1.1, by `CONNECT` in HTTP/2 (RFC 6455, RFC 8441).
fn is_socket<'r>(method: &str, header: &impl Fn(&str) -> Option<&'r [u8]>) -> bool {
    let upgrades = || {
        header("upgrade").is_some_and(|value| {
            let mut protocols = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            protocols.any(|protocol| protocol.eq_ignore_ascii_case(b"websocket"))
        })
    };
    method == "CONNECT" || (method == "GET" && upgrades())
}

fn is_form(content_type: &[u8]) -> bool {
    let essence = content_type.split(|byte| *byte == b';').next();
    essence.is_some_and(|essence| {
        essence
            .trim_ascii()
            .eq_ignore_ascii_case(b"application/x-www-form-urlencoded")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(method: &str, headers: &[(&str, &str)]) -> CsrfStep {
        let config = CsrfConfig::builder()
            .exclude_path("/hooks/*")
            .trusted_origin("https://trusted.example")
            .build()
            .unwrap();
        config.step(method, "/", |name| {
            let mut headers = headers.iter();
            headers
                .find(|(other, _)| *other == name)
                .map(|(_, value)| value.as_bytes())
        })
    }

    fn is_checked(headers: &[(&str, &str)]) -> bool {
        let with_token = [headers, &[("x-csrf-token", "t"), ("host", "a.example")]].concat();
        matches!(step("POST", &with_token), CsrfStep::Check(token) if token == "t")
    }

    /// CS-1: where a request comes from is looked at before its token.
    #[test]
    fn requests_of_other_sites_are_refused() {
        assert!(is_checked(&[]));
        assert!(is_checked(&[("sec-fetch-site", "same-origin")]));
        assert!(is_checked(&[("sec-fetch-site", "none")]));
        assert!(is_checked(&[("origin", "https://A.example")]));
        // A proxy may have changed the Host header; the browser knows better.
        let through_proxy = [
            ("sec-fetch-site", "same-origin"),
            ("origin", "https://b.example"),
        ];
        assert!(is_checked(&through_proxy));
        for site in ["same-site", "cross-site", "", "Same-Origin"] {
            assert!(!is_checked(&[("sec-fetch-site", site)]), "{site}");
            let trusted = [
                ("sec-fetch-site", site),
                ("origin", "https://trusted.example"),
            ];
            assert!(is_checked(&trusted));
        }
        for origin in [
            "null",
            "",
            "https://b.example",
            "https://a.example.b.example",
            "https://a.example:444",
            "a.example",
            "http://trusted.example",
        ] {
            assert!(!is_checked(&[("origin", origin)]), "{origin}");
        }
    }

    /// CS-1: methods that change nothing need no token; others are asked for it, in the header or in a form.
    #[test]
    fn unsafe_methods_need_a_token() {
        for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
            assert!(matches!(step(method, &[]), CsrfStep::Pass));
        }
        for method in ["POST", "PUT", "PATCH", "DELETE", "get", "ANYTHING"] {
            assert!(matches!(step(method, &[]), CsrfStep::Refuse(_)), "{method}");
        }
        let form = "Application/X-WWW-Form-Urlencoded; charset=utf-8";
        assert!(matches!(
            step("POST", &[("content-type", form)]),
            CsrfStep::ReadForm
        ));
        assert!(matches!(
            step("POST", &[("content-type", "text/plain")]),
            CsrfStep::Refuse(_)
        ));
    }

    /// CS-1: a page of another site opens no WebSocket in a visitor's name.
    #[test]
    fn a_socket_is_opened_by_this_site_alone() {
        let upgrade = ("upgrade", "WebSocket");
        let host = ("host", "a.example");
        for (method, origin, passes) in [
            ("GET", "https://a.example", true),
            ("GET", "https://b.example", false),
            ("GET", "null", false),
            ("CONNECT", "https://a.example", true),
            ("CONNECT", "https://b.example", false),
        ] {
            let step = step(method, &[upgrade, host, ("origin", origin)]);
            let has_passed = matches!(step, CsrfStep::Pass);
            assert_eq!(has_passed, passes, "{method} {origin}");
        }
        let other = [("upgrade", "h2c"), ("origin", "https://b.example")];
        assert!(matches!(step("GET", &other), CsrfStep::Pass));
    }

    #[test]
    fn the_token_is_found_in_a_form() {
        let config = CsrfConfig::default();
        let found = config.token_in_form(b"name=ada&csrf_token=a%2Db&csrf_token=c");
        assert_eq!(found.unwrap(), "a-b");
        let error = config.token_in_form(b"name=ada").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Csrf);
    }
}
