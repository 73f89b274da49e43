//! What a request did to its session, kept so that it can be done again on a fresh record.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use smallvec::SmallVec;

use super::encoded::{SessionData, ValueRef};
use super::key::EscapedKey;
use super::view::{Encoded, View};
use crate::error::{Error, ErrorKind};

/// Computes a key's new JSON from the one it has. Without one the key goes.
pub(crate) type Recompute =
    Arc<dyn Fn(Option<&[u8]>) -> Result<Option<Encoded>, Error> + Send + Sync>;

/// Computes several keys anew, from whatever they hold.
pub(crate) type Recast = Arc<dyn Fn(&mut View) -> Result<(), Error> + Send + Sync>;

/// One operation.
#[derive(Clone)]
pub(crate) enum Op {
    Set(EscapedKey<'static>, Encoded),
    Delete(EscapedKey<'static>),
    /// Removes the value if it still is what was read.
    Take(EscapedKey<'static>, Encoded),
    Update(EscapedKey<'static>, Recompute),
    /// Reads and changes any keys in one step. `written` are those that it changed when it first ran.
    Atomic {
        recast: Recast,
        written: Arc<[EscapedKey<'static>]>,
    },
    Clear,
}

/// The operations in order. Ones that changed nothing when they were made are kept: on another record
/// they may well change something.
#[derive(Clone)]
pub(crate) enum OpLog {
    /// Looking through a few operations is cheaper than an index of them.
    Few(Vec<Op>),
    Many(Box<IndexedOps>),
}

/// With this many operations a log gets an index.
const MANY: usize = 16;

/// Operations in order, and where those of each key are.
#[derive(Clone, Default)]
pub(crate) struct IndexedOps {
    /// By a number that grows with each operation.
    ops: BTreeMap<u64, Op>,
    /// The numbers of each key's operations, in ascending order: those since the last atomic step, which may have read
    /// what was done before it, so that it can't be hidden any more.
    by_key: BTreeMap<EscapedKey<'static>, SmallVec<[u64; 2]>>,
    next: u64,
}

impl OpLog {
    /// Appends `op`, and takes out those whose effect it hides. That bounds the log by the number of keys,
    /// updates and atomic steps apart, and gives the same result on every record. The hidden ones come back, because
    /// dropping an application's closure under a lock runs its code under the lock.
    #[must_use = "drop the hidden operations where no lock is held"]
    pub(crate) fn push(&mut self, op: Op) -> Self {
        let hidden = match &op {
            Op::Set(key, _) | Op::Delete(key) => self.remove(key),
            Op::Clear => return std::mem::replace(self, Self::of(op)),
            Op::Take(..) | Op::Update(..) | Op::Atomic { .. } => Vec::new(),
        };
        match self {
            Self::Few(ops) => ops.push(op),
            Self::Many(indexed) => indexed.push(op),
        }
        Self::Few(hidden)
    }

    /// A log of one operation.
    pub(crate) fn of(op: Op) -> Self {
        Self::Few(vec![op])
    }

    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Few(ops) => ops.is_empty(),
            Self::Many(indexed) => indexed.ops.is_empty(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Few(ops) => ops.len(),
            Self::Many(indexed) => indexed.ops.len(),
        }
    }

    /// Takes the operations on `key` out, but for those whose effect an atomic step may have read.
    fn remove(&mut self, key: &EscapedKey<'static>) -> Vec<Op> {
        match self {
            Self::Few(ops) if ops.len() < MANY => {
                let last = ops.iter().rposition(|op| matches!(op, Op::Atomic { .. }));
                let hidable = last.map_or(0, |last| last + 1)..;
                ops.extract_if(hidable, |op| op.key() == Some(key))
                    .collect()
            }
            Self::Few(ops) => {
                let mut indexed = Box::new(IndexedOps::default());
                ops.drain(..).for_each(|op| indexed.push(op));
                let hidden = indexed.remove(key);
                *self = Self::Many(indexed);
                hidden
            }
            Self::Many(indexed) => indexed.remove(key),
        }
    }

    /// The operations in order.
    fn iter(&self) -> impl Iterator<Item = &Op> {
        let (few, many) = match self {
            Self::Few(ops) => (Some(ops.iter()), None),
            Self::Many(indexed) => (None, Some(indexed.ops.values())),
        };
        few.into_iter().flatten().chain(many.into_iter().flatten())
    }

    /// What `base` becomes by these operations.
    pub(crate) fn replay(&self, base: SessionData) -> Result<View, Error> {
        let mut view = View::new(base);
        self.replay_onto(&mut view)?;
        Ok(view)
    }

    /// These operations on `base`, without running anything: an update gives what it gave in `seen`.
    pub(crate) fn project(&self, seen: &View, base: SessionData) -> View {
        let mut view = View::new(base);
        for op in self.iter() {
            match op {
                Op::Set(key, value) => view.set(key.clone(), value.clone()),
                Op::Update(key, _) => show_as_seen(&mut view, key, seen),
                Op::Atomic { written, .. } => {
                    for key in written.iter() {
                        show_as_seen(&mut view, key, seen);
                    }
                }
                Op::Delete(key) => view.delete(key.clone()),
                Op::Take(key, read) => take(&mut view, key, read),
                Op::Clear => view.clear(),
            }
        }
        view
    }

    fn replay_onto(&self, view: &mut View) -> Result<(), Error> {
        for op in self.iter() {
            match op {
                Op::Set(key, value) => view.set(key.clone(), value.clone()),
                Op::Delete(key) => view.delete(key.clone()),
                Op::Take(key, read) => take(view, key, read),
                Op::Clear => view.clear(),
                Op::Update(key, recompute) => {
                    let current = view.get(key);
                    let current = current.as_ref().map(ValueRef::json);
                    match run(|| recompute(current))? {
                        Some(value) => view.set(key.clone(), value),
                        None => view.delete(key.clone()),
                    }
                }
                Op::Atomic { recast, .. } => run(|| recast(view))?,
            }
        }
        Ok(())
    }
}

impl Default for OpLog {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl IndexedOps {
    fn push(&mut self, op: Op) {
        match op.key() {
            Some(key) => self.by_key.entry(key.clone()).or_default().push(self.next),
            None => self.by_key.clear(),
        }
        self.ops.insert(self.next, op);
        self.next += 1;
    }

    fn remove(&mut self, key: &EscapedKey<'static>) -> Vec<Op> {
        let numbers = self.by_key.remove(key).unwrap_or_default();
        let ops = numbers.iter();
        ops.filter_map(|number| {
            #[cfg(test)]
            super::work::step();
            self.ops.remove(number)
        })
        .collect()
    }
}

impl Op {
    fn key(&self) -> Option<&EscapedKey<'static>> {
        match self {
            Self::Set(key, _) | Self::Delete(key) | Self::Take(key, _) | Self::Update(key, _) => {
                Some(key)
            }
            Self::Atomic { .. } | Self::Clear => None,
        }
    }
}

impl fmt::Debug for OpLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpLog({} operations)", self.len())
    }
}

fn take(view: &mut View, key: &EscapedKey<'static>, read: &[u8]) {
    if view.get(key).is_some_and(|value| value.json() == read) {
        view.delete(key.clone());
    }
}

/// Leaves `key` in `view` as it was `seen`.
fn show_as_seen(view: &mut View, key: &EscapedKey<'static>, seen: &View) {
    match seen.get(key) {
        Some(value) => view.set(key.clone(), value.json().into()),
        None => view.delete(key.clone()),
    }
}

/// Runs an application's closure on values that it hasn't seen. It may not like them.
fn run<T>(closure: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let conflict = "an update could not be run again on what another request had written";
    match catch_unwind(AssertUnwindSafe(closure)) {
        Ok(result) => {
            result.map_err(|error| Error::with_source(ErrorKind::Conflict, conflict, error))
        }
        Err(_) => Err(Error::new(ErrorKind::Conflict, conflict)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::work::Numbers;

    fn key(name: &str) -> EscapedKey<'static> {
        EscapedKey::new(name).into_owned()
    }

    fn set(name: &str, json: &str) -> Op {
        Op::Set(key(name), json.as_bytes().into())
    }

    fn append(name: &str, suffix: &'static str) -> Op {
        let recompute = move |old: Option<&[u8]>| {
            let new = [old.unwrap_or_default(), suffix.as_bytes()].concat();
            Ok(Some(new.into()))
        };
        Op::Update(key(name), Arc::new(recompute))
    }

    /// Moves what lies under one key to another.
    fn rename(from: &'static str, to: &'static str) -> Op {
        let recast = move |view: &mut View| {
            if let Some(value) = view.get(&key(from)) {
                view.set(key(to), value.json().into());
                view.delete(key(from));
            }
            Ok(())
        };
        Op::Atomic {
            recast: Arc::new(recast),
            written: [key(from), key(to)].into(),
        }
    }

    /// Forgetting hidden operations changes no result: every sequence of up to four operations, on every
    /// base, gives what the operations give one by one.
    #[test]
    fn forgetting_hidden_operations_is_invisible() {
        let ops = [
            set("a", "1"),
            set("b", "2"),
            Op::Delete(key("a")),
            Op::Clear,
            append("a", "3"),
            append("b", "4"),
            Op::Take(key("a"), b"1"[..].into()),
            rename("a", "b"),
        ];
        let bases = [
            vec![],
            vec![set("a", "0")],
            vec![set("a", "0"), set("b", "0")],
        ];
        let mut sequences = 0;
        for base in &bases {
            let mut plain = View::new(SessionData::empty());
            OpLog::Few(base.clone()).replay_onto(&mut plain).unwrap();
            let base = plain.encode();
            for n in 0..ops.len().pow(4) {
                let sequence: Vec<_> = (0..4)
                    .map(|at| ops[n / ops.len().pow(at) % ops.len()].clone())
                    .collect();
                let indexed = OpLog::Many(Box::default());
                for mut log in [OpLog::default(), indexed] {
                    sequence.iter().for_each(|op| drop(log.push(op.clone())));
                    let sequence = OpLog::Few(sequence.clone());
                    let expected = sequence.replay(base.clone()).unwrap().encode();
                    assert_eq!(
                        log.replay(base.clone()).unwrap().encode().as_json(),
                        expected.as_json()
                    );
                }
                sequences += 1;
            }
        }
        assert_eq!(sequences, 3 * 4096);
    }

    /// A log with an index keeps, hides and replays what the plain rule says, whenever it got its index: a set
    /// or a deletion hides what was done to its key since the last atomic step, and a clearing hides everything.
    #[test]
    fn an_index_is_invisible() {
        let mut numbers = Numbers(1);
        let mut longest = 0;
        for round in 0..200 {
            let names = 2 + round % 40;
            let mut log = OpLog::default();
            let mut plain: Vec<Op> = Vec::new();
            for nth in 0..150 {
                let name = format!("key{}", numbers.below(names));
                let op = match numbers.below(42) {
                    0 => Op::Clear,
                    40 => rename("key0", "key1"),
                    41 => rename("key1", "key2"),
                    1..=15 => set(&name, &nth.to_string()),
                    16..=22 => Op::Delete(key(&name)),
                    23..=30 => Op::Take(key(&name), b"0"[..].into()),
                    _ => append(&name, ["1", "2"][nth % 2]),
                };
                let hides = |earlier: &mut Op| match &op {
                    Op::Set(key, _) | Op::Delete(key) => earlier.key() == Some(key),
                    Op::Clear => true,
                    Op::Take(..) | Op::Update(..) | Op::Atomic { .. } => false,
                };
                let is_atomic = |op: &Op| matches!(op, Op::Atomic { .. });
                let since = match plain.iter().rposition(is_atomic) {
                    Some(at) if !matches!(op, Op::Clear) => at,
                    _ => 0,
                };
                let hidden: Vec<_> = plain.extract_if(since.., hides).collect();
                plain.push(op.clone());
                assert_eq!(shown(&log.push(op)), shown(&OpLog::Few(hidden)));
                longest = longest.max(plain.len());
            }
            let plain = OpLog::Few(plain);
            assert_eq!(shown(&log), shown(&plain));
            if let OpLog::Many(indexed) = &log {
                let numbers: usize = indexed.by_key.values().map(SmallVec::len).sum();
                let newest = indexed.ops.values().rev();
                let since = newest.take_while(|op| !matches!(op, Op::Atomic { .. }));
                assert_eq!(numbers, since.filter_map(Op::key).count());
            }
            let mut base = View::new(SessionData::empty());
            (0..names)
                .step_by(2)
                .for_each(|n| base.set(key(&format!("key{n}")), b"0"[..].into()));
            let base = base.encode();
            let expected = plain.replay(base.clone()).unwrap();
            assert_eq!(
                log.replay(base.clone()).unwrap().encode(),
                expected.encode()
            );
            assert_eq!(
                log.project(&expected, base.clone()).encode(),
                plain.project(&expected, base).encode()
            );
        }
        assert!(longest > 3 * MANY, "{longest}");
    }

    /// What can be told apart of the operations in a log.
    fn shown(log: &OpLog) -> Vec<String> {
        log.iter()
            .map(|op| match op {
                Op::Set(key, value) => format!("set {key:?} {value:?}"),
                Op::Delete(key) => format!("delete {key:?}"),
                Op::Take(key, read) => format!("take {key:?} {read:?}"),
                Op::Update(key, recompute) => {
                    format!("update {key:?} {:?}", recompute(None).unwrap())
                }
                Op::Atomic { written, .. } => format!("atomic {written:?}"),
                Op::Clear => "clear".to_owned(),
            })
            .collect()
    }

    /// The log doesn't grow with the number of writes to one key.
    #[test]
    fn writes_to_one_key_take_one_place() {
        let mut log = OpLog::default();
        for _ in 0..1000 {
            drop(log.push(set("a", "1")));
            drop(log.push(Op::Delete(key("b"))));
        }
        assert_eq!(log.len(), 2);

        let mut log = OpLog::default();
        for n in 0..1000 {
            drop(log.push(set(&format!("key{}", n % 100), "1")));
        }
        assert_eq!(log.len(), 100);
    }

    #[test]
    fn a_closure_that_panics_is_a_conflict() {
        let mut log = OpLog::default();
        drop(log.push(Op::Update(
            key("a"),
            Arc::new(|_| panic!("not on this value")),
        )));
        assert_eq!(
            log.replay(SessionData::empty()).unwrap_err().kind(),
            ErrorKind::Conflict
        );
    }
}
