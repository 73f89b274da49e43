//! A struct of the application's as the session, or as one value of it.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::draft::Draft;
use super::session::Session;
use super::values::parse;
use crate::data::{EscapedKey, View};
use crate::error::{Error, ErrorKind};

/// A type of the application's that lies in sessions, as JSON. [`Typed`] reads and changes it.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use session_core::{Place, TypedData};
///
/// #[derive(Serialize, Deserialize)]
/// struct Profile {
///     name: String,
///     visits: u32,
/// }
///
/// impl TypedData for Profile {
///     const PLACE: Place = Place::Key("profile");
/// }
/// ```
pub trait TypedData: Serialize + DeserializeOwned + 'static {
    /// Where it lies in the session.
    const PLACE: Place;

    /// What becomes of stored data that doesn't fit the type: an older build of the application wrote it, or a newer one.
    /// `Some` is used in its place, and stored with the next change. With `None`, which is the default, reading is an
    /// [`ErrorKind::Mismatch`]; the application may then [`set`](Typed::set) another value or
    /// [`delete`](Typed::delete) what is there.
    ///
    /// Fields that come and go need no migration if they are an `Option` or have `#[serde(default)]`.
    ///
    /// ```
    /// # use serde::{Deserialize, Serialize};
    /// # use session_core::{Place, TypedData};
    /// #[derive(Serialize, Deserialize)]
    /// struct Settings {
    ///     theme: String,
    /// }
    ///
    /// impl TypedData for Settings {
    ///     const PLACE: Place = Place::Key("settings");
    ///
    ///     /// The theme used to be the whole value.
    ///     fn migrate(stored: serde_json::Value) -> Option<Self> {
    ///         let theme = stored.as_str()?.to_owned();
    ///         Some(Self { theme })
    ///     }
    /// }
    /// ```
    fn migrate(stored: Value) -> Option<Self> {
        let _ = stored;
        None
    }
}

/// Where a [`TypedData`] lies in the session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// It is the value under this key.
    Key(&'static str),
    /// It is the whole session: each field of the struct is a value under its own name. Values of other names are left
    /// alone. The type has to be a struct, or whatever else is a JSON object.
    WholeSession,
}

/// A session, seen as a `T`. The adapters have an extractor of this name.
///
/// What is changed is done again on fresh data when another request gets there first, like every
/// [`update`](Session::update): no change is lost.
pub struct Typed<T, E = Error> {
    session: Session<E>,
    data: PhantomData<fn() -> T>,
}

impl<T: TypedData, E: From<Error>> Typed<T, E> {
    /// The session, seen as a `T`.
    pub fn new(session: Session<E>) -> Self {
        Self {
            session,
            data: PhantomData,
        }
    }

    /// The session itself.
    pub fn session(&self) -> &Session<E> {
        &self.session
    }

    /// What is stored; `None` if nothing is.
    ///
    /// # Errors
    /// [`ErrorKind::Mismatch`] if what is stored is no `T` and can't be [migrated](TypedData::migrate).
    pub fn get(&self) -> Result<Option<T>, E> {
        let view = self.session.shared.state().view.clone();
        Ok(read(&view)?)
    }

    /// Puts `data` in place of whatever is stored.
    ///
    /// # Errors
    /// [`ErrorKind::Serialize`] if it can't be turned into JSON, and [`ErrorKind::PayloadTooLarge`] if the session would
    /// grow beyond its limit. Either way the session is as it was.
    pub fn set(&self, data: &T) -> Result<(), E> {
        let new = to_json(data)?;
        self.session.atomically(move |draft| {
            let old = stored_json::<T>(draft.view()).unwrap_or_default();
            Ok(write::<T>(draft, &old, &new)?)
        })
    }

    /// Replaces what is stored by what `change` makes of it (`None` if nothing is stored), and returns the new value.
    /// Atomic, like [`Session::update`], and under the same rules for `change`.
    ///
    /// # Errors
    /// As [`get`](Self::get) and [`set`](Self::set); nothing is changed then.
    pub fn update(&self, change: impl Fn(Option<T>) -> T + Send + Sync + 'static) -> Result<T, E> {
        self.try_update(move |data| Ok(change(data)))
    }

