//! The extractors.

use std::time::Duration;

use axum::RequestPartsExt as _;
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::request::Parts;
use session_core::TypedData;
use session_core::adapter::RequestSessions;

use crate::Error;
use crate::path::original_path;

const ADVICE: &str = "there is no session here: add .layer(SessionLayer::new(config, store)) around the route \
                      (after it, in a Router), and don't exclude its path";

session_core::adapter::session_newtype! {
    /// The request's session; its methods are those of [`session_core::Session`].
    ///
    /// `N` names the session where an application has several (see
    /// [`SessionLayer::named`](crate::SessionLayer::named)).
    ///
    /// Without a [`SessionLayer`](crate::SessionLayer), and on an excluded path, extracting it is a 500 and an
    /// error in the log that says what to add; `Option<Session>` is `None` there, and only there. When the store
    /// fails, both are a 503.
    Session, Error
}

impl<S: Sync, N: 'static> FromRequestParts<S> for Session<N> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let session =
            <Self as OptionalFromRequestParts<S>>::from_request_parts(parts, state).await?;
        session.ok_or_else(|| no_layer(parts))
    }
}

fn no_layer(parts: &Parts) -> Error {
    let path = original_path(&parts.uri, &parts.extensions);
    tracing::error!(target: "session", path, "{ADVICE}");
    session_core::Error::no_middleware(ADVICE).into()
}

impl<S: Sync, N: 'static> OptionalFromRequestParts<S> for Session<N> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Error> {
        let sessions = parts.extensions.get::<RequestSessions>();
        let Some(handle) = sessions.and_then(RequestSessions::find::<N>) else {
            return Ok(None);
        };
        let session = handle.load(&parts.headers).await?;
        Ok(Some(Self::from_core(session)))
    }
}

session_core::adapter::typed_newtype! {
    /// The request's session, seen as a struct of the application's; its methods are those of [`session_core::Typed`].
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use session_axum::{Error, Place, Typed, TypedData};
    ///
    /// #[derive(Default, Serialize, Deserialize)]
    /// struct Cart {
    ///     articles: Vec<u32>,
    /// }
    ///
    /// impl TypedData for Cart {
    ///     const PLACE: Place = Place::Key("cart");
    /// }
    ///
    /// async fn add(cart: Typed<Cart>) -> Result<String, Error> {
    ///     let cart = cart.update(|cart| {
    ///         let mut cart = cart.unwrap_or_default();
    ///         cart.articles.push(7);
    ///         cart
    ///     })?;
    ///     Ok(format!("{} articles", cart.articles.len()))
    /// }
    /// # let _ = axum::Router::<()>::new().route("/", axum::routing::post(add));
    /// ```
    Typed, Error
}

impl<S: Sync, T: TypedData, N: 'static> FromRequestParts<S> for Typed<T, N> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let session: Session<N> = parts.extract().await?;
        Ok(Self::from_core((*session).clone()))
    }
}

session_core::adapter::csrf_token_newtype! {
    /// A CSRF token of the request's session, for a form or a script in the response: see
    /// [`CsrfLayer`](crate::CsrfLayer), and [`session_core::CsrfToken`]. A visitor without a session gets one.
    CsrfToken
}

impl<S: Sync, N: 'static> FromRequestParts<S> for CsrfToken<N> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let session: Session<N> = parts.extract().await?;
        Ok(Self::from_core(session.csrf_token()?))
    }
}

session_core::adapter::session_newtype! {
    /// The request's session, for a handler whose use doesn't count as activity: one that a page asks by itself, again and
    /// again, and that mustn't keep its visitor signed in. Otherwise it is like [`Session`]. If the same request takes a
    /// `Session` too, its CSRF token is checked, it counts.
    Peek, Error
}

impl<S: Sync, N: 'static> FromRequestParts<S> for Peek<N> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let sessions = parts.extensions.get::<RequestSessions>();
        let Some(handle) = sessions.and_then(RequestSessions::find::<N>) else {
            return Err(no_layer(parts));
        };
        Ok(Self::from_core(handle.peek(&parts.headers).await?))
    }
}

session_core::adapter::user_newtype! {
    /// The user who is logged in, for handlers that need one: without, it is a 401. `Option<User>` is `None` then, for a
    /// handler that sends the visitor to a login page instead.
    ///
    /// ```
    /// use axum::response::{IntoResponse, Redirect, Response};
    /// use session_axum::User;
    ///
    /// async fn account(user: User) -> String {
    ///     format!("Hello, {}!", user.name)
    /// }
    ///
    /// async fn home(user: Option<User>) -> Response {
    ///     match user {
    ///         Some(user) => format!("Hello, {}!", user.name).into_response(),
    ///         None => Redirect::to("/login").into_response(),
    ///     }
    /// }
    /// # let _ = axum::Router::<()>::new()
    /// #     .route("/", axum::routing::get(home)).route("/account", axum::routing::get(account));
    /// ```
    User
}

impl<S: Sync, N: 'static> FromRequestParts<S> for User<N> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let session: Session<N> = parts.extract().await?;
        Ok(Self::from_core(session.require_user()?))
    }
}

impl<S: Sync, N: 'static> OptionalFromRequestParts<S> for User<N> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Error> {
        let session: Option<Session<N>> = parts.extract().await?;
        let user = session.and_then(|session| session.user());
        Ok(user.map(Self::from_core))
    }
}

session_core::adapter::user_newtype! {
    /// The user, if they have proved who they are within `SECS` seconds, for handlers that a session which somebody left
    /// open mustn't reach. It is a 401 if nobody is logged in, and a 403 if it was longer ago: ask for the password again,
    /// and call [`reauthenticate`](session_core::Session::reauthenticate).
    ///
    /// ```
    /// use session_axum::Fresh;
    ///
    /// async fn change_password(user: Fresh<300>) -> String {
    ///     format!("A new password for {}", user.name)
    /// }
    /// # let _ = axum::Router::<()>::new().route("/password", axum::routing::post(change_password));
    /// ```
    Fresh<const SECS: u64>
}

impl<S: Sync, const SECS: u64, N: 'static> FromRequestParts<S> for Fresh<SECS, N> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let session: Session<N> = parts.extract().await?;
        let user = session.require_fresh(Duration::from_secs(SECS))?;
        Ok(Self::from_core(user))
    }
}
