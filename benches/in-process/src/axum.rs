//! The contenders on axum: ours and tower-sessions.

use axum::body::Body;
use axum::routing::get;
use axum::{Router, response::Response};
use http::{Request, StatusCode};
use session_axum::{SessionConfig, SessionLayer};
use session_bench_common::{COUNTER, entries};
use session_store_memory::MemoryStore;
use tokio::runtime::Runtime;
use tower::Service;
use tower_layer::layer_fn;
use tower_sessions::cookie::{Key, time::Duration};
use tower_sessions::{Expiry, SessionManagerLayer};

use crate::{Contender, Role, Sample, Serve};

pub(crate) fn contenders() -> Vec<Contender> {
    let contender = |name, role, router| Contender {
        framework: "axum",
        name,
        role,
        app: Box::new(App::new(router)),
    };
    vec![
        contender(
            "nothing",
            Role::Nothing,
            bare().layer(layer_fn(DoesNothing)),
        ),
        contender("ours", Role::Ours, ours()),
        contender("tower-sessions", Role::Peer, tower_sessions()),
    ]
}

struct App {
    router: Router,
    runtime: Runtime,
}

impl App {
    fn new(router: Router) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        Self {
            // As axum's server does it: the layers are put around the handlers once, not for each request.
            router: router.with_state(()),
            runtime: runtime.expect("a runtime without drivers needs nothing"),
        }
    }
}

impl Serve for App {
    fn serve(&self, sample: &Sample, count: u32) {
        let mut router = self.router.clone();
        self.runtime.block_on(async {
            for _ in 0..count {
                answer(&mut router, sample).await;
            }
        });
    }

    fn fill(&self) -> Option<String> {
        let mut router = self.router.clone();
        let response = self
            .runtime
            .block_on(answer(&mut router, &Sample::filling()));
        let cookie = response
            .headers()
            .get(http::header::SET_COOKIE)?
            .to_str()
            .ok()?;
        cookie.split(';').next().map(str::to_owned)
    }
}

async fn answer(router: &mut Router, sample: &Sample) -> Response {
    let mut request = Request::builder().uri(sample.path);
    if let Some(cookies) = &sample.cookies {
        request = request.header(http::header::COOKIE, cookies);
    }
    let request = request
        .body(Body::empty())
        .expect("the request is well-formed");
    let response = router.call(request).await.expect("a router always answers");
    assert_eq!(response.status(), StatusCode::OK);
    response
}

fn bare() -> Router {
    async fn handler() -> &'static str {
        "ok"
    }
    Router::new()
        .route("/unused", get(handler))
        .route("/read", get(handler))
        .route("/write", get(handler))
        .route("/new", get(handler))
        .route("/fill", get(handler))
}

/// A middleware that passes everything on.
#[derive(Clone)]
struct DoesNothing<S>(S);

impl<S, R> Service<R> for DoesNothing<S>
where
    S: Service<R>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        self.0.call(request)
    }
}

fn ours() -> Router {
    use session_axum::{Error, Session};
    async fn read(session: Session) -> Result<&'static str, Error> {
        std::hint::black_box(session.get::<u64>(COUNTER)?);
        Ok("ok")
    }
    async fn write(session: Session) -> Result<&'static str, Error> {
        let n = session.get_or::<u64>(COUNTER, 0)?;
        session.set(COUNTER, n + 1)?;
        Ok("ok")
    }
    async fn new(session: Session) -> Result<&'static str, Error> {
        session.set(COUNTER, 1)?;
        Ok("ok")
    }
    async fn fill(session: Session) -> Result<&'static str, Error> {
        for (key, value) in entries() {
            session.set(key, value)?;
        }
        Ok("ok")
    }
    let config = SessionConfig::builder([7; 48])
        .build()
        .expect("the secret is long");
    Router::new()
        .route("/unused", get(async || "ok"))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/new", get(new))
        .route("/fill", get(fill))
        .layer(SessionLayer::new(config, MemoryStore::new()))
}

fn tower_sessions() -> Router {
    use tower_sessions::Session;
    use tower_sessions::session::Error;
    fn shown(result: Result<(), Error>) -> &'static str {
        result.map_or("error", |()| "ok")
    }
    async fn read(session: Session) -> &'static str {
        shown(session.get::<u64>(COUNTER).await.map(|n| {
            std::hint::black_box(n);
        }))
    }
    async fn write(session: Session) -> &'static str {
        let n = session
            .get::<u64>(COUNTER)
            .await
            .ok()
            .flatten()
            .unwrap_or(0);
        shown(session.insert(COUNTER, n + 1).await)
    }
    async fn new(session: Session) -> &'static str {
        shown(session.insert(COUNTER, 1).await)
    }
    async fn fill(session: Session) -> &'static str {
        for (key, value) in entries() {
            session
                .insert(key, value)
                .await
                .expect("the store is in memory");
        }
        "ok"
    }
    let sessions = SessionManagerLayer::new(tower_sessions::MemoryStore::default())
        .with_expiry(Expiry::OnInactivity(Duration::hours(1)))
        .with_signed(Key::from(&[7; 64]));
    Router::new()
        .route("/unused", get(async || "ok"))
        .route("/read", get(read))
        .route("/write", get(write))
        .route("/new", get(new))
        .route("/fill", get(fill))
        .layer(sessions)
}
