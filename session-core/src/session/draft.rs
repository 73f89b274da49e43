//! Several values in one atomic step.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::key::{KeyName, SessionKey, WriteKey};
use super::session::Session;
use super::values::{MAX_RERUNS, check_growth, encode, parse, reentrant};
use crate::data::{EscapedKey, Op, Recast, View};
use crate::error::{Error, ErrorKind};

/// The session's values in the middle of an [atomic step](Session::atomically): what is read is what the step starts
/// from, with its own changes; what is written counts only if the step succeeds.
pub struct Draft<'v> {
    view: &'v mut View,
    /// The keys that were written, each as often as it was.
    written: Vec<EscapedKey<'static>>,
}

/// Shows how much was written, not what.
impl fmt::Debug for Draft<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Draft({} writes)", self.written.len())
    }
}

impl<'v> Draft<'v> {
    fn new(view: &'v mut View) -> Self {
        Self {
            view,
            written: Vec::new(),
        }
    }

    /// The value under `key`; `None` if there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Deserialize`] if what is stored isn't a `T`.
    pub fn get<T: DeserializeOwned>(&self, key: impl SessionKey<T>) -> Result<Option<T>, Error> {
        let name = key.name();
        let value = self.view.get(&EscapedKey::new(&name));
        value.map(|value| parse(value.json())).transpose()
    }

    /// The value under `key`, or `default` if there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Deserialize`] if what is stored isn't a `T`.
    pub fn get_or<T: DeserializeOwned>(
        &self,
        key: impl SessionKey<T>,
        default: T,
    ) -> Result<T, Error> {
        Ok(self.get(key)?.unwrap_or(default))
    }

    /// Stores `value` under `key`.
    ///
    /// # Errors
    /// [`ErrorKind::Serialize`] if `value` can't be turned into JSON; the draft is as it was.
    pub fn set<V: Serialize>(&mut self, key: impl WriteKey<V>, value: V) -> Result<(), Error> {
        let key = EscapedKey::new(&key.name()).into_owned();
        let value = encode(&value)?;
        self.written.push(key.clone());
        self.view.set(key, value);
        Ok(())
    }

    /// Removes `key`; says whether it was there.
    pub fn delete(&mut self, key: impl KeyName) -> bool {
        let existed = self.contains(&key);
        let key = EscapedKey::new(&key.name()).into_owned();
        self.written.push(key.clone());
        self.view.delete(key);
        existed
    }

    /// Whether there is a value under `key`.
    pub fn contains(&self, key: impl KeyName) -> bool {
        let name = key.name();
        self.view.get(&EscapedKey::new(&name)).is_some()
    }

    /// Everything at once.
    pub(super) fn view(&self) -> &View {
        self.view
    }
}

impl<E: From<Error>> Session<E> {
    /// Reads and changes several values in one step that happens as a whole or not at all. When another request gets
    /// there first, `step` runs again on the fresh values at commit: no update is lost, and no two values are ever stored
    /// that don't fit together.
    ///
    /// If `step` returns an error, nothing is changed. It may run more than once, must own what it captures, and what its
    /// last run wrote is stored. If it fails or panics only when it is run again, the request fails with
    /// [`ErrorKind::Conflict`] and nothing is saved.
    ///
    /// ```
    /// use session_core::{Error, Key, Session};
    ///
    /// const CART: Key<Vec<u32>> = Key::new("cart");
    /// const SAVED: Key<Vec<u32>> = Key::new("saved for later");
    ///
    /// /// Moves an article from the cart to the list of those saved for later, if it is there.
    /// fn save_for_later(session: &Session, article: u32) -> Result<bool, Error> {
    ///     session.atomically(move |draft| {
    ///         let mut cart = draft.get_or(CART, Vec::new())?;
    ///         let Some(place) = cart.iter().position(|other| *other == article) else {
    ///             return Ok(false);
    ///         };
    ///         let mut saved = draft.get_or(SAVED, Vec::new())?;
    ///         saved.push(cart.remove(place));
    ///         draft.set(CART, cart)?;
    ///         draft.set(SAVED, saved)?;
    ///         Ok(true)
    ///     })
    /// }
    /// ```
    ///
    /// # Errors
    /// That of `step`. [`ErrorKind::PayloadTooLarge`] if the session would grow beyond its limit; it is then as it was.
    /// [`ErrorKind::Reentrant`] if the session kept changing while `step` ran: it must not use the session itself.
    pub fn atomically<T, X, F>(&self, step: F) -> Result<T, X>
    where
        X: From<Error>,
        F: Fn(&mut Draft<'_>) -> Result<T, X> + Send + Sync + 'static,
    {
        let step = Arc::new(step);
        for _ in 0..MAX_RERUNS {
            let (mut view, revision) = {
                let state = self.shared.state();
                (state.view.clone(), state.revision())
            };
            let old_len = view.json_len();
            let mut draft = Draft::new(&mut view);
            let output = step(&mut draft)?;
            let written = draft.written.into();
            check_growth(&self.shared, (view.json_len(), old_len))?;
            let op = Op::Atomic {
                recast: recast(step.clone()),
                written,
            };
            let mut state = self.shared.state();
            if state.revision() != revision {
                // What is dropped may be the application's.
                drop(state);
                continue;
            }
            let recorded = state.record(op, |seen| *seen = view);
            drop(state);
            recorded.settle(self.shared.events());
            return Ok(output);
        }
        Err(reentrant().into())
    }
}

fn recast<T, X, F>(step: Arc<F>) -> Recast
where
    F: Fn(&mut Draft<'_>) -> Result<T, X> + Send + Sync + 'static,
{
    Arc::new(move |view| match step(&mut Draft::new(view)) {
        Ok(_) => Ok(()),
        Err(_) => Err(Error::new(
            ErrorKind::Conflict,
            "the atomic step refused the fresh values",
        )),
    })
}
