//! Between records and rows.

use std::collections::{HashMap, HashSet};

use session_core::store::{
    AddOutcome, DecodeError, IndexEntry, Record, RecordState, Sample, StoreError, StoreKey, Version,
};
use session_core::{SessionRef, Timestamp};

/// A record's row as it is read: version, expiry, last activity, and the encoded record.
pub(crate) type Columns = (Vec<u8>, i64, Option<i64>, Vec<u8>);

/// A record's row with its key before it.
pub(crate) type KeyedColumns = (Vec<u8>, Vec<u8>, i64, Option<i64>, Vec<u8>);

/// A row of the index as it is read: the session's key, its reference, when it was added, and its expiry.
pub(crate) type EntryColumns = (Vec<u8>, Vec<u8>, i64, i64);

/// A row of the index with the part of a sample that it belongs to before it.
pub(crate) type SampleColumns = (i64, Vec<u8>, Vec<u8>, i64, i64);

/// A record's row as it is written.
pub(crate) struct Row {
    pub(crate) version: [u8; 16],
    pub(crate) expires_at: i64,
    /// None in a tombstone, so that a touch needn't look into the record to leave tombstones alone.
    pub(crate) last_active_at: Option<i64>,
    pub(crate) record: Vec<u8>,
}

impl Row {
    pub(crate) fn of(record: &Record) -> Self {
        Self {
            version: *record.version.as_bytes(),
            expires_at: millis(record.expires_at),
            last_active_at: record.live().map(|live| millis(live.last_active_at)),
            record: record.encode(),
        }
    }

    /// The record in a row. What a touch changes is in columns of its own, and the bytes don't know of it.
    pub(crate) fn read(columns: Columns) -> Result<Record, StoreError> {
        let (version, expires_at, last_active_at, bytes) = columns;
        let mut record = Record::decode(&bytes)?;
        record.version = Version::from_bytes(array(version)?);
        record.expires_at = timestamp(expires_at)?;
        if let RecordState::Live(live) = &mut record.state {
            live.last_active_at = timestamp(last_active_at.ok_or(DecodeError::Corrupt)?)?;
        }
        Ok(record)
    }
}

/// The entries in rows of the index, in the same order.
pub(crate) fn entries(rows: Vec<EntryColumns>) -> Result<Vec<IndexEntry>, StoreError> {
    let entry = |(key, reference, added_at, expires_at): EntryColumns| -> Result<_, StoreError> {
        Ok(IndexEntry::new(
            StoreKey::from_bytes(array(key)?),
            SessionRef::from_bytes(array(reference)?),
            timestamp(added_at)?,
            timestamp(expires_at)?,
        ))
    };
    rows.into_iter().map(entry).collect()
}

/// The sample of a user's entries that is in these rows: those of part 0 were added first, and those of parts 1 and 2
/// follow a random key, round the end. They are more than enough, as some may be among the first too.
pub(crate) fn sampled(
    mut rows: Vec<SampleColumns>,
    sample: Sample,
) -> Result<Vec<IndexEntry>, StoreError> {
    rows.sort_by_key(|(part, ..)| *part);
    let first = rows.iter().filter(|(part, ..)| *part == 0).count();
    let rows = rows.into_iter();
    let rows = rows.map(|(_, key, reference, added, expires)| (key, reference, added, expires));
    let mut entries = entries(rows.collect())?;
    let mut others = entries.split_off(first);
    let oldest: HashSet<_> = entries.iter().map(|entry| entry.key).collect();
    others.retain(|entry| !oldest.contains(&entry.key));
    others.truncate(sample.random);
    entries.append(&mut others);
    Ok(entries)
}

/// How many rows of each part [`sampled`] needs.
pub(crate) fn sample_limits(sample: Sample) -> (i64, i64) {
    (
        count(sample.oldest),
        count(sample.oldest.saturating_add(sample.random)),
    )
}

/// Up to which number a user's entries are counted when one is added.
pub(crate) fn counted(cap: Option<usize>) -> i64 {
    count(cap.unwrap_or(0).max(AddOutcome::COUNTED))
}

/// A count as the databases give it.
pub(crate) fn number(count: i64) -> usize {
    usize::try_from(count).unwrap_or(0)
}

/// The record of each key, as it was found in these rows.
pub(crate) fn of_each(
    keys: &[StoreKey],
    rows: Result<Vec<KeyedColumns>, StoreError>,
) -> Vec<Result<Option<Record>, StoreError>> {
    let rows = match rows {
        Ok(rows) => rows.into_iter(),
        Err(error) => return keys.iter().map(|_| Err(error.clone())).collect(),
    };
    let rows: HashMap<Vec<u8>, Columns> = rows
        .map(|(key, version, expires_at, last_active_at, record)| {
            (key, (version, expires_at, last_active_at, record))
        })
        .collect();
    keys.iter()
        .map(|key| {
            let row = rows.get(key.as_bytes().as_slice());
            row.cloned().map(Row::read).transpose()
        })
        .collect()
}

/// A time as the databases keep it. The latest is 2^53 - 1, so that the sign bit is free.
pub(crate) fn millis(time: Timestamp) -> i64 {
    time.as_unix_millis().cast_signed()
}

