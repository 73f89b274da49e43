//! The contenders on actix-web: ours and actix-session.

use std::cell::RefCell;

use actix_session::SessionMiddleware as ActixSession;
use actix_session::config::{CookieContentSecurity, PersistentSession};
use actix_web::body::MessageBody;
use actix_web::cookie::{Key, time::Duration};
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::header;
use actix_web::test::{TestRequest, init_service};
use actix_web::{App, web};
use session_actix::{SessionConfig, SessionMiddleware};
use session_bench_common::{COUNTER, entries};
use session_store_memory::MemoryStore;

use crate::actix_map_store::MapStore;
use crate::{Contender, Role, Sample, Serve};

pub(crate) fn contenders() -> Vec<Contender> {
    vec![
        Contender {
            framework: "actix-web",
            name: "nothing",
            role: Role::Nothing,
            app: nothing(),
        },
        Contender {
            framework: "actix-web",
            name: "ours",
            role: Role::Ours,
            app: ours(),
        },
        Contender {
            framework: "actix-web",
            name: "actix-session",
            role: Role::Peer,
            app: actix_session(),
        },
    ]
}

struct Worker<S> {
    service: S,
    system: RefCell<actix_web::rt::SystemRunner>,
}

impl<S> Worker<S> {
    fn new(init: impl Future<Output = S>) -> Self {
        let system = actix_web::rt::System::new();
        Self {
            service: system.block_on(init),
            system: RefCell::new(system),
        }
    }
}

impl<S, B> Worker<S>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody,
{
    async fn answer(&self, sample: &Sample) -> ServiceResponse<B> {
        let mut request = TestRequest::get().uri(sample.path);
        if let Some(cookies) = &sample.cookies {
            request = request.insert_header((header::COOKIE, cookies.as_str()));
        }
        let response = self.service.call(request.to_request()).await;
        let response = response.expect("no handler and no middleware fails");
        assert!(response.status().is_success());
        response
    }
}

impl<S, B> Serve for Worker<S>
where
    S: Service<actix_http::Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
    B: MessageBody,
{
    fn serve(&self, sample: &Sample, count: u32) {
        self.system.borrow_mut().block_on(async {
            for _ in 0..count {
                self.answer(sample).await;
            }
        });
    }

    fn fill(&self) -> Option<String> {
        let filling = Sample::filling();
        let response = self.system.borrow_mut().block_on(self.answer(&filling));
        let cookie = response.headers().get(header::SET_COOKIE)?.to_str().ok()?;
        cookie.split(';').next().map(str::to_owned)
    }
}

async fn unused() -> &'static str {
    "ok"
}

fn nothing() -> Box<dyn Serve> {
    Box::new(Worker::new(init_service(
        App::new()
            .wrap_fn(|request, inner| inner.call(request))
            .route("/unused", web::get().to(unused))
            .route("/read", web::get().to(unused))
            .route("/write", web::get().to(unused))
            .route("/new", web::get().to(unused))
            .route("/fill", web::get().to(unused)),
    )))
}

fn ours() -> Box<dyn Serve> {
    use session_actix::{Error, Session};
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
    Box::new(Worker::new(init_service(
        App::new()
            .wrap(SessionMiddleware::new(config, MemoryStore::new()))
            .route("/unused", web::get().to(unused))
            .route("/read", web::get().to(read))
            .route("/write", web::get().to(write))
            .route("/new", web::get().to(new))
            .route("/fill", web::get().to(fill)),
    )))
}

fn actix_session() -> Box<dyn Serve> {
    use actix_session::{Session, SessionGetError, SessionInsertError};
    async fn read(session: Session) -> Result<&'static str, SessionGetError> {
        std::hint::black_box(session.get::<u64>(COUNTER)?);
        Ok("ok")
    }
    async fn write(session: Session) -> Result<&'static str, SessionInsertError> {
        let n = session.get::<u64>(COUNTER).ok().flatten().unwrap_or(0);
        session.insert(COUNTER, n + 1)?;
        Ok("ok")
    }
    async fn new(session: Session) -> Result<&'static str, SessionInsertError> {
        session.insert(COUNTER, 1)?;
        Ok("ok")
    }
    async fn fill(session: Session) -> Result<&'static str, SessionInsertError> {
        for (key, value) in entries() {
            session.insert(key, value)?;
        }
        Ok("ok")
    }
    let sessions = ActixSession::builder(MapStore::default(), Key::from(&[7; 64]))
        .cookie_content_security(CookieContentSecurity::Signed)
        .session_lifecycle(PersistentSession::default().session_ttl(Duration::hours(1)))
        .build();
    Box::new(Worker::new(init_service(
        App::new()
            .wrap(sessions)
            .route("/unused", web::get().to(unused))
            .route("/read", web::get().to(read))
            .route("/write", web::get().to(write))
            .route("/new", web::get().to(new))
            .route("/fill", web::get().to(fill)),
    )))
}
