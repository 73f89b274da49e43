//! How much work the data makes, for the tests that set it a limit.

use std::cell::Cell;
use std::sync::Arc;

use super::encoded::SessionData;
use super::key::EscapedKey;
use super::log::{Op, OpLog};
use super::view::View;

thread_local! {
    static STEPS: Cell<usize> = const { Cell::new(0) };
}

/// Two keys are compared, a change is visited, or an operation is taken out.
pub(super) fn step() {
    STEPS.set(STEPS.get() + 1);
}

/// Numbers without a pattern that matters, the same ones in every run.
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

fn steps_of<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = STEPS.get();
    let result = work();
    (STEPS.get() - before, result)
}

const KEYS: usize = 8000;

/// The limit: this many steps for each key and each doubling of their number. Work by the square of the number
/// of keys would take six hundred.
const STEPS_PER_DOUBLING: usize = 25;

/// Different keys, in an order that isn't theirs.
fn keys() -> impl Iterator<Item = EscapedKey<'static>> {
    (0..KEYS).map(|n| EscapedKey::new(&format!("key{:05}", n * 3001 % KEYS)).into_owned())
}

fn is_within_limit(steps: usize) -> bool {
    steps <= STEPS_PER_DOUBLING * KEYS * KEYS.ilog2() as usize
}

fn set(key: EscapedKey<'static>) -> Op {
    Op::Set(key, b"2"[..].into())
}

fn take(key: EscapedKey<'static>) -> Op {
    Op::Take(key, b"1"[..].into())
}

fn update(key: EscapedKey<'static>) -> Op {
    Op::Update(key, Arc::new(|_| Ok(Some(b"2"[..].into()))))
}

/// Data with one value under each key.
fn stored() -> SessionData {
    let mut view = View::new(SessionData::empty());
    keys().for_each(|key| view.set(key, b"1"[..].into()));
    view.encode()
}

/// Does `op` as a session does it: the payload limit is checked, the view changed, the operation noted.
fn record(view: &mut View, log: &mut OpLog, op: Op) {
    match &op {
        Op::Set(key, _) | Op::Update(key, _) => {
            view.json_len_with(key, b"2");
            view.set(key.clone(), b"2"[..].into());
        }
        Op::Delete(key) | Op::Take(key, _) => {
            view.get(key);
            view.delete(key.clone());
        }
        Op::Atomic { recast, .. } => recast(view).unwrap(),
        Op::Clear => view.clear(),
    }
    view.is_empty();
    drop(log.push(op));
}

/// ST-9: a request that changes many keys pays for each of them alone, whether they were there or not, and however
/// often it comes back to them.
#[test]
fn many_keys_cost_in_proportion_to_their_number() {
    let makes: [fn(EscapedKey<'static>) -> Op; 4] = [set, Op::Delete, take, update];
    for base in [SessionData::empty(), stored()] {
        for first in makes {
            let (mut view, mut log) = (View::new(base.clone()), OpLog::default());
            for then in [first, set, update, Op::Delete] {
                let (steps, ()) =
                    steps_of(|| keys().for_each(|key| record(&mut view, &mut log, then(key))));
                assert!(is_within_limit(steps), "{steps} steps");
            }
        }
    }
}

/// Neither a commit nor a conflict costs more than the changes did.
#[test]
fn many_keys_are_committed_in_proportion_to_their_number() {
    let makes: [fn(EscapedKey<'static>) -> Op; 4] = [set, Op::Delete, take, update];
    let base = stored();
    for make in makes {
        let (mut view, mut log) = (View::new(base.clone()), OpLog::default());
        keys().for_each(|key| record(&mut view, &mut log, make(key)));
        let (steps, encoded) = steps_of(|| view.encode());
        assert!(is_within_limit(steps), "{steps} steps");
        let (steps, replayed) = steps_of(|| log.replay(base.clone()).unwrap());
        assert!(is_within_limit(steps), "{steps} steps");
        let (steps, projected) = steps_of(|| log.project(&view, base.clone()));
        assert!(is_within_limit(steps), "{steps} steps");
        assert_eq!(replayed.encode(), encoded);
        assert_eq!(projected.encode(), encoded);
    }
}

/// The step from a log without an index to one with it isn't made again and again.
#[test]
fn a_log_of_updates_gets_its_index_once() {
    let mut log = OpLog::default();
    keys().for_each(|key| drop(log.push(update(key))));
    let (steps, ()) = steps_of(|| keys().for_each(|key| drop(log.push(set(key)))));
    assert!(is_within_limit(steps), "{steps} steps");
}
