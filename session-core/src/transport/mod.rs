//! How a session's id travels: out of a request's headers, and back with the response.
//!
//! Nothing outside of this folder knows whether it is a cookie or a token in a header, the names of options apart.

mod cookie;
mod csrf_keys;
mod headers;
mod scan;
mod scope;
mod secret;
mod sign;
mod token;

use std::borrow::Cow;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;

pub use cookie::SameSite;
pub use headers::{CookieHeaders, RequestHeader, RequestHeaders, ResponseHeader, ResponseHeaders};
pub use secret::{MIN_SECRET_LEN, Secret};

pub(crate) use cookie::CookieOptions;
pub(crate) use csrf_keys::{CsrfKeys, Pad, Unmasked};
pub(crate) use scope::CookieScope;
pub(crate) use sign::Verified;
pub(crate) use token::TokenOptions;

use crate::error::ConfigError;
use crate::events::Events;
use crate::id::SessionId;
use cookie::CookieTemplate;
use scan::Scanner;
use sign::{Carrier, Keyring, Rejected, VALUE_LEN};
use token::TokenHeaders;

/// How many cookies are verified, at most: those of our name that have the length of a signed id. Whoever can set a
/// cookie for a neighbouring host or path can put junk in front of the good one. A browser that holds the fifty cookies
/// for a domain that RFC 6265 (6.1) asks for, and no more, never sends this many. Verifying them all takes about as long
/// as one question to a store over the network.
const MAX_VERIFIED: usize = 64;

/// How many ids are looked up, at most. A browser brings several that verify when the cookie was set with different
/// paths or domains; each of them costs a question to the store.
const MAX_IDS: usize = 8;

/// The ids that a request brought and whose signature holds, each once, in the order of the request. Nearly every
/// request has one.
pub(crate) type Ids = SmallVec<[Verified; 1]>;

/// Reads ids from requests, and tells clients about theirs in responses.
#[derive(Debug)]
pub(crate) struct Transport {
    carried: Carried,
    keys: Keyring,
}

/// What ids are carried by.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one for each configuration, and each request looks at it"
)]
enum Carried {
    InCookie {
        cookie: CookieTemplate,
        scanner: Scanner,
    },
    InHeader(Arc<TokenHeaders>),
}

/// What a response tells the client about its id.
pub(crate) enum ForClient {
    Cookie {
        /// The value of a Set-Cookie header.
        cookie: String,
        /// A removal for each scope that the deployment has left.
        former_removals: Arc<[String]>,
    },
    Token {
        /// Empty if it is gone.
        token: String,
        headers: Arc<TokenHeaders>,
    },
}

/// What a response depends on whose request has used the session.
pub(crate) enum Vary {
    Cookie,
    Token(Arc<TokenHeaders>),
}

impl Transport {
    /// Ids in a cookie; `secrets` starts with the current one.
    pub(crate) fn cookie(options: &CookieOptions, secrets: &[Secret]) -> Result<Self, ConfigError> {
        let cookie = CookieTemplate::new(options)?;
        Ok(Self {
            keys: Keyring::new(Carrier::Cookie, cookie.name(), secrets),
            carried: Carried::InCookie {
                scanner: Scanner::new(cookie.name()),
                cookie,
            },
        })
    }

    /// Ids in a request header; `secrets` starts with the current one.
    pub(crate) fn token(options: &TokenOptions, secrets: &[Secret]) -> Result<Self, ConfigError> {
        let headers = TokenHeaders::new(options)?;
        Ok(Self {
            keys: Keyring::new(Carrier::Header, headers.name(), secrets),
            carried: Carried::InHeader(headers),
        })
    }

    /// The name under which ids travel: the cookie's, or that of the request header in lower case.
    pub(crate) fn name(&self) -> &str {
        match &self.carried {
            Carried::InCookie { cookie, .. } => cookie.name(),
            Carried::InHeader(headers) => headers.name(),
        }
    }

    /// The cookie's name, if ids travel in one.
    pub(crate) fn cookie_name(&self) -> Option<&str> {
        match &self.carried {
            Carried::InCookie { cookie, .. } => Some(cookie.name()),
            Carried::InHeader(_) => None,
        }
    }

