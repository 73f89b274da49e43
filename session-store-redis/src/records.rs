//! The records: the contract of `SessionStore` in terms of commands.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::{Cmd, Value};
use session_core::store::{
    Expect, Record, Replacing, SaveOptions, SaveOutcome, SessionStore, StoreError, StoreKey, Touch,
    UserIndex, async_trait,
};
use session_core::{DEFAULT_CLOCK_TOLERANCE, DEFAULT_STORE_TIMEOUT, Timestamp};

use crate::error::Failure;
use crate::{RedisStore, script};

/// How much longer than a record lives Redis keeps it for those who use the store without a `SessionManager`, which
/// would say it: the default clock tolerance and store timeout.
#[expect(
    clippy::cast_possible_truncation,
    reason = "it is a minute and some seconds"
)]
const DEFAULT_MARGIN_MILLIS: u64 =
    (DEFAULT_CLOCK_TOLERANCE.as_millis() + DEFAULT_STORE_TIMEOUT.as_millis()) as u64;

/// The longest that Redis is asked to keep something. Redis refuses times at which its clock, a signed number, would
/// overflow; this leaves a thousandfold of room.
const LONGEST_MILLIS: u64 = Timestamp::MAX.as_unix_millis();

/// The longest record that is sent back to be compared. A script costs the server some microseconds more, and takes no
/// longer for what it isn't sent.
const LONGEST_COMPARED: usize = 4_096;

#[async_trait]
impl SessionStore for RedisStore {
    async fn load(&self, key: &StoreKey, now: Timestamp) -> Result<Option<Record>, StoreError> {
        let key = self.record_key(key);
        let answer = self.call(&key, redis::cmd("GET").arg(&key)).await?;
        loaded(&answer, now)
    }

    async fn load_many(
        &self,
        keys: &[StoreKey],
        now: Timestamp,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        let names = keys.iter().map(|key| self.record_key(key));
        let calls = names.map(|name| {
            let mut command = redis::cmd("GET");
            command.arg(&name);
            (name, command)
        });
        let answers = self.call_all(calls.collect()).await;
        let answers = answers.into_iter();
        answers.map(|answer| loaded(&answer?, now)).collect()
    }

    async fn save(
        &self,
        key: &StoreKey,
        record: Record,
        options: SaveOptions,
    ) -> Result<SaveOutcome, StoreError> {
        let name = self.record_key(key);
        if options.expect == Expect::Absent {
            let mut command = self.set(&name, &record.encode(), &record, options.now);
            match self.call(&name, command.arg("NX")).await {
                Ok(Value::Okay) => return Ok(SaveOutcome::Saved),
                // Something lies there, which may have expired.
                Ok(Value::Nil) => {}
                // The script makes room for a tombstone.
                Err(Failure::Refused(refusal)) if refusal.is_out_of_memory() => {}
                Ok(_) => return Err(Failure::Unexpected.into()),
                Err(failure) => return Err(failure.into()),
            }
        }
        self.save_by_script(&name, &record, options).await
    }

    fn replace<'c>(
        &'c self,
        key: &'c StoreKey,
        record: Record,
        replaced: Record,
        now: Timestamp,
    ) -> Replacing<'c> {
        Box::pin(async move {
            let name = self.record_key(key);
            match self.compare_and_set(&name, &record, &replaced, now).await? {
                Some(outcome) => Ok(outcome),
                None => {
                    let options = SaveOptions::new(Expect::Version(replaced.version), now);
                    self.save_by_script(&name, &record, options).await
                }
            }
        })
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        let key = self.record_key(key);
        match self.call(&key, redis::cmd("DEL").arg(&key)).await? {
            Value::Int(_) => Ok(()),
            _ => Err(Failure::Unexpected.into()),
        }
    }

    async fn touch(
        &self,
        key: &StoreKey,
        touch: Touch,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        let arguments = (
            touch.expected.as_bytes().as_slice(),
            &touched_bytes(&touch),
            now.as_unix_millis(),
            self.lifetime_millis(touch.expires_at, now),
        );
        let key = self.record_key(key);
        let answer = self.run(&script::TOUCH, &key, arguments).await?;
        outcome(&answer)
    }

    fn keep_expired_for(&self, margin: Duration) {
        self.0.keep_for.extend(margin);
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        Some(self)
    }
}

