//! The token: an id in a request header, for clients without cookies, and the header that it goes out in.

use std::borrow::Cow;
use std::sync::Arc;

use super::headers::{self, RequestHeader, RequestHeaders, ResponseHeaders};
use crate::error::ConfigError;

/// The response header that a token goes out in by default.
const SENT_IN: &str = "session-token";

/// The longest name that a header may be given, in bytes.
const MAX_NAME_LEN: usize = 64;

/// Headers that mean something else, so that no token is read from them or goes out in them.
const TAKEN: [&str; 18] = [
    "authorization",
    "cache-control",
    "cdn-cache-control",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "host",
    "location",
    "origin",
    "proxy-authorization",
    "referer",
    "set-cookie",
    "surrogate-control",
    "transfer-encoding",
    "upgrade",
    "vary",
];

/// What the configuration says about the token.
#[derive(Clone, Default, Debug)]
pub(crate) struct TokenOptions {
    /// The header that holds the bare token; nothing for `Authorization: Bearer TOKEN`.
    pub(crate) read_from: Option<String>,
    pub(crate) sent_in: Option<String>,
}

/// The headers that the token travels in, once they have passed every check.
#[derive(Debug)]
pub(crate) struct TokenHeaders {
    read_from: ReadFrom,
    sent_in: Box<str>,
}

#[derive(PartialEq, Eq, Debug)]
enum ReadFrom {
    /// `Authorization: Bearer TOKEN`
    Authorization,
    /// The bare token in the header of this name, in lower case.
    Named(Box<str>),
}

impl TokenHeaders {
    pub(crate) fn new(options: &TokenOptions) -> Result<Arc<Self>, ConfigError> {
        let read_from = match &options.read_from {
            None => ReadFrom::Authorization,
            Some(name) => ReadFrom::Named(check_name("token_header", name)?),
        };
        let sent_in = match &options.sent_in {
            None => SENT_IN.into(),
            Some(name) => check_name("token_response_header", name)?,
        };
        Ok(Arc::new(Self { read_from, sent_in }))
    }

    /// The name of the header that the token is read from, in lower case.
    pub(crate) fn name(&self) -> &str {
        self.request_header().name()
    }

    /// Whether the two can't stand side by side: they read one header, or what one sends would replace what the other
    /// has sent.
    pub(crate) fn collide(&self, other: &Self) -> bool {
        self.read_from == other.read_from || self.sent_in == other.sent_in
    }

    /// What a request has for tokens, in its order. Another scheme than `Bearer` is somebody else's, and an empty token
    /// is none: a client may send back what it was given when its token was taken away.
    pub(crate) fn values<'h>(
        &self,
        headers: &'h impl RequestHeaders,
    ) -> impl Iterator<Item = &'h [u8]> {
        let with_scheme = self.read_from == ReadFrom::Authorization;
        let values = headers.values(self.request_header());
        let values = values.filter_map(move |value| match with_scheme {
            true => bearer(value),
            false => Some(trim(value)),
        });
        values.filter(|token| !token.is_empty())
    }

    /// Says that a response depends on the header that the token is read from.
    pub(crate) fn vary(&self, headers: &mut impl ResponseHeaders) {
        let name = match &self.read_from {
            ReadFrom::Authorization => Cow::Borrowed("Authorization"),
            ReadFrom::Named(name) => Cow::Owned(name.to_string()),
        };
        headers::vary_by(headers, name);
    }

    /// Puts the token on a response; an empty one says that it is gone.
    pub(crate) fn send(&self, headers: &mut impl ResponseHeaders, token: &str) {
        headers::set_token(headers, &self.sent_in, Cow::Owned(token.to_owned()));
    }

    fn request_header(&self) -> RequestHeader<'_> {
        match &self.read_from {
            ReadFrom::Authorization => RequestHeader::Authorization,
            ReadFrom::Named(name) => RequestHeader::Named(name),
        }
    }
}

/// The name in lower case, if a token may travel in a header of this name.
fn check_name(option: &str, name: &str) -> Result<Box<str>, ConfigError> {
    let is_token_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > MAX_NAME_LEN || !name.bytes().all(is_token_byte) {
        return Err(ConfigError::new(format!(
            "{option}({name:?}) is not a header's name (RFC 9110, 5.1) of {MAX_NAME_LEN} bytes at most: use letters, \
             digits and hyphens, such as \"x-session\""
        )));
    }
    let lower = name.to_ascii_lowercase();
    if TAKEN.contains(&lower.as_str()) {
        return Err(ConfigError::new(format!(
            "{option}({name:?}) is a header that means something else: choose one of your own, such as \"x-session\", \
             or call bearer_token() for `Authorization: Bearer TOKEN`"
        )));
    }
    Ok(lower.into())
}

