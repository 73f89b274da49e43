//! Keys of session values: plain strings, and typed constants.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// The name of a session value, together with its type.
///
/// ```
/// use session_core::Key;
/// const VISITS: Key<u64> = Key::new("visits");
/// ```
pub struct Key<T> {
    name: &'static str,
    value: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    /// The key called `name` for values of type `T`.
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            value: PhantomData,
        }
    }

    /// The key's name.
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T> fmt::Debug for Key<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.name).finish()
    }
}

/// What names a session value: a string or a [`Key`], or a type of the application's own.
///
/// ```
/// use std::borrow::Cow;
/// use session_core::{Error, KeyName, Session, SessionKey, WriteKey};
///
/// enum Field { Name, Visits(u32) }
///
/// impl KeyName for Field {
///     fn name(&self) -> Cow<'_, str> {
///         match self {
///             Self::Name => "name".into(),
///             Self::Visits(year) => format!("visits in {year}").into(),
///         }
///     }
/// }
/// // These are for values of every type; a key for one type implements them for that.
/// impl<T> SessionKey<T> for Field {}
/// impl<V> WriteKey<V> for Field {}
///
/// fn visited(session: &Session, year: u32) -> Result<(), Error> {
///     let visits: u32 = session.get_or(Field::Visits(year), 0)?;
///     session.set(Field::Visits(year), visits + 1)?;
///     session.delete(Field::Name);
///     Ok(())
/// }
/// ```
pub trait KeyName {
    /// The key's name.
    fn name(&self) -> Cow<'_, str>;
}

/// What names a session value of type `T`: a string for every type, a [`Key<T>`] for `T` alone.
pub trait SessionKey<T>: KeyName {}

/// What names a session value that can be written as a `V`.
///
/// It is apart from [`SessionKey`] so that a typed key takes its type by value and by reference, and a
/// `Key<String>` takes a `&str`.
pub trait WriteKey<V: ?Sized>: KeyName {}

impl KeyName for str {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }
}

impl KeyName for String {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }
}

impl<T> KeyName for Key<T> {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.name)
    }
}

impl<K: KeyName + ?Sized> KeyName for &K {
    fn name(&self) -> Cow<'_, str> {
        (**self).name()
    }
}

impl<T> SessionKey<T> for str {}
impl<T> SessionKey<T> for String {}
impl<T> SessionKey<T> for Key<T> {}
impl<T, K: SessionKey<T> + ?Sized> SessionKey<T> for &K {}

impl<V: ?Sized> WriteKey<V> for str {}
impl<V: ?Sized> WriteKey<V> for String {}
impl<T> WriteKey<T> for Key<T> {}
impl<T> WriteKey<&T> for Key<T> {}
impl WriteKey<&str> for Key<String> {}
impl<V: ?Sized, K: WriteKey<V> + ?Sized> WriteKey<V> for &K {}
