//! What a session's record says about its CSRF tokens.
//!
//! The entry has seeds, from which tokens are made with a key of the server's (`transport/csrf_keys.rs`). Each seed has a
//! *generation*, which is a part of what a token is made of: a rotation of the session's id raises it by one and a login
//! by two. So a token of the generation before is one that a mere rotation has outdated, which is good for as long as
//! requests are late, and a login outdates all of them at once.
//!
//! There is more than one seed where requests that asked for the first token ran side by side: each of them has sent a
//! page with a token of its own seed.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::found::{Found, GoneSession, StoredSession};
use super::io::{Environment, Io, in_time};
use super::refresh::follow_rotations;
use crate::data::{Encoded, EscapedKey, Op, SessionData, View};
use crate::error::Error;
use crate::store::{MoveCause, RecordState, Timestamp};

pub(crate) const SEED_LEN: usize = 16;

/// How many seeds are kept, the first ones.
const MAX_SEEDS: usize = 8;

const KEY: &str = "csrf";

/// What a commit does to the tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Renewal {
    /// They stay good.
    None,
    /// They stay good for late requests.
    Rotation,
    /// They are refused from now on.
    Login,
}

/// The entry of a record.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct CsrfEntry {
    pub(crate) seeds: Vec<CsrfSeed>,
    /// When the generation was raised.
    renewed_at: Timestamp,
}

/// What a token is made of, beside the server's key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CsrfSeed {
    pub(crate) bytes: [u8; SEED_LEN],
    pub(crate) generation: u64,
}

impl Renewal {
    fn generations(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Rotation => 1,
            Self::Login => 2,
        }
    }
}

impl CsrfSeed {
    /// As it is after a commit that renews the tokens so.
    pub(crate) fn renewed(self, renewal: Renewal) -> Self {
        Self {
            generation: self.generation.saturating_add(renewal.generations()),
            ..self
        }
    }
}

impl CsrfEntry {
    /// The entry in a view of the reserved entries; an empty one if there is none that can be read.
    pub(crate) fn of(reserved: &View) -> Self {
        let value = reserved.get(&EscapedKey::new(KEY));
        value.map_or_else(Self::default, |value| Self::parse(value.json()))
    }

    /// The entry of a stored session.
    pub(crate) fn of_stored(session: &StoredSession) -> Self {
        Self::of(&View::new(session.record.reserved().clone()))
    }

    /// What tokens may be made of that are good at `now`, where late requests are those of the last `window`.
    pub(crate) fn good_seeds(&self, now: Timestamp, window: Duration) -> Vec<CsrfSeed> {
        let is_former_good = now < self.renewed_at.saturating_add(window);
        let former = self.seeds.iter().filter_map(|seed| {
            let generation = seed.generation.checked_sub(1)?;
            is_former_good.then_some(CsrfSeed {
                generation,
                ..*seed
            })
        });
        self.seeds.iter().copied().chain(former).collect()
    }

    fn parse(json: &[u8]) -> Self {
        let Ok((texts, renewed_at)) = serde_json::from_slice::<(Vec<(String, u64)>, u64)>(json)
        else {
            return Self::default();
        };
        let seed = |(text, generation): (String, u64)| {
            let bytes = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
            Some(CsrfSeed { bytes, generation })
        };
        Self {
            seeds: texts.into_iter().filter_map(seed).collect(),
            renewed_at: Timestamp::from_unix_millis(renewed_at),
        }
    }

    fn encode(&self) -> Encoded {
        let seeds = self.seeds.iter().map(|seed| {
            let text = URL_SAFE_NO_PAD.encode(seed.bytes);
            serde_json::json!([text, seed.generation])
        });
        let seeds: Vec<_> = seeds.collect();
        let entry = serde_json::json!([seeds, self.renewed_at.as_unix_millis()]);
        entry.to_string().into_bytes().into()
    }
}

/// What a token is made of for a request that has no session of its own to keep a seed in: a late one, and one that came
/// with several. It is made of the keys that came along, so that such a visitor can log in and out like any other.
pub(crate) fn seed_without_session(found: &Found) -> Option<CsrfSeed> {
    let mut keys: Vec<_> = match found {
        Found::Gone(gone) if gone.is_straggler => vec![gone.key],
        Found::SeveralLive(sessions) => sessions.iter().map(|session| session.key).collect(),
        Found::Live(_) | Found::Nothing | Found::Gone(_) => return None,
    };
    keys.sort();
    let mut hash = Sha256::new();
    hash.update(b"csrf seed without a session\0");
    for key in &keys {
        hash.update(key.as_bytes());
    }
    let digest: [u8; 32] = hash.finalize().into();
    let mut bytes = [0; SEED_LEN];
    bytes.copy_from_slice(&digest[..SEED_LEN]);
    Some(CsrfSeed {
        bytes,
        // No stored seed gets there.
        generation: u64::MAX,
    })
}