impl RedisStore {
    async fn save_by_script(
        &self,
        name: &str,
        record: &Record,
        options: SaveOptions,
    ) -> Result<SaveOutcome, StoreError> {
        let SaveOptions { expect, now, .. } = options;
        let expected = match &expect {
            Expect::Absent => &[],
            Expect::Version(version) => version.as_bytes().as_slice(),
        };
        let arguments = (
            record.encode(),
            now.as_unix_millis(),
            self.lifetime_millis(record.expires_at, now),
            expected,
        );
        outcome(&self.run(&script::SAVE, name, arguments).await?)
    }

    /// A save by a command with which the server compares what lies there, if it knows one. `None` if nothing was done,
    /// and a script has to look.
    async fn compare_and_set(
        &self,
        name: &str,
        record: &Record,
        replaced: &Record,
        now: Timestamp,
    ) -> Result<Option<SaveOutcome>, StoreError> {
        // What has expired by our clock may still be there.
        if replaced.is_expired(now) || !self.0.engine.compares(name) {
            return Ok(None);
        }
        let (new, old) = (record.encode(), replaced.encode());
        if old.len() > LONGEST_COMPARED {
            return Ok(None);
        }
        let mut command = self.set(name, &new, record, now);
        command.arg("IFEQ").arg(&old).arg("GET");
        let found = match self.call(name, &command).await {
            Ok(Value::BulkString(found)) => found,
            Ok(Value::Nil) => return Ok(Some(SaveOutcome::Missing)),
            Ok(_) => return Err(Failure::Unexpected.into()),
            // The key is on a server that knows no such command by now, or the script makes room for a tombstone.
            Err(Failure::Refused(refusal))
                if refusal.is_of_syntax() || refusal.is_out_of_memory() =>
            {
                return Ok(None);
            }
            Err(failure) => return Err(failure.into()),
        };
        if found == old {
            return Ok(Some(SaveOutcome::Saved));
        }
        let current = Record::decode(&found)?;
        Ok(if current.is_expired(now) {
            Some(SaveOutcome::Missing)
        } else if current.version == replaced.version {
            None
        } else {
            Some(SaveOutcome::Conflict(Some(Box::new(current))))
        })
    }

    /// The command that puts these bytes of a record under a key, whatever lies there.
    fn set(&self, name: &str, bytes: &[u8], record: &Record, now: Timestamp) -> Cmd {
        let mut command = redis::cmd("SET");
        let lifetime = self.lifetime_millis(record.expires_at, now);
        command.arg(name).arg(bytes).arg("PX").arg(lifetime);
        command
    }

    /// For how long Redis keeps what expires then.
    pub(crate) fn lifetime_millis(&self, expires_at: Timestamp, now: Timestamp) -> u64 {
        self.0.keep_for.lifetime_millis(expires_at, now)
    }
}

/// How much longer than a record lives Redis keeps it, in milliseconds. A record's own expiry decides when it is
/// missing, by the clock of the server that asks; Redis is only to remove it some time after that. It counts from the
/// clock of the server that saved, so that it must not be early for one whose clock is behind, nor for one that asks
/// with an earlier time.
pub(crate) struct KeepFor(AtomicU64);

impl KeepFor {
    /// As long as the default configuration of sessions needs.
    pub(crate) fn by_default() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Of several sessions' configurations on one store the longest counts.
    fn extend(&self, margin: Duration) {
        let millis = u64::try_from(margin.as_millis()).unwrap_or(LONGEST_MILLIS);
        self.0.fetch_max(millis, Ordering::Relaxed);
    }

    fn lifetime_millis(&self, expires_at: Timestamp, now: Timestamp) -> u64 {
        let margin = match self.0.load(Ordering::Relaxed) {
            0 => DEFAULT_MARGIN_MILLIS,
            margin => margin,
        };
        let left = expires_at
            .as_unix_millis()
            .saturating_sub(now.as_unix_millis());
        left.saturating_add(margin).min(LONGEST_MILLIS)
    }
}

/// What a `GET` has found.
fn loaded(answer: &Value, now: Timestamp) -> Result<Option<Record>, StoreError> {
    let bytes = match answer {
        Value::Nil => return Ok(None),
        Value::BulkString(bytes) => bytes,
        _ => return Err(Failure::Unexpected.into()),
    };
    let record = Record::decode(bytes)?;
    Ok((!record.is_expired(now)).then_some(record))
}

