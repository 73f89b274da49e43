//! A browser, as far as cookies go, and the answers that it gets.

use std::sync::Arc;

use poem::endpoint::BoxEndpoint;
use poem::http::header::COOKIE;
use poem::http::uri::Scheme;
use poem::http::{self, HeaderMap};
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Body, Endpoint as _, EndpointExt as _, IntoEndpoint, Request, RequestParts, Response};

use crate::jar::{Cookies, cookie_header, session_cookie, take_cookies};

/// Somebody with a browser: keeps the cookies that answers set, and sends them along. A clone is another
/// request of the same browser, sent before the answers to this one's are there.
#[derive(Clone)]
pub(crate) struct Visitor {
    app: Arc<BoxEndpoint<'static>>,
    pub(crate) cookies: Cookies,
}

impl Visitor {
    pub(crate) fn new<E>(app: E) -> Self
    where
        E: IntoEndpoint,
        E::Endpoint: 'static,
    {
        Self {
            app: Arc::new(app.map_to_response().boxed()),
            cookies: Cookies::new(),
        }
    }

    /// The same browser at another application.
    pub(crate) fn at<E>(&self, app: E) -> Self
    where
        E: IntoEndpoint,
        E::Endpoint: 'static,
    {
        Self {
            cookies: self.cookies.clone(),
            ..Self::new(app)
        }
    }

    /// What poem's server would answer to `GET path`.
    pub(crate) async fn get(&mut self, path: &str) -> Reply {
        let response = self.app.get_response(self.request(path)).await;
        let reply = Reply::read(response).await;
        self.take_cookies(&reply);
        reply
    }

    /// What the application returns for `GET path`, before an answer is made of an error.
    pub(crate) async fn call(&self, path: &str) -> poem::Result<Response> {
        self.app.call(self.request(path)).await
    }

    /// The request as poem's server makes it. What poem's own builder makes has no original URI.
    fn request(&self, path: &str) -> Request {
        let mut request = http::Request::get(path);
        if let Some(cookies) = cookie_header(&self.cookies) {
            request = request.header(COOKIE, cookies);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let (here, there) = (LocalAddr::default(), RemoteAddr::default());
        let parts = RequestParts::from((head, here, there, Scheme::HTTP));
        Request::from_parts(parts, Body::empty())
    }

    pub(crate) fn take_cookies(&mut self, reply: &Reply) {
        take_cookies(&mut self.cookies, &reply.all("set-cookie"));
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) async fn read(response: Response) -> Self {
        let (head, body) = response.into_parts();
        Self {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.into_string().await.unwrap(),
        }
    }

    /// Looks at the status and the body, which is all there is to most answers.
    #[track_caller]
    pub(crate) fn check(&self, status: u16, body: &str) {
        assert_eq!((self.status, self.body.as_str()), (status, body));
    }

    /// The values of all headers called `name`.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name).iter();
        values.map(|value| value.to_str().unwrap()).collect()
    }

    /// The Set-Cookie that concerns the main session.
    pub(crate) fn session_cookie(&self) -> Option<&str> {
        session_cookie(&self.all("set-cookie"))
    }
}