    /// Whether the two can't be used for one request: they would read the same id, or undo what the other sends.
    pub(crate) fn collides(&self, other: &Self) -> bool {
        match (&self.carried, &other.carried) {
            (Carried::InCookie { cookie, .. }, Carried::InCookie { cookie: other, .. }) => {
                cookie.name() == other.name()
            }
            (Carried::InHeader(headers), Carried::InHeader(other)) => headers.collide(other),
            (Carried::InCookie { .. }, Carried::InHeader(_))
            | (Carried::InHeader(_), Carried::InCookie { .. }) => false,
        }
    }

    /// The ids in a request.
    pub(crate) fn read(&self, headers: &impl RequestHeaders, events: &Events) -> Ids {
        match &self.carried {
            Carried::InCookie { scanner, .. } => self.verify(
                scanner.values(headers.values(RequestHeader::Cookie)),
                events,
            ),
            Carried::InHeader(tokens) => self.verify(tokens.values(headers), events),
        }
    }

    /// The ids among these values, whose signature holds. Values that can't be ours by their length are passed over,
    /// however many there are; together they are one event.
    fn verify<'h>(&self, values: impl Iterator<Item = &'h [u8]>, events: &Events) -> Ids {
        let mut ids = Ids::new();
        let mut has_other_lengths = false;
        let of_our_length = values.filter(|value| {
            let is_ours = value.len() == VALUE_LEN;
            has_other_lengths |= !is_ours;
            is_ours
        });
        for value in of_our_length.take(MAX_VERIFIED) {
            let is_full = ids.len() == MAX_IDS;
            match self.keys.verify(value) {
                Ok(verified) => match ids.iter_mut().find(|earlier| earlier.key == verified.key) {
                    Some(same) => same.outdated &= verified.outdated,
                    None if is_full => break,
                    None => ids.push(verified),
                },
                Err(reason) => events.id_rejected(reason),
            }
        }
        if has_other_lengths {
            events.id_rejected(Rejected::Malformed);
        }
        ids
    }

    /// Gives the client `id`. A browser keeps a cookie for `lifetime`, also when it is closed meanwhile if `persistent`
    /// says so; by default that is as configured. How long a client keeps a token is its own affair.
    pub(crate) fn send(
        &self,
        id: &SessionId,
        lifetime: Duration,
        persistent: Option<bool>,
    ) -> ForClient {
        let value = self.keys.sign(id);
        match &self.carried {
            Carried::InCookie { cookie, .. } => ForClient::Cookie {
                cookie: cookie.set(&value, lifetime, persistent),
                former_removals: cookie.former_removals().clone(),
            },
            Carried::InHeader(headers) => ForClient::Token {
                token: value,
                headers: headers.clone(),
            },
        }
    }

    /// Makes the client forget its id.
    pub(crate) fn remove(&self) -> ForClient {
        match &self.carried {
            Carried::InCookie { cookie, .. } => ForClient::Cookie {
                cookie: cookie.removal().to_owned(),
                former_removals: cookie.former_removals().clone(),
            },
            Carried::InHeader(headers) => ForClient::Token {
                token: String::new(),
                headers: headers.clone(),
            },
        }
    }

    /// What a response depends on whose request has used the session.
    pub(crate) fn vary(&self) -> Vary {
        match &self.carried {
            Carried::InCookie { .. } => Vary::Cookie,
            Carried::InHeader(headers) => Vary::Token(headers.clone()),
        }
    }
}

impl ForClient {
    /// Puts it on a response, and keeps that out of shared caches.
    ///
    /// The removals come first. To a browser that keeps to the letter of RFC 6265 (5.3), a cookie of this host alone
    /// and one whose domain is this host are the same, so that a removal behind the cookie would take it away again.
    pub(crate) fn apply(&self, response: &mut impl ResponseHeaders) {
        match self {
            Self::Cookie {
                cookie,
                former_removals,
            } => {
                let removals = former_removals.iter().cloned();
                headers::set_cookies(response, removals.chain(iter::once(cookie.clone())));
            }
            Self::Token { token, headers } => headers.send(response, token),
        }
    }
}