/// The bytes of a record that a touch changes, as [`Record::encode`] lays them out.
fn touched_bytes(touch: &Touch) -> [u8; 32] {
    let mut bytes = [0; 32];
    let (version, times) = bytes.split_at_mut(16);
    let (expires_at, last_active_at) = times.split_at_mut(8);
    version.copy_from_slice(touch.version.as_bytes());
    expires_at.copy_from_slice(&touch.expires_at.as_unix_millis().to_le_bytes());
    last_active_at.copy_from_slice(&touch.last_active_at.as_unix_millis().to_le_bytes());
    bytes
}

/// What the scripts for saves and touches answer.
fn outcome(answer: &Value) -> Result<SaveOutcome, StoreError> {
    match answer {
        Value::Int(1) => Ok(SaveOutcome::Saved),
        Value::Int(0) => Ok(SaveOutcome::Missing),
        Value::BulkString(in_the_way) => {
            let current = Record::decode(in_the_way)?;
            Ok(SaveOutcome::Conflict(Some(Box::new(current))))
        }
        _ => Err(Failure::Unexpected.into()),
    }
}

#[cfg(test)]
mod tests {
    use session_core::SessionRef;
    use session_core::store::StoreErrorKind;
    use session_core::store::{EndedBy, FormerSession};
    use session_core::store::{LiveRecord, RecordState, SessionData, Version};

    use super::*;

    fn time(millis: u64) -> Timestamp {
        Timestamp::from_unix_millis(millis)
    }

    #[test]
    fn redis_keeps_a_record_a_little_longer_than_it_lives() {
        let kept = KeepFor::by_default();
        assert_eq!(kept.lifetime_millis(time(5_000), time(2_000)), 68_000);
        kept.extend(Duration::from_secs(9));
        assert_eq!(kept.lifetime_millis(time(5_000), time(2_000)), 12_000);
        kept.extend(Duration::from_secs(6));
        assert_eq!(kept.lifetime_millis(time(2_000), time(5_000)), 9_000);
        let longest = kept.lifetime_millis(Timestamp::MAX, time(0));
        assert_eq!(longest, LONGEST_MILLIS);
        let latest_clock = Timestamp::MAX.as_unix_millis();
        assert!(i64::try_from(longest + latest_clock).is_ok());
    }

    /// What a touch writes are bytes 3 to 35 of the record as it then is.
    #[test]
    fn a_touch_writes_what_a_record_has_there() {
        let reference = SessionRef::from_bytes([1; 16]);
        let mut live = LiveRecord::new(SessionData::empty(), time(1), reference);
        let touch = Touch::new(
            Version::from_bytes([8; 16]),
            Version::from_bytes([9; 16]),
            time(0x0102_0304_0506),
            time(0x1112_1314_1516),
        );
        live.last_active_at = touch.last_active_at;
        let record = Record::new(touch.version, touch.expires_at, RecordState::Live(live));
        assert_eq!(record.encode()[3..35], touched_bytes(&touch));
    }

    #[test]
    fn answers_are_read() {
        assert_eq!(outcome(&Value::Int(1)).unwrap(), SaveOutcome::Saved);
        assert_eq!(outcome(&Value::Int(0)).unwrap(), SaveOutcome::Missing);
        let ended = Record::new(
            Version::from_bytes([9; 16]),
            time(7),
            RecordState::ended(time(3), EndedBy::OwnRequest, FormerSession::default()),
        );
        let bytes = Value::BulkString(ended.encode());
        assert_eq!(
            outcome(&bytes).unwrap(),
            SaveOutcome::Conflict(Some(Box::new(ended)))
        );
        let kind = |answer| outcome(&answer).unwrap_err().kind();
        let text = |text: &str| Value::BulkString(text.into());
        assert_eq!(kind(text("")), StoreErrorKind::Corrupt);
        assert_eq!(kind(text("S\u{3}")), StoreErrorKind::NewerFormat);
        for strange in [Value::Int(2), Value::Nil, Value::Array(Vec::new())] {
            assert_eq!(kind(strange), StoreErrorKind::Unknown);
        }
    }
}
