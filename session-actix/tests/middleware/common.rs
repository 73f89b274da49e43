//! What the tests share: an application that is asked in process, a visitor who keeps cookies, and the log.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use actix_web::body::{MessageBody, to_bytes};
use actix_web::dev::{Service as _, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderMap;
use actix_web::test::{TestRequest, init_service};
use actix_web::{App, HttpResponse};
use tracing::subscriber::DefaultGuard;

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
    pub(crate) cookies: BTreeMap<String, String>,
}

impl Visitor {
    pub(crate) fn new(site: &Site) -> Self {
        Self {
            site: site.clone(),
            cookies: BTreeMap::new(),
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
        if !self.cookies.is_empty() {
            let pairs = self.cookies.iter();
            let pairs: Vec<_> = pairs
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            request = request.insert_header(("cookie", pairs.join("; ")));
        }
        (self.site.0)(request).await
    }

    /// The `session_id` that the visitor has.
    pub(crate) fn session_id(&self) -> Option<&str> {
        self.cookies.get("session_id").map(String::as_str)
    }

    pub(crate) fn take_cookies(&mut self, reply: &Reply) {
        for cookie in reply.all("set-cookie") {
            let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
            let (name, value) = pair.split_once('=').expect("a name and a value");
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
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
    ///
    /// CK-6: there is never more than one.
    pub(crate) fn session_cookie(&self) -> Option<&str> {
        let mut ours = self.all("set-cookie");
        ours.retain(|cookie| cookie.starts_with("session_id="));
        assert!(ours.len() <= 1, "{ours:?}");
        ours.pop()
    }

    /// Whether the answer takes the session's cookie away.
    pub(crate) fn removes_cookie(&self) -> bool {
        self.session_cookie()
            .is_some_and(|cookie| cookie.contains("Max-Age=0"))
    }

    /// Looks at the status and the body, of an answer that sets no cookie of anybody's.
    pub(crate) fn check(&self, status: u16, body: &str) {
        assert_eq!((self.status, self.body.as_str()), (status, body));
        assert_eq!(self.all("set-cookie"), [""; 0]);
    }
}

/// What is logged on this thread while this lives.
pub(crate) struct Log {
    lines: LogWriter,
    _until_dropped: DefaultGuard,
}

#[derive(Clone, Default)]
struct LogWriter(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub(crate) fn capture() -> Self {
        let lines = LogWriter::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .finish();
        Self {
            lines,
            _until_dropped: tracing::subscriber::set_default(subscriber),
        }
    }

    /// The lines that contain `part`.
    pub(crate) fn lines_with(&self, part: &str) -> Vec<String> {
        let log = String::from_utf8(self.lines.0.lock().unwrap().clone()).unwrap();
        let found = log.lines().filter(|line| line.contains(part));
        found.map(str::to_owned).collect()
    }

    /// Checks that there is one error, and that it says `advice`.
    pub(crate) fn check_error(&self, advice: &str) {
        let errors = self.lines_with("ERROR");
        assert!(
            errors.len() == 1 && errors[0].contains(advice),
            "{errors:?}"
        );
    }
}

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