/// What stands behind the scheme `Bearer`, in whatever case (RFC 9110, 11.1), if that is the scheme.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let value = trim(value);
    let scheme_len = memchr::memchr(b' ', value).unwrap_or(value.len());
    let (scheme, mut token) = value.split_at(scheme_len);
    while let [b' ', rest @ ..] = token {
        token = rest;
    }
    scheme.eq_ignore_ascii_case(b"bearer").then_some(token)
}

/// Without the spaces and tabs around it, which are no part of a header's value (RFC 9110, 5.5).
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn headers(options: &TokenOptions) -> Arc<TokenHeaders> {
        TokenHeaders::new(options).unwrap()
    }

    fn custom(name: &str) -> Result<Arc<TokenHeaders>, ConfigError> {
        TokenHeaders::new(&TokenOptions {
            read_from: Some(name.to_owned()),
            sent_in: None,
        })
    }

    fn found(options: &TokenOptions, name: &'static str, values: &[&str]) -> Vec<String> {
        let mut map = HeaderMap::new();
        for value in values {
            map.append(name, value.parse().unwrap());
        }
        let tokens = headers(options);
        let found = tokens.values(&map);
        found
            .map(|token| String::from_utf8(token.to_vec()).unwrap())
            .collect()
    }

    /// ID-5: the scheme is `Bearer` in whatever case, with one space or more behind it; others are passed over.
    #[test]
    fn bearer_is_read_and_other_schemes_are_not() {
        let found = |values: &[&str]| found(&TokenOptions::default(), "authorization", values);
        for ours in [
            "Bearer t",
            "bearer t",
            "BEARER t",
            "Bearer   t",
            "\tBearer t ",
        ] {
            assert_eq!(found(&[ours]), ["t"], "{ours:?}");
        }
        for other in [
            "",
            "Basic t",
            "Bearer",
            "Bearer ",
            "Bearert",
            "Bearer\tt",
            "t",
            "Digest Bearer t",
        ] {
            assert_eq!(found(&[other]), [""; 0], "{other:?}");
        }
        assert_eq!(found(&["Basic x", "Bearer a", "Bearer b"]), ["a", "b"]);
        // More than one token is none of ours: its length is another.
        assert_eq!(found(&["Bearer a b"]), ["a b"]);
    }

    /// ID-5: a header of choice holds the bare token, and no other header is read.
    #[test]
    fn a_header_of_choice_holds_the_bare_token() {
        let options = TokenOptions {
            read_from: Some("X-Session".to_owned()),
            sent_in: None,
        };
        let found = |name, values: &[&str]| found(&options, name, values);
        assert_eq!(found("x-session", &["a", " b\t", ""]), ["a", "b"]);
        assert_eq!(found("x-session", &["Bearer a"]), ["Bearer a"]);
        assert_eq!(found("authorization", &["Bearer a"]), [""; 0]);
        assert_eq!(headers(&options).name(), "x-session");
    }

    /// CK-3: a header's name follows its grammar and means nothing else, and the error says what to change.
    #[test]
    fn names_are_checked() {
        for name in ["", "a b", "a:b", "é", "a\r\nb", &"a".repeat(65)] {
            let error = custom(name).unwrap_err().to_string();
            assert!(error.contains("use letters, digits"), "{error}");
        }
        for name in ["Cookie", "authorization", "Set-Cookie", "vary", "Host"] {
            let error = custom(name).unwrap_err().to_string();
            assert!(error.contains("choose one of your own"), "{error}");
        }
        assert!(custom("Session-Token").is_ok());
        assert!(TAKEN.is_sorted());
    }

    /// ST-7: tokens that would get in each other's way are told apart from those that wouldn't.
    #[test]
    fn headers_collide_in_either_direction() {
        let of = |read_from: Option<&str>, sent_in: &str| {
            headers(&TokenOptions {
                read_from: read_from.map(str::to_owned),
                sent_in: Some(sent_in.to_owned()),
            })
        };
        let one = of(Some("x-one"), "x-out");
        assert!(one.collide(&of(Some("X-One"), "x-other")));
        assert!(one.collide(&of(None, "X-Out")));
        assert!(!one.collide(&of(None, "x-other")));
        assert!(!one.collide(&of(Some("x-out"), "x-one")));
    }
}