/// A number of rows as the databases take it.
pub(crate) fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// A number of rows as the databases give it.
pub(crate) fn removed(rows: u64) -> usize {
    usize::try_from(rows).unwrap_or(usize::MAX)
}

fn timestamp(millis: i64) -> Result<Timestamp, DecodeError> {
    let millis = u64::try_from(millis).map_err(|_| DecodeError::Corrupt)?;
    Ok(Timestamp::from_unix_millis(millis))
}

fn array<const N: usize>(bytes: Vec<u8>) -> Result<[u8; N], DecodeError> {
    bytes.try_into().map_err(|_| DecodeError::Corrupt)
}

#[cfg(test)]
mod tests {
    use session_core::store::StoreErrorKind;
    use session_core::store::{EndedBy, FormerSession, LiveRecord, SessionData};

    use super::*;

    fn time(millis: u64) -> Timestamp {
        Timestamp::from_unix_millis(millis)
    }

    fn live() -> Record {
        let reference = SessionRef::from_bytes([1; 16]);
        Record::new(
            Version::from_bytes([2; 16]),
            Timestamp::MAX,
            RecordState::Live(LiveRecord::new(SessionData::empty(), time(3), reference)),
        )
    }

    fn columns(row: Row) -> Columns {
        let version = row.version.to_vec();
        (version, row.expires_at, row.last_active_at, row.record)
    }

    #[test]
    fn the_columns_override_the_bytes() {
        let record = live();
        assert_eq!(Row::read(columns(Row::of(&record))).unwrap(), record);

        let (_, _, _, bytes) = columns(Row::of(&record));
        let touched = Row::read((vec![4; 16], 5, Some(6), bytes)).unwrap();
        assert_eq!(touched.version, Version::from_bytes([4; 16]));
        assert_eq!(touched.expires_at, time(5));
        assert_eq!(touched.live().unwrap().last_active_at, time(6));
    }

    #[test]
    fn a_tombstone_has_no_activity() {
        let ended = Record::new(
            Version::from_bytes([2; 16]),
            Timestamp::MAX,
            RecordState::ended(time(7), EndedBy::OwnRequest, FormerSession::default()),
        );
        let row = Row::of(&ended);
        assert_eq!(row.last_active_at, None);
        assert_eq!(Row::read(columns(row)).unwrap(), ended);
    }

    #[test]
    fn what_cannot_be_read_is_corrupt() {
        let (version, expires_at, active, bytes) = columns(Row::of(&live()));
        let bad = [
            (vec![2; 15], expires_at, active, bytes.clone()),
            (version.clone(), -1, active, bytes.clone()),
            (version.clone(), expires_at, Some(-1), bytes.clone()),
            (version.clone(), expires_at, None, bytes),
            (version, expires_at, active, Vec::new()),
        ];
        for columns in bad {
            let error = Row::read(columns).unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt);
        }
        let error = entries(vec![(vec![1; 32], vec![1; 17], 0, 0)]).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Corrupt);
    }

    /// US-3: what was added first is in a sample once, beside others.
    #[test]
    fn a_sample_has_each_entry_once() {
        let row = |part: i64, key: u8| (part, vec![key; 32], vec![key; 16], 0, 9);
        let rows = vec![
            row(1, 5),
            row(0, 1),
            row(1, 1),
            row(2, 3),
            row(0, 2),
            row(2, 4),
        ];
        let keys = |sample| {
            let entries = sampled(rows.clone(), sample).unwrap();
            let keys = entries.iter().map(|entry| entry.key.as_bytes()[0]);
            keys.collect::<Vec<_>>()
        };
        assert_eq!(keys(Sample::new(2, 3, 0)), [1, 2, 5, 3, 4]);
        assert_eq!(keys(Sample::new(2, 1, 0)), [1, 2, 5]);
        assert_eq!(sample_limits(Sample::new(2, 1, 0)), (2, 3));
    }

    /// A row that can't be read is an error of its own key, and a statement that failed one of each.
    #[test]
    fn each_key_gets_its_own_answer() {
        let keys = [1, 2, 3, 1].map(|at| StoreKey::from_bytes([at; 32]));
        let (version, expires_at, active, bytes) = columns(Row::of(&live()));
        let keyed = |key: u8, bytes| (vec![key; 32], version.clone(), expires_at, active, bytes);
        let rows = vec![keyed(3, Vec::new()), keyed(1, bytes)];
        let answers = of_each(&keys, Ok(rows));
        assert_eq!(answers[0].as_ref().unwrap().as_ref(), Some(&live()));
        assert_eq!(answers[1].as_ref().unwrap().as_ref(), None);
        assert_eq!(
            answers[2].as_ref().unwrap_err().kind(),
            StoreErrorKind::Corrupt
        );
        assert_eq!(answers[3].as_ref().unwrap().as_ref(), Some(&live()));
        let answers = of_each(&keys, Err(StoreError::unknown("lost")));
        assert_eq!(answers.len(), 4);
        assert!(answers.iter().all(Result::is_err));
    }
}
