//! Between records and rows.

use std::collections::HashSet;

use session_core::store::{
    AddOutcome, DecodeError, IndexEntry, Record, RecordState, StoreError, StoreKey, Version,
};
use session_core::{SessionRef, Timestamp};

/// A record's row as it is read: version, expiry, last activity, and the encoded record.
pub(crate) type Columns = (Vec<u8>, i64, Option<i64>, Vec<u8>);

/// A row of the index as it is read: the session's key, its reference, when it was added, and its expiry.
pub(crate) type EntryColumns = (Vec<u8>, Vec<u8>, i64, i64);

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

/// How adding `entry` to these entries ends. They are alive, and nobody else may change them until it is done.
pub(crate) fn admit(
    entries: Vec<IndexEntry>,
    entry: &IndexEntry,
    cap: Option<usize>,
    now: Timestamp,
) -> AddOutcome {
    let references = entries.iter().map(|other| other.reference);
    let others: HashSet<_> = references
        .filter(|reference| *reference != entry.reference)
        .collect();
    if cap.is_some_and(|cap| others.len() >= cap) {
        return AddOutcome::Full(entries);
    }
    let rest = entries.iter().filter(|other| other.key != entry.key);
    AddOutcome::Added(rest.count() + usize::from(now < entry.expires_at))
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

    /// US-3: a session counts once, whatever ids it has, and never against itself.
    #[test]
    fn sessions_are_counted_by_handle() {
        let entry = |key: u8, reference: u8| {
            IndexEntry::new(
                StoreKey::from_bytes([key; 32]),
                SessionRef::from_bytes([reference; 16]),
                time(0),
                time(9),
            )
        };
        let there = vec![entry(1, 1), entry(2, 1), entry(3, 2)];
        let add = |new, cap| admit(there.clone(), &new, cap, time(1));
        assert_eq!(add(entry(4, 3), Some(2)), AddOutcome::Full(there.clone()));
        assert_eq!(add(entry(4, 3), Some(3)), AddOutcome::Added(4));
        assert_eq!(add(entry(4, 2), Some(2)), AddOutcome::Added(4));
        assert_eq!(add(entry(3, 2), Some(2)), AddOutcome::Added(3));
        assert_eq!(add(entry(4, 3), None), AddOutcome::Added(4));
        assert_eq!(add(entry(4, 1), Some(0)), AddOutcome::Full(there.clone()));
        let expired = admit(there.clone(), &entry(4, 3), None, time(9));
        assert_eq!(expired, AddOutcome::Added(3));
    }
}
