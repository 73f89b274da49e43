//! What a request did to its session, kept so that it can be done again on a fresh record.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::encoded::{SessionData, ValueRef};
use super::key::EscapedKey;
use super::view::{Encoded, View};
use crate::error::{Error, ErrorKind};

/// Computes a key's new JSON from the one it has.
pub(crate) type Recompute = Arc<dyn Fn(Option<&[u8]>) -> Result<Encoded, Error> + Send + Sync>;

/// One operation.
#[derive(Clone)]
pub(crate) enum Op {
    Set(EscapedKey<'static>, Encoded),
    Delete(EscapedKey<'static>),
    /// Removes the value if it still is what was read.
    Take(EscapedKey<'static>, Encoded),
    Update(EscapedKey<'static>, Recompute),
    Clear,
}

/// The operations in order. Ones that changed nothing when they were made are kept: on another record
/// they may well change something.
#[derive(Clone, Default)]
pub(crate) struct OpLog(Vec<Op>);

impl OpLog {
    /// Appends `op`, and takes out those whose effect it hides. That bounds the log by the number of keys,
    /// updates apart, and gives the same result on every record. The hidden ones come back, because
    /// dropping an application's closure under a lock runs its code under the lock.
    #[must_use = "drop the hidden operations where no lock is held"]
    pub(crate) fn push(&mut self, op: Op) -> Self {
        let hidden = match &op {
            Op::Set(key, _) | Op::Delete(key) => self
                .0
                .extract_if(.., |earlier| earlier.key() == Some(key))
                .collect(),
            Op::Clear => std::mem::take(&mut self.0),
            Op::Take(..) | Op::Update(..) => Vec::new(),
        };
        self.0.push(op);
        Self(hidden)
    }

    /// A log of one operation.
    pub(crate) fn of(op: Op) -> Self {
        Self(vec![op])
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
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
        for op in &self.0 {
            match op {
                Op::Set(key, value) => view.set(key.clone(), value.clone()),
                Op::Update(key, _) => match seen.get(key) {
                    Some(value) => view.set(key.clone(), value.json().into()),
                    None => view.delete(key.clone()),
                },
                Op::Delete(key) => view.delete(key.clone()),
                Op::Take(key, read) => take(&mut view, key, read),
                Op::Clear => view.clear(),
            }
        }
        view
    }

    fn replay_onto(&self, view: &mut View) -> Result<(), Error> {
        for op in &self.0 {
            match op {
                Op::Set(key, value) => view.set(key.clone(), value.clone()),
                Op::Delete(key) => view.delete(key.clone()),
                Op::Take(key, read) => take(view, key, read),
                Op::Clear => view.clear(),
                Op::Update(key, recompute) => {
                    let current = view.get(key);
                    let value = run(recompute, current.as_ref().map(ValueRef::json))?;
                    view.set(key.clone(), value);
                }
            }
        }
        Ok(())
    }
}

impl Op {
    fn key(&self) -> Option<&EscapedKey<'static>> {
        match self {
            Self::Set(key, _) | Self::Delete(key) | Self::Take(key, _) | Self::Update(key, _) => {
                Some(key)
            }
            Self::Clear => None,
        }
    }
}

impl fmt::Debug for OpLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpLog({} operations)", self.0.len())
    }
}

fn take(view: &mut View, key: &EscapedKey<'static>, read: &[u8]) {
    if view.get(key).is_some_and(|value| value.json() == read) {
        view.delete(key.clone());
    }
}

/// Runs an application's closure on a value that it hasn't seen. It may not like it.
fn run(recompute: &Recompute, current: Option<&[u8]>) -> Result<Encoded, Error> {
    let conflict = "an update could not be run again on what another request had written";
    match catch_unwind(AssertUnwindSafe(|| recompute(current))) {
        Ok(result) => {
            result.map_err(|error| Error::with_source(ErrorKind::Conflict, conflict, error))
        }
        Err(_) => Err(Error::new(ErrorKind::Conflict, conflict)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> EscapedKey<'static> {
        EscapedKey::new(name).into_owned()
    }

    fn set(name: &str, json: &str) -> Op {
        Op::Set(key(name), json.as_bytes().into())
    }

    fn append(name: &str, suffix: &'static str) -> Op {
        let recompute = move |old: Option<&[u8]>| {
            Ok([old.unwrap_or_default(), suffix.as_bytes()].concat().into())
        };
        Op::Update(key(name), Arc::new(recompute))
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
        ];
        let bases = [
            vec![],
            vec![set("a", "0")],
            vec![set("a", "0"), set("b", "0")],
        ];
        let mut sequences = 0;
        for base in &bases {
            let mut plain = View::new(SessionData::empty());
            OpLog(base.clone()).replay_onto(&mut plain).unwrap();
            let base = plain.encode();
            for n in 0..ops.len().pow(4) {
                let sequence: Vec<_> = (0..4)
                    .map(|at| ops[n / ops.len().pow(at) % ops.len()].clone())
                    .collect();
                let mut log = OpLog::default();
                sequence.iter().for_each(|op| drop(log.push(op.clone())));
                let expected = OpLog(sequence).replay(base.clone()).unwrap().encode();
                assert_eq!(
                    log.replay(base.clone()).unwrap().encode().as_json(),
                    expected.as_json()
                );
                sequences += 1;
            }
        }
        assert_eq!(sequences, 3 * 2401);
    }

    /// The log doesn't grow with the number of writes to one key.
    #[test]
    fn writes_to_one_key_take_one_place() {
        let mut log = OpLog::default();
        for _ in 0..1000 {
            drop(log.push(set("a", "1")));
            drop(log.push(Op::Delete(key("b"))));
        }
        assert_eq!(log.0.len(), 2);
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
