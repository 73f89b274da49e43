//! A store over a map of bytes, and the one place in it for each defect.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use session_core::store::{
    DecodeError, Expect, IndexEntry, LiveRecord, Record, RecordState, Replacing, SaveOptions,
    SaveOutcome, SessionData, SessionStore, StoreError, StoreKey, Touch, UserIndex, UserKey,
    Version, async_trait,
};
use session_core::{SessionRef, Timestamp};
use tokio::task::yield_now;

use super::Defect::{self, *};

/// What all clients of a store share: rows of bytes, and one writer at a time.
#[derive(Default)]
pub(crate) struct Engine {
    rows: Mutex<HashMap<String, Row>>,
    turn: tokio::sync::Mutex<()>,
    pub(super) fails_next: AtomicBool,
    sweeping_stopped: AtomicBool,
    locked: AtomicBool,
    versions: AtomicU64,
    pub(super) index: Mutex<HashMap<UserKey, Vec<IndexEntry>>>,
}

struct Row {
    bytes: Vec<u8>,
    previous: Option<Vec<u8>>,
    first_expiry: Timestamp,
    hidden: bool,
}

/// A store that waits before, between and after its reads and writes, so that whatever isn't atomic shows.
pub(crate) struct TestStore {
    pub(super) engine: Arc<Engine>,
    pub(super) defect: Option<Defect>,
    pub(super) own_turn: tokio::sync::Mutex<()>,
    pub(super) cache: Mutex<HashMap<StoreKey, Record>>,
}

#[async_trait]
impl SessionStore for TestStore {
    async fn load(&self, key: &StoreKey, now: Timestamp) -> Result<Option<Record>, StoreError> {
        if let Err(error) = self.reach().await {
            return self.unless(FailedLoadIsMissing, None, error);
        }
        let cached = lock(&self.cache).get(key).cloned();
        if cached.is_some() {
            return Ok(cached);
        }
        let hidden = self.row(key, |row| row.hidden).unwrap_or_default();
        let Some(mut record) = self.read(key)?.filter(|_| !hidden) else {
            if self.has(LookupCreates) {
                self.put_record(key, &placeholder(Version::from_bytes([0; 16])));
            }
            return Ok(None);
        };
        if self.is_expired(&record, now) {
            if self.has(LoadRemovesExpired) {
                self.remove(key);
            }
            return Ok(self.has(ReturnsExpired).then_some(record));
        }
        if self.has(LoadExtends) {
            record.expires_at = record.expires_at.saturating_add(Duration::from_secs(60));
            self.put_record(key, &record);
        }
        if self.has(CachesReads) {
            lock(&self.cache).insert(*key, record.clone());
        }
        Ok(Some(record))
    }

    async fn load_many(
        &self,
        keys: &[StoreKey],
        now: Timestamp,
    ) -> Vec<Result<Option<Record>, StoreError>> {
        let mut answers = Vec::new();
        for key in keys {
            let answer = self.load(key, now).await;
            answers.push(match answer {
                Err(_) if self.has(FailedManyAreMissing) => Ok(None),
                answer => answer,
            });
        }
        if self.has(ManyFailTogether) && answers.iter().any(Result::is_err) {
            let failed = || Err(StoreError::unknown("one of the records can't be read"));
            answers = keys.iter().map(|_| failed()).collect();
        }
        if self.has(ManyForgetOrder) {
            answers.reverse();
        }
        answers
    }

    async fn save(
        &self,
        key: &StoreKey,
        record: Record,
        options: SaveOptions,
    ) -> Result<SaveOutcome, StoreError> {
        let looks_first = match options.expect {
            Expect::Absent => CreateLooksFirst,
            Expect::Version(_) => SaveLooksFirst,
        };
        let _turn = self.turn(looks_first).await?;
        if let Err(error) = self.reach().await {
            if self.has(FailedSaveWasApplied) {
                self.put_record(key, &record);
            }
            return self.unless(FailedSaveIsSaved, SaveOutcome::Saved, error);
        }
        let outcome = self.judge(key, options)?;
        yield_now().await;
        if outcome == SaveOutcome::Saved && !self.has(ForgetsSaves) {
            self.write(key, record).await;
        }
        self.end_turn();
        Ok(match (self.defect, outcome) {
            (Some(ConflictIsSaved), SaveOutcome::Conflict(_)) => SaveOutcome::Saved,
            (Some(MissingIsConflict), SaveOutcome::Missing) => SaveOutcome::Conflict(None),
            (_, outcome) => outcome,
        })
    }

