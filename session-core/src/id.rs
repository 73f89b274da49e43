//! The names that the core makes: the secret id that the client holds, the keys that stores see, the
//! reference that people may see, and the version that makes a save conditional.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroize as _;

use crate::random::{Random, RandomError};

pub(crate) const ID_LEN: usize = 32;
const REFERENCE_LEN: usize = 16;
const VERSION_LEN: usize = 16;

/// Separates store keys from every other use of SHA-256 on the same bytes.
const STORE_KEY_DOMAIN: &[u8; 18] = b"session store key\0";
const _: () = assert!(
    STORE_KEY_DOMAIN.len() + ID_LEN + 9 <= 64,
    "with its padding, what is hashed fits into one block of SHA-256: a second one would double the cost"
);

/// The same for the keys of users.
const USER_KEY_DOMAIN: &[u8] = b"session-core user key v2\0";

/// A session id: 256 bits from the generator. It is a credential, so it has no text form, shows
/// nothing in `Debug`, is compared in constant time, and is wiped when dropped.
#[derive(Clone)]
pub(crate) struct SessionId([u8; ID_LEN]);

impl SessionId {
    pub(crate) fn generate(random: &dyn Random) -> Result<Self, RandomError> {
        let mut bytes = [0; ID_LEN];
        random.fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The id in these bytes; `None` if they are too few or too many.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; ID_LEN] {
        &self.0
    }

    pub(crate) fn store_key(&self) -> StoreKey {
        let mut hash = Sha256::new();
        hash.update(STORE_KEY_DOMAIN);
        hash.update(self.0);
        StoreKey(hash.finalize().into())
    }
}

impl PartialEq for SessionId {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Drop for SessionId {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(..)")
    }
}

/// The key under which a store keeps a record: a domain-separated SHA-256 of the session id.
///
/// The id can't be computed from it, so a dump of the store signs nobody in. `Display` is 43
/// characters of base64url, for engines whose keys are text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreKey([u8; 32]);

impl StoreKey {
    /// The key with these bytes, as read back from a store.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the key. They are evenly distributed.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreKey({self})")
    }
}

/// The key under which a store keeps the index of a user's sessions of one kind: a domain-separated SHA-256 of the kind
/// and the user's name. `Display` is 43 characters of base64url, for engines whose keys are text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserKey([u8; 32]);

impl UserKey {
    /// The key of the user with this name, for sessions of this kind.
    pub fn of(kind: &str, name: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(USER_KEY_DOMAIN);
        // Hashed by itself, so that no two pairs are the same bytes.
        hash.update(Sha256::digest(kind));
        hash.update(name);
        Self(hash.finalize().into())
    }

    /// The key with these bytes, as read back from a store.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the key. They are evenly distributed.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserKey({self})")
    }
}

/// The public reference of a session: names it in logs and lists, stays the same over rotation, changes
/// with the session's user, and is no credential. `Display` is 22 characters of base64url.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionRef([u8; REFERENCE_LEN]);

impl SessionRef {
    pub(crate) fn generate(random: &dyn Random) -> Result<Self, RandomError> {
        let mut bytes = [0; REFERENCE_LEN];
        random.fill_unique(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The reference with these bytes, as read back from a store.
    pub const fn from_bytes(bytes: [u8; REFERENCE_LEN]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes of the reference.
    pub const fn as_bytes(&self) -> &[u8; REFERENCE_LEN] {
        &self.0
    }
}

/// Reads what `Display` writes.
impl FromStr for SessionRef {
    type Err = ParseRefError;

    fn from_str(text: &str) -> Result<Self, ParseRefError> {
        let mut bytes = [0; REFERENCE_LEN];
        match URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) {
            Ok(REFERENCE_LEN) => Ok(Self(bytes)),
            _ => Err(ParseRefError(())),
        }
    }
}

/// A text that is no [`SessionRef`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ParseRefError(());

impl fmt::Display for ParseRefError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a session reference is 22 characters of base64url")
    }
}

impl std::error::Error for ParseRefError {}

impl fmt::Display for SessionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for SessionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionRef({self})")
    }
}

/// The version of a record: a random token, new with every write.
///
/// It isn't a counter, because a counter repeats itself when an engine restarts from an older
/// snapshot, and a save that was loaded before the restart would then overwrite one made after it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Version([u8; VERSION_LEN]);

impl Version {
    pub(crate) fn generate(random: &dyn Random) -> Result<Self, RandomError> {
        let mut bytes = [0; VERSION_LEN];
        random.fill_unique(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// The version with these bytes, as read back from a store.
    pub const fn from_bytes(bytes: [u8; VERSION_LEN]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes of the version.
    pub const fn as_bytes(&self) -> &[u8; VERSION_LEN] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::OsRandom;

    /// ID-1: ids are 32 bytes of the operating system's generator, each one different.
    #[test]
    fn ids_are_32_random_bytes() {
        let ids: Vec<_> = (0..100)
            .map(|_| SessionId::generate(&OsRandom).unwrap())
            .collect();
        for (i, id) in ids.iter().enumerate() {
            assert_eq!(id.as_bytes().len(), 32);
            assert!(ids[..i].iter().all(|other| other != id));
        }
        let ones: u32 = ids
            .iter()
            .flat_map(|id| *id.as_bytes())
            .map(u8::count_ones)
            .sum();
        assert!(
            (12_000..13_600).contains(&ones),
            "{ones} of 25,600 bits are set"
        );
    }

    /// ID-2: a generator that fails is an error, not a weaker id.
    #[test]
    fn a_failing_generator_is_an_error() {
        struct Broken;
        impl Random for Broken {
            fn fill(&self, _: &mut [u8]) -> Result<(), RandomError> {
                Err(RandomError::new("no entropy"))
            }
        }
        assert!(SessionId::generate(&Broken).is_err());
        assert!(Version::generate(&Broken).is_err());
        assert!(SessionRef::generate(&Broken).is_err());
    }

    /// SR-1: the store key is a domain-separated hash, neither the id nor its plain SHA-256.
    #[test]
    fn the_store_key_is_a_separated_hash() {
        let id = SessionId::from_slice(&[7; 32]).unwrap();
        let key = id.store_key();
        assert_ne!(key.as_bytes(), id.as_bytes());
        assert_ne!(key.as_bytes()[..], Sha256::digest([7; 32])[..]);
        assert_eq!(key, id.clone().store_key());
        assert_ne!(key, SessionId::from_slice(&[8; 32]).unwrap().store_key());
    }

    /// ID-4: an id shows nothing.
    #[test]
    fn debug_hides_the_id() {
        assert_eq!(
            format!("{:?}", SessionId::from_slice(&[7; 32]).unwrap()),
            "SessionId(..)"
        );
    }

    /// A reference is read as it is shown, and nothing else is one.
    #[test]
    fn references_are_read_as_they_are_shown() {
        let reference = SessionRef::from_bytes([0xA5; 16]);
        assert_eq!(reference.to_string().parse(), Ok(reference));
        for wrong in [
            "",
            "x",
            "AAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAA==",
            "é",
        ] {
            assert!(wrong.parse::<SessionRef>().is_err(), "{wrong}");
        }
    }
}
