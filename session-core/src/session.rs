//! The session as a handler sees it: plain calls that record intent.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;

use crate::data::{EscapedKey, ValueRef};
use crate::error::{Error, ErrorKind};
use crate::handle::Shared;
use crate::id::SessionRef;
use crate::key::{SessionKey, WriteKey};
use crate::login::{Login, SessionInfo};
use crate::oplog::{Op, Recompute};
use crate::plan::Which;
use crate::record::UserBinding;
use crate::time::Timestamp;
use crate::view::{Encoded, View};

/// How often the closure of an `update` is run again because the value changed meanwhile: by another task
/// of the same request, or by the closure itself.
const MAX_RERUNS: u32 = 64;

/// One request's session, loaded.
///
/// Every method is a plain call that records what is wanted. Nothing is written before the commit, which
/// happens when the handler has returned, before the response head leaves. Clones are the same session, and
/// may be used from several tasks of the request.
///
/// `E` is the error that the methods return; an adapter chooses its framework's, so that `?` works there.
///
/// Two requests that use one session at the same time don't overwrite each other: what this request did is
/// done again on what the other one saved. Only two plain [`set`](Self::set)s of one key are last-writer-wins;
/// [`update`](Self::update) is for what depends on the old value.
pub struct Session<E = Error> {
    shared: Arc<Shared>,
    error: PhantomData<fn() -> E>,
}

/// How an explicit [`commit`](Session::commit) ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum CommitStatus {
    /// Everything that was wanted is stored, or nothing was wanted.
    Done,
    /// The session was ended or rotated by another request. What was wanted is dropped.
    Dropped,
}

