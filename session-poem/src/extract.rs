//! The extractors.

use std::time::Duration;

use poem::http::Uri;
use poem::{FromRequest, Request, RequestBody};
use session_core::TypedData;
use session_core::adapter::{RequestSessions, SessionHandle};

use crate::Error;

session_core::adapter::session_newtype! {
    /// The request's session; its methods are those of [`session_core::Session`].
    ///
    /// `N` names the session where an application has several (see
    /// [`SessionMiddleware::named`](crate::SessionMiddleware::named)).
    ///
    /// Without a [`SessionMiddleware`](crate::SessionMiddleware), and on an excluded path, extracting it is a 500
    /// and an error in the log that says what to add; `Option<Session>` is `None` there. It is also `None` when
    /// the store fails, as poem makes it of any error; the response is then a 503, whatever the handler says.
    Session, Error
}

impl<'a, N: 'static> FromRequest<'a> for Session<N> {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let session = handle::<N>(request)?.load(request.headers()).await;
        Ok(Self::from_core(session.map_err(Error::from)?))
    }
}

session_core::adapter::typed_newtype! {
    /// The request's session, seen as a struct of the application's; its methods are those of [`session_core::Typed`].
    ///
    /// ```
    /// use poem::handler;
    /// use serde::{Deserialize, Serialize};
    /// use session_poem::{Place, Typed, TypedData};
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
    /// #[handler]
    /// async fn add(cart: Typed<Cart>) -> poem::Result<String> {
    ///     let cart = cart.update(|cart| {
    ///         let mut cart = cart.unwrap_or_default();
    ///         cart.articles.push(7);
    ///         cart
    ///     })?;
    ///     Ok(format!("{} articles", cart.articles.len()))
    /// }
    /// ```
    Typed, Error
}

impl<'a, T: TypedData, N: 'static> FromRequest<'a> for Typed<T, N> {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        let session = Session::<N>::from_request(request, body).await?;
        Ok(Self::from_core((*session).clone()))
    }
}

session_core::adapter::csrf_token_newtype! {
    /// A CSRF token of the request's session, for a form or a script in the response: see
    /// [`CsrfMiddleware`](crate::CsrfMiddleware), and [`session_core::CsrfToken`]. A visitor without a session gets one.
    CsrfToken
}

impl<'a, N: 'static> FromRequest<'a> for CsrfToken<N> {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        let session = Session::<N>::from_request(request, body).await?;
        Ok(Self::from_core(session.csrf_token()?))
    }
}

fn handle<N: 'static>(request: &Request) -> Result<&SessionHandle, Error> {
    let sessions = request.extensions().get::<RequestSessions>();
    sessions
        .and_then(RequestSessions::find::<N>)
        .ok_or_else(|| {
            let advice = format!(
                "there is no session at {}: add .with(SessionMiddleware::new(config, store)) to the routes, \
                 and don't exclude the path",
                original_path(request)
            );
            session_core::Error::no_middleware(advice).into()
        })
}

session_core::adapter::session_newtype! {
    /// The request's session, for a handler whose use doesn't count as activity: one that a page asks by itself, again and
    /// again, and that mustn't keep its visitor signed in. Otherwise it is like [`Session`]. If the same request takes a
    /// `Session` too, its CSRF token is checked, it counts.
    Peek, Error
}

impl<'a, N: 'static> FromRequest<'a> for Peek<N> {
    async fn from_request(request: &'a Request, _: &mut RequestBody) -> poem::Result<Self> {
        let session = handle::<N>(request)?.peek(request.headers()).await;
        Ok(Self::from_core(session.map_err(Error::from)?))
    }
}

session_core::adapter::user_newtype! {
    /// The user who is logged in, for handlers that need one: without, it is a 401. `Option<User>` is `None` then, for a
    /// handler that sends the visitor to a login page instead; where the store fails, the response is a 503,
    /// whatever that handler says.
    ///
    /// ```
    /// use poem::web::Redirect;
    /// use poem::{IntoResponse, Response, handler};
    /// use session_poem::User;
    ///
    /// #[handler]
    /// async fn account(user: User) -> String {
    ///     format!("Hello, {}!", user.name)
    /// }
    ///
    /// #[handler]
    /// async fn home(user: Option<User>) -> Response {
    ///     match user {
    ///         Some(user) => format!("Hello, {}!", user.name).into_response(),
    ///         None => Redirect::see_other("/login").into_response(),
    ///     }
    /// }
    /// ```
    User
}

impl<'a, N: 'static> FromRequest<'a> for User<N> {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        let session = Session::<N>::from_request(request, body).await?;
        Ok(Self::from_core(session.require_user()?))
    }
}

session_core::adapter::user_newtype! {
    /// The user, if they have proved who they are within `SECS` seconds, for handlers that a session which somebody left
    /// open mustn't reach. It is a 401 if nobody is logged in, and a 403 if it was longer ago: ask for the password again,
    /// and call [`reauthenticate`](session_core::Session::reauthenticate).
    ///
    /// ```
    /// use poem::handler;
    /// use session_poem::Fresh;
    ///
    /// #[handler]
    /// async fn change_password(user: Fresh<300>) -> String {
    ///     format!("A new password for {}", user.name)
    /// }
    /// ```
    Fresh<const SECS: u64>
}

impl<'a, const SECS: u64, N: 'static> FromRequest<'a> for Fresh<SECS, N> {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        let session = Session::<N>::from_request(request, body).await?;
        let user = session.require_fresh(Duration::from_secs(SECS))?;
        Ok(Self::from_core(user))
    }
}

/// The path that the client sent, with nothing stripped by nested routes. A request that was built by hand,
/// for a test, has no original one; it is `/` then, of which nothing can be stripped.
pub(crate) fn original_path(request: &Request) -> &str {
    original_uri(request).path()
}

pub(crate) fn original_uri(request: &Request) -> &Uri {
    let original = request.original_uri();
    match original.path() {
        "/" => request.uri(),
        _ => original,
    }
}
