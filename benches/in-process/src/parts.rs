//! A read, a write and a new session in the core alone, without a framework, built up step by step: what each step adds.

use std::future::{Future, ready};
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use http::HeaderMap;
use http::header::SET_COOKIE;
use session_bench_common::{COUNTER, Rounds, Table, entries};
use session_core::adapter::{CookieHeaders, Finished};
use session_core::{Error, Session, SessionConfig, SessionManager};
use session_store_memory::MemoryStore;

use crate::{Case, Sample};

const ROUNDS: usize = 41;
const TIMES: u32 = 1_000;

/// A step's name, and all that is done up to and including it.
type Step<'s> = (&'s str, &'s dyn Fn());

pub fn table() -> Table {
    let config = SessionConfig::builder([7; 48])
        .build()
        .expect("the secret is long");
    let manager = SessionManager::new(config, MemoryStore::new());
    let cookie = fill(&manager);
    let cookies = |case| Sample::new(case, Some(&cookie)).cookies.unwrap_or_default();
    let (good, forged) = (cookies(Case::Read), cookies(Case::Forged));

    let run = |cookies: &str, work: &dyn Fn(&Session)| {
        let handle = manager.handle();
        let (_, finished) = now(handle.run(async {
            let session = handle.load(&CookieHeaders(&[cookies.as_bytes()])).await;
            work(&session.expect("the store is in memory"));
        }));
        finished
    };
    let nothing = |_: &Session| ();
    let read = |session: &Session| {
        black_box(session.get::<u64>(COUNTER).is_ok());
    };
    let write = |session: &Session| {
        let n = session.get::<u64>(COUNTER).ok().flatten().unwrap_or(0);
        session.set(COUNTER, n + 1).expect("the session is small");
    };
    let steps: [Step<'_>; 8] = [
        ("a handle, made and dropped", &|| drop(manager.handle())),
        (
            "running a request that doesn't use it, and finishing it",
            &|| {
                drop(now(manager.handle().run(ready(()))));
            },
        ),
        ("the session of a request without our cookie", &|| {
            drop(run("a=1", &nothing))
        }),
        ("finding the cookie and verifying it, in vain", &|| {
            drop(run(&forged, &nothing))
        }),
        ("the same, and loading the record", &|| {
            drop(run(&good, &nothing))
        }),
        ("reading a value", &|| drop(run(&good, &read))),
        ("`Vary`, in an empty header map", &|| {
            drop(applied(&run(&good, &read)))
        }),
        ("in its place: storing a value, and saving it", &|| {
            drop(run(&good, &write))
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
        // The last step follows the one before the last.
        let before = if at + 1 == steps.len() { at - 1 } else { at };
        let before = before
            .checked_sub(1)
            .map_or(0.0, |before| rounds[before].median());
        let median = rounds[at].median();
        let step = median - before;
        table.row([
            (*name).to_owned(),
            format!("{median:.0}"),
            format!("{step:.0}"),
        ]);
    }
    table
}

/// Makes the session that is read, and gives its cookie.
fn fill(manager: &SessionManager) -> String {
    let handle = manager.handle();
    let (_, finished) = now(handle.run(async {
        let session = handle
            .load::<Error>(&CookieHeaders(&[]))
            .await
            .expect("there is nothing to load");
        for (key, value) in entries() {
            session.set(key, value).expect("the session is small");
        }
    }));
    let headers = applied(&finished);
    let cookie = headers
        .get(SET_COOKIE)
        .and_then(|value| value.to_str().ok());
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
