//! The load: visitors who count their visits in their sessions, request after request, and note how each went.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use http::HeaderMap;
use session_core::adapter::CookieHeaders;
use session_core::store::SessionStore;
use session_core::{Error, Key, Session, SessionConfig, SessionManager};
use session_engine_tests::{hex, random_bytes};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// How long a load may take, and how long a commit.
pub(crate) const DEADLINE: Duration = Duration::from_secs(1);

const VISITORS: usize = 8;

/// Between two requests of a visitor. Enough that the server and its visitors fit on two cores.
const BETWEEN_VISITS: Duration = Duration::from_millis(5);

/// After a failure. Otherwise a store that refuses at once would be asked thousands of times.
const AFTER_FAILURE: Duration = Duration::from_millis(50);

/// How often it is looked whether the visitors are served again, and for how long.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(8);

const SECRET: &str = "a secret for tests, of at least 32 bytes";

const VISITS: Key<u64> = Key::new("visits");
const BALLAST: &str = "ballast";

/// More than a few pages of any engine, and less than a session may hold.
const BALLAST_LEN: usize = 40_000;

/// One request, as its visitor noted it.
pub(crate) struct Request {
    pub(crate) ended: Instant,
    pub(crate) took: Duration,
    /// The number of the visit, or the error that was the response.
    pub(crate) outcome: Result<u64, Error>,
    /// Whether the response had a Set-Cookie header.
    pub(crate) has_cookie: bool,
}

/// What became of one visitor.
pub(crate) struct History {
    /// The first visit, which began the session, isn't among them.
    pub(crate) requests: Vec<Request>,
    /// What is stored when all is over.
    pub(crate) stored: Result<u64, Error>,
    pub(crate) has_panicked: bool,
}

/// Visitors who come at the same time, each with a session of their own, until this is dropped.
pub(crate) struct Load {
    visitors: Vec<Arc<Visitor>>,
    tasks: Vec<JoinHandle<()>>,
    orders: Arc<Orders>,
}

impl Load {
    /// Begins the sessions on a healthy store, and then the visits.
    pub(crate) async fn begin(store: impl SessionStore) -> Self {
        let config = SessionConfig::builder(SECRET).store_timeout(DEADLINE);
        let config = config.build().expect("the configuration is a good one");
        let manager = SessionManager::new(config, store);
        let orders = Arc::<Orders>::default();
        let mut visitors = Vec::new();
        for _ in 0..VISITORS {
            let visitor = Visitor::arrive(manager.clone(), orders.clone()).await;
            visitors.push(Arc::new(visitor));
        }
        let tasks = visitors.iter().cloned();
        let tasks = tasks.map(|visitor| tokio::spawn(visitor.visit()));
        Self {
            tasks: tasks.collect(),
            visitors,
            orders,
        }
    }

    /// From now on each session carries something heavy along. A count that only grows needs no more room.
    pub(crate) fn add_ballast(&self) {
        // Random, as some engines would compress anything else to nothing.
        let ballast = self.orders.ballast.set(hex(&random_bytes(BALLAST_LEN / 2)));
        ballast.expect("it is done once");
    }

    /// Waits until each visitor has been served since then. If that doesn't happen, the histories will tell.
    pub(crate) async fn wait_until_served(&self, since: Instant) {
        let is_served = |visitor: &Arc<Visitor>| {
            let requests = visitor.requests();
            let latest = requests.iter().rev();
            let mut latest = latest.take_while(|request| request.ended >= since);
            latest.any(|request| request.outcome.is_ok())
        };
        while !self.visitors.iter().all(is_served) && since.elapsed() < PATIENCE {
            sleep(LOOK_EVERY).await;
        }
    }

    /// Sends the visitors home, and then looks what is stored.
    pub(crate) async fn end(mut self) -> Vec<History> {
        self.stop();
        let mut histories = Vec::new();
        let tasks = mem::take(&mut self.tasks);
        for (visitor, task) in self.visitors.iter().zip(tasks) {
            let has_panicked = task.await.is_err();
            let (last, _) = visitor.request(Deed::Look).await;
            histories.push(History {
                requests: mem::take(&mut *visitor.requests()),
                stored: last.outcome,
                has_panicked,
            });
        }
        histories
    }

    fn stop(&self) {
        self.orders.is_over.store(true, Ordering::Relaxed);
    }
}

/// A cell that fails must not leave its visitors to the next one.
impl Drop for Load {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What visitors are told while they are under way.
#[derive(Default)]
struct Orders {
    is_over: AtomicBool,
    ballast: OnceLock<String>,
}

struct Visitor {
    manager: SessionManager,
    orders: Arc<Orders>,
    cookie: String,
    requests: Mutex<Vec<Request>>,
}

/// What a request does.
#[derive(Clone, Copy)]
enum Deed {
    Count,
    Look,
}

impl Visitor {
    /// Begins a session, with the first visit.
    async fn arrive(manager: SessionManager, orders: Arc<Orders>) -> Self {
        let mut visitor = Self {
            manager,
            orders,
            cookie: String::new(),
            requests: Mutex::default(),
        };
        let (request, cookie) = visitor.request(Deed::Count).await;
        let visits = request.outcome.expect("a healthy store keeps a session");
        assert_eq!(visits, 1, "it is the first visit");
        visitor.cookie = cookie.expect("a new session has a cookie");
        visitor
    }

    async fn visit(self: Arc<Self>) {
        while !self.orders.is_over.load(Ordering::Relaxed) {
            let (request, _) = self.request(Deed::Count).await;
            let pause = match request.outcome {
                Ok(_) => BETWEEN_VISITS,
                Err(_) => AFTER_FAILURE,
            };
            self.requests().push(request);
            sleep(pause).await;
        }
    }

    /// Runs one request as an adapter does. The cookie is the one that the response sets.
    async fn request(&self, deed: Deed) -> (Request, Option<String>) {
        let began = Instant::now();
        let handle = self.manager.handle();
        let handler = async {
            let session: Session = handle
                .load(&CookieHeaders(&[self.cookie.as_bytes()]))
                .await?;
            self.carry_out(deed, &session)
        };
        let (result, finished) = handle.run(handler).await;
        let mut headers = HeaderMap::new();
        finished.apply(&mut headers);
        let cookie = headers.get("set-cookie").map(|value| {
            let value = value.to_str().expect("cookies are ASCII");
            value.split(';').next().unwrap_or_default().to_owned()
        });
        let request = Request {
            ended: Instant::now(),
            took: began.elapsed(),
            outcome: match finished.error() {
                Some(error) => Err(error.clone()),
                None => result,
            },
            has_cookie: cookie.is_some(),
        };
        (request, cookie)
    }

    fn carry_out(&self, deed: Deed, session: &Session) -> Result<u64, Error> {
        match deed {
            Deed::Look => session.get_or(VISITS, 0),
            Deed::Count => {
                if let Some(ballast) = self.orders.ballast.get() {
                    session.set(BALLAST, ballast.as_str())?;
                }
                session.update(VISITS, |visits| visits.unwrap_or(0) + 1)
            }
        }
    }

    fn requests(&self) -> MutexGuard<'_, Vec<Request>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
