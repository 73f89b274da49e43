//! What a handler can do with a session, and what becomes of it.
#![allow(
    clippy::unwrap_used,
    reason = "the tests' helpers stop at what they don't expect"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;
use session_core::adapter::CookieHeaders;
use session_core::{Error, ErrorKind, Key, Session, SessionKey, WriteKey};

use crate::scene::{Scene, config};

const COUNT: Key<i64> = Key::new("n");
const NAME: Key<String> = Key::new("name");

/// A value that can't be turned into JSON.
struct Unserialisable;

impl Serialize for Unserialisable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("no"))
    }
}

/// ST-1: what changes nothing leaves the session unmodified, and nothing is written.
#[tokio::test]
async fn what_changes_nothing_is_no_modification() {
    let nothing: [fn(&Session); 5] = [
        |_| {},
        |session| assert_eq!(session.get::<i64>("other").unwrap(), None),
        |session| assert!(!session.delete("other")),
        |session| session.set("n", session.get::<i64>("n").unwrap()).unwrap(),
        |session| {
            session.set("other", 1).unwrap();
            session.delete("other");
        },
    ];
    for act in nothing {
        let mut scene = Scene::with_session(config()).await;
        scene
            .request(|session| {
                act(session);
                assert!(!session.is_modified());
            })
            .await;
        assert_eq!(scene.store.calls(), ["load"]);
    }
    let nothing_there: [fn(&Session); 2] =
        [Session::clear, |session| assert!(!session.delete("n"))];
    for act in nothing_there {
        let mut scene = Scene::new(config());
        scene
            .request(|session| {
                act(session);
                assert!(!session.is_modified());
            })
            .await;
        assert!(scene.store.calls().is_empty());
    }
}

/// ST-1: a session that was emptied is saved empty; a new one that is empty is never stored.
#[tokio::test]
async fn an_emptied_session_is_saved_empty() {
    let mut scene = Scene::with_session(config()).await;
    scene.request(Session::clear).await;
    assert_eq!(scene.store.calls(), ["load", "save"]);
    scene
        .request(|session| assert!(session.is_empty() && !session.is_new()))
        .await;
}

/// ST-2: a value that can't be serialised is an error, and the session stays as it was.
#[tokio::test]
async fn a_failed_serialisation_changes_nothing() {
    let mut scene = Scene::with_session(config()).await;
    scene
        .request(|session| {
            assert_eq!(
                session.set("n", Unserialisable).unwrap_err().kind(),
                ErrorKind::Serialize
            );
            assert!(!session.is_modified());
            assert_eq!(session.get("n").unwrap(), Some(1));
        })
        .await;
    assert_eq!(scene.store.calls(), ["load"]);
}

/// ST-3: changes around a rotation are kept, and asking twice rotates once.
#[tokio::test]
async fn changes_after_regenerate_are_kept() {
    let mut scene = Scene::with_session(config()).await;
    let old = scene.jar.clone();
    scene
        .request(|session| {
            session.set("before", true).unwrap();
            session.regenerate();
            session.regenerate();
            session.set("n", 2).unwrap();
            session.delete("before");
            session.set("after", true).unwrap();
        })
        .await;
    assert_eq!(scene.store.calls(), ["load", "create", "tombstone"]);
    assert_ne!(scene.jar, old);
    scene
        .request(|session| {
            assert_eq!(
                serde_json::Value::from(session.entries().unwrap()),
                serde_json::json!({"n": 2, "after": true})
            );
        })
        .await;
    scene
        .request(|session| {
            session.regenerate();
            session.clear();
        })
        .await;
    scene
        .request(|session| assert!(session.is_empty() && !session.is_new()))
        .await;
}

/// ST-4: storing something after `destroy` starts a new session under a new id.
#[tokio::test]
async fn storing_after_destroy_starts_anew() {
    let mut scene = Scene::with_session(config()).await;
    let old = scene.jar.clone();
    let mut reference = None;
    let response = scene.request(|session| {
        reference = session.reference();
        session.set("lost", 1).unwrap();
        session.destroy();
        assert!(session.is_empty() && session.reference().is_none());
        session.set("kept", 1).unwrap();
    });
    assert_eq!(response.await.set_cookies().len(), 1);
    assert_eq!(scene.store.calls(), ["load", "tombstone", "create"]);
    assert!(scene.jar.is_some() && scene.jar != old);
    scene
        .request(|session| {
            assert_eq!(session.keys(), ["kept"]);
            assert_ne!(session.reference(), reference);
        })
        .await;
}

