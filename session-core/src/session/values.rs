//! The values in a session.

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;

use super::key::{KeyName, SessionKey, WriteKey};
use super::session::Session;
use crate::data::{Encoded, EscapedKey, Op, Recompute, ValueRef, View};
use crate::error::{Error, ErrorKind};
use crate::request::Shared;

/// How often the closure of an `update` is run again because the value changed meanwhile: by another task
/// of the same request, or by the closure itself.
pub(super) const MAX_RERUNS: u32 = 64;

impl<E: From<Error>> Session<E> {
    /// The value under `key`; `None` if there is none. Parses that value and no other.
    ///
    /// # Errors
    /// [`ErrorKind::Deserialize`] if what is stored isn't a `T`.
    pub fn get<T: DeserializeOwned>(&self, key: impl SessionKey<T>) -> Result<Option<T>, E> {
        let name = key.name();
        let value = self.shared.state().view.get(&EscapedKey::new(&name));
        Ok(value.map(|value| parse(value.json())).transpose()?)
    }

    /// The value under `key`, or `default` if there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Deserialize`] if what is stored isn't a `T`.
    pub fn get_or<T: DeserializeOwned>(&self, key: impl SessionKey<T>, default: T) -> Result<T, E> {
        Ok(self.get(key)?.unwrap_or(default))
    }

    /// Stores `value` under `key`. A value equal to the stored one leaves the session unmodified.
    ///
    /// Values are JSON, which has no NaN and no infinities: `serde_json` writes `null` in place of such a number, without
    /// an error. What is read back is then no `f64` ([`ErrorKind::Deserialize`]), but an `Option<f64>` that is `None`.
    ///
    /// # Errors
    /// [`ErrorKind::Serialize`] if `value` can't be turned into JSON, and [`ErrorKind::PayloadTooLarge`] if
    /// the session would grow beyond its limit. Either way the session is as it was.
    pub fn set<V: Serialize>(&self, key: impl WriteKey<V>, value: V) -> Result<(), E> {
        let name = key.name();
        let key = EscapedKey::new(&name).into_owned();
        let value = encode(&value)?;
        let recorded = {
            let mut state = self.shared.state();
            let growth = check_growth(&self.shared, state.view.json_len_with(&key, &value));
            growth.map(|()| {
                let op = Op::Set(key.clone(), value.clone());
                state.record(op, |view| view.set(key, value))
            })
        };
        // Neither the caller's error nor an operation of the application's is made or dropped under the lock.
        recorded?.settle(self.shared.events());
        Ok(())
    }

    /// Removes `key`; says whether it was there.
    pub fn delete(&self, key: impl KeyName) -> bool {
        let key = EscapedKey::new(&key.name()).into_owned();
        let mut state = self.shared.state();
        let existed = state.view.get(&key).is_some();
        let recorded = state.record(Op::Delete(key.clone()), |view| view.delete(key));
        drop(state);
        recorded.settle(self.shared.events());
        existed
    }

    /// Reads the value under `key` and removes it. What another request stored there meanwhile stays: only
    /// what was read is removed. Two requests at the same time may both get the value: it is not a token that
    /// can be used only once.
    ///
    /// # Errors
    /// [`ErrorKind::Deserialize`] if what is stored isn't a `T`; it then stays.
    pub fn take<T: DeserializeOwned>(&self, key: impl SessionKey<T>) -> Result<Option<T>, E> {
        let name = key.name();
        let key = EscapedKey::new(&name);
        for _ in 0..MAX_RERUNS {
            let before = self.shared.state().view.get(&key);
            let Some(value) = &before else {
                return Ok(None);
            };
            let taken = parse(value.json())?;
            let op = Op::Take(key.reborrow().into_owned(), value.json().into());
            if self.record_if(&key, Some(value.json()), op, None)? {
                return Ok(Some(taken));
            }
        }
        Err(reentrant().into())
    }

