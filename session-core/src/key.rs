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

impl<T> AsRef<str> for Key<T> {
    fn as_ref(&self) -> &str {
        self.name
    }
}

/// What names a session value of type `T`: a string for every type, a [`Key<T>`] for `T` alone.
pub trait SessionKey<T> {
    /// The key's name.
    fn name(&self) -> Cow<'_, str>;
}

/// What names a session value that can be written as a `V`.
///
/// It is apart from [`SessionKey`] so that a typed key takes its type by value and by reference, and a
/// `Key<String>` takes a `&str`.
pub trait WriteKey<V: ?Sized> {
    /// The key's name.
    fn name(&self) -> Cow<'_, str>;
}

impl<T> SessionKey<T> for &str {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }
}

impl<T> SessionKey<T> for String {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }
}

impl<T> SessionKey<T> for &String {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }
}

impl<T> SessionKey<T> for Key<T> {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.name)
    }
}

impl<T> SessionKey<T> for &Key<T> {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.name)
    }
}

impl<V> WriteKey<V> for &str {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }
}

impl<V> WriteKey<V> for String {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }
}

impl<V> WriteKey<V> for &String {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(self)
    }
}

impl<T> WriteKey<T> for Key<T> {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.name)
    }
}

impl<T> WriteKey<&T> for Key<T> {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.name)
    }
}

impl WriteKey<&str> for Key<String> {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.name)
    }
}

impl<T> WriteKey<T> for &Key<T> {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.name)
    }
}

impl<T> WriteKey<&T> for &Key<T> {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.name)
    }
}

impl WriteKey<&str> for &Key<String> {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.name)
    }
}
