//! The headers of requests and responses, for every framework alike.

use std::borrow::Cow;
use std::fmt;

use http::header::{
    AUTHORIZATION, CACHE_CONTROL, COOKIE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE, VARY,
};

/// The headers of a request that a session may be read from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum RequestHeader<'n> {
    /// `Cookie`
    Cookie,
    /// `Authorization`
    Authorization,
    /// The header of this name, in lower case.
    Named(&'n str),
}

impl<'n> RequestHeader<'n> {
    /// The header's name, in lower case.
    pub const fn name(self) -> &'n str {
        match self {
            Self::Cookie => "cookie",
            Self::Authorization => "authorization",
            Self::Named(name) => name,
        }
    }
}

/// The request headers of a framework. The header map of `http` 1 is one; an adapter for a framework that has another
/// map implements it for that.
pub trait RequestHeaders {
    /// The values of all headers of this name, in the order of the request.
    fn values(&self, header: RequestHeader<'_>) -> impl Iterator<Item = &[u8]>;
}

impl RequestHeaders for HeaderMap {
    fn values(&self, header: RequestHeader<'_>) -> impl Iterator<Item = &[u8]> {
        let all = match header {
            RequestHeader::Cookie => self.get_all(COOKIE),
            RequestHeader::Authorization => self.get_all(AUTHORIZATION),
            RequestHeader::Named(name) => self.get_all(name),
        };
        all.iter().map(HeaderValue::as_bytes)
    }
}

/// The values of a request's Cookie headers, for those who have no map of headers: a test, say.
#[derive(Clone, Copy)]
pub struct CookieHeaders<'h>(pub &'h [&'h [u8]]);

/// Shows how many there are: they hold credentials.
impl fmt::Debug for CookieHeaders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CookieHeaders({} headers)", self.0.len())
    }
}

impl RequestHeaders for CookieHeaders<'_> {
    fn values(&self, header: RequestHeader<'_>) -> impl Iterator<Item = &[u8]> {
        let values = match header {
            RequestHeader::Cookie => self.0,
            RequestHeader::Authorization | RequestHeader::Named(_) => &[],
        };
        values.iter().copied()
    }
}

/// The headers of a response that a session looks at or changes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ResponseHeader<'n> {
    /// `Set-Cookie`: its value is a [credential](Self::is_credential).
    SetCookie,
    /// The header of this name, in lower case, that gives a client its token: a
    /// [credential](Self::is_credential) too. The value is empty where the token is taken away.
    Token(&'n str),
    /// `Vary`
    Vary,
    /// `Cache-Control`
    CacheControl,
    /// `CDN-Cache-Control` (RFC 9213)
    CdnCacheControl,
    /// `Surrogate-Control`, the precursor of `CDN-Cache-Control`
    SurrogateControl,
}

impl<'n> ResponseHeader<'n> {
    /// The header's name, in lower case.
    pub const fn name(self) -> &'n str {
        match self {
            Self::SetCookie => "set-cookie",
            Self::Token(name) => name,
            Self::Vary => "vary",
            Self::CacheControl => "cache-control",
            Self::CdnCacheControl => "cdn-cache-control",
            Self::SurrogateControl => "surrogate-control",
        }
    }

    /// Whether its value is a credential, which has no business in anybody's log: an adapter marks it as sensitive.
    pub const fn is_credential(self) -> bool {
        matches!(self, Self::SetCookie | Self::Token(_))
    }
}

/// The response headers of a framework. The header map of `http` 1 is one; an adapter for a framework that
/// has another map implements it for that.
pub trait ResponseHeaders {
    /// The values of all headers of this name.
    fn values(&self, header: ResponseHeader<'_>) -> impl Iterator<Item = &[u8]>;

    /// Adds a header beside those of the same name. `value` is printable ASCII.
    fn append(&mut self, header: ResponseHeader<'_>, value: Cow<'static, str>);

    /// Puts a header in place of those of the same name. `value` is printable ASCII, or empty.
    fn replace(&mut self, header: ResponseHeader<'_>, value: Cow<'static, str>);
}

impl ResponseHeaders for HeaderMap {
    fn values(&self, header: ResponseHeader<'_>) -> impl Iterator<Item = &[u8]> {
        let all = match name_of(header) {
            Some(name) => self.get_all(name),
            None => self.get_all(header.name()),
        };
        all.iter().map(HeaderValue::as_bytes)
    }

