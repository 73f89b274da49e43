//! The extractor.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use http::HeaderValue;
use http::header::COOKIE;
use http::request::Parts;
use session_core::{Main, RequestSessions};

use crate::Error;
use crate::layer::original_path;

const ADVICE: &str = "there is no session here: add .layer(SessionLayer::new(config, store)) around the route \
                      (after it, in a Router), and don't exclude its path";

/// The request's session; its methods are those of [`session_core::Session`].
///
/// `N` names the session where an application has several (see
/// [`SessionLayer::named`](crate::SessionLayer::named)).
///
/// Without a [`SessionLayer`](crate::SessionLayer), and on an excluded path, extracting it is a 500 and an
/// error in the log that says what to add; `Option<Session>` is `None` there, and only there. When the store
/// fails, both are a 503.
pub struct Session<N = Main> {
    session: session_core::Session<Error>,
    name: PhantomData<fn() -> N>,
}

impl<N> Clone for Session<N> {
    fn clone(&self) -> Self {
        Self {
            session: self.session.clone(),
            name: PhantomData,
        }
    }
}

impl<N> fmt::Debug for Session<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.session.fmt(f)
    }
}

impl<N> Deref for Session<N> {
    type Target = session_core::Session<Error>;

    fn deref(&self) -> &Self::Target {
        &self.session
    }
}

impl<S: Sync, N: 'static> FromRequestParts<S> for Session<N> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let session =
            <Self as OptionalFromRequestParts<S>>::from_request_parts(parts, state).await?;
        session.ok_or_else(|| {
            let path = original_path(&parts.uri, &parts.extensions);
            tracing::error!(target: "session", path, "{ADVICE}");
            session_core::Error::no_middleware(ADVICE).into()
        })
    }
}

impl<S: Sync, N: 'static> OptionalFromRequestParts<S> for Session<N> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Error> {
        let sessions = parts.extensions.get::<RequestSessions>();
        let Some(handle) = sessions.and_then(RequestSessions::find::<N>) else {
            return Ok(None);
        };
        let cookies = parts
            .headers
            .get_all(COOKIE)
            .iter()
            .map(HeaderValue::as_bytes);
        let session = handle.load(cookies).await?;
        Ok(Some(Self {
            session,
            name: PhantomData,
        }))
    }
}