    /// Replaces the value under `key` by what `f` makes of it (`None` if there is none), and returns the new
    /// one. Atomic: when another request got there first, `f` runs again on the fresh value at commit, so
    /// no update is lost.
    ///
    /// `f` may run more than once and must own what it captures. The result of its last run is stored, which
    /// may differ from what is returned here. If a later run panics or its input has another type, the
    /// request fails with [`ErrorKind::Conflict`] and nothing is saved.
    ///
    /// ```
    /// # fn example(session: &session_core::Session) -> Result<(), session_core::Error> {
    /// use session_core::Key;
    /// const VISITS: Key<u64> = Key::new("visits");
    /// let visits = session.update(VISITS, |visits| visits.unwrap_or(0) + 1)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`get`](Self::get) and [`set`](Self::set); [`ErrorKind::Reentrant`] if `f` itself keeps changing
    /// the value under `key`.
    pub fn update<T, F>(&self, key: impl SessionKey<T>, f: F) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        F: Fn(Option<T>) -> T + Send + Sync + 'static,
    {
        let infallible = move |value| Ok::<T, std::convert::Infallible>(f(value));
        Ok(match self.try_update(key, infallible)? {
            Ok(value) => value,
            Err(never) => match never {},
        })
    }

    /// Like [`update`](Self::update) with an `f` that may refuse. The inner error is `f`'s: nothing is
    /// changed then. If `f` refuses only when it is run again, the request fails with
    /// [`ErrorKind::Conflict`] and nothing is saved.
    ///
    /// # Errors
    /// As [`update`](Self::update).
    pub fn try_update<T, X, F>(&self, key: impl SessionKey<T>, f: F) -> Result<Result<T, X>, E>
    where
        T: Serialize + DeserializeOwned,
        F: Fn(Option<T>) -> Result<T, X> + Send + Sync + 'static,
    {
        let name = key.name();
        let key = EscapedKey::new(&name);
        let f = Arc::new(f);
        for _ in 0..MAX_RERUNS {
            let before = self.shared.state().view.get(&key);
            let before = before.as_ref().map(ValueRef::json);
            let value = match f(before.map(parse).transpose()?) {
                Ok(value) => value,
                Err(refusal) => return Ok(Err(refusal)),
            };
            let encoded = encode(&value)?;
            let op = Op::Update(key.reborrow().into_owned(), recompute(f.clone()));
            if self.record_if(&key, before, op, Some(encoded))? {
                return Ok(Ok(value));
            }
        }
        Err(reentrant().into())
    }

    /// Whether there is a value under `key`.
    pub fn contains(&self, key: impl KeyName) -> bool {
        let name = key.name();
        let key = EscapedKey::new(&name);
        self.shared.state().view.get(&key).is_some()
    }

    /// All keys, in no particular order.
    pub fn keys(&self) -> Vec<String> {
        self.shared
            .state()
            .view
            .entries()
            .filter_map(|(key, _)| key.unescape())
            .collect()
    }

    /// Everything at once.
    ///
    /// # Errors
    /// [`ErrorKind::Deserialize`] if what is stored isn't JSON, or is nested more than 128 levels deep.
    pub fn entries(&self) -> Result<serde_json::Map<String, serde_json::Value>, E> {
        let view = self.shared.state().view.clone();
        let entry = |(key, json): (EscapedKey<'_>, &[u8])| {
            key.unescape()
                .map(|key| Ok::<_, Error>((key, parse(json)?)))
        };
        Ok(view.entries().filter_map(entry).collect::<Result<_, _>>()?)
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.shared.state().view.is_empty()
    }

    /// Removes every value. The session goes on; see [`destroy`](Self::destroy) for ending it.
    pub fn clear(&self) {
        let mut state = self.shared.state();
        let recorded = state.record(Op::Clear, View::clear);
        drop(state);
        recorded.settle(self.shared.events());
    }