    fn replace<'c>(
        &'c self,
        key: &'c StoreKey,
        record: Record,
        replaced: Record,
        now: Timestamp,
    ) -> Replacing<'c> {
        let options = SaveOptions::new(Expect::Version(replaced.version), now);
        match self.defect {
            Some(ReplacementComparesBytes) => Box::pin(async move {
                match self.load(key, now).await? {
                    Some(current) if current != replaced => {
                        Ok(SaveOutcome::Conflict(Some(Box::new(current))))
                    }
                    _ => self.save(key, record, options).await,
                }
            }),
            Some(ReplacementUpserts) => Box::pin(async move {
                match self.save(key, record.clone(), options).await? {
                    SaveOutcome::Missing => {
                        let options = SaveOptions::new(Expect::Absent, now);
                        self.save(key, record, options).await
                    }
                    outcome => Ok(outcome),
                }
            }),
            Some(ReplacementLooksFirst) => Box::pin(async move {
                let outcome = self.judge(key, options)?;
                yield_now().await;
                if outcome == SaveOutcome::Saved {
                    self.write(key, record).await;
                }
                Ok(outcome)
            }),
            _ => self.save(key, record, options),
        }
    }

    async fn delete(&self, key: &StoreKey) -> Result<(), StoreError> {
        let _turn = self.turn(DeleteJumpsTheQueue).await?;
        if let Err(error) = self.reach().await {
            return self.unless(FailedDeleteIsDone, (), error);
        }
        let found = self.read(key);
        match (self.defect, found) {
            (Some(DeleteNeedsRecord), Ok(None)) => {
                return Err(StoreError::not_applied("there is nothing to delete"));
            }
            (Some(DeleteNeedsReadable), Err(error)) => return Err(error),
            (Some(DeleteKeepsTombstones), Ok(Some(record))) if record.live().is_none() => {}
            (Some(DeleteOnlyHides), Ok(Some(_))) => {
                lock(&self.engine.rows)
                    .entry(self.place(key))
                    .and_modify(|row| row.hidden = true);
            }
            (Some(DeletesEverything), _) => lock(&self.engine.rows).clear(),
            _ => self.remove(key),
        }
        yield_now().await;
        self.end_turn();
        Ok(())
    }

    async fn touch(
        &self,
        key: &StoreKey,
        touch: Touch,
        now: Timestamp,
    ) -> Result<SaveOutcome, StoreError> {
        let _turn = self.turn(TouchLooksFirst).await?;
        if let Err(error) = self.reach().await {
            return self.unless(FailedTouchIsMissing, SaveOutcome::Missing, error);
        }
        let counts = |record: &Record| self.has(TouchRevives) || !self.is_expired(record, now);
        let current = self.read(key)?.filter(counts);
        yield_now().await;
        let touched = match current {
            Some(record) => self.touched(record, touch),
            None if self.has(TouchInserts) => Ok(placeholder(touch.version)),
            None => Err(SaveOutcome::Missing),
        };
        let outcome = match touched {
            Ok(touched) => {
                self.write(key, touched).await;
                SaveOutcome::Saved
            }
            Err(outcome) => outcome,
        };
        self.end_turn();
        Ok(outcome)
    }

    async fn delete_expired(&self, now: Timestamp, limit: usize) -> Result<usize, StoreError> {
        let _turn = self.turn(SweepLooksFirst).await?;
        if self.engine.sweeping_stopped.load(Ordering::SeqCst) {
            return Ok(0);
        }
        if let Err(error) = self.reach().await {
            let stops = self.has(SweepStopsAfterError);
            self.engine.sweeping_stopped.store(stops, Ordering::SeqCst);
            return Err(error);
        }
        let limit = match self.defect {
            Some(SweepIgnoresLimit) => usize::MAX,
            Some(SweepStopsShort) => limit - 1,
            _ => limit,
        };
        let expired = self.expired(now, limit)?;
        yield_now().await;
        for place in expired.iter().filter(|_| !self.has(SweepOnlyCounts)) {
            lock(&self.engine.rows).remove(place);
        }
        let entries = match limit.checked_sub(expired.len()) {
            Some(rest) => self.sweep_index(now, rest),
            None => 0,
        };
        self.end_turn();
        Ok(expired.len() + entries)
    }

    fn user_index(&self) -> Option<&dyn UserIndex> {
        Some(self)
    }
}

