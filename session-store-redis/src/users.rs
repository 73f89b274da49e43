//! The index of sessions by user: a sorted set for each user, with three members for each entry.
//!
//! All scores are zero, so that Redis keeps the members in the order of their bytes. Each has the whole entry, and the
//! first byte says what it is in order of: `a`, when it was added; `e`, its expiry; `k`, its key. So whatever is asked of
//! the index is one range, however many entries there are, and no step has to look at them all.

use redis::{Cmd, Value};
use session_core::store::{
    AddOutcome, IndexEntry, Sample, StoreError, StoreKey, UserIndex, UserKey, async_trait,
};
use session_core::{SessionRef, Timestamp};

use crate::error::Failure;
use crate::{RedisStore, script};

/// How many more members a sample reads than it is to have: some may be there twice, or have expired.
const SPARE: usize = 32;

/// Times are at most 2^53 - 1 milliseconds. With eight bytes a member would be too long for the form in which Redis
/// keeps small sets: 64 bytes at most.
const TIME_LEN: usize = 7;

#[async_trait]
impl UserIndex for RedisStore {
    async fn add(
        &self,
        user: &UserKey,
        entry: IndexEntry,
        cap: Option<usize>,
        now: Timestamp,
    ) -> Result<AddOutcome, StoreError> {
        let arguments = (
            &time_bytes(entry.added_at),
            entry.key.as_bytes(),
            entry.reference.as_bytes(),
            &time_bytes(entry.expires_at),
            now.as_unix_millis(),
            cap.map_or_else(String::new, |cap| cap.to_string()),
            self.lifetime_millis(entry.expires_at, now),
        );
        let name = self.user_key(user);
        match self.run(&script::ADD, &name, arguments).await? {
            Value::Int(0) => Ok(AddOutcome::Full),
            Value::Int(count) => {
                let count = usize::try_from(count).map_err(|_| Failure::Unexpected)?;
                Ok(AddOutcome::Added(count))
            }
            _ => Err(Failure::Unexpected.into()),
        }
    }

    async fn remove(&self, user: &UserKey, key: &StoreKey) -> Result<(), StoreError> {
        let name = self.user_key(user);
        let key = key.as_bytes().as_slice();
        match self.run(&script::REMOVE, &name, key).await? {
            Value::Int(_) => Ok(()),
            _ => Err(Failure::Unexpected.into()),
        }
    }

    async fn list(&self, user: &UserKey, now: Timestamp) -> Result<Vec<IndexEntry>, StoreError> {
        let name = self.user_key(user);
        let answer = self.call(&name, &range(&name, b"[a", b"(b", None)).await?;
        Ok(living(&answer, now)?)
    }

    async fn sample(
        &self,
        user: &UserKey,
        sample: Sample,
        now: Timestamp,
    ) -> Result<Vec<IndexEntry>, StoreError> {
        let name = self.user_key(user);
        let start = |bound: u8| [&[bound, b'k'], sample.from_key().as_bytes().as_slice()].concat();
        let (oldest, others) = (sample.oldest, sample.oldest + sample.random);
        let calls = [
            range(&name, b"[a", b"(b", Some(oldest + SPARE)),
            range(&name, &start(b'['), b"(l", Some(others + SPARE)),
            range(&name, b"[k", &start(b'('), Some(others + SPARE)),
        ];
        let answers = self.call_all(calls.map(|call| (name.clone(), call)).into());
        let mut parts = Vec::with_capacity(3);
        for answer in answers.await {
            parts.push(living(&answer?, now)?);
        }
        let others = parts.split_off(1);
        let mut sampled = parts.swap_remove(0);
        sampled.truncate(oldest);
        let mut left = sample.random;
        for entry in others.into_iter().flatten() {
            if left > 0 && !sampled.iter().any(|known| known.key == entry.key) {
                sampled.push(entry);
                left -= 1;
            }
        }
        Ok(sampled)
    }
}

