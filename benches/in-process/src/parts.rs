//! A read, a write and a new session in the core alone, without a framework, built up step by step: what each step adds.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use http::HeaderMap;
use http::header::SET_COOKIE;
use session_bench_common::{COUNTER, Rounds, Table, entries};
use session_core::{Error, Finished, Session, SessionConfig, SessionHandle, SessionManager};
use session_store_memory::MemoryStore;

use crate::{Case, Sample};

const ROUNDS: usize = 41;
const TIMES: u32 = 1_000;

/// A step's name, and all that is done up to and including it.
type Step<'s> = (&'s str, &'s dyn Fn());

pub fn table() -> Table {
    let config = SessionConfig::builder([7; 48]).build().expect("the secret is long");
    let manager = SessionManager::new(config, MemoryStore::new());
    let cookie = fill(&manager);
    let cookies = |case| Sample::new(case, Some(&cookie)).cookies.unwrap_or_default();
    let (good, forged) = (cookies(Case::Read), cookies(Case::Forged));

    let handle = || manager.handle();
    let load = |handle: &SessionHandle, cookies: &str| {
        let loaded = now(handle.load::<Error>([cookies.as_bytes()]));
        loaded.expect("the store is in memory")
    };
    let run = |work: &dyn Fn(&Session)| {
        let handle = handle();
        let (_, finished) = now(handle.run(async {
            let session = handle.load([good.as_bytes()]).await;
            work(&session.expect("the store is in memory"));
        }));
        finished
    };
    let read = |session: &Session| {
        black_box(session.get::<u64>(COUNTER).is_ok());
    };
    let steps: [Step<'_>; 8] = [
        ("a handle, made and dropped", &|| drop(black_box(handle()))),
        ("the session of a request without our cookie", &|| drop(load(&handle(), "a=1"))),
        ("finding the cookie and verifying it, in vain", &|| drop(load(&handle(), &forged))),
        ("the same, and loading the record", &|| drop(load(&handle(), &good))),
        ("reading a value", &|| read(&load(&handle(), &good))),
        ("running the request, and finishing it", &|| drop(run(&read))),
        ("`Vary`, in an empty header map", &|| drop(applied(&run(&read)))),
        ("in place of these two: storing a value, and saving it", &|| {
            drop(run(&|session| {
                let n = session.get::<u64>(COUNTER).ok().flatten().unwrap_or(0);
                session.set(COUNTER, n + 1).expect("the session is small");
            }));
        }),
    ];
    let mut rounds = vec![Rounds::new(); steps.len()];
    for _ in 0..ROUNDS {
        for ((_, step), rounds) in steps.iter().zip(&mut rounds) {
            let started = Instant::now();
            (0..TIMES).for_each(|_| step());
            rounds.push(started.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES));
        }
    }
    let mut table = Table::new(
        "Where the time goes, in the core alone",
        &["step", "ns up to here, median", "ns of this step"],
    );
    for (at, (name, _)) in steps.iter().enumerate() {
        // The last step follows the fifth.
        let before = if at + 1 == steps.len() { 5 } else { at };
        let before = before.checked_sub(1).map_or(0.0, |before| rounds[before].median());
        let median = rounds[at].median();
        let step = median - before;
        table.row([(*name).to_owned(), format!("{median:.0}"), format!("{step:.0}")]);
    }
    table
}

/// Makes the session that is read, and gives its cookie.
fn fill(manager: &SessionManager) -> String {
    let handle = manager.handle();
    let (_, finished) = now(handle.run(async {
        let session = handle.load::<Error>([]).await.expect("there is nothing to load");
        for (key, value) in entries() {
            session.set(key, value).expect("the session is small");
        }
    }));
    let headers = applied(&finished);
    let cookie = headers.get(SET_COOKIE).and_then(|value| value.to_str().ok());
    let pair = cookie.and_then(|cookie| cookie.split(';').next());
    pair.expect("a new session has a cookie").to_owned()
}

fn applied(finished: &Finished) -> HeaderMap {
    let mut headers = HeaderMap::new();
    finished.apply(&mut headers);
    headers
}

/// The output of a future that never has to wait, as none does on a store in memory.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("the store in memory made the request wait"),
    }
}
