//! What the client holds: an id, how it is signed, and how it is verified.
//!
//! ```text
//! base64url, no padding, 92 characters = 69 bytes:
//!
//!   0        1              5                37               69
//!   | format | key id       | session id     | tag            |
//!   | 1 byte | 4 bytes      | 32 bytes       | 32 bytes       |
//!
//! tag    = HMAC-SHA256(MAC key, name block | format | key id | session id)
//! name block = SHA-256(name) | 32 bytes that say what carries the id
//! ```
//!
//! Every field has a fixed width, so that no two different inputs of the MAC are the same bytes. The
//! MAC key and the key id are derived from the secret by HKDF-SHA256 with a label each. The name
//! block fills the hash's first block, so it is absorbed once, when the keys are made.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::secret::Secret;
use crate::id::{ID_LEN, SessionId, StoreKey};

const FORMAT: u8 = 1;
const KEY_ID_LEN: usize = 4;
const TAG_LEN: usize = 32;
const SIGNED_LEN: usize = 1 + KEY_ID_LEN + ID_LEN;
const RAW_LEN: usize = SIGNED_LEN + TAG_LEN;
pub(crate) const VALUE_LEN: usize = 92;
const _: () = assert!(
    RAW_LEN * 4 == VALUE_LEN * 3,
    "the value has no padding and no spare bits"
);

pub(super) const HKDF_SALT: &[u8] = b"session-core v1";
const MAC_KEY_LABEL: &[u8] = b"cookie mac key";
const KEY_ID_LABEL: &[u8] = b"cookie key id";

/// What carries an id. It is signed, together with the carrier's name, so that a value that was made for one carrier
/// never verifies in another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Carrier {
    Cookie,
    /// A header with the token.
    Header,
}

impl Carrier {
    fn signed_as(self) -> &'static [u8; 32] {
        match self {
            Self::Cookie => b"session-core: session cookie\0\0\0\0",
            Self::Header => b"session-core: session header\0\0\0\0",
        }
    }
}

/// The keys of one carrier and its name: the current one signs, all of them verify.
#[derive(Clone)]
pub(crate) struct Keyring {
    keys: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    id: [u8; KEY_ID_LEN],
    /// The MAC with the name block absorbed.
    mac: Hmac<Sha256>,
}

/// A session id whose signature held.
#[derive(Clone, Debug)]
pub(crate) struct Verified {
    pub(crate) id: SessionId,
    /// The key of its record.
    pub(crate) key: StoreKey,
    /// Signed under a previous secret: the next response signs it anew.
    pub(crate) outdated: bool,
}

/// Why a value was turned down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// Not 92 characters of base64url.
    Malformed,
    /// Signed under a secret that isn't (or is no longer) configured, or in an unknown format.
    UnknownKey,
    /// The tag doesn't belong to the rest.
    BadTag,
}

impl Keyring {
    /// Derives the keys for the carrier called `name`; `secrets` starts with the current one.
    pub(crate) fn new(carrier: Carrier, name: &str, secrets: &[Secret]) -> Self {
        Self {
            keys: secrets
                .iter()
                .map(|secret| Key::derive(carrier.signed_as(), name, secret))
                .collect(),
        }
    }

    /// The value for `id`, under the current key.
    pub(crate) fn sign(&self, id: &SessionId) -> String {
        let key = &self.keys[0];
        let mut raw = Zeroizing::new([0; RAW_LEN]);
        raw[0] = FORMAT;
        raw[1..=KEY_ID_LEN].copy_from_slice(&key.id);
        raw[1 + KEY_ID_LEN..SIGNED_LEN].copy_from_slice(id.as_bytes());
        let tag = key.tag(&raw[..SIGNED_LEN]);
        raw[SIGNED_LEN..].copy_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(raw.as_slice())
    }

    /// Checks length and alphabet, then the whole tag in constant time, and only then looks at the id.
    pub(crate) fn verify(&self, value: &[u8]) -> Result<Verified, Rejected> {
        if value.len() != VALUE_LEN {
            return Err(Rejected::Malformed);
        }
        // Not wiped, unlike what is signed: the header that it came in isn't, either.
        let mut raw = [0; RAW_LEN];
        match URL_SAFE_NO_PAD.decode_slice(value, &mut raw) {
            Ok(RAW_LEN) => {}
            _ => return Err(Rejected::Malformed),
        }
        let (signed, tag) = raw.split_at(SIGNED_LEN);
        let (head, id) = signed.split_at(1 + KEY_ID_LEN);
        if head[0] != FORMAT {
            return Err(Rejected::UnknownKey);
        }
        let Some((position, key)) = self.find(&head[1..]) else {
            return Err(Rejected::UnknownKey);
        };
        if !is_equal(&key.tag(signed), tag) {
            return Err(Rejected::BadTag);
        }
        let id = SessionId::from_slice(id).ok_or(Rejected::Malformed)?;
        Ok(Verified {
            key: id.store_key(),
            id,
            outdated: position != 0,
        })
    }