/// The members between these bounds: `[` includes, `(` excludes.
fn range(name: &str, from: &[u8], to: &[u8], limit: Option<usize>) -> Cmd {
    let mut command = redis::cmd("ZRANGEBYLEX");
    command.arg(name).arg(from).arg(to);
    if let Some(limit) = limit {
        command.arg("LIMIT").arg(0).arg(limit);
    }
    command
}

fn time_bytes(time: Timestamp) -> [u8; TIME_LEN] {
    let [_, bytes @ ..] = time.as_unix_millis().to_be_bytes();
    bytes
}

fn time_of(bytes: &[u8; TIME_LEN]) -> Timestamp {
    let mut all = [0; 8];
    all[1..].copy_from_slice(bytes);
    Timestamp::from_unix_millis(u64::from_be_bytes(all))
}

/// The entry of a member in order of addition or of key, as the scripts make them.
fn entry_of(member: &[u8]) -> Option<IndexEntry> {
    let (kind, rest) = member.split_first()?;
    let (added_at, key, rest): (&[u8; TIME_LEN], &[u8; 32], _) = match kind {
        b'a' => {
            let (added_at, rest) = rest.split_first_chunk()?;
            let (key, rest) = rest.split_first_chunk()?;
            (added_at, key, rest)
        }
        b'k' => {
            let (key, rest) = rest.split_first_chunk()?;
            let (added_at, rest) = rest.split_first_chunk()?;
            (added_at, key, rest)
        }
        _ => return None,
    };
    let (reference, expires_at) = rest.split_first_chunk()?;
    Some(IndexEntry::new(
        StoreKey::from_bytes(*key),
        SessionRef::from_bytes(*reference),
        time_of(added_at),
        time_of(expires_at.try_into().ok()?),
    ))
}

/// The entries of these members that haven't expired, in the same order.
fn living(members: &Value, now: Timestamp) -> Result<Vec<IndexEntry>, Failure> {
    let Value::Array(members) = members else {
        return Err(Failure::Unexpected);
    };
    let mut entries = Vec::with_capacity(members.len());
    for member in members {
        let entry = match member {
            Value::BulkString(member) => entry_of(member),
            _ => None,
        };
        let entry = entry.ok_or(Failure::Unexpected)?;
        if now < entry.expires_at {
            entries.push(entry);
        }
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> IndexEntry {
        IndexEntry::new(
            StoreKey::from_bytes([1; 32]),
            SessionRef::from_bytes([2; 16]),
            Timestamp::from_unix_millis(300),
            Timestamp::MAX,
        )
    }

    fn members() -> [Vec<u8>; 2] {
        let entry = entry();
        let (added_at, expires_at) = (time_bytes(entry.added_at), time_bytes(entry.expires_at));
        let (key, reference) = (entry.key.as_bytes(), entry.reference.as_bytes());
        [
            [b"a", &added_at[..], key, reference, &expires_at].concat(),
            [b"k", &key[..], &added_at, reference, &expires_at].concat(),
        ]
    }

    #[test]
    fn entries_are_read_without_those_that_have_expired() {
        let members = members().map(Value::BulkString);
        let answer = Value::Array(members.into());
        let now = Timestamp::from_unix_millis(Timestamp::MAX.as_unix_millis() - 1);
        assert_eq!(living(&answer, now).unwrap(), [entry(); 2]);
        assert_eq!(living(&answer, Timestamp::MAX).unwrap(), []);
    }

    #[test]
    fn a_member_is_short_enough_for_small_sets_to_stay_small() {
        assert!(members().iter().all(|member| member.len() <= 64));
    }

    #[test]
    fn anything_else_is_an_error() {
        let [mut long, mut other] = members();
        long.push(0);
        other[0] = b'x';
        let of = |member| Value::Array(vec![member]);
        for strange in [
            Value::Nil,
            Value::Okay,
            of(Value::Int(1)),
            of(Value::BulkString(long)),
            of(Value::BulkString(other)),
            of(Value::BulkString(Vec::new())),
        ] {
            assert!(living(&strange, Timestamp::default()).is_err());
        }
    }
}