/// ST-5: without a session, `destroy` and `regenerate` create nothing and send nothing.
#[tokio::test]
async fn ending_or_rotating_nothing_creates_nothing() {
    let both: [fn(&Session); 3] = [Session::destroy, Session::regenerate, |session| {
        session.regenerate();
        session.destroy();
    }];
    for act in both {
        let mut scene = Scene::new(config());
        let response = scene.request(act).await;
        assert!(response.set_cookies().is_empty() && scene.store.calls().is_empty());
    }
}

/// ST-6: several tasks may use one session at once, and none of their updates is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_of_one_request_share_the_session() {
    let scene = Scene::with_session(config()).await;
    let header = format!("session_id={}", scene.jar.clone().unwrap());
    let handle = scene.manager.handle();
    let tasks = async {
        let session: Session = handle
            .load(&CookieHeaders(&[header.as_bytes()]))
            .await
            .unwrap();
        let barrier = Arc::new(tokio::sync::Barrier::new(16));
        let work = |task: usize| {
            let (session, barrier) = (session.clone(), barrier.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                for _ in 0..100 {
                    session.update(COUNT, |n| n.unwrap_or(0) + 1).unwrap();
                    session.set(format!("task{task}"), task).unwrap();
                    session.keys();
                }
            })
        };
        for task in (0..16).map(work).collect::<Vec<_>>() {
            task.await.unwrap();
        }
    };
    let ((), finished) = handle.run(tasks).await;
    assert!(finished.error().is_none());
    scene
        .request_with(scene.jar.clone(), |session| {
            assert_eq!(session.get(COUNT).unwrap(), Some(1 + 16 * 100));
            assert_eq!(session.keys().len(), 1 + 16);
        })
        .await;
}

/// ST-6: whatever a closure does with the session, nothing dead-locks; if it keeps changing the value that
/// it updates, that is an error.
#[tokio::test]
async fn update_closures_may_use_the_session() {
    let mut scene = Scene::with_session(config()).await;
    scene
        .request(|session| {
            let inner = session.clone();
            let update = move |n: Option<i64>| {
                inner.set("seen", n).unwrap();
                inner.regenerate();
                n.unwrap_or(0)
                    + i64::from(inner.contains("n"))
                    + inner
                        .update("other", |o: Option<i64>| o.unwrap_or(0))
                        .unwrap()
            };
            assert_eq!(session.update(COUNT, update).unwrap(), 2);
            let inner = session.clone();
            let calls = AtomicUsize::new(0);
            let never_settles = move |n: Option<i64>| {
                inner
                    .set(
                        COUNT,
                        i64::try_from(calls.fetch_add(1, Ordering::SeqCst)).unwrap() + 100,
                    )
                    .unwrap();
                n.unwrap_or(0)
            };
            assert_eq!(
                session.update(COUNT, never_settles).unwrap_err().kind(),
                ErrorKind::Reentrant
            );
        })
        .await;
}