    /// Like [`update`](Self::update) with a `change` that may refuse: nothing is changed then.
    ///
    /// # Errors
    /// That of `change`, and as [`update`](Self::update).
    pub fn try_update<X: From<Error>>(
        &self,
        change: impl Fn(Option<T>) -> Result<T, X> + Send + Sync + 'static,
    ) -> Result<T, X> {
        self.session.atomically(move |draft| {
            let old = stored_json::<T>(draft.view()).unwrap_or_default();
            let data = change(read(draft.view())?)?;
            write::<T>(draft, &old, &to_json(&data)?)?;
            Ok(data)
        })
    }

    /// Removes what is stored, whether or not it fits the type; says whether there was something. Of a
    /// [whole session](Place::WholeSession) that is every value.
    pub fn delete(&self) -> bool {
        match T::PLACE {
            Place::Key(key) => self.session.delete(key),
            Place::WholeSession => {
                let existed = !self.session.is_empty();
                self.session.clear();
                existed
            }
        }
    }
}

impl<T, E> Clone for Typed<T, E> {
    fn clone(&self) -> Self {
        Self {
            session: self.session.clone(),
            data: PhantomData,
        }
    }
}

impl<T, E: From<Error>> fmt::Debug for Typed<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Typed").field(&self.session).finish()
    }
}

fn read<T: TypedData>(view: &View) -> Result<Option<T>, Error> {
    let json = match T::PLACE {
        Place::Key(key) => view
            .get(&EscapedKey::new(key))
            .map(|value| value.json().to_vec()),
        Place::WholeSession if view.is_empty() => None,
        Place::WholeSession => Some(view.encode().as_json().to_vec()),
    };
    let Some(json) = json else {
        return Ok(None);
    };
    if let Ok(data) = parse(&json) {
        return Ok(Some(data));
    }
    match parse::<Value>(&json).ok().and_then(T::migrate) {
        Some(migrated) => Ok(Some(migrated)),
        None => {
            let expected = std::any::type_name::<T>();
            let message = format!("what is stored isn't a {expected}, and can't be made one");
            Err(Error::new(ErrorKind::Mismatch, message))
        }
    }
}

/// The fields of a whole session that fit the type, as the type writes them: those of its names alone.
fn stored_json<T: TypedData>(view: &View) -> Option<Value> {
    read::<T>(view).ok()?.map(|data| to_json(&data))?.ok()
}

fn to_json<T: TypedData>(data: &T) -> Result<Value, Error> {
    serde_json::to_value(data).map_err(|_| {
        // The value's own message may quote it, so that it isn't kept as a source.
        let type_name = std::any::type_name::<T>();
        let message = format!("a value of type {type_name} can't be turned into JSON");
        Error::new(ErrorKind::Serialize, message)
    })
}

/// Writes `new` where `old` was. Of a whole session the fields that `new` doesn't have any more go, and everything else
/// that keeps it from being a `T`.
fn write<T: TypedData>(draft: &mut Draft<'_>, old: &Value, new: &Value) -> Result<(), Error> {
    match T::PLACE {
        Place::Key(key) => draft.set(key, new),
        Place::WholeSession => {
            let Value::Object(fields) = new else {
                let message = "a type that is a whole session has to be a JSON object: a struct with named fields";
                return Err(Error::new(ErrorKind::Serialize, message));
            };
            let gone = old.as_object().into_iter().flatten();
            for (name, _) in gone.filter(|(name, _)| !fields.contains_key(*name)) {
                draft.delete(name);
            }
            for (name, value) in fields {
                draft.set(name, value)?;
            }
            if parse::<T>(draft.view().encode().as_json()).is_err() {
                let stored = draft.view().entries();
                let names: Vec<_> = stored.filter_map(|(key, _)| key.unescape()).collect();
                for name in names.iter().filter(|name| !fields.contains_key(*name)) {
                    draft.delete(name);
                }
            }
            Ok(())
        }
    }
}
