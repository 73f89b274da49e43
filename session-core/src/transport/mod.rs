//! How a session's id travels: out of a request's headers, and back with the response.
//!
//! Nothing outside of this folder knows that it is a cookie, the names of options apart.

mod cookie;
mod csrf_keys;
mod headers;
mod scan;
mod scope;
mod secret;
mod sign;

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

use crate::error::ConfigError;
use crate::events::Events;
use crate::id::SessionId;
use cookie::CookieTemplate;
use scan::Scanner;
use sign::{Carrier, Keyring, Rejected, VALUE_LEN};

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
    cookie: CookieTemplate,
    scanner: Scanner,
    keys: Keyring,
}

/// What a response tells the client about its id: the values of Set-Cookie headers.
pub(crate) struct ForClient {
    cookie: String,
    /// A removal for each scope that the deployment has left.
    former_removals: Arc<[String]>,
}

impl Transport {
    /// Ids in a cookie; `secrets` starts with the current one.
    pub(crate) fn cookie(options: &CookieOptions, secrets: &[Secret]) -> Result<Self, ConfigError> {
        let cookie = CookieTemplate::new(options)?;
        Ok(Self {
            scanner: Scanner::new(cookie.name()),
            keys: Keyring::new(Carrier::Cookie, cookie.name(), secrets),
            cookie,
        })
    }

    /// The name under which ids travel.
    pub(crate) fn name(&self) -> &str {
        self.cookie.name()
    }

    /// The ids in a request. Cookies of our name that can't be ours by their length are passed over, however many
    /// there are; together they are one event.
    pub(crate) fn read(&self, headers: &impl RequestHeaders, events: &Events) -> Ids {
        let mut ids = Ids::new();
        let mut has_other_lengths = false;
        let values = self.scanner.values(headers.values(RequestHeader::Cookie));
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

    /// Gives the client `id`, to be kept for `lifetime`, also when it is closed meanwhile if `persistent` says so. By
    /// default that is as configured.
    pub(crate) fn send(
        &self,
        id: &SessionId,
        lifetime: Duration,
        persistent: Option<bool>,
    ) -> ForClient {
        let value = self.keys.sign(id);
        self.for_client(self.cookie.set(&value, lifetime, persistent))
    }

    /// Makes the client forget its id.
    pub(crate) fn remove(&self) -> ForClient {
        self.for_client(self.cookie.removal().to_owned())
    }

    fn for_client(&self, cookie: String) -> ForClient {
        ForClient {
            cookie,
            former_removals: self.cookie.former_removals().clone(),
        }
    }
}

impl ForClient {
    /// Puts it on a response, and keeps that out of shared caches.
    ///
    /// The removals come first. To a browser that keeps to the letter of RFC 6265 (5.3), a cookie of this host alone
    /// and one whose domain is this host are the same, so that a removal behind the cookie would take it away again.
    pub(crate) fn apply(&self, headers: &mut impl ResponseHeaders) {
        let removals = self.former_removals.iter().cloned();
        headers::set_cookies(headers, removals.chain(iter::once(self.cookie.clone())));
    }
}

/// Says that a response depends on what the transport reads.
pub(crate) fn vary(headers: &mut impl ResponseHeaders) {
    headers::vary_by_cookie(headers);
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
}