/// ST-9: the limit holds where the session grows, at `set` and at `update`; the old value is kept, and what
/// shrinks is always let through.
#[tokio::test]
async fn the_payload_limit_keeps_the_old_data() {
    let mut scene = Scene::with_session(config().payload_limit(100)).await;
    scene
        .request(|session| {
            session.set("text", "x".repeat(70)).unwrap();
            for large in [200, 90] {
                let error = session.set("text", "y".repeat(large)).unwrap_err();
                assert_eq!(
                    (error.kind(), error.status()),
                    (ErrorKind::PayloadTooLarge, 413)
                );
            }
            let grow = |text: Option<String>| text.unwrap_or_default().repeat(2);
            assert_eq!(
                session.update("text", grow).unwrap_err().kind(),
                ErrorKind::PayloadTooLarge
            );
            assert_eq!(
                session.get::<String>("text").unwrap().unwrap(),
                "x".repeat(70)
            );
        })
        .await;
    // As much as the limit is no more than the limit.
    let just_fits = "x".repeat(100 - r#"{"n":1,"text":""}"#.len());
    let response = scene
        .request(|session| session.set("text", &just_fits).unwrap())
        .await;
    assert!(response.error.is_none(), "{:?}", response.error);
    // A smaller limit after a deployment doesn't lock anybody in.
    scene.reconfigure(config().payload_limit(50));
    let response = scene
        .request(|session| session.set("text", just_fits.to_uppercase()).unwrap())
        .await;
    assert!(response.error.is_none(), "{:?}", response.error);
    scene
        .request(|session| {
            session.set("text", "x".repeat(60)).unwrap();
            assert!(session.set("more", 1).is_err());
            session.regenerate();
        })
        .await;
    assert_eq!(scene.store.calls().last(), Some(&"tombstone"));
    scene
        .request(|session| {
            assert_eq!(session.get::<String>("text").unwrap().unwrap().len(), 60);
            session.destroy();
        })
        .await;
    assert_eq!(scene.jar, None);
}

/// SR-2: arbitrary JSON comes back as it was, under arbitrary keys.
#[tokio::test]
async fn arbitrary_json_round_trips() {
    let value = serde_json::json!({"nul": "\0", "four": "\u{10348}", "deep": [[[{"a": [null, -1.5e300, ""]}]]]});
    let keys = [
        "plain",
        "",
        "nul\0",
        "\"quoted\\\"",
        "\u{10348}",
        "new\nline",
    ];
    let mut scene = Scene::new(config());
    scene
        .request(|session| {
            keys.iter()
                .for_each(|key| session.set(*key, &value).unwrap())
        })
        .await;
    scene
        .request(|session| {
            for key in keys {
                assert_eq!(session.get(key).unwrap().as_ref(), Some(&value), "{key:?}");
            }
            let mut found = session.keys();
            found.sort_unstable();
            let mut expected = keys.to_vec();
            expected.sort_unstable();
            assert_eq!(found, expected);
            assert_eq!(session.entries().unwrap()["nul\0"], value);
            assert_eq!(
                session.take::<serde_json::Value>("nul\0").unwrap(),
                Some(value.clone())
            );
        })
        .await;
    scene
        .request(|session| assert!(!session.contains("nul\0") && session.keys().len() == 5))
        .await;
}

/// A value of another type is an error that shows nothing of it, and it stays.
#[tokio::test]
async fn a_value_of_another_type_stays() {
    let mut scene = Scene::new(config());
    scene
        .request(|session| session.set(NAME, "hunter2").unwrap())
        .await;
    scene
        .request(|session| {
            for error in [
                session.get::<i64>("name").unwrap_err(),
                session.take::<i64>("name").unwrap_err(),
                session
                    .update("name", |n: Option<i64>| n.unwrap_or(0))
                    .unwrap_err(),
            ] {
                assert_eq!(
                    (error.kind(), error.status()),
                    (ErrorKind::Deserialize, 500)
                );
                assert!(!format!("{error} {error:?}").contains("hunter2"));
            }
            assert!(!session.is_modified());
            assert_eq!(session.get(NAME).unwrap().as_deref(), Some("hunter2"));
        })
        .await;
}

/// The spellings that the documentation promises compile and infer.
#[tokio::test]
#[expect(
    clippy::needless_borrows_for_generic_args,
    reason = "borrowed values are among the spellings"
)]
async fn the_spellings_of_keys_and_values_compile() {
    fn named<T>(key: impl SessionKey<T>) -> String {
        key.name().into_owned()
    }
    fn written<V>(key: impl WriteKey<V>) -> String {
        key.name().into_owned()
    }
    let mut scene = Scene::new(config());
    scene
        .request(|session| {
            let owned = "owned".to_owned();
            session.set(NAME, "bob").unwrap();
            session.set(NAME, String::from("bob")).unwrap();
            session.set(&NAME, &String::from("bob")).unwrap();
            session.set(COUNT, 7).unwrap();
            session.set(&COUNT, &7).unwrap();
            session.set("plain", [1, 2]).unwrap();
            session.set(&owned, Some(1.5)).unwrap();
            session.set(owned.clone(), ()).unwrap();
            assert_eq!(session.get(COUNT).unwrap(), Some(7));
            assert_eq!(session.get_or(&COUNT, 1).unwrap(), 7);
            assert_eq!(session.get_or("absent", 1).unwrap(), 1);
            assert_eq!(session.get::<Vec<u8>>("plain").unwrap(), Some(vec![1, 2]));
            assert_eq!(
                session
                    .update(NAME, |name| name.unwrap_or_default() + "!")
                    .unwrap(),
                "bob!"
            );
            assert_eq!(session.try_update(COUNT, |_| Err("no")).unwrap(), Err("no"));
            assert!(session.contains(COUNT) && session.delete(COUNT) && !session.delete("n"));
            assert_eq!(session.take(NAME).unwrap().as_deref(), Some("bob!"));
        })
        .await;
    assert_eq!(
        [
            named::<u8>("a"),
            named(NAME),
            written::<&str>(NAME),
            written::<u8>("b")
        ],
        ["a", "name", "name", "b"]
    );
}

