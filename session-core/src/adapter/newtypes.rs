//! The types that an adapter has to own, as macros: a framework's traits can be implemented for no others.
//!
//! `#[macro_export]` puts them at the root of the crate; they are hidden there, and shown in [`adapter`](super).

/// Defines an adapter's error: a newtype around [`Error`](crate::Error) that derefs to it and is made from it by `?`.
#[macro_export]
#[doc(hidden)]
macro_rules! newtype_of_error {
    ($(#[$attribute:meta])* $name:ident) => {
        $(#[$attribute])*
        #[derive(Clone, Debug)]
        pub struct $name($crate::Error);

        impl ::std::convert::From<$crate::Error> for $name {
            fn from(error: $crate::Error) -> Self {
                Self(error)
            }
        }

        impl ::std::ops::Deref for $name {
            type Target = $crate::Error;

            fn deref(&self) -> &Self::Target {
                &self.0
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(&self.0, f)
            }
        }

        impl ::std::error::Error for $name {
            fn source(&self) -> ::std::option::Option<&(dyn ::std::error::Error + 'static)> {
                ::std::error::Error::source(&self.0)
            }
        }
    };
}

/// Defines an adapter's session: a newtype around [`Session`](crate::Session) with the adapter's error, which derefs
/// to it. `N` names the session where an application has several. `Session::from_core` makes one, inside the adapter.
#[macro_export]
#[doc(hidden)]
macro_rules! newtype_of_session {
    ($(#[$attribute:meta])* $name:ident, $error:ty) => {
        $(#[$attribute])*
        pub struct $name<N = $crate::Main> {
            session: $crate::Session<$error>,
            name: ::std::marker::PhantomData<fn() -> N>,
        }

        impl<N> $name<N> {
            #[allow(dead_code, reason = "the extractor that calls it is the adapter's")]
            pub(crate) fn from_core(session: $crate::Session<$error>) -> Self {
                Self {
                    session,
                    name: ::std::marker::PhantomData,
                }
            }
        }

        impl<N> ::std::clone::Clone for $name<N> {
            fn clone(&self) -> Self {
                Self::from_core(::std::clone::Clone::clone(&self.session))
            }
        }

        impl<N> ::std::fmt::Debug for $name<N> {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Debug::fmt(&self.session, f)
            }
        }

        impl<N> ::std::ops::Deref for $name<N> {
            type Target = $crate::Session<$error>;

            fn deref(&self) -> &Self::Target {
                &self.session
            }
        }
    };
}

/// Defines an adapter's extractor of a [`Typed`](crate::Typed) session: a newtype that derefs to it.
/// `Typed::from_core` makes one, inside the adapter.
#[macro_export]
#[doc(hidden)]
macro_rules! newtype_of_typed {
    ($(#[$attribute:meta])* $name:ident, $error:ty) => {
        $(#[$attribute])*
        pub struct $name<T, N = $crate::Main> {
            typed: $crate::Typed<T, $error>,
            name: ::std::marker::PhantomData<fn() -> N>,
        }

        impl<T: $crate::TypedData, N> $name<T, N> {
            #[allow(dead_code, reason = "the extractor that calls it is the adapter's")]
            pub(crate) fn from_core(session: $crate::Session<$error>) -> Self {
                Self {
                    typed: $crate::Typed::new(session),
                    name: ::std::marker::PhantomData,
                }
            }
        }

        impl<T, N> ::std::clone::Clone for $name<T, N> {
            fn clone(&self) -> Self {
                Self {
                    typed: ::std::clone::Clone::clone(&self.typed),
                    name: ::std::marker::PhantomData,
                }
            }
        }

        impl<T, N> ::std::fmt::Debug for $name<T, N> {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Debug::fmt(&self.typed, f)
            }
        }

        impl<T, N> ::std::ops::Deref for $name<T, N> {
            type Target = $crate::Typed<T, $error>;

            fn deref(&self) -> &Self::Target {
                &self.typed
            }
        }
    };
}

/// Defines an adapter's extractor of a [`CsrfToken`](crate::CsrfToken): a newtype that derefs to it.
/// `CsrfToken::from_core` makes one, inside the adapter.
#[macro_export]
#[doc(hidden)]
macro_rules! newtype_of_csrf_token {
    ($(#[$attribute:meta])* $name:ident) => {
        $(#[$attribute])*
        pub struct $name<N = $crate::Main> {
            token: $crate::CsrfToken,
            name: ::std::marker::PhantomData<fn() -> N>,
        }

        impl<N> $name<N> {
            #[allow(dead_code, reason = "the extractor that calls it is the adapter's")]
            pub(crate) fn from_core(token: $crate::CsrfToken) -> Self {
                Self {
                    token,
                    name: ::std::marker::PhantomData,
                }
            }
        }

        impl<N> ::std::fmt::Display for $name<N> {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(&self.token, f)
            }
        }

        impl<N> ::std::fmt::Debug for $name<N> {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Debug::fmt(&self.token, f)
            }
        }

        impl<N> ::std::ops::Deref for $name<N> {
            type Target = $crate::CsrfToken;

            fn deref(&self) -> &Self::Target {
                &self.token
            }
        }
    };
}

/// Defines an adapter's extractor of the logged-in user: a newtype that derefs to [`SessionUser`](crate::SessionUser).
/// `from_core` makes one, inside the adapter.
#[macro_export]
#[doc(hidden)]
macro_rules! newtype_of_user {
    ($(#[$attribute:meta])* $name:ident $(<const $limit:ident: u64>)?) => {
        $(#[$attribute])*
        pub struct $name<$(const $limit: u64,)? N = $crate::Main> {
            user: $crate::SessionUser,
            name: ::std::marker::PhantomData<fn() -> N>,
        }

        impl<$(const $limit: u64,)? N> $name<$($limit,)? N> {
            #[allow(dead_code, reason = "the extractor that calls it is the adapter's")]
            pub(crate) fn from_core(user: $crate::SessionUser) -> Self {
                Self {
                    user,
                    name: ::std::marker::PhantomData,
                }
            }
        }

        impl<$(const $limit: u64,)? N> ::std::clone::Clone for $name<$($limit,)? N> {
            fn clone(&self) -> Self {
                Self::from_core(::std::clone::Clone::clone(&self.user))
            }
        }

        impl<$(const $limit: u64,)? N> ::std::fmt::Debug for $name<$($limit,)? N> {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Debug::fmt(&self.user, f)
            }
        }

        impl<$(const $limit: u64,)? N> ::std::ops::Deref for $name<$($limit,)? N> {
            type Target = $crate::SessionUser;

            fn deref(&self) -> &Self::Target {
                &self.user
            }
        }
    };
}
