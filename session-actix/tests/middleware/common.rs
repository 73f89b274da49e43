//! What the tests share: an application that is asked in process, and a visitor who keeps cookies.

use std::pin::Pin;
use std::rc::Rc;

use actix_web::body::{MessageBody, to_bytes};
use actix_web::dev::{Service as _, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderMap;
use actix_web::test::{TestRequest, init_service};
use actix_web::{App, HttpResponse};

use crate::jar::{Cookies, cookie_header, session_cookie, take_cookies};

/// What an application makes of a request: a response, or the error of a middleware.
type Outcome = Result<ServiceResponse, actix_web::Error>;

type Asked = Pin<Box<dyn Future<Output = Outcome>>>;

/// An application, as one of a server's workers has it.
#[derive(Clone)]
pub(crate) struct Site(Rc<dyn Fn(TestRequest) -> Asked>);

impl Site {
    pub(crate) async fn new<T, B>(app: App<T>) -> Self
    where
        T: ServiceFactory<
                ServiceRequest,
                Config = (),
                Response = ServiceResponse<B>,
                Error = actix_web::Error,
                InitError = (),
            > + 'static,
        B: MessageBody + 'static,
    {
        let service = init_service(app).await;
        Self(Rc::new(move |request: TestRequest| -> Asked {
            let asked = service.call(request.to_request());
            Box::pin(async move { asked.await.map(ServiceResponse::map_into_boxed_body) })
        }))
    }
}

/// Somebody with a browser: keeps the cookies that answers set, and sends them along. A clone is another
/// request of the same browser, sent before the answers to this one's are there.
#[derive(Clone)]
pub(crate) struct Visitor {
    site: Site,
    pub(crate) cookies: Cookies,
}

impl Visitor {
    pub(crate) fn new(site: &Site) -> Self {
        Self {
            site: site.clone(),
            cookies: Cookies::new(),
        }
    }

    /// The same browser at another application.
    pub(crate) fn at(&self, site: &Site) -> Self {
        Self {
            site: site.clone(),
            cookies: self.cookies.clone(),
        }
    }

    /// Sends `line`, such as `PUT /name`. What a middleware failed with is answered as a server does it.
    pub(crate) async fn send(&mut self, line: &str) -> Reply {
        let reply = match self.ask(line).await {
            Ok(response) => Reply::read(response.into()).await,
            Err(error) => Reply::read(error.error_response()).await,
        };
        self.take_cookies(&reply);
        reply
    }

    /// The error that a middleware fails `line` with.
    pub(crate) async fn error_of(&self, line: &str) -> actix_web::Error {
        match self.ask(line).await {
            Ok(response) => panic!("{line} is answered with {}", response.status()),
            Err(error) => error,
        }
    }

    async fn ask(&self, line: &str) -> Outcome {
        let (method, uri) = line.split_once(' ').expect("a method and a path");
        let mut request = TestRequest::with_uri(uri).method(method.parse().unwrap());
        if let Some(cookies) = cookie_header(&self.cookies) {
            request = request.insert_header(("cookie", cookies));
        }
        (self.site.0)(request).await
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
    pub(crate) async fn read(response: HttpResponse) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = to_bytes(response.into_body()).await.unwrap();
        Self {
            status,
            headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// The values of all headers called `name`.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name);
        values.map(|value| value.to_str().unwrap()).collect()
    }

    /// The Set-Cookie that concerns the session.
    pub(crate) fn session_cookie(&self) -> Option<&str> {
        session_cookie(&self.all("set-cookie"))
    }

    /// Looks at the status and the body, of an answer that sets no cookie of anybody's.
    pub(crate) fn check(&self, status: u16, body: &str) {
        assert_eq!((self.status, self.body.as_str()), (status, body));
        assert_eq!(self.all("set-cookie"), [""; 0]);
    }
}