/// What an update returned first gives way to what it returns on the fresh value.
#[tokio::test]
async fn an_update_runs_again_on_a_fresh_value() {
    let scene = Scene::with_session(config()).await;
    let header = format!("session_id={}", scene.jar.clone().unwrap());
    let handle = scene.manager.handle();
    let runs = Arc::new(AtomicUsize::new(0));
    let counted = runs.clone();
    let work = async {
        let session: Session = handle.load(&CookieHeaders(&[header.as_bytes()])).await?;
        session.update(COUNT, move |n| {
            counted.fetch_add(1, Ordering::SeqCst);
            n.unwrap_or(0) + 10
        })?;
        let other = scene
            .request_with(scene.jar.clone(), |session| session.set("n", 5).unwrap())
            .await;
        assert!(other.error.is_none());
        Ok::<_, Error>(())
    };
    let (result, finished) = handle.run(work).await;
    result.unwrap();
    assert!(finished.error().is_none());
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    scene
        .request_with(scene.jar.clone(), |session| {
            assert_eq!(session.get("n").unwrap(), Some(15))
        })
        .await;
}

/// CM-5: an update that can't take the fresh value is a conflict, and nothing of the request is saved.
#[tokio::test]
async fn an_update_that_cannot_run_again_is_a_conflict() {
    let refuses = |fresh: serde_json::Value, panics: bool| async move {
        let scene = Scene::with_session(config()).await;
        let header = format!("session_id={}", scene.jar.clone().unwrap());
        let handle = scene.manager.handle();
        let work = async {
            let session: Session = handle.load(&CookieHeaders(&[header.as_bytes()])).await?;
            session.set("mine", 1)?;
            session.update(COUNT, move |n| {
                if panics && n != Some(1) {
                    std::panic::resume_unwind(Box::new("not on this value"));
                }
                n.unwrap_or(0) + 1
            })?;
            scene
                .request_with(scene.jar.clone(), |session| {
                    session.set("n", &fresh).unwrap()
                })
                .await;
            Ok::<_, Error>(())
        };
        let (result, finished) = handle.run(work).await;
        result.unwrap();
        assert_eq!(finished.error().map(Error::kind), Some(ErrorKind::Conflict));
        scene
            .request_with(scene.jar.clone(), |session| {
                assert!(!session.contains("mine"));
                assert_eq!(session.get("n").unwrap(), Some(fresh.clone()));
            })
            .await;
    };
    refuses("text".into(), false).await;
    refuses(2.into(), true).await;
}

/// ST-9: JSON has no NaN and no infinities. `null` is stored in their place, as the documentation of `set` says; to read
/// it as a number is an error, and nothing else is lost.
#[tokio::test]
async fn what_is_no_number_is_null() {
    let mut scene = Scene::with_session(config()).await;
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let stored = scene.request(|session| session.set("x", value).unwrap());
        assert!(stored.await.error.is_none());
        let read = scene.request(|session| {
            assert_eq!(session.get::<Option<f64>>("x").unwrap(), Some(None));
            let error = session.get::<f64>("x").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Deserialize);
            assert_eq!(session.get("n").unwrap(), Some(1));
        });
        assert!(read.await.error.is_none());
    }
}
