//! What CSRF tokens are made with.
//!
//! ```text
//! base64url, no padding, 86 characters = 64 bytes:
//!
//!   0              32              64
//!   | pad          | pad XOR tag   |
//!
//! tag = HMAC-SHA256(CSRF key, seed | generation)
//! ```
//!
//! The pad is drawn anew for each token, so that no two responses of one session contain the same bytes: a compressed
//! response would otherwise give the token away, byte by byte (BREACH). The key is derived from the application's secret,
//! with a label of its own; a token that was made under a previous secret stays good.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::secret::Secret;
use super::sign::{HKDF_SALT, fill, is_equal, new_mac};

const LABEL: &[u8] = b"csrf token key";
const TAG_LEN: usize = 32;
const TOKEN_LEN: usize = 86;
const _: () = assert!(
    TOKEN_LEN == (2 * TAG_LEN * 4).div_ceil(3),
    "the token has no padding"
);

/// The bytes that mask a tag.
pub(crate) type Pad = [u8; TAG_LEN];

/// The keys for CSRF tokens: the current one makes them, all of them verify.
#[derive(Clone)]
pub(crate) struct CsrfKeys(Vec<Hmac<Sha256>>);

/// A token that was taken apart. It says nothing yet about whether it is good.
pub(crate) struct Unmasked([u8; TAG_LEN]);

impl CsrfKeys {
    /// `secrets` starts with the current one.
    pub(crate) fn new(secrets: &[Secret]) -> Self {
        let derive = |secret: &Secret| {
            let derive = Hkdf::<Sha256>::new(Some(HKDF_SALT), secret.expose());
            let mut key = Zeroizing::new([0; 32]);
            fill(&derive, LABEL, key.as_mut_slice());
            new_mac(&key)
        };
        Self(secrets.iter().map(derive).collect())
    }

    /// The token for what `seed` and `generation` stand for.
    pub(crate) fn token(&self, seed: &[u8], generation: u64, pad: &Pad) -> String {
        let tag = tag(&self.0[0], seed, generation);
        let mut raw = [0; 2 * TAG_LEN];
        raw[..TAG_LEN].copy_from_slice(pad);
        for ((masked, pad), tag) in raw[TAG_LEN..].iter_mut().zip(pad).zip(tag) {
            *masked = pad ^ tag;
        }
        URL_SAFE_NO_PAD.encode(raw)
    }

    /// Whether the token was made of these, under whichever secret. The whole tag is compared, in constant time.
    pub(crate) fn is_of(&self, token: &Unmasked, seed: &[u8], generation: u64) -> bool {
        let mut tags = self.0.iter().map(|key| tag(key, seed, generation));
        tags.any(|tag| is_equal(&tag, &token.0))
    }
}

impl Unmasked {
    /// Takes a token apart; `None` if it can't be one.
    pub(crate) fn of(token: &[u8]) -> Option<Self> {
        if token.len() != TOKEN_LEN {
            return None;
        }
        let mut raw = [0; 2 * TAG_LEN];
        if URL_SAFE_NO_PAD.decode_slice(token, &mut raw) != Ok(raw.len()) {
            return None;
        }
        let (pad, masked) = raw.split_at(TAG_LEN);
        let mut tag = [0; TAG_LEN];
        for ((tag, pad), masked) in tag.iter_mut().zip(pad).zip(masked) {
            *tag = pad ^ masked;
        }
        Some(Self(tag))
    }
}

impl fmt::Debug for CsrfKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CsrfKeys")
            .field("keys", &self.0.len())
            .finish()
    }
}

fn tag(key: &Hmac<Sha256>, seed: &[u8], generation: u64) -> [u8; TAG_LEN] {
    let mut mac = key.clone();
    mac.update(seed);
    mac.update(&generation.to_be_bytes());
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: [u8; 16] = [3; 16];

    fn keys(secrets: &[u8]) -> CsrfKeys {
        let secrets: Vec<_> = secrets.iter().map(|n| Secret::from([*n; 32])).collect();
        CsrfKeys::new(&secrets)
    }

    fn is_good(keys: &CsrfKeys, token: &str) -> bool {
        Unmasked::of(token.as_bytes()).is_some_and(|token| keys.is_of(&token, &SEED, 5))
    }

    /// CS-1: a token is good for its seed and generation, under the current secret and the previous ones, whatever masks
    /// it; and it looks different each time.
    #[test]
    fn tokens_are_masked_and_bound() {
        let current = keys(&[1]);
        let (token, other) = (
            current.token(&SEED, 5, &[7; 32]),
            current.token(&SEED, 5, &[8; 32]),
        );
        assert_eq!(token.len(), TOKEN_LEN);
        assert!(is_good(&current, &token) && is_good(&current, &other));
        let common = token.bytes().zip(other.bytes()).filter(|(a, b)| a == b);
        assert!(common.count() < 20, "{token} {other}");
        assert!(is_good(&keys(&[2, 1]), &token));
        assert!(!is_good(&keys(&[2]), &token));
        assert!(!is_good(&current, &current.token(&SEED, 6, &[7; 32])));
        assert!(!is_good(&current, &current.token(&[4; 16], 5, &[7; 32])));
    }

    /// CS-1: the whole tag counts: no character of a token can be changed, and none left out.
    #[test]
    fn every_character_of_a_token_counts() {
        let keys = keys(&[1]);
        let token = keys.token(&SEED, 5, &[7; 32]);
        for at in 0..token.len() {
            for other in ["A", "B", "-", "=", "\n"] {
                let mut changed = token.clone();
                changed.replace_range(at..=at, other);
                assert_eq!(is_good(&keys, &changed), changed == token, "{at} {other}");
            }
            assert!(!is_good(&keys, &token[..at]));
        }
        assert!(!is_good(&keys, &(token + "A")));
    }
}