/// The operation that adds a seed, beside those that others have added.
pub(crate) fn add_seed(bytes: [u8; SEED_LEN]) -> Op {
    let add = move |json: Option<&[u8]>| {
        let mut entry = json.map_or_else(CsrfEntry::default, CsrfEntry::parse);
        if entry.seeds.len() < MAX_SEEDS {
            entry.seeds.push(CsrfSeed {
                bytes,
                generation: 0,
            });
        }
        Ok(Some(entry.encode()))
    };
    Op::Update(EscapedKey::new(KEY).into_owned(), Arc::new(add))
}

/// The reserved entries after a renewal at `now`; `None` if they stay as they are.
pub(super) fn renewed(
    reserved: &SessionData,
    renewal: Renewal,
    now: Timestamp,
) -> Option<SessionData> {
    if renewal == Renewal::None || reserved.is_empty() {
        return None;
    }
    let key = EscapedKey::new(KEY);
    reserved.get(&key)?;
    let mut view = View::new(reserved.clone());
    let mut entry = CsrfEntry::of(&view);
    for seed in &mut entry.seeds {
        *seed = seed.renewed(renewal);
    }
    entry.renewed_at = now;
    view.set(key.into_owned(), entry.encode());
    Some(view.encode())
}

/// The entry of the session that a late request's session has become by mere rotations; `None` if anything else became of
/// it. A token that the request brings may be good there.
pub(crate) async fn entry_after_rotations(
    env: &Environment,
    gone: &GoneSession,
) -> Result<Option<CsrfEntry>, Error> {
    let Some(RecordState::Superseded {
        successor,
        cause: MoveCause::Rotation,
        ..
    }) = gone.record.as_ref().map(|record| &record.state)
    else {
        return Ok(None);
    };
    let mut io = Io::new(env);
    let followed = in_time(env, follow_rotations(&mut io, *successor)).await;
    let session = followed
        .unwrap_or_else(|| Err(io.late()))
        .inspect_err(|error| env.events.failed("load", error))?;
    Ok(session.map(|session| CsrfEntry::of_stored(&session)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_unix_millis(secs * 1_000)
    }

    fn with_seed(bytes: [u8; SEED_LEN], reserved: SessionData) -> SessionData {
        let mut log = crate::data::OpLog::default();
        drop(log.push(add_seed(bytes)));
        log.replay(reserved).unwrap().encode()
    }

    fn entry(reserved: &SessionData) -> CsrfEntry {
        CsrfEntry::of(&View::new(reserved.clone()))
    }

    /// CS-1: after a mere rotation the tokens from before are good for late requests, after a second one or a login they
    /// aren't.
    #[test]
    fn a_rotation_outdates_tokens_slowly_and_a_login_at_once() {
        let reserved = with_seed([1; SEED_LEN], SessionData::empty());
        let first = entry(&reserved).seeds[0];
        let good = |reserved: &SessionData, secs| entry(reserved).good_seeds(at(secs), WINDOW);
        assert_eq!(good(&reserved, 1_000), [first]);

        let rotated = renewed(&reserved, Renewal::Rotation, at(1_000)).unwrap();
        assert!(good(&rotated, 1_059).contains(&first));
        assert!(!good(&rotated, 1_060).contains(&first));
        assert_eq!(good(&rotated, 2_000).len(), 1);
        let twice = renewed(&rotated, Renewal::Rotation, at(1_000)).unwrap();
        assert!(!good(&twice, 1_000).contains(&first));

        let logged_in = renewed(&reserved, Renewal::Login, at(1_000)).unwrap();
        assert!(!good(&logged_in, 1_000).contains(&first));
        assert_eq!(renewed(&reserved, Renewal::None, at(1_000)), None);
        assert_eq!(
            renewed(&SessionData::empty(), Renewal::Login, at(1_000)),
            None
        );
    }

    /// Requests that ask for the first token side by side each keep theirs.
    #[test]
    fn seeds_of_several_requests_stay() {
        let mut reserved = SessionData::empty();
        for n in 0..10 {
            reserved = with_seed([n; SEED_LEN], reserved);
        }
        let seeds = entry(&reserved).seeds;
        let bytes: Vec<_> = seeds.iter().map(|seed| seed.bytes[0]).collect();
        assert_eq!(bytes, [0, 1, 2, 3, 4, 5, 6, 7]);
        assert!(reserved.json_len() < 512);
    }

    /// An entry that can't be read is no entry.
    #[test]
    fn a_broken_entry_is_none() {
        for json in ["1", "[]", r#"[[["x",1]],1]"#, r#"[[["AAAA",1]],1]"#] {
            assert_eq!(CsrfEntry::parse(json.as_bytes()).seeds, [], "{json}");
        }
    }
}
