//! How a session's id travels: out of a request's headers, and back with the response.
//!
//! Nothing outside of this folder knows that it is a cookie, the names of options apart.

mod cookie;
mod headers;
mod scan;
mod secret;
mod sign;

use std::time::Duration;

use smallvec::SmallVec;

pub use cookie::SameSite;
pub use headers::{CookieHeaders, RequestHeader, RequestHeaders, ResponseHeader, ResponseHeaders};
pub use secret::{MIN_SECRET_LEN, Secret};

pub(crate) use cookie::CookieOptions;
pub(crate) use sign::Verified;

use crate::error::ConfigError;
use crate::events;
use crate::id::SessionId;
use cookie::CookieTemplate;
use scan::Scanner;
use sign::{Carrier, Keyring};

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

/// What a response tells the client about its id: the value of a Set-Cookie header.
pub(crate) struct ForClient(String);

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

    /// The ids in a request.
    pub(crate) fn read(&self, headers: &impl RequestHeaders) -> Ids {
        let mut ids = Ids::new();
        for value in self.scanner.values(headers.values(RequestHeader::Cookie)) {
            match self.keys.verify(value) {
                Ok(verified) => match ids.iter_mut().find(|earlier| earlier.key == verified.key) {
                    Some(same) => same.outdated &= verified.outdated,
                    None => ids.push(verified),
                },
                Err(reason) => events::id_rejected(reason),
            }
        }
        ids
    }

    /// Gives the client `id`, to be kept for `lifetime`.
    pub(crate) fn send(&self, id: &SessionId, lifetime: Duration) -> ForClient {
        ForClient(self.cookie.set(&self.keys.sign(id), lifetime))
    }

    /// Makes the client forget its id.
    pub(crate) fn remove(&self) -> ForClient {
        ForClient(self.cookie.removal().to_owned())
    }
}

impl ForClient {
    /// Puts it on a response, and keeps that out of shared caches.
    pub(crate) fn apply(&self, headers: &mut impl ResponseHeaders) {
        headers::set_cookie(headers, self.0.clone());
    }
}

/// Says that a response depends on what the transport reads.
pub(crate) fn vary(headers: &mut impl ResponseHeaders) {
    headers::vary_by_cookie(headers);
}
