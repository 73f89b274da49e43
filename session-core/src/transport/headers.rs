//! The headers of requests and responses, for every framework alike.

use std::borrow::Cow;
use std::fmt;

use http::header::{CACHE_CONTROL, COOKIE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE, VARY};

/// The headers of a request that a session may be read from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum RequestHeader {
    /// `Cookie`
    Cookie,
}

impl RequestHeader {
    /// The header's name, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cookie => "cookie",
        }
    }
}

/// The request headers of a framework. The header map of `http` 1 is one; an adapter for a framework that has another
/// map implements it for that.
pub trait RequestHeaders {
    /// The values of all headers of this name, in the order of the request.
    fn values(&self, header: RequestHeader) -> impl Iterator<Item = &[u8]>;
}

impl RequestHeaders for HeaderMap {
    fn values(&self, header: RequestHeader) -> impl Iterator<Item = &[u8]> {
        let name = match header {
            RequestHeader::Cookie => COOKIE,
        };
        self.get_all(name).iter().map(HeaderValue::as_bytes)
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
    fn values(&self, header: RequestHeader) -> impl Iterator<Item = &[u8]> {
        match header {
            RequestHeader::Cookie => self.0.iter().copied(),
        }
    }
}

/// The headers of a response that a session looks at or changes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ResponseHeader {
    /// `Set-Cookie`: its value is a credential and has no business in anybody's log.
    SetCookie,
    /// `Vary`
    Vary,
    /// `Cache-Control`
    CacheControl,
    /// `CDN-Cache-Control` (RFC 9213)
    CdnCacheControl,
    /// `Surrogate-Control`, the precursor of `CDN-Cache-Control`
    SurrogateControl,
}

impl ResponseHeader {
    /// The header's name, in lower case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SetCookie => "set-cookie",
            Self::Vary => "vary",
            Self::CacheControl => "cache-control",
            Self::CdnCacheControl => "cdn-cache-control",
            Self::SurrogateControl => "surrogate-control",
        }
    }
}

/// The response headers of a framework. The header map of `http` 1 is one; an adapter for a framework that
/// has another map implements it for that.
pub trait ResponseHeaders {
    /// The values of all headers of this name.
    fn values(&self, header: ResponseHeader) -> impl Iterator<Item = &[u8]>;

    /// Adds a header beside those of the same name. `value` is printable ASCII.
    fn append(&mut self, header: ResponseHeader, value: Cow<'static, str>);

    /// Puts a header in place of those of the same name. `value` is printable ASCII.
    fn replace(&mut self, header: ResponseHeader, value: Cow<'static, str>);
}

impl ResponseHeaders for HeaderMap {
    fn values(&self, header: ResponseHeader) -> impl Iterator<Item = &[u8]> {
        self.get_all(name_of(header))
            .iter()
            .map(HeaderValue::as_bytes)
    }

    fn append(&mut self, header: ResponseHeader, value: Cow<'static, str>) {
        if let Some(value) = value_of(header, value) {
            self.append(name_of(header), value);
        }
    }

    fn replace(&mut self, header: ResponseHeader, value: Cow<'static, str>) {
        if let Some(value) = value_of(header, value) {
            self.insert(name_of(header), value);
        }
    }
}

fn name_of(header: ResponseHeader) -> HeaderName {
    match header {
        ResponseHeader::SetCookie => SET_COOKIE,
        ResponseHeader::Vary => VARY,
        ResponseHeader::CacheControl => CACHE_CONTROL,
        ResponseHeader::CdnCacheControl | ResponseHeader::SurrogateControl => {
            HeaderName::from_static(header.name())
        }
    }
}

/// The core writes printable ASCII, so that nothing is ever left out here.
fn value_of(header: ResponseHeader, value: Cow<'static, str>) -> Option<HeaderValue> {
    let mut value = match value {
        Cow::Borrowed(text) => HeaderValue::from_static(text),
        Cow::Owned(text) => text.try_into().ok()?,
    };
    value.set_sensitive(header == ResponseHeader::SetCookie);
    Some(value)
}

/// Says that the response depends on the cookie, unless it says so already.
pub(crate) fn vary_by_cookie(headers: &mut impl ResponseHeaders) {
    let covered = |value: &[u8]| {
        let mut names = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        names.any(|name| name == b"*" || name.eq_ignore_ascii_case(b"cookie"))
    };
    if !headers.values(ResponseHeader::Vary).any(covered) {
        headers.append(ResponseHeader::Vary, Cow::Borrowed("Cookie"));
    }
}

/// What takes precedence over Cache-Control at the caches that know it.
const TARGETED: [ResponseHeader; 2] = [
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

    fn of(header: ResponseHeader, values: &[&str]) -> HeaderMap {
        let values = values.iter().map(|value| value.parse().unwrap());
        values.map(|value| (name_of(header), value)).collect()
    }

    fn shown(headers: &HeaderMap, header: ResponseHeader) -> Vec<String> {
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
            vary_by_cookie(&mut headers);
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
}
