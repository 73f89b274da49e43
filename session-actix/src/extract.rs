//! The extractor, and the session where nothing can be awaited.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_web::dev::{Extensions, Payload, ServiceRequest, ServiceResponse};
use actix_web::guard::GuardContext;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use session_core::adapter::{Load, RequestSessions, SessionHandle};
use session_core::{ErrorKind, TypedData};

use crate::Error;
use crate::headers::OfRequest;

const NOT_LOADED: &str = "the session hasn't been loaded yet: call .load_eagerly() on the SessionMiddleware, or take a Session \
                          as an argument, which loads it";

session_core::adapter::session_newtype! {
    /// The request's session; its methods are those of [`session_core::Session`].
    ///
    /// `N` names the session where an application has several (see
    /// [`SessionMiddleware::named`](crate::SessionMiddleware::named)).
    ///
    /// Without a [`SessionMiddleware`](crate::SessionMiddleware), and on an excluded path, extracting it is a 500
    /// and an error in the log that says what to add; `Option<Session>` is `None` there. It is also `None` when
    /// the store fails, as actix-web makes it of any error; the response is then a 503, whatever the handler
    /// says.
    Session, Error
}

impl<N: 'static> FromRequest for Session<N> {
    type Error = Error;
    type Future = Extracting<N>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let sessions = handle::<N>(&request.extensions(), request.path());
        Extracting {
            // The future holds no clone of the request: routing would panic if it met one.
            loading: sessions.map(|handle| load(&handle, request)),
            name: PhantomData,
        }
    }
}

/// The future of the extractor.
pub struct Extracting<N> {
    loading: Result<Load<Error>, Error>,
    name: PhantomData<fn() -> N>,
}

impl<N> Future for Extracting<N> {
    type Output = Result<Session<N>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match &mut self.loading {
            Ok(loading) => match ready!(Pin::new(loading).poll(cx)) {
                Ok(session) => Ok(Session::from_core(session)),
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(error.clone()),
        })
    }
}

impl<N> fmt::Debug for Extracting<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extracting").finish_non_exhaustive()
    }
}

session_core::adapter::typed_newtype! {
    /// The request's session, seen as a struct of the application's; its methods are those of [`session_core::Typed`].
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use session_actix::{Place, Typed, TypedData};
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
    /// async fn add(cart: Typed<Cart>) -> actix_web::Result<String> {
    ///     let cart = cart.update(|cart| {
    ///         let mut cart = cart.unwrap_or_default();
    ///         cart.articles.push(7);
    ///         cart
    ///     })?;
    ///     Ok(format!("{} articles", cart.articles.len()))
    /// }
    /// # let _ = actix_web::web::post().to(add);
    /// ```
    Typed, Error
}

impl<T: TypedData, N: 'static> FromRequest for Typed<T, N> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let session = Session::<N>::from_request(request, payload);
        Box::pin(async move { Ok(Self::from_core((*session.await?).clone())) })
    }
}

session_core::adapter::csrf_token_newtype! {
    /// A CSRF token of the request's session, for a form or a script in the response: see
    /// [`CsrfMiddleware`](crate::CsrfMiddleware), and [`session_core::CsrfToken`]. A visitor without a session gets one.
    CsrfToken
}

impl<N: 'static> FromRequest for CsrfToken<N> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let session = Session::<N>::from_request(request, payload);
        Box::pin(async move { Ok(Self::from_core(session.await?.csrf_token()?)) })
    }
}

session_core::adapter::session_newtype! {
    /// The request's session, for a handler whose use doesn't count as activity: one that a page asks by itself, again and
    /// again, and that mustn't keep its visitor signed in. Otherwise it is like [`Session`]. If the same request takes a
    /// `Session` too, its CSRF token is checked, or the middleware [loads eagerly](crate::SessionMiddleware::load_eagerly), it counts.
    Peek, Error
}

impl<N: 'static> FromRequest for Peek<N> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let handle = handle::<N>(&request.extensions(), request.path());
        let loading = handle.map(|handle| handle.peek::<Error>(&OfRequest(request)));
        Box::pin(async move { Ok(Self::from_core(loading?.await?)) })
    }
}

session_core::adapter::user_newtype! {
    /// The user who is logged in, for handlers that need one: without, it is a 401. `Option<User>` is `None` then, for a
    /// handler that sends the visitor to a login page instead; where the store fails, the response is a 503,
    /// whatever that handler says.
    ///
    /// ```
    /// use actix_web::{Either, Responder, web::Redirect};
    /// use session_actix::User;
    ///
    /// async fn account(user: User) -> String {
    ///     format!("Hello, {}!", user.name)
    /// }
    ///
    /// async fn home(user: Option<User>) -> impl Responder {
    ///     match user {
    ///         Some(user) => Either::Left(format!("Hello, {}!", user.name)),
    ///         None => Either::Right(Redirect::to("/login").see_other()),
    ///     }
    /// }
    /// # let _ = (actix_web::web::get().to(home), actix_web::web::get().to(account));
    /// ```
    User
}

