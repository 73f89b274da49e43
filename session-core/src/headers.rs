//! What a session does to a response's headers, for every framework alike.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The response headers of a framework. The header map of `http` 1 is one; an adapter for a framework that
/// has another map implements it for that.
pub trait ResponseHeaders {
    /// The values of all headers called `name`, which is in lower case.
    fn values<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]>;

    /// Adds a header beside those of the same name. `name` is in lower case, and `value` printable ASCII.
    fn append(&mut self, name: &'static str, value: Cow<'static, str>);

    /// Puts a header in place of those of the same name. `name` is in lower case, and `value` printable ASCII.
    fn replace(&mut self, name: &'static str, value: Cow<'static, str>);
}

impl ResponseHeaders for HeaderMap {
    fn values<'h>(&'h self, name: &str) -> impl Iterator<Item = &'h [u8]> {
        self.get_all(name).iter().map(HeaderValue::as_bytes)
    }

    fn append(&mut self, name: &'static str, value: Cow<'static, str>) {
        if let Some(value) = header_value(name, value) {
            self.append(HeaderName::from_static(name), value);
        }
    }

    fn replace(&mut self, name: &'static str, value: Cow<'static, str>) {
        if let Some(value) = header_value(name, value) {
            self.insert(HeaderName::from_static(name), value);
        }
    }
}

/// The core writes printable ASCII, so that nothing is ever left out here.
fn header_value(name: &str, value: Cow<'static, str>) -> Option<HeaderValue> {
    let mut value = match value {
        Cow::Borrowed(text) => HeaderValue::from_static(text),
        Cow::Owned(text) => text.try_into().ok()?,
    };
    // The session's id has no business in anybody's log.
    value.set_sensitive(name == "set-cookie");
    Some(value)
}

/// Says that the response depends on the cookie, unless it says so already.
pub(crate) fn vary_by_cookie(headers: &mut impl ResponseHeaders) {
    let covered = |value: &[u8]| {
        let mut names = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        names.any(|name| name == b"*" || name.eq_ignore_ascii_case(b"cookie"))
    };
    if !headers.values("vary").any(covered) {
        headers.append("vary", Cow::Borrowed("Cookie"));
    }
}

/// What takes precedence over Cache-Control at the caches that know it (RFC 9213 and its precursor).
const TARGETED: [&str; 2] = ["cdn-cache-control", "surrogate-control"];

const NO_STORE: Cow<'static, str> = Cow::Borrowed("no-store");

/// Adds the cookie, and keeps the response out of shared caches.
pub(crate) fn set_cookie(headers: &mut impl ResponseHeaders, cookie: String) {
    headers.append("set-cookie", Cow::Owned(cookie));
    if !headers.values("cache-control").any(keeps_out_shared_caches) {
        headers.replace("cache-control", NO_STORE);
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

    fn of(name: &'static str, values: &[&str]) -> HeaderMap {
        let values = values.iter().map(|value| value.parse().unwrap());
        values
            .map(|value| (HeaderName::from_static(name), value))
            .collect()
    }

    fn shown(headers: &HeaderMap, name: &str) -> Vec<String> {
        let values = ResponseHeaders::values(headers, name);
        values
            .map(|value| String::from_utf8(value.to_vec()).unwrap())
            .collect()
    }

    /// CK-9: `Cookie` is added to `Vary` beside what is there, once.
    #[test]
    fn vary_is_merged() {
        let after = |values: &[&str]| {
            let mut headers = of("vary", values);
            vary_by_cookie(&mut headers);
            shown(&headers, "vary")
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
            let mut headers = of("cache-control", values);
            set_cookie(&mut headers, "id=1".to_owned());
            assert_eq!(shown(&headers, "set-cookie"), ["id=1"]);
            shown(&headers, "cache-control")
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
            set_cookie(&mut headers, "id=1".to_owned());
            assert_eq!(shown(&headers, name), ["no-store"]);
            assert_eq!(headers.len(), 3);
        }
    }

    /// CK-6: other people's cookies stay.
    #[test]
    fn other_cookies_stay() {
        let mut headers = of("set-cookie", &["theirs=1", "theirs=2"]);
        set_cookie(&mut headers, "id=1".to_owned());
        let cookies = shown(&headers, "set-cookie");
        assert_eq!(cookies, ["theirs=1", "theirs=2", "id=1"]);
    }
    /// LG-1: whoever logs a response's headers doesn't log the session's cookie.
    #[test]
    fn the_cookie_is_marked_as_sensitive() {
        let mut headers = HeaderMap::new();
        set_cookie(&mut headers, "id=1".to_owned());
        assert!(headers["set-cookie"].is_sensitive());
        assert!(!headers["cache-control"].is_sensitive());
    }
}
