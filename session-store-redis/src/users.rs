//! The index of sessions by user: a hash for each user, with an entry for each id of a session.

use redis::Value;
use session_core::store::{
    AddOutcome, IndexEntry, StoreError, StoreKey, UserIndex, UserKey, async_trait,
};
use session_core::{SessionRef, Timestamp};

use crate::error::Failure;
use crate::records::MARGIN_MILLIS;
use crate::{RedisStore, script};

/// The length of an entry: its reference, when it was added, and its expiry.
const ENTRY_LEN: usize = 16 + 2 * 8;

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
            entry.key.as_bytes().as_slice(),
            &encode(&entry),
            now.as_unix_millis(),
            cap.map_or_else(String::new, |cap| cap.to_string()),
            MARGIN_MILLIS,
        );
        let key = self.user_key(user);
        match self.run(&script::ADD, &key, arguments).await? {
            Value::Int(count) => {
                let count = usize::try_from(count).map_err(|_| Failure::Unexpected)?;
                Ok(AddOutcome::Added(count))
            }
            entries => Ok(AddOutcome::Full(decode_all(&entries, now)?)),
        }
    }

    async fn remove(&self, user: &UserKey, key: &StoreKey) -> Result<(), StoreError> {
        let user = self.user_key(user);
        let mut command = redis::cmd("HDEL");
        command.arg(&user).arg(key.as_bytes());
        match self.call(&user, &command).await? {
            Value::Int(_) => Ok(()),
            _ => Err(Failure::Unexpected.into()),
        }
    }

    async fn list(&self, user: &UserKey, now: Timestamp) -> Result<Vec<IndexEntry>, StoreError> {
        let user = self.user_key(user);
        let answer = self.call(&user, redis::cmd("HGETALL").arg(&user)).await?;
        Ok(decode_all(&answer, now)?)
    }
}

fn encode(entry: &IndexEntry) -> [u8; ENTRY_LEN] {
    let mut bytes = [0; ENTRY_LEN];
    let (reference, times) = bytes.split_at_mut(16);
    let (added_at, expires_at) = times.split_at_mut(8);
    reference.copy_from_slice(entry.reference.as_bytes());
    added_at.copy_from_slice(&entry.added_at.as_unix_millis().to_le_bytes());
    expires_at.copy_from_slice(&entry.expires_at.as_unix_millis().to_le_bytes());
    bytes
}

fn decode(key: &[u8], entry: &[u8]) -> Option<IndexEntry> {
    let entry: &[u8; ENTRY_LEN] = entry.try_into().ok()?;
    let (reference, times) = entry.split_first_chunk()?;
    let (added_at, expires_at) = times.split_first_chunk()?;
    let time = |bytes| Timestamp::from_unix_millis(u64::from_le_bytes(bytes));
    Some(IndexEntry::new(
        StoreKey::from_bytes(key.try_into().ok()?),
        SessionRef::from_bytes(*reference),
        time(*added_at),
        time(expires_at.try_into().ok()?),
    ))
}

/// All entries of a hash that haven't expired, in order of their addition.
fn decode_all(hash: &Value, now: Timestamp) -> Result<Vec<IndexEntry>, Failure> {
    let entries: Option<Vec<_>> = match hash {
        Value::Array(values) if values.len().is_multiple_of(2) => values
            .chunks_exact(2)
            .map(|pair| match pair {
                [Value::BulkString(key), Value::BulkString(entry)] => decode(key, entry),
                _ => None,
            })
            .collect(),
        _ => None,
    };
    let mut entries = entries.ok_or(Failure::Unexpected)?;
    entries.retain(|entry| now < entry.expires_at);
    entries.sort_unstable_by_key(|entry| (entry.added_at, entry.key));
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(key: u8, added_at: u64) -> IndexEntry {
        IndexEntry::new(
            StoreKey::from_bytes([key; 32]),
            SessionRef::from_bytes([key ^ 0xFF; 16]),
            Timestamp::from_unix_millis(added_at),
            Timestamp::from_unix_millis(1_000 + added_at),
        )
    }

    fn pair(entry: &IndexEntry) -> [Value; 2] {
        [
            Value::BulkString(entry.key.as_bytes().to_vec()),
            Value::BulkString(encode(entry).to_vec()),
        ]
    }

    #[test]
    fn entries_come_back_in_order_without_those_that_have_expired() {
        let (early, late) = (entry(0xF0, 5), entry(0x0F, 300));
        let pairs = [pair(&late), pair(&early)];
        let flat = Value::Array(pairs.concat());
        let now = Timestamp::from_unix_millis(1_004);
        assert_eq!(decode_all(&flat, now).unwrap(), [early, late]);
        let now = Timestamp::from_unix_millis(1_005);
        assert_eq!(decode_all(&flat, now).unwrap(), [late]);
        let none = Value::Array(Vec::new());
        assert_eq!(decode_all(&none, now).unwrap(), []);
    }

    #[test]
    fn anything_else_is_an_error() {
        let [key, value] = pair(&entry(1, 5));
        let now = Timestamp::default();
        for strange in [
            Value::Nil,
            Value::Okay,
            Value::Array(vec![key.clone()]),
            Value::Array(vec![key.clone(), Value::Int(1)]),
            Value::Array(vec![key, Value::BulkString(b"short".to_vec())]),
            Value::Array(vec![Value::BulkString(b"short".to_vec()), value]),
        ] {
            assert!(decode_all(&strange, now).is_err());
        }
    }
}