impl TestStore {
    pub(super) fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }

    /// What a failure is answered: itself, unless the store has a defect that hides it.
    pub(super) fn unless<T>(
        &self,
        defect: Defect,
        hidden: T,
        error: StoreError,
    ) -> Result<T, StoreError> {
        if self.has(defect) {
            Ok(hidden)
        } else {
            Err(error)
        }
    }

    pub(super) async fn reach(&self) -> Result<(), StoreError> {
        yield_now().await;
        match self.engine.fails_next.swap(false, Ordering::SeqCst) {
            true => Err(StoreError::not_applied("the engine was told to fail")),
            false => Ok(()),
        }
    }

    /// Waits until no other writer is at work, except in a store whose defect it is not to.
    pub(super) async fn turn(
        &self,
        looks_first: Defect,
    ) -> Result<Option<tokio::sync::MutexGuard<'_, ()>>, StoreError> {
        if self.has(DroppedCallsKeepTheLock) && self.engine.locked.swap(true, Ordering::SeqCst) {
            return Err(StoreError::not_applied("the lock is taken"));
        }
        let turn = if self.has(LocksPerClient) {
            &self.own_turn
        } else {
            &self.engine.turn
        };
        Ok(match self.has(looks_first) {
            true => None,
            false => Some(turn.lock().await),
        })
    }

    pub(super) fn end_turn(&self) {
        self.engine.locked.store(false, Ordering::SeqCst);
    }

    fn judge(&self, key: &StoreKey, options: SaveOptions) -> Result<SaveOutcome, StoreError> {
        let SaveOptions { expect, now, .. } = options;
        let found = match self.read(key) {
            Err(_) if self.has(CorruptIsOverwritten) => None,
            found => found?,
        };
        let minds_expired = match expect {
            Expect::Absent => self.has(CreateMindsExpired),
            Expect::Version(_) => self.has(SavesOntoExpired),
        };
        let counts = |record: &Record| minds_expired || !self.is_expired(record, now);
        let current = found.filter(counts);
        if self.overlooks(expect, current.as_ref()) {
            return Ok(SaveOutcome::Saved);
        }
        let outcome = expect.check(current.as_ref());
        Ok(match (self.defect, expect, outcome, current) {
            (Some(TombstonesAreFinal), _, SaveOutcome::Saved, Some(record))
                if record.live().is_none() =>
            {
                SaveOutcome::Conflict(Some(Box::new(record)))
            }
            (Some(ConflictCarriesPrevious), _, SaveOutcome::Conflict(_), _) => {
                let previous = self.row(key, |row| row.previous.clone()).flatten();
                let previous = previous.and_then(|bytes| Record::decode(&bytes).ok());
                SaveOutcome::Conflict(previous.map(Box::new))
            }
            (
                Some(ConflictCarriesExpectedVersion),
                Expect::Version(version),
                SaveOutcome::Conflict(Some(record)),
                _,
            ) => {
                let mut record = *record;
                record.version = version;
                SaveOutcome::Conflict(Some(Box::new(record)))
            }
            (_, _, outcome, _) => outcome,
        })
    }

    /// Whether a defect lets a save through that has to be refused.
    fn overlooks(&self, expect: Expect, current: Option<&Record>) -> bool {
        let half = |version: &Version| version.as_bytes()[..8].to_vec();
        match (self.defect, expect, current) {
            (Some(CreateOverwrites), Expect::Absent, Some(record)) => record.live().is_some(),
            (Some(CreateOverwritesTombstones), Expect::Absent, Some(record)) => {
                record.live().is_none()
            }
            (Some(Upserts), Expect::Version(_), None) => true,
            (Some(SaveIgnoresVersion), Expect::Version(_), Some(_)) => true,
            (Some(SaveComparesHalfTheVersion), Expect::Version(version), Some(record)) => {
                half(&version) == half(&record.version)
            }
            (Some(TombstonesAreOverwritten), Expect::Version(_), Some(record)) => {
                record.live().is_none()
            }
            _ => false,
        }
    }

    fn touched(&self, record: Record, mut touch: Touch) -> Result<Record, SaveOutcome> {
        if self.has(TouchIgnoresVersion) {
            touch.expected = record.version;
        }
        let mut touched = match touch.apply(record.clone()) {
            Err(SaveOutcome::Missing) if self.has(TouchLandsOnTombstone) => record.clone(),
            touched => touched?,
        };
        match self.defect {
            Some(TouchKeepsVersion) => touched.version = record.version,
            Some(TouchShortens) => touched.expires_at = touch.expires_at,
            Some(TouchLandsOnTombstone) => touched.version = touch.version,
            _ => {}
        }
        if let RecordState::Live(live) = &mut touched.state {
            match self.defect {
                Some(TouchRewindsActivity) => live.last_active_at = touch.last_active_at,
                Some(TouchDropsData) => live.data = SessionData::empty(),
                _ => {}
            }
        }
        Ok(touched)
    }

    fn expired(&self, now: Timestamp, limit: usize) -> Result<Vec<String>, StoreError> {
        let mut places = Vec::new();
        for (place, row) in lock(&self.engine.rows).iter() {
            let record = match Record::decode(&row.bytes) {
                Err(error) if self.has(SweepChokesOnCorrupt) => return Err(error.into()),
                Err(_) => continue,
                Ok(record) => record,
            };
            let expired = match self.defect {
                Some(SweepGoesByFirstExpiry) => row.first_expiry <= now,
                Some(SweepIsEarly) => {
                    record.expires_at.as_unix_millis() <= now.as_unix_millis() + 1
                }
                Some(SweepLosesTombstones) if record.live().is_none() => true,
                _ => self.is_expired(&record, now),
            };
            if expired && places.len() < limit {
                places.push(place.clone());
            }
        }
        Ok(places)
    }

    fn is_expired(&self, record: &Record, now: Timestamp) -> bool {
        match self.defect {
            Some(ExpiresLate) => now > record.expires_at,
            Some(TombstonesNeverExpire) if record.live().is_none() => false,
            _ => record.is_expired(now),
        }
    }

    fn read(&self, key: &StoreKey) -> Result<Option<Record>, StoreError> {
        match (self.defect, self.row(key, |row| Record::decode(&row.bytes))) {
            (Some(CorruptIsMissing), Some(Err(DecodeError::Corrupt))) => Ok(None),
            (Some(CorruptIsRemoved), Some(Err(error))) => {
                self.remove(key);
                Err(error.into())
            }
            (Some(NewerIsCorrupt), Some(Err(_))) => Err(DecodeError::Corrupt.into()),
            (_, decoded) => Ok(decoded.transpose()?),
        }
    }

    async fn write(&self, key: &StoreKey, mut record: Record) {
        let old = self.read(key).ok().flatten();
        self.spoil(&mut record, old.as_ref());
        let bytes = self.spoiled_bytes(&record);
        if self.has(WritesInHalves) {
            let old = self.row(key, |row| row.bytes.clone()).unwrap_or_default();
            // Up to here lie the version and the expiry, and behind it what else a touch changes.
            let half = bytes.len().min(26);
            let rest = old.get(half..).unwrap_or_default();
            self.put(key, [&bytes[..half], rest].concat(), record.expires_at);
            yield_now().await;
        }
        lock(&self.cache).remove(key);
        self.put(key, bytes, record.expires_at);
    }

    /// What a defect makes of a record before it is written.
    fn spoil(&self, record: &mut Record, old: Option<&Record>) {
        let old_user = old
            .and_then(Record::live)
            .and_then(|live| live.user.clone());
        match (self.defect, &mut record.state) {
            (Some(CapsTimes), _) => {
                let last = Timestamp::from_unix_millis(u64::from(u32::MAX) * 1000);
                record.expires_at = record.expires_at.min(last);
            }
            (Some(CountsVersions), _) => {
                let count = self.engine.versions.fetch_add(1, Ordering::SeqCst);
                record.version = Version::from_bytes(u128::from(count).to_be_bytes());
            }
            (Some(SaveNeverShortens), _) => {
                let old = old.map(|old| old.expires_at).unwrap_or_default();
                record.expires_at = record.expires_at.max(old);
            }
            (Some(ForgetsSuccessor), RecordState::Superseded { successor, .. }) => {
                *successor = StoreKey::from_bytes([0; 32]);
            }
            (Some(DropsLifetime), RecordState::Live(live)) => live.lifetime = None,
            (Some(RoundsTimesToSeconds), RecordState::Live(live)) => {
                live.created_at =
                    Timestamp::from_unix_millis(live.created_at.as_unix_secs() * 1000);
            }
            (Some(SaveKeepsTheUser), RecordState::Live(live)) => {
                live.user = live.user.take().or(old_user);
            }
            _ => {}
        }
    }

    fn spoiled_bytes(&self, record: &Record) -> Vec<u8> {
        let mut bytes = record.encode();
        match self.defect {
            Some(StripsNul) => substitute(&mut bytes, br"\u0000", b"      "),
            Some(ManglesFourByteCharacters) => substitute(&mut bytes, "🦀".as_bytes(), b"????"),
            Some(CutsLongData) => bytes.truncate(u16::MAX.into()),
            _ => {}
        }
        bytes
    }

    fn put_record(&self, key: &StoreKey, record: &Record) {
        self.put(key, record.encode(), record.expires_at);
    }

    pub(super) fn put(&self, key: &StoreKey, bytes: Vec<u8>, expiry: Timestamp) {
        let mut rows = lock(&self.engine.rows);
        let old = rows.remove(&self.place(key));
        let row = Row {
            bytes,
            first_expiry: old.as_ref().map_or(expiry, |row| row.first_expiry),
            previous: old.map(|row| row.bytes),
            hidden: false,
        };
        rows.insert(self.place(key), row);
    }

    fn remove(&self, key: &StoreKey) {
        lock(&self.cache).remove(key);
        lock(&self.engine.rows).remove(&self.place(key));
    }

    fn row<T>(&self, key: &StoreKey, look: impl FnOnce(&Row) -> T) -> Option<T> {
        lock(&self.engine.rows).get(&self.place(key)).map(look)
    }

    fn place(&self, key: &StoreKey) -> String {
        let text = key.to_string();
        if self.has(FoldsCaseOfKeys) {
            text.to_lowercase()
        } else {
            text
        }
    }
}

/// A record that nobody asked for.
fn placeholder(version: Version) -> Record {
    let reference = SessionRef::from_bytes([0; 16]);
    let live = LiveRecord::new(SessionData::empty(), Timestamp::default(), reference);
    Record::new(version, Timestamp::MAX, RecordState::Live(live))
}

/// Replaces every `from` by a `to` of the same length.
fn substitute(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    for at in 0..bytes.len().saturating_sub(from.len() - 1) {
        if bytes[at..].starts_with(from) {
            bytes[at..at + to.len()].copy_from_slice(to);
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