impl<N: 'static> FromRequest for User<N> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let session = Session::<N>::from_request(request, payload);
        Box::pin(async move { Ok(Self::from_core(session.await?.require_user()?)) })
    }
}

session_core::adapter::user_newtype! {
    /// The user, if they have proved who they are within `SECS` seconds, for handlers that a session which somebody left
    /// open mustn't reach. It is a 401 if nobody is logged in, and a 403 if it was longer ago: ask for the password again,
    /// and call [`reauthenticate`](session_core::Session::reauthenticate).
    ///
    /// ```
    /// use session_actix::Fresh;
    ///
    /// async fn change_password(user: Fresh<300>) -> String {
    ///     format!("A new password for {}", user.name)
    /// }
    /// # let _ = actix_web::web::post().to(change_password);
    /// ```
    Fresh<const SECS: u64>
}

impl<const SECS: u64, N: 'static> FromRequest for Fresh<SECS, N> {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let session = Session::<N>::from_request(request, payload);
        Box::pin(async move {
            Ok(Self::from_core(
                session.await?.require_fresh(Duration::from_secs(SECS))?,
            ))
        })
    }
}

/// The request's session where it can't be awaited: in guards, and in synchronous parts of middleware.
///
/// ```
/// use actix_web::{guard, web, HttpResponse};
/// use session_actix::SessionExt as _;
///
/// let members = guard::fn_guard(|request| request.session().is_ok_and(|session| session.user().is_some()));
/// let route = web::get().guard(members).to(HttpResponse::Ok);
/// # let _ = route;
/// ```
///
/// Where something can be awaited, the extractor is all it takes: `request.extract::<Session>().await` with a
/// `ServiceRequest`, `Session::extract(&request).await` with an `HttpRequest`.
pub trait SessionExt {
    /// The application's main session, loaded before: by a handler's or a middleware's extractor, or by a
    /// middleware that [loads eagerly](crate::SessionMiddleware::load_eagerly).
    ///
    /// # Errors
    /// [`ErrorKind::NotLoaded`] if it hasn't been, with an error in the log that says what to do;
    /// [`ErrorKind::NoMiddleware`] if there is none. The store's error, if loading failed.
    fn session(&self) -> Result<Session, Error> {
        self.named_session()
    }

    /// The session called `N`, loaded before.
    ///
    /// # Errors
    /// As [`session`](Self::session).
    fn named_session<N: 'static>(&self) -> Result<Session<N>, Error>;
}

impl SessionExt for HttpRequest {
    fn named_session<N: 'static>(&self) -> Result<Session<N>, Error> {
        loaded(&self.extensions(), self.path())
    }
}

impl SessionExt for ServiceRequest {
    fn named_session<N: 'static>(&self) -> Result<Session<N>, Error> {
        loaded(&self.extensions(), self.path())
    }
}

impl<B> SessionExt for ServiceResponse<B> {
    fn named_session<N: 'static>(&self) -> Result<Session<N>, Error> {
        self.request().named_session()
    }
}

impl SessionExt for GuardContext<'_> {
    fn named_session<N: 'static>(&self) -> Result<Session<N>, Error> {
        loaded(&self.req_data(), self.head().uri.path())
    }
}

/// Loads the session that the request's headers lead to.
pub(crate) fn load(handle: &SessionHandle, request: &HttpRequest) -> Load<Error> {
    handle.load(&OfRequest(request))
}

fn loaded<N: 'static>(extensions: &Extensions, path: &str) -> Result<Session<N>, Error> {
    let loaded = handle::<N>(extensions, path)?.loaded();
    if let Err(error) = &loaded
        && error.kind() == ErrorKind::NotLoaded
    {
        tracing::error!(target: "session", path, "{NOT_LOADED}");
    }
    Ok(Session::from_core(loaded?))
}

fn handle<N: 'static>(extensions: &Extensions, path: &str) -> Result<SessionHandle, Error> {
    let sessions = extensions.get::<RequestSessions>();
    let handle = sessions.and_then(RequestSessions::find::<N>).cloned();
    handle.ok_or_else(|| {
        let advice = format!(
            "there is no session at {path}: add .wrap(SessionMiddleware::new(config, store)) around the route, \
             and don't exclude the path"
        );
        session_core::Error::no_middleware(advice).into()
    })
}