    /// Records `op`, which makes `key` hold `after`, if `key` still holds `before`.
    fn record_if(
        &self,
        key: &EscapedKey<'_>,
        before: Option<&[u8]>,
        op: Op,
        after: Option<Encoded>,
    ) -> Result<bool, Error> {
        let mut state = self.shared.state();
        if state.view.get(key).as_ref().map(ValueRef::json) != before {
            return Ok(false);
        }
        if let Some(value) = &after {
            check_growth(&self.shared, state.view.json_len_with(key, value))?;
        }
        let owned = key.reborrow().into_owned();
        let recorded = state.record(op, |view| match after {
            Some(value) => view.set(owned, value),
            None => view.delete(owned),
        });
        drop(state);
        recorded.settle(self.shared.events());
        Ok(true)
    }
}

/// # Errors
/// [`ErrorKind::PayloadTooLarge`] if a session grows beyond its limit. One that is beyond it already may shrink.
pub(super) fn check_growth(shared: &Shared, (len, old_len): (usize, usize)) -> Result<(), Error> {
    let limit = shared.manager().config().policy().payload_limit;
    if len > limit && len > old_len {
        let message = format!("the session would take {len} bytes of JSON; its limit is {limit}");
        return Err(Error::new(ErrorKind::PayloadTooLarge, message));
    }
    Ok(())
}

pub(super) fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, Error> {
    #[cfg(test)]
    tests::PARSED_BYTES.with(|parsed| parsed.set(parsed.get() + json.len()));
    // serde_json's own message would quote the value, so that it isn't kept as a source.
    serde_json::from_slice(json).map_err(|_| {
        let expected = std::any::type_name::<T>();
        Error::new(
            ErrorKind::Deserialize,
            format!("a stored session value isn't of type {expected}"),
        )
    })
}

pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Encoded, Error> {
    let mut json = SmallVec::<[u8; 128]>::new();
    match serde_json::to_writer(&mut json, value) {
        Ok(()) => Ok(Encoded::from(&*json)),
        // The value's own message may quote it, so that it isn't kept as a source.
        Err(_) => {
            let type_name = std::any::type_name::<T>();
            let message = format!("a value of type {type_name} can't be turned into JSON");
            Err(Error::new(ErrorKind::Serialize, message))
        }
    }
}

fn recompute<T, X, F>(f: Arc<F>) -> Recompute
where
    T: Serialize + DeserializeOwned,
    F: Fn(Option<T>) -> Result<T, X> + Send + Sync + 'static,
{
    Arc::new(move |json| match f(json.map(parse).transpose()?) {
        Ok(value) => Ok(Some(encode(&value)?)),
        Err(_) => Err(Error::new(
            ErrorKind::Conflict,
            "the update refused the fresh value",
        )),
    })
}

pub(super) fn reentrant() -> Error {
    Error::new(
        ErrorKind::Reentrant,
        "the value kept changing while its update was computed",
    )
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::data::SessionData;

    thread_local! {
        /// How many bytes have been handed to the JSON parser.
        pub(super) static PARSED_BYTES: Cell<usize> = const { Cell::new(0) };
    }

    /// Reading one key of a 60 KB session parses that key's value and not a byte more.
    #[test]
    fn a_read_parses_one_value() {
        let mut view = View::new(SessionData::empty());
        for n in 0..600 {
            view.set(
                EscapedKey::new(&format!("key{n:03}")).into_owned(),
                encode(&"x".repeat(90)).unwrap(),
            );
        }
        view.set(
            EscapedKey::new("small").into_owned(),
            encode(&12_345).unwrap(),
        );
        let data = view.encode();
        assert!(data.json_len() > 60_000);

        let stored = View::new(SessionData::from_bytes(data.as_bytes()).unwrap());
        let value = stored.get(&EscapedKey::new("small")).unwrap();
        assert_eq!(parse::<u32>(value.json()).unwrap(), 12_345);
        assert_eq!(PARSED_BYTES.get(), "12345".len());
    }
}
