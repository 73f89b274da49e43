//! Answers that are lost on their way: what was asked is never sent again. The server's own count says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use session_core::store::{
    Expect, Record, SaveOptions, SaveOutcome, SessionStore as _, StoreErrorKind, UserIndex as _,
    UserKey,
};
use session_test_servers::Redis;

use crate::common::{
    calls_of, ended, entry, fresh_key, fresh_prefix, live, load_soon, now, relay, store_at,
    touch_of, writes,
};

/// How often an answer is lost in one test.
const LOSSES: usize = 20;

/// CM-5: sent again, it would meet what it has stored itself. The server's own count says that it wasn't.
#[tokio::test]
async fn a_save_whose_answer_is_lost_is_not_sent_again() {
    let redis = Redis::start(&[]);
    let (port, loses_next) = lossy_relay(redis.port());
    let store = store_at(&format!("redis://127.0.0.1:{port}"), &fresh_prefix()).await;
    let (key, mut last) = (fresh_key(), live());
    let created = store
        .save(&key, last.clone(), SaveOptions::new(Expect::Absent, now()))
        .await;
    assert_eq!(created.unwrap(), SaveOutcome::Saved);
    // Has the server see the script.
    let expect = Expect::Version(last.version);
    last = live();
    let saved = store
        .save(&key, last.clone(), SaveOptions::new(expect, now()))
        .await;
    assert_eq!(saved.unwrap(), SaveOutcome::Saved);

    for _ in 0..LOSSES {
        let before = writes(&redis);
        loses_next.store(true, Ordering::SeqCst);
        let expect = Expect::Version(last.version);
        last = live();
        let saved = store
            .save(&key, last.clone(), SaveOptions::new(expect, now()))
            .await;
        assert_eq!(saved.unwrap_err().kind(), StoreErrorKind::Unknown);
        let found = load_soon(&store, &key, Duration::from_secs(2)).await;
        assert_eq!(found.as_ref(), Some(&last));
        assert_eq!(writes(&redis) - before, 1);
    }
}

/// CM-5: each kind of write whose answer is lost is an error of unknown outcome, and has reached the server once, by the
/// server's own count of the command that writes.
#[tokio::test]
async fn no_write_whose_answer_is_lost_is_sent_again() {
    let redis = Redis::start(&[]);
    let (port, loses_next) = lossy_relay(redis.port());
    let lossy = store_at(&format!("redis://127.0.0.1:{port}"), "session:").await;
    let direct = store_at(&redis.url(), "session:").await;
    let (user, entry) = (UserKey::of("session_id", "anna"), entry());
    let (key, [first, second, third, last]) = (fresh_key(), [(); 4].map(|()| live()));
    let expect = |record: &Record| SaveOptions::new(Expect::Version(record.version), now());
    // Has the server see the scripts, whose text is sent once.
    direct
        .touch(&key, touch_of(first.version), now())
        .await
        .unwrap();
    direct.save(&key, live(), expect(&first)).await.unwrap();
    direct.remove(&user, &entry.key).await.unwrap();
    direct.add(&user, entry, None, now()).await.unwrap();
    direct.remove(&user, &entry.key).await.unwrap();

    for write in [
        "set",
        "replace",
        "save",
        "setrange",
        "set of an end",
        "zadd",
        "zrem",
        "del",
    ] {
        // Whatever connection there was, there is one now.
        load_soon(&lossy, &key, Duration::from_secs(2)).await;
        let command = match write {
            "replace" | "save" | "set of an end" => "set",
            command => command,
        };
        let (calls, scripts) = (calls_of(&redis, command), writes(&redis));
        loses_next.store(true, Ordering::SeqCst);
        let error = match write {
            "set" => {
                let create = SaveOptions::new(Expect::Absent, now());
                lossy.save(&key, first.clone(), create).await.map(drop)
            }
            "replace" => {
                let replaced = lossy.replace(&key, second.clone(), first.clone(), now());
                replaced.await.map(drop)
            }
            "save" => lossy
                .save(&key, third.clone(), expect(&second))
                .await
                .map(drop),
            "setrange" => {
                let mut touch = touch_of(third.version);
                touch.version = last.version;
                lossy.touch(&key, touch, now()).await.map(drop)
            }
            "set of an end" => lossy.save(&key, ended(), expect(&last)).await.map(drop),
            "zadd" => lossy.add(&user, entry, None, now()).await.map(drop),
            "zrem" => lossy.remove(&user, &entry.key).await,
            _ => lossy.delete(&key).await,
        };
        let error = error.expect_err(write);
        assert_eq!(error.kind(), StoreErrorKind::Unknown, "{write}");
        load_soon(&lossy, &key, Duration::from_secs(2)).await;
        assert_eq!(calls_of(&redis, command) - calls, 1, "{write}");
        assert!(writes(&redis) - scripts <= 1, "{write}");
    }
    assert_eq!(direct.load(&key, now()).await.unwrap(), None);
    assert_eq!(direct.list(&user, now()).await.unwrap(), []);
}

/// A way to a server that can lose its next answer, and the connection with it.
fn lossy_relay(server: u16) -> (u16, Arc<AtomicBool>) {
    let loses_next = Arc::new(AtomicBool::new(false));
    let shared = loses_next.clone();
    let port = relay(server, move |_| !shared.swap(false, Ordering::SeqCst));
    (port, loses_next)
}