    fn append(&mut self, header: ResponseHeader<'_>, value: Cow<'static, str>) {
        if let Some(name) = name_of(header)
            && let Some(value) = value_of(header, value)
        {
            self.append(name, value);
        }
    }

    fn replace(&mut self, header: ResponseHeader<'_>, value: Cow<'static, str>) {
        if let Some(name) = name_of(header)
            && let Some(value) = value_of(header, value)
        {
            self.insert(name, value);
        }
    }
}

/// The names that are configured are checked when the configuration is built, so that none is ever left out here.
fn name_of(header: ResponseHeader<'_>) -> Option<HeaderName> {
    Some(match header {
        ResponseHeader::SetCookie => SET_COOKIE,
        ResponseHeader::Vary => VARY,
        ResponseHeader::CacheControl => CACHE_CONTROL,
        ResponseHeader::CdnCacheControl => HeaderName::from_static("cdn-cache-control"),
        ResponseHeader::SurrogateControl => HeaderName::from_static("surrogate-control"),
        ResponseHeader::Token(name) => HeaderName::from_bytes(name.as_bytes()).ok()?,
    })
}

/// The core writes printable ASCII, so that nothing is ever left out here.
fn value_of(header: ResponseHeader<'_>, value: Cow<'static, str>) -> Option<HeaderValue> {
    let mut value = match value {
        Cow::Borrowed(text) => HeaderValue::from_static(text),
        Cow::Owned(text) => text.try_into().ok()?,
    };
    value.set_sensitive(header.is_credential());
    Some(value)
}

/// Says that the response depends on the request's header `read`, unless it says so already.
pub(crate) fn vary_by(headers: &mut impl ResponseHeaders, read: Cow<'static, str>) {
    let covered = |value: &[u8]| {
        let mut names = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        names.any(|name| name == b"*" || name.eq_ignore_ascii_case(read.as_bytes()))
    };
    if !headers.values(ResponseHeader::Vary).any(covered) {
        headers.append(ResponseHeader::Vary, read);
    }
}

/// What takes precedence over Cache-Control at the caches that know it.
const TARGETED: [ResponseHeader<'static>; 2] = [
    ResponseHeader::CdnCacheControl,
    ResponseHeader::SurrogateControl,
];

const NO_STORE: Cow<'static, str> = Cow::Borrowed("no-store");

/// Adds the cookies, in this order, and keeps the response out of shared caches.
pub(crate) fn set_cookies(
    headers: &mut impl ResponseHeaders,
    cookies: impl IntoIterator<Item = String>,
) {
    for cookie in cookies {
        headers.append(ResponseHeader::SetCookie, Cow::Owned(cookie));
    }
    keep_out_of_shared_caches(headers);
}

/// Puts the token, or an empty value where it is gone, into the header of this name, and keeps the response out of
/// shared caches.
pub(crate) fn set_token(headers: &mut impl ResponseHeaders, name: &str, token: Cow<'static, str>) {
    headers.replace(ResponseHeader::Token(name), token);
    keep_out_of_shared_caches(headers);
}

fn keep_out_of_shared_caches(headers: &mut impl ResponseHeaders) {
    let is_kept_out = headers
        .values(ResponseHeader::CacheControl)
        .any(keeps_out_shared_caches);
    if !is_kept_out {
        headers.replace(ResponseHeader::CacheControl, NO_STORE);
    }
    for targeted in TARGETED {
        if headers.values(targeted).next().is_some() {
            headers.replace(targeted, NO_STORE);
        }
    }
}

/// Whether a Cache-Control value has the directive `private`, for the whole response, or `no-store`.
///
/// Quoted strings are passed over: a comma or a word in them is not a directive.
fn keeps_out_shared_caches(value: &[u8]) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    let outside_quotes = |byte: &u8| {
        quoted ^= *byte == b'"' && !escaped;
        escaped = quoted && *byte == b'\\' && !escaped;
        !quoted && *byte == b','
    };
    value
        .split(outside_quotes)
        .map(<[u8]>::trim_ascii)
        .any(|directive| {
            directive.eq_ignore_ascii_case(b"private")
                || directive.eq_ignore_ascii_case(b"no-store")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(header: ResponseHeader<'_>, values: &[&str]) -> HeaderMap {
        let values = values.iter().map(|value| value.parse().unwrap());
        values
            .map(|value| (name_of(header).unwrap(), value))
            .collect()
    }

    fn shown(headers: &HeaderMap, header: ResponseHeader<'_>) -> Vec<String> {
        let values = ResponseHeaders::values(headers, header);
        values
            .map(|value| String::from_utf8(value.to_vec()).unwrap())
            .collect()
    }

    /// CK-9: `Cookie` is added to `Vary` beside what is there, once.
    #[test]
    fn vary_is_merged() {
        let after = |values: &[&str]| {
            let mut headers = of(ResponseHeader::Vary, values);
            vary_by(&mut headers, Cow::Borrowed("Cookie"));
            shown(&headers, ResponseHeader::Vary)
        };
        assert_eq!(after(&[]), ["Cookie"]);
        assert_eq!(after(&["Accept"]), ["Accept", "Cookie"]);
        assert_eq!(after(&["Accept, X-Cookie"]), ["Accept, X-Cookie", "Cookie"]);
        for covered in ["*", "cookie", "Accept , COOKIE", "Accept,*"] {
            assert_eq!(after(&[covered]), [covered]);
            assert_eq!(after(&["Accept", covered]), ["Accept", covered]);
        }
    }

    /// CK-8: a response with our cookie can't be stored by a shared cache.
    #[test]
    fn shared_caches_are_kept_out() {
        let after = |values: &[&str]| {
            let mut headers = of(ResponseHeader::CacheControl, values);
            set_cookies(&mut headers, ["id=1".to_owned()]);
            assert_eq!(shown(&headers, ResponseHeader::SetCookie), ["id=1"]);
            shown(&headers, ResponseHeader::CacheControl)
        };
        for kept in [
            "private",
            "no-store",
            "max-age=60, Private",
            "NO-STORE",
            "x=\"a,b\", private",
        ] {
            assert_eq!(after(&[kept]), [kept]);
            assert_eq!(after(&["max-age=60", kept]), ["max-age=60", kept]);
        }
        for replaced in [
            "public",
            "max-age=60",
            "no-cache",
            "private=\"x\"",
            "x=\"a, private\"",
            r#"x="\", private, \"""#,
            "",
        ] {
            assert_eq!(after(&[replaced]), ["no-store"], "{replaced}");
        }
        assert_eq!(after(&[]), ["no-store"]);
        assert_eq!(after(&["public", "max-age=60"]), ["no-store"]);
    }

    /// CK-8: nor by one that is told so in a header of its own; such a header isn't added.
    #[test]
    fn targeted_cache_control_is_replaced() {
        for name in TARGETED {
            let mut headers = of(name, &["max-age=600"]);
            set_cookies(&mut headers, ["id=1".to_owned()]);
            assert_eq!(shown(&headers, name), ["no-store"]);
            assert_eq!(headers.len(), 3);
        }
    }

    /// CK-6: other people's cookies stay.
    #[test]
    fn other_cookies_stay() {
        let mut headers = of(ResponseHeader::SetCookie, &["theirs=1", "theirs=2"]);
        set_cookies(&mut headers, ["id=".to_owned(), "id=1".to_owned()]);
        let cookies = shown(&headers, ResponseHeader::SetCookie);
        assert_eq!(cookies, ["theirs=1", "theirs=2", "id=", "id=1"]);
    }

    /// LG-1: whoever logs a response's headers doesn't log the session's cookie.
    #[test]
    fn the_cookie_is_marked_as_sensitive() {
        let mut headers = HeaderMap::new();
        set_cookies(&mut headers, ["id=1".to_owned()]);
        assert!(headers["set-cookie"].is_sensitive());
        assert!(!headers["cache-control"].is_sensitive());
    }

    /// CK-8, LG-1: the same holds for a token, which is in one header.
    #[test]
    fn a_token_is_guarded_as_the_cookie_is() {
        let header = ResponseHeader::Token("x-session");
        let mut headers = of(header, &["stale", "stale"]);
        for token in ["a-token", ""] {
            set_token(&mut headers, "x-session", Cow::Borrowed(token));
            assert_eq!(shown(&headers, header), [token]);
            assert_eq!(shown(&headers, ResponseHeader::CacheControl), ["no-store"]);
            assert!(headers["x-session"].is_sensitive());
        }
    }
}
