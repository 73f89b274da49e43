//! The contenders on poem: ours and poem's own sessions.

use poem::endpoint::BoxEndpoint;
use poem::http::{StatusCode, header};
use poem::session::{CookieConfig, MemoryStorage, ServerSession};
use poem::web::cookie::CookieKey;
use poem::{Endpoint, EndpointExt as _, IntoResponse, Request, Response, Route, get, handler};
use session_bench_common::{COUNTER, entries};
use session_poem::{SessionConfig, SessionMiddleware};
use session_store_memory::MemoryStore;
use tokio::runtime::Runtime;

use crate::{Contender, Role, Sample, Serve};

pub(crate) fn contenders() -> Vec<Contender> {
    let contender = |name, role, endpoint: fn() -> _| Contender {
        framework: "poem",
        name,
        role,
        app: Box::new(App::new(endpoint)),
    };
    vec![
        contender("nothing", Role::Nothing, nothing),
        contender("ours", Role::Ours, ours),
        contender("poem's own", Role::Peer, own),
    ]
}

struct App {
    endpoint: BoxEndpoint<'static, Response>,
    runtime: Runtime,
}

impl App {
    /// The endpoint is made inside the runtime, because poem's store starts a task that sweeps it.
    fn new(endpoint: fn() -> BoxEndpoint<'static, Response>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        let runtime = runtime.expect("a runtime without input and output needs nothing");
        let inside = runtime.enter();
        let endpoint = endpoint();
        drop(inside);
        Self { endpoint, runtime }
    }

    async fn answer(&self, sample: &Sample) -> Response {
        let mut request = Request::builder().uri_str(sample.path);
        if let Some(cookies) = &sample.cookies {
            request = request.header(header::COOKIE, cookies);
        }
        let response = self.endpoint.get_response(request.finish()).await;
        assert_eq!(response.status(), StatusCode::OK);
        response
    }
}

impl Serve for App {
    fn serve(&self, sample: &Sample, count: u32) {
        self.runtime.block_on(async {
            for _ in 0..count {
                self.answer(sample).await;
            }
        });
    }

    fn fill(&self) -> Option<String> {
        let response = self.runtime.block_on(self.answer(&Sample::filling()));
        let cookie = response.headers().get(header::SET_COOKIE)?.to_str().ok()?;
        cookie.split(';').next().map(str::to_owned)
    }
}

#[handler]
async fn unused() -> &'static str {
    "ok"
}

/// A middleware that passes everything on.
struct DoesNothing<E>(E);

impl<E: Endpoint> Endpoint for DoesNothing<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        self.0.call(request).await.map(IntoResponse::into_response)
    }
}

fn nothing() -> BoxEndpoint<'static, Response> {
    let routes = Route::new()
        .at("/unused", get(unused))
        .at("/read", get(unused))
        .at("/write", get(unused))
        .at("/new", get(unused))
        .at("/fill", get(unused));
    DoesNothing(routes).boxed()
}

fn ours() -> BoxEndpoint<'static, Response> {
    use session_poem::{Error, Session};
    #[handler]
    async fn read(session: Session) -> Result<&'static str, Error> {
        std::hint::black_box(session.get::<u64>(COUNTER)?);
        Ok("ok")
    }
    #[handler]
    async fn write(session: Session) -> Result<&'static str, Error> {
        let n = session.get_or::<u64>(COUNTER, 0)?;
        session.set(COUNTER, n + 1)?;
        Ok("ok")
    }
    #[handler]
    async fn new(session: Session) -> Result<&'static str, Error> {
        session.set(COUNTER, 1)?;
        Ok("ok")
    }
    #[handler]
    async fn fill(session: Session) -> Result<&'static str, Error> {
        for (key, value) in entries() {
            session.set(key, value)?;
        }
        Ok("ok")
    }
    let config = SessionConfig::builder([7; 48])
        .build()
        .expect("the secret is long");
    Route::new()
        .at("/unused", get(unused))
        .at("/read", get(read))
        .at("/write", get(write))
        .at("/new", get(new))
        .at("/fill", get(fill))
        .with(SessionMiddleware::new(config, MemoryStore::new()))
        .boxed()
}

fn own() -> BoxEndpoint<'static, Response> {
    use poem::session::Session;
    #[handler]
    async fn read(session: &Session) -> &'static str {
        std::hint::black_box(session.get::<u64>(COUNTER));
        "ok"
    }
    #[handler]
    async fn write(session: &Session) -> &'static str {
        let n = session.get::<u64>(COUNTER).unwrap_or(0);
        session.set(COUNTER, n + 1);
        "ok"
    }
    #[handler]
    async fn new(session: &Session) -> &'static str {
        session.set(COUNTER, 1);
        "ok"
    }
    #[handler]
    async fn fill(session: &Session) -> &'static str {
        for (key, value) in entries() {
            session.set(key, value);
        }
        "ok"
    }
    let config = CookieConfig::signed(CookieKey::from(&[7; 64]));
    Route::new()
        .at("/unused", get(unused))
        .at("/read", get(read))
        .at("/write", get(write))
        .at("/new", get(new))
        .at("/fill", get(fill))
        .with(ServerSession::new(
            config.max_age(std::time::Duration::from_secs(3600)),
            MemoryStorage::new(),
        ))
        .map_to_response()
        .boxed()
}
