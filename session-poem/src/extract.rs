//! The extractor.

use poem::http::Uri;
use poem::{FromRequest, Request, RequestBody};
use session_core::TypedData;
use session_core::adapter::RequestSessions;

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
        let sessions = request.extensions().get::<RequestSessions>();
        let Some(handle) = sessions.and_then(RequestSessions::find::<N>) else {
            let advice = format!(
                "there is no session at {}: add .with(SessionMiddleware::new(config, store)) to the routes, \
                 and don't exclude the path",
                original_path(request)
            );
            return Err(Error::from(session_core::Error::no_middleware(advice)).into());
        };
        let session = handle.load(request.headers()).await;
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
