//! What the encoding promises.

use super::*;
use crate::data::{EscapedKey, Piece};

/// Where the flags of a live record lie: behind the header, three times, the reference and the fields.
const FIELDS_AT: usize = 3 + 16 + 5 * 8 + 16;
const FLAGS_AT: usize = FIELDS_AT + 1;

fn time(millis: u64) -> Timestamp {
    Timestamp::from_unix_millis(millis)
}

fn data(keys: &[&str], value: &[u8]) -> SessionData {
    let keys: Vec<_> = keys.iter().map(|key| EscapedKey::new(key)).collect();
    let pieces: Vec<_> = keys.iter().map(|key| Piece::Entry(key, value)).collect();
    SessionData::from_pieces(&pieces)
}

/// Live records with every field present and absent, and both kinds of tombstones, with and without what is known
/// about their session.
fn records() -> Vec<Record> {
    let entries = data(&["a", "nul\0", "\u{10348}"], br#"{"deep":[1,"\u0000"]}"#);
    let mut live = LiveRecord::new(entries, time(1), SessionRef::from_bytes([2; 16]));
    live.last_active_at = time(3);
    let user = SessionUser::new("anna \u{10348}\0", time(7));
    let mut rich = live.clone();
    rich.lifetime = Some(Lifetime::new(
        Duration::from_millis(1),
        Duration::from_secs(6),
    ));
    (rich.absolute_from, rich.absolute_end) = (time(4), time(6_004));
    rich.persistent = Some(true);
    rich.flags = RecordFlags::from_bits(0x8001);
    rich.user = Some(Arc::new(user.clone()));
    rich.reserved = data(&["flash"], b"[1]");
    let mut labelled = live.clone();
    labelled.persistent = Some(false);
    labelled.user = Some(Arc::new(user.with_label(Some("a \u{10348} phone".into()))));
    let known = FormerSession::new(
        Some(SessionRef::from_bytes([2; 16])),
        Some(UserKey::from_bytes([6; 32])),
    );
    let (successor, version) = (StoreKey::from_bytes([4; 32]), Version::from_bytes([9; 16]));
    let states = [
        RecordState::Live(live),
        RecordState::Live(rich),
        RecordState::Live(labelled),
        RecordState::superseded(successor, version, MoveCause::Rotation, time(8), known),
        RecordState::superseded(successor, version, MoveCause::LoginAlone, time(8), known),
        RecordState::superseded(
            successor,
            version,
            MoveCause::LoginAndMore,
            time(8),
            FormerSession::default(),
        ),
        RecordState::ended(
            Timestamp::MAX,
            EndedBy::OwnRequest,
            FormerSession::default(),
        ),
        RecordState::ended(time(8), EndedBy::OtherSession, known),
        RecordState::ended(time(8), EndedBy::Administrator, known),
        RecordState::ended(time(8), EndedBy::Cap, known),
        RecordState::ended(time(8), EndedBy::Expiry, known),
    ];
    states
        .map(|state| Record::new(version, time(10), state))
        .into()
}

/// SR-2: everything in a record comes back, NUL and 4-byte characters too.
#[test]
fn records_round_trip() {
    for record in records() {
        assert_eq!(Record::decode(&record.encode()), Ok(record));
    }
}

/// SR-3: no change to the bytes makes decoding panic, and no shorter or longer input decodes.
#[test]
fn broken_records_are_errors() {
    for record in records() {
        let good = record.encode();
        for len in 0..good.len() {
            assert_eq!(
                Record::decode(&good[..len]),
                Err(DecodeError::Corrupt),
                "cut to {len}"
            );
        }
        let long = [&good[..], b"}"].concat();
        assert_eq!(Record::decode(&long), Err(DecodeError::Corrupt));
        for position in 2..good.len() {
            for bit in 0..8 {
                let mut bytes = good.clone();
                bytes[position] ^= 1 << bit;
                if let Ok(record) = Record::decode(&bytes) {
                    assert_eq!(record.encode(), bytes);
                }
            }
        }
    }
}

/// SR-3: a record of a newer version is told from a corrupt one, and one of a format before the first release is
/// corrupt.
#[test]
fn a_newer_format_is_told_apart() {
    let change = |record: &Record, position: usize, value: u8| {
        let mut bytes = record.encode();
        bytes[position] = value;
        Record::decode(&bytes)
    };
    let records = records();
    assert_eq!(
        change(&records[0], 1, FORMAT + 1),
        Err(DecodeError::NewerFormat)
    );
    assert_eq!(change(&records[0], 1, 1), Err(DecodeError::Corrupt));
    assert_eq!(change(&records[0], 0, 0), Err(DecodeError::Corrupt));
    assert_eq!(
        change(&records[0], KIND_AT, 3),
        Err(DecodeError::NewerFormat)
    );
    for live in &records[..3] {
        assert_eq!(change(live, FIELDS_AT, 64), Err(DecodeError::NewerFormat));
    }
    let former_at = 3 + 16 + 2 * 8;
    for tombstone in &records[3..] {
        let newer = change(tombstone, former_at, 4);
        assert_eq!(newer, Err(DecodeError::NewerFormat));
    }
    let by_at = records[6].encode().len() - 1;
    assert_eq!(change(&records[6], by_at, 5), Err(DecodeError::NewerFormat));
}

/// SR-3: what a later version may add without being asked for is kept as it is, so that a deployment can be rolled
/// back.
#[test]
fn unknown_flags_and_reserved_entries_are_kept() {
    let mut later = records()[1].clone();
    if let RecordState::Live(live) = &mut later.state {
        // More than this version would write.
        let long = format!("\"{}\"", "x".repeat(2 * crate::store::MAX_RESERVED_LEN));
        live.reserved = data(&["from a later version"], long.as_bytes());
    }
    let mut bytes = later.encode();
    bytes[FLAGS_AT..FLAGS_AT + 2].copy_from_slice(&[0xFF, 0xFF]);
    let read = Record::decode(&bytes).unwrap();
    assert_eq!(read.live().unwrap().flags.bits(), 0xFFFF);
    assert_eq!(read.encode(), bytes);
}

/// The format is fixed: these bytes are in people's stores.
#[test]
fn the_format_does_not_change() {
    let max = [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x1F, 0];
    let millis = |n: u8| [n, 0, 0, 0, 0, 0, 0, 0];
    let head = |kind: u8| [&[0x53, 2, kind][..], &[9; 16], &millis(10)].concat();
    let ended = [&head(2)[..], &max, &[0, 0]].concat();
    assert_eq!(records()[6].encode(), ended);
    let live = records()[0].clone();
    let plain = [
        &head(0)[..],
        &millis(3),
        &millis(1),
        &millis(1),
        &max,
        &[2; 16],
        &[0, 0, 0],
        live.live().unwrap().data.as_bytes(),
    ];
    assert_eq!(live.encode(), plain.concat());
}