impl Vary {
    /// Says so on a response.
    pub(crate) fn apply(&self, response: &mut impl ResponseHeaders) {
        match self {
            Self::Cookie => headers::vary_by(response, Cow::Borrowed("Cookie")),
            Self::Token(headers) => headers.vary(response),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::SystemClock;

    fn transport(options: &CookieOptions) -> Transport {
        Transport::cookie(options, &[Secret::from([1; 32])]).unwrap()
    }

    fn id(n: u8) -> SessionId {
        SessionId::from_slice(&[n; 32]).unwrap()
    }

    /// The ids in one Cookie header with these values.
    fn read<'v>(values: impl IntoIterator<Item = &'v str>) -> Vec<SessionId> {
        let mut header = String::new();
        for value in values {
            header = header + "session_id=" + value + "; ";
        }
        let events = Events::new(Arc::new(SystemClock));
        let transport = transport(&CookieOptions::default());
        let ids = transport.read(&CookieHeaders(&[header.as_bytes()]), &events);
        ids.into_iter().map(|verified| verified.id).collect()
    }

    /// RQ-5: junk hides the good one only from the 65th place on, where junk of another length takes no place.
    #[test]
    fn junk_hides_nothing() {
        let good = transport(&CookieOptions::default()).keys.sign(&id(7));
        let junk = "A".repeat(VALUE_LEN);
        let (shorter, longer) = (&junk[1..], junk.clone() + "A");
        for (places, expected) in [(63, vec![id(7)]), (64, vec![])] {
            let junk = iter::repeat_n(junk.as_str(), places);
            assert_eq!(read(junk.clone().chain([good.as_str()])), expected);
            let other_lengths = ["", "1", shorter, &longer].repeat(1_000);
            let mixed = other_lengths.iter().copied().chain(junk);
            let mixed = mixed.chain(other_lengths.iter().copied());
            assert_eq!(read(mixed.chain([good.as_str()])), expected);
        }
    }

    /// RQ-5: the first eight ids that verify are kept, each once.
    #[test]
    fn eight_ids_are_kept() {
        let keys = transport(&CookieOptions::default()).keys;
        let signed: Vec<_> = (0..9).map(|n| keys.sign(&id(n))).collect();
        let expected: Vec<_> = (0..8).map(id).collect();
        assert_eq!(read(signed.iter().map(String::as_str)), expected);
        let twice = signed.iter().flat_map(|value| [value.as_str(); 2]);
        assert_eq!(read(twice), expected);
    }

    /// CK-6: one Set-Cookie for each scope, and that of the scope that holds now is the last: no browser takes the
    /// removal of another one for its own.
    #[test]
    fn former_scopes_are_removed_beside_the_cookie() {
        let scope = |domain: Option<&str>, path: &str| CookieScope {
            domain: domain.map(str::to_owned),
            path: path.to_owned(),
        };
        let transport = transport(&CookieOptions {
            scope: scope(Some("example.com"), "/"),
            former_scopes: vec![scope(None, "/"), scope(Some("example.com"), "/app")],
            ..CookieOptions::default()
        });
        for (for_client, lifetime) in [
            (
                transport.send(&id(7), Duration::from_secs(60), None),
                "Max-Age=60",
            ),
            (transport.remove(), "Max-Age=0"),
        ] {
            let mut headers = http::HeaderMap::new();
            for_client.apply(&mut headers);
            let cookies: Vec<Vec<_>> = headers
                .get_all("set-cookie")
                .iter()
                .map(|value| value.to_str().unwrap().split("; ").collect())
                .collect();
            let [host, app, current] = &cookies[..] else {
                panic!("{cookies:?}");
            };
            for former in [host, app] {
                assert_eq!(former[0], "session_id=");
                assert!(former.contains(&"Max-Age=0"), "{former:?}");
            }
            assert!(host.contains(&"Path=/"));
            assert!(!host.iter().any(|attribute| attribute.starts_with("Domain")));
            assert!(app.contains(&"Path=/app") && app.contains(&"Domain=example.com"));
            assert!(current.contains(&"Path=/") && current.contains(&"Domain=example.com"));
            assert!(current.contains(&lifetime), "{current:?}");
            assert_eq!(headers["cache-control"], "no-store");
        }
    }

    fn token(read_from: Option<&str>, secrets: &[Secret]) -> Transport {
        let options = TokenOptions {
            read_from: read_from.map(str::to_owned),
            sent_in: None,
        };
        Transport::token(&options, secrets).unwrap()
    }

    fn in_header(transport: &Transport, name: &'static str, values: &[String]) -> Vec<SessionId> {
        let mut headers = http::HeaderMap::new();
        for value in values {
            headers.append(name, value.parse().unwrap());
        }
        let events = Events::new(Arc::new(SystemClock));
        let ids = transport.read(&headers, &events);
        ids.into_iter().map(|verified| verified.id).collect()
    }

    /// SG-1, SG-6, ID-5: a value is good where it was made for: neither a cookie's as a token, nor a token's as a cookie,
    /// nor one header's in another.
    #[test]
    fn a_value_is_good_in_its_carrier_alone() {
        let secrets = [Secret::from([1; 32])];
        let cookie = transport(&CookieOptions::default());
        // Of the same name, so that nothing but the carrier differs.
        let named = transport(&CookieOptions {
            name: "authorization".to_owned(),
            ..CookieOptions::default()
        });
        let (bearer, custom) = (token(None, &secrets), token(Some("x-session"), &secrets));
        for (made_by, in_bearer, in_custom) in [
            (&cookie, false, false),
            (&named, false, false),
            (&bearer, true, false),
            (&custom, false, true),
        ] {
            let value = made_by.keys.sign(&id(7));
            let found = in_header(&bearer, "authorization", &[format!("Bearer {value}")]);
            assert_eq!(found.len(), usize::from(in_bearer), "{}", made_by.name());
            let found = in_header(&custom, "x-session", std::slice::from_ref(&value));
            assert_eq!(found.len(), usize::from(in_custom), "{}", made_by.name());
        }
        for made_by in [&bearer, &custom] {
            let pair = format!(
                "session_id={0}; authorization={0}",
                made_by.keys.sign(&id(7))
            );
            assert!(in_header(&cookie, "cookie", std::slice::from_ref(&pair)).is_empty());
            assert!(in_header(&named, "cookie", &[pair]).is_empty());
        }
    }

    /// RQ-5: tokens are bounded as cookies are: 64 of our length are verified, and eight ids are kept.
    #[test]
    fn tokens_are_bounded_as_cookies_are() {
        let bearer = token(None, &[Secret::from([1; 32])]);
        let of = |value: String| format!("Bearer {value}");
        let good = of(bearer.keys.sign(&id(7)));
        let junk = |count| iter::repeat_n(of("A".repeat(VALUE_LEN)), count);
        let others = ["Basic x", "Bearer short", "Bearer"].map(str::to_owned);
        for (places, expected) in [(63, vec![id(7)]), (64, vec![])] {
            let values = others.iter().cloned().cycle().take(300);
            let values: Vec<_> = values.chain(junk(places)).chain([good.clone()]).collect();
            assert_eq!(in_header(&bearer, "authorization", &values), expected);
        }
        let signed: Vec<_> = (0..9).map(|n| of(bearer.keys.sign(&id(n)))).collect();
        let expected: Vec<_> = (0..8).map(id).collect();
        assert_eq!(in_header(&bearer, "authorization", &signed), expected);
    }

    /// CK-8, CK-9: the response header has the token, or nothing where it is gone, and `Vary` names what was read.
    #[test]
    fn a_token_goes_out_in_its_header() {
        let secrets = [Secret::from([1; 32])];
        for (read_from, vary) in [(None, "Authorization"), (Some("X-Session"), "x-session")] {
            let transport = token(read_from, &secrets);
            let signed = transport.keys.sign(&id(7));
            for (for_client, expected) in [
                (
                    transport.send(&id(7), Duration::ZERO, None),
                    signed.as_str(),
                ),
                (transport.remove(), ""),
            ] {
                let mut headers = http::HeaderMap::new();
                transport.vary().apply(&mut headers);
                for_client.apply(&mut headers);
                assert_eq!(headers["session-token"], expected);
                assert!(headers["session-token"].is_sensitive());
                assert_eq!(headers["vary"], vary);
                assert_eq!(headers["cache-control"], "no-store");
                assert_eq!(headers.len(), 3, "no cookie: {headers:?}");
            }
        }
    }
}