    /// The key with this id. Looks at every key, whatever it finds, so that the time says nothing.
    fn find(&self, id: &[u8]) -> Option<(usize, &Key)> {
        let mut found = None;
        for (position, key) in self.keys.iter().enumerate() {
            if bool::from(key.id.ct_eq(id)) {
                found = found.or(Some((position, key)));
            }
        }
        found
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("keys", &self.keys.len())
            .finish()
    }
}

impl Key {
    fn derive(signed_as: &[u8; 32], name: &str, secret: &Secret) -> Self {
        let derive = Hkdf::<Sha256>::new(Some(HKDF_SALT), secret.expose());
        let mut id = [0; KEY_ID_LEN];
        let mut mac_key = Zeroizing::new([0; 32]);
        fill(&derive, KEY_ID_LABEL, &mut id);
        fill(&derive, MAC_KEY_LABEL, mac_key.as_mut_slice());
        let mut mac = new_mac(&mac_key);
        mac.update(&Sha256::digest(name.as_bytes()));
        mac.update(signed_as);
        Self { id, mac }
    }

    fn tag(&self, signed: &[u8]) -> [u8; TAG_LEN] {
        let mut mac = self.mac.clone();
        mac.update(signed);
        mac.finalize().into_bytes().into()
    }
}

const _: () = assert!(
    TAG_LEN.is_multiple_of(8),
    "a tag is compared in words of eight bytes"
);

/// Whether the tags are the same, in a time that doesn't depend on how much of them is. Byte by byte, `subtle`
/// takes several times as long.
pub(super) fn is_equal(tag: &[u8; TAG_LEN], other: &[u8]) -> bool {
    let (words, other_words) = (tag.as_chunks::<8>().0, other.as_chunks::<8>().0);
    let pairs = words.iter().zip(other_words);
    let difference = pairs.fold(0, |difference, (word, other)| {
        difference | (u64::from_le_bytes(*word) ^ u64::from_le_bytes(*other))
    });
    other.len() == TAG_LEN && difference.ct_eq(&0).into()
}