impl<E> Session<E> {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            error: PhantomData,
        }
    }
}

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
    /// # Errors
    /// [`ErrorKind::Serialize`] if `value` can't be turned into JSON, and [`ErrorKind::PayloadTooLarge`] if
    /// the session would grow beyond its limit. Either way the session is as it was.
    pub fn set<V: Serialize>(&self, key: impl WriteKey<V>, value: V) -> Result<(), E> {
        let name = key.name();
        let key = EscapedKey::new(&name).into_owned();
        let value = encode(&value)?;
        let growth = {
            let mut state = self.shared.state();
            let growth = self.check_growth(state.view.json_len_with(&key, &value));
            growth.map(|()| {
                let op = Op::Set(key.clone(), value.clone());
                state.record(op, |view| view.set(key, value))
            })
        };
        // Neither the caller's error nor an operation of the application's is made or dropped under the lock.
        drop(growth?);
        Ok(())
    }

    /// Removes `key`; says whether it was there.
    pub fn delete(&self, key: impl AsRef<str>) -> bool {
        let key = EscapedKey::new(key.as_ref()).into_owned();
        let mut state = self.shared.state();
        let existed = state.view.get(&key).is_some();
        let hidden = state.record(Op::Delete(key.clone()), |view| view.delete(key));
        drop(state);
        drop(hidden);
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
    /// So `f` may run more than once, owns what it captures, and what it returned first may be superseded
    /// by what it returns later. If a later run panics or its input has another type, the request fails with
    /// [`ErrorKind::Conflict`] and nothing is saved.
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
    pub fn contains(&self, key: impl AsRef<str>) -> bool {
        let key = EscapedKey::new(key.as_ref());
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
        let hidden = state.record(Op::Clear, View::clear);
        drop(state);
        drop(hidden);
    }

    /// Logs a user in, after they have proved who they are: the session gets a new id and belongs to the user
    /// from now on; [`user`](Self::user) says so at once. What a visitor stored before logging in stays, what
    /// another user stored doesn't. A visitor without a session gets one. A session that was rotated or ended
    /// a moment ago is no obstacle: the login begins another one.
    ///
    /// The commit adds the session to the list of the user's sessions, if the store has such lists. Where the
    /// configured number of sessions per user is reached, it ends the oldest, or fails with
    /// [`ErrorKind::TooManySessions`].
    ///
    /// ```
    /// use session_core::{Error, Login, Session};
    ///
    /// fn signed_in(session: &Session, remember_me: bool) {
    ///     session.login(Login::new("ada").remember(remember_me));
    /// }
    /// ```
    pub fn login(&self, login: impl Into<Login>) {
        let login = login.into();
        let binding = self.shared.manager().binding(login);
        let mut state = self.shared.state();
        let hidden = state.log_in(binding);
        drop(state);
        drop(hidden);
    }

    /// Logs the user out by [ending](Self::destroy) the session.
    pub fn logout(&self) {
        self.destroy();
    }

    /// The live sessions of this session's user, the one used last first. Empty if nobody is logged in.
    ///
    /// # Errors
    /// [`ErrorKind::NoUserIndex`] if the store has no lists of sessions, and
    /// [`ErrorKind::StoreUnavailable`] if it fails.
    pub async fn list_sessions(&self) -> Result<Vec<SessionInfo>, E> {
        let Some((user, reference)) = self.listed() else {
            return Ok(Vec::new());
        };
        Ok(self.shared.manager().list(&user, reference).await?)
    }

    /// Ends one of the sessions of this session's user, at once; says whether there was one of that reference.
    /// If it is this very session, it ends with the request, as by [`logout`](Self::logout).
    ///
    /// # Errors
    /// As [`list_sessions`](Self::list_sessions), and [`ErrorKind::Conflict`] if the session kept changing.
    pub async fn end_session(&self, session: SessionRef) -> Result<bool, E> {
        let Some((user, reference)) = self.listed() else {
            return Ok(false);
        };
        if reference == Some(session) {
            self.logout();
            return Ok(true);
        }
        Ok(self.shared.manager().end_session(&user, session).await?)
    }

    /// Ends all sessions of this session's user but this one, at once; says how many there were.
    ///
    /// # Errors
    /// As [`end_session`](Self::end_session).
    pub async fn end_other_sessions(&self) -> Result<usize, E> {
        let Some((user, reference)) = self.listed() else {
            return Ok(0);
        };
        let which = reference.map_or(Which::All, Which::AllBut);
        Ok(self.shared.manager().end(&user, which).await?)
    }

    /// The user, and the session's own handle.
    fn listed(&self) -> Option<(Arc<str>, Option<SessionRef>)> {
        let state = self.shared.state();
        let user = state.user()?.name.clone();
        Some((user, state.live().map(|live| live.record.handle)))
    }

    /// Moves the session to a new id and ends the old one: call it whenever the visitor's rights change.
    /// ([`login`](Self::login) does so by itself.) The data and [`created_at`](Self::created_at) stay; what is
    /// stored afterwards is kept too. Without a stored session it does nothing.
    pub fn regenerate(&self) {
        self.shared.state().rotate();
    }

    /// Ends the session and removes the cookie. What was stored is gone, and what other requests
    /// still want of it is dropped. Storing something afterwards starts a new session under a new id.
    pub fn destroy(&self) {
        let mut state = self.shared.state();
        let ended = state.end();
        drop(state);
        drop(ended);
    }

    /// Writes down now what has been wanted so far, instead of at the end of the request.
    ///
    /// For handlers that outlive their response: WebSockets, server-sent events, streaming bodies. What they
    /// change after the response head has left needs this call; without it there is an error in the log
    /// (unless a closure of an `update` holds a clone of the session, which then is never dropped). Such a
    /// commit is no activity: it couldn't send the cookie, and cookie and record age together.
    ///
    /// If a later commit of the same request fails, the response is an error without our cookie, also where an
    /// earlier one rotated or ended the session: the visitor is then signed out.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`], [`ErrorKind::Conflict`] and [`ErrorKind::PayloadTooLarge`] as for any
    /// commit; the request then fails. [`ErrorKind::ResponseSent`] if a new or rotated session needs a
    /// cookie that can't be sent any more.
    pub async fn commit(&self) -> Result<CommitStatus, E> {
        Ok(self.shared.commit().await?)
    }

    /// Whether the commit would write anything, the note of activity apart.
    pub fn is_modified(&self) -> bool {
        self.shared.state().is_modified()
    }

    /// Whether no stored session was found when this request came in.
    pub fn is_new(&self) -> bool {
        self.shared.state().is_new
    }

    /// Whether the request's session was rotated or ended by another request a moment ago. It is then
    /// empty, and what is stored in it is dropped; [`destroy`](Self::destroy) still ends the session that
    /// took its place.
    pub fn is_superseded(&self) -> bool {
        self.shared.state().is_superseded()
    }

    /// A name for the session that isn't a credential, for logs and lists. It stays the same over rotation.
    /// `None` if nothing is stored.
    pub fn reference(&self) -> Option<SessionRef> {
        self.shared.state().live().map(|live| live.record.handle)
    }

    /// When the session began; the absolute timeout counts from here. `None` if nothing is stored.
    pub fn created_at(&self) -> Option<Timestamp> {
        self.shared
            .state()
            .live()
            .map(|live| live.record.created_at)
    }

    /// When the session ends if it isn't used any more: the earlier of its idle and its absolute timeout.
    /// `None` if nothing is stored.
    pub fn expires_at(&self) -> Option<Timestamp> {
        let lifetime = self.shared.lifetime();
        self.shared
            .state()
            .live()
            .map(|live| live.expires_at.min(lifetime.expires_at(&live.record)))
    }

    /// Whose session it is, if a user has [logged in](Self::login).
    pub fn user(&self) -> Option<UserBinding> {
        self.shared.state().user().cloned()
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
            self.check_growth(state.view.json_len_with(key, value))?;
        }
        let owned = key.reborrow().into_owned();
        let hidden = state.record(op, |view| match after {
            Some(value) => view.set(owned, value),
            None => view.delete(owned),
        });
        drop(state);
        drop(hidden);
        Ok(true)
    }

    fn check_growth(&self, (len, old_len): (usize, usize)) -> Result<(), Error> {
        let limit = self.shared.payload_limit();
        if len > limit && len > old_len {
            let message =
                format!("the session would take {len} bytes of JSON; its limit is {limit}");
            return Err(Error::new(ErrorKind::PayloadTooLarge, message));
        }
        Ok(())
    }
}

impl<E> Clone for Session<E> {
    fn clone(&self) -> Self {
        Self::new(self.shared.clone())
    }
}

impl<E> fmt::Debug for Session<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state();
        f.debug_struct("Session")
            .field("reference", &state.live().map(|live| live.record.handle))
            .field("new", &state.is_new)
            .field("modified", &state.is_modified())
            .finish_non_exhaustive()
    }
}

fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, Error> {
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

fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Encoded, Error> {
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
        Ok(value) => encode(&value),
        Err(_) => Err(Error::new(
            ErrorKind::Conflict,
            "the update refused the fresh value",
        )),
    })
}

fn reentrant() -> Error {
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
    use crate::view::View;

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