#[expect(
    clippy::expect_used,
    reason = "HKDF-SHA256 fails only above 255 * 32 bytes; these outputs are 32 at most"
)]
pub(super) fn fill(derive: &Hkdf<Sha256>, label: &[u8], output: &mut [u8]) {
    derive.expand(label, output).expect("the output is short");
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of every length")]
pub(super) fn new_mac(key: &[u8; 32]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("every key length is valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(n: u8) -> Secret {
        Secret::from([n; 32])
    }

    fn ring(name: &str, secrets: &[u8]) -> Keyring {
        Keyring::new(
            Carrier::Cookie,
            name,
            &secrets.iter().map(|n| secret(*n)).collect::<Vec<_>>(),
        )
    }

    fn id() -> SessionId {
        SessionId::from_slice(&[0xA5; 32]).unwrap()
    }

    fn outcome(ring: &Keyring, value: impl AsRef<[u8]>) -> Result<bool, Rejected> {
        ring.verify(value.as_ref()).map(|verified| {
            assert_eq!(verified.id, id());
            verified.outdated
        })
    }

    /// SG-1: the fields are where the format says, and the tag is the MAC of the format.
    #[test]
    fn the_value_has_the_documented_layout() {
        let value = ring("session_id", &[1]).sign(&id());
        assert_eq!(value.len(), VALUE_LEN);
        let raw = URL_SAFE_NO_PAD.decode(&value).unwrap();
        assert_eq!((raw.len(), raw[0]), (69, 1));
        assert_eq!(&raw[5..37], &[0xA5; 32]);

        let derive = Hkdf::<Sha256>::new(Some(b"session-core v1"), &[1; 32]);
        let (mut mac_key, mut key_id) = ([0; 32], [0; 4]);
        derive.expand(b"cookie mac key", &mut mac_key).unwrap();
        derive.expand(b"cookie key id", &mut key_id).unwrap();
        assert_eq!(raw[1..5], key_id);
        let mut mac = Hmac::<Sha256>::new_from_slice(&mac_key).unwrap();
        mac.update(&Sha256::digest(b"session_id"));
        mac.update(b"session-core: session cookie\0\0\0\0");
        mac.update(&raw[..37]);
        assert_eq!(raw[37..], mac.finalize().into_bytes()[..]);
    }

    /// SG-2: a tag that is empty, short, or right only in part never verifies.
    #[test]
    fn the_whole_tag_counts() {
        let ring = ring("session_id", &[1]);
        let value = ring.sign(&id());
        let raw = URL_SAFE_NO_PAD.decode(&value).unwrap();
        for kept in 0..TAG_LEN {
            let short = URL_SAFE_NO_PAD.encode(&raw[..SIGNED_LEN + kept]);
            assert_eq!(
                outcome(&ring, short),
                Err(Rejected::Malformed),
                "{kept} bytes of tag"
            );
            let mut zeroed = raw.clone();
            zeroed[SIGNED_LEN + kept..].fill(0);
            assert_eq!(
                outcome(&ring, URL_SAFE_NO_PAD.encode(zeroed)),
                Err(Rejected::BadTag),
                "{kept}"
            );
        }
        assert_eq!(outcome(&ring, ""), Err(Rejected::Malformed));
    }

    /// SG-3: each use of a secret has a key of its own.
    #[test]
    fn labels_separate_the_keys() {
        let derive = Hkdf::<Sha256>::new(Some(HKDF_SALT), secret(1).expose());
        let mut outputs = [[0; 32]; 2];
        fill(&derive, MAC_KEY_LABEL, &mut outputs[0]);
        fill(&derive, KEY_ID_LABEL, &mut outputs[1]);
        assert_ne!(outputs[0], outputs[1]);
        let key = Key::derive(Carrier::Cookie.signed_as(), "session_id", &secret(1));
        assert_eq!(key.id, outputs[1][..KEY_ID_LEN]);
        assert_ne!(key.id, outputs[0][..KEY_ID_LEN]);
    }

    /// SG-4: the current secret signs, previous ones verify and say so, a removed one rejects.
    #[test]
    fn secrets_rotate() {
        let old = ring("session_id", &[1]).sign(&id());
        let both = ring("session_id", &[2, 1]);
        assert_eq!(outcome(&both, &old), Ok(true));
        let new = both.sign(&id());
        assert_ne!(new, old);
        assert_eq!(outcome(&both, &new), Ok(false));
        let only_new = ring("session_id", &[2]);
        assert_eq!(outcome(&only_new, &new), Ok(false));
        assert_eq!(outcome(&only_new, &old), Err(Rejected::UnknownKey));
        assert_eq!(outcome(&ring("session_id", &[3, 2, 1]), &old), Ok(true));
    }

    /// SG-6: a value belongs to one cookie name.
    #[test]
    fn the_name_is_signed() {
        let value = ring("session_id", &[1]).sign(&id());
        assert_eq!(
            outcome(&ring("session_i", &[1]), &value),
            Err(Rejected::BadTag)
        );
        assert_eq!(
            outcome(&ring("Session_id", &[1]), &value),
            Err(Rejected::BadTag)
        );
    }

    /// SG-1: a value belongs to what carries it.
    #[test]
    fn the_carrier_is_signed() {
        let cookie = ring("session_id", &[1]);
        let header = Keyring::new(Carrier::Header, "session_id", &[secret(1)]);
        let (in_cookie, in_header) = (cookie.sign(&id()), header.sign(&id()));
        assert_eq!(outcome(&cookie, &in_cookie), Ok(false));
        assert_eq!(outcome(&header, &in_header), Ok(false));
        assert_eq!(outcome(&header, &in_cookie), Err(Rejected::BadTag));
        assert_eq!(outcome(&cookie, &in_header), Err(Rejected::BadTag));
    }

    /// SG-7: no single bit of the value can be flipped, in the text or in what it encodes.
    #[test]
    fn every_bit_counts() {
        let ring = ring("session_id", &[1, 2, 3]);
        let value = ring.sign(&id()).into_bytes();
        let mut flips = 0;
        for position in 0..value.len() {
            for bit in 0..8 {
                let mut flipped = value.clone();
                flipped[position] ^= 1 << bit;
                assert!(
                    outcome(&ring, &flipped).is_err(),
                    "bit {bit} of character {position}"
                );
                flips += 1;
            }
        }
        let raw = URL_SAFE_NO_PAD.decode(&value).unwrap();
        for position in 0..raw.len() {
            for bit in 0..8 {
                let mut flipped = raw.clone();
                flipped[position] ^= 1 << bit;
                assert!(
                    outcome(&ring, URL_SAFE_NO_PAD.encode(flipped)).is_err(),
                    "{position}:{bit}"
                );
                flips += 1;
            }
        }
        assert_eq!(flips, 92 * 8 + 69 * 8);
    }

    /// SG-8: neither a secret nor a key is printed.
    #[test]
    fn debug_hides_the_secrets() {
        let secret = Secret::from("correct horse battery staple, and then some");
        let shown = format!(
            "{secret:?} {:?}",
            Keyring::new(Carrier::Cookie, "session_id", std::slice::from_ref(&secret))
        );
        assert_eq!(shown, "Secret(..) Keyring { keys: 1 }");
        const { assert!(std::mem::needs_drop::<Secret>()) };
    }
}
