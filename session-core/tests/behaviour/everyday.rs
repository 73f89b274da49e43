//! Several values in one step, typed data, flash messages and CSRF tokens, as a handler sees them.
#![allow(
    clippy::unwrap_used,
    reason = "the tests' helpers stop at what they don't expect"
)]

use serde::{Deserialize, Serialize};
use session_core::adapter::CookieHeaders;
use session_core::{
    Error, ErrorKind, Flash, FlashLevel, Place, Random, RandomError, Session, SessionManager,
    Typed, TypedData,
};

use crate::scene::{MapStore, Scene, config};

#[derive(Clone, PartialEq, Default, Serialize, Deserialize, Debug)]
struct Cart {
    articles: Vec<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    coupon: Option<String>,
}

impl TypedData for Cart {
    const PLACE: Place = Place::Key("cart");

    /// The cart used to be a number of articles that nobody can know any more.
    fn migrate(stored: serde_json::Value) -> Option<Self> {
        stored.is_u64().then(Self::default)
    }
}

/// A session that is as a whole of a type.
#[derive(PartialEq, Serialize, Deserialize, Debug)]
struct Everything {
    n: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

impl TypedData for Everything {
    const PLACE: Place = Place::WholeSession;
}

fn typed<T: TypedData>(session: &Session) -> Typed<T> {
    Typed::new(session.clone())
}

fn add(cart: &Typed<Cart>, article: u32) -> Cart {
    let added = cart.update(move |cart| {
        let mut cart = cart.unwrap_or_default();
        cart.articles.push(article);
        cart
    });
    added.unwrap()
}

/// ST-10: a typed value is read, changed and removed; the change is done again on what another request stored.
#[tokio::test]
async fn typed_data_is_changed_by_doing_it_again() {
    let mut scene = Scene::with_session(config()).await;
    scene
        .request(|session| {
            let cart = typed::<Cart>(session);
            assert_eq!(cart.get().unwrap(), None);
            assert_eq!(add(&cart, 1).articles, [1]);
        })
        .await;
    scene
        .overlap(
            |session| drop(add(&typed(session), 2)),
            |session| drop(add(&typed(session), 3)),
        )
        .await;
    scene
        .request(|session| {
            let cart = typed::<Cart>(session);
            assert_eq!(cart.get().unwrap().unwrap().articles, [1, 3, 2]);
            assert!(cart.delete() && !cart.delete());
        })
        .await;
    scene
        .request(|session| assert!(!session.contains("cart")))
        .await;
}

/// ST-10: what doesn't fit the type is migrated where the type knows how, and an error where it doesn't; it can be replaced and
/// deleted in any case.
#[tokio::test]
async fn what_does_not_fit_is_migrated_or_refused() {
    let mut scene = Scene::with_session(config()).await;
    scene
        .request(|session| session.set("cart", 7).unwrap())
        .await;
    scene
        .request(|session| {
            let cart = typed::<Cart>(session);
            assert_eq!(cart.get().unwrap(), Some(Cart::default()));
            assert!(
                !session.is_modified(),
                "reading migrates nothing that is stored"
            );
            assert_eq!(add(&cart, 1).articles, [1]);
            session.set("cart", "seven").unwrap();
            assert_eq!(cart.get().unwrap_err().kind(), ErrorKind::Mismatch);
            let refused = cart.update(Option::unwrap_or_default);
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Mismatch);
            assert_eq!(session.get::<String>("cart").unwrap().unwrap(), "seven");
            cart.set(&Cart::default()).unwrap();
            assert_eq!(cart.get().unwrap(), Some(Cart::default()));
        })
        .await;
}

/// A whole session as a struct: its fields are values, those that it gives up go, and others stay.
#[tokio::test]
async fn a_struct_can_be_the_whole_session() {
    let mut scene = Scene::with_session(config()).await;
    scene
        .request(|session| {
            session.set("of another build", true).unwrap();
            let all = typed::<Everything>(session);
            let before = all.get().unwrap().unwrap();
            assert_eq!((before.n, before.note), (1, None));
            let note = Some("hello".to_owned());
            all.set(&Everything { n: 2, note }).unwrap();
            assert_eq!(session.get::<String>("note").unwrap().unwrap(), "hello");
            all.update(|all| Everything {
                n: all.map_or(0, |all| all.n) + 1,
                note: None,
            })
            .unwrap();
            assert!(!session.contains("note") && session.contains("of another build"));
            assert_eq!(session.get::<i64>("n").unwrap(), Some(3));
            assert!(all.delete());
            assert!(session.is_empty());
            assert_eq!(all.get().unwrap(), None);
        })
        .await;
}

/// An atomic step that is refused changes nothing, not even in part; one that uses the session it works on is told so.
#[tokio::test]
async fn a_refused_step_changes_nothing() {
    let mut scene = Scene::with_session(config()).await;
    scene
        .request(|session| {
            let refused: Result<(), Error> = session.atomically(|draft| {
                draft.set("n", 2)?;
                draft.delete("n");
                draft.get::<String>("other")?;
                draft.set("other", "text")?;
                draft.get::<i64>("other").map(drop)
            });
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Deserialize);
            assert!(!session.is_modified());

            let inner = session.clone();
            let reentrant: Result<(), Error> = session.atomically(move |draft| {
                inner.update("inner", |n: Option<u64>| n.unwrap_or(0) + 1)?;
                draft.set("n", 2)
            });
            assert_eq!(reentrant.unwrap_err().kind(), ErrorKind::Reentrant);
            assert_eq!(session.get::<i64>("n").unwrap(), Some(1));

            let large = "x".repeat(64 * 1024);
            let too_large: Result<(), Error> =
                session.atomically(move |draft| draft.set("large", &large));
            assert_eq!(too_large.unwrap_err().kind(), ErrorKind::PayloadTooLarge);
            assert!(!session.contains("large"));
        })
        .await;
}

/// ST-10: what an atomic step read stays in front of it: a later `set` of the key doesn't hide the one that it read.
#[tokio::test]
async fn a_step_sees_what_was_set_before_it() {
    let mut scene = Scene::with_session(config()).await;
    scene
        .overlap(
            |session| {
                session.set("n", 10).unwrap();
                let copied: Result<(), Error> =
                    session.atomically(|draft| draft.set("copy", draft.get_or("n", 0)?));
                copied.unwrap();
                session.set("n", 20).unwrap();
            },
            |session| session.set("n", 5).unwrap(),
        )
        .await;
    scene
        .request(|session| {
            let of = |key: &str| session.get::<i64>(key).unwrap();
            assert_eq!((of("n"), of("copy")), (Some(20), Some(10)));
        })
        .await;
}

/// ST-10: messages are peeked at, kept for one page more, and gone; two that say the same are two.
#[tokio::test]
async fn flash_messages_are_peeked_at_and_kept() {
    let mut scene = Scene::with_session(config()).await;
    scene
        .request(|session| {
            session.flash(Flash::info("twice")).unwrap();
            session.flash(Flash::info("twice")).unwrap();
            session.flash(Flash::new("notice", "once")).unwrap();
        })
        .await;
    scene
        .request(|session| assert_eq!(session.peek_flashes().unwrap().len(), 3))
        .await;
    assert_eq!(scene.store.calls(), ["load", "save", "load"]);
    scene
        .request(|session| {
            let flashes = session.flashes().unwrap();
            assert_eq!(flashes[2].level(), &FlashLevel::new("notice"));
            assert_eq!(session.flashes().unwrap(), []);
            session.keep_flashes(flashes.into_iter().skip(1)).unwrap();
            assert_eq!(session.peek_flashes().unwrap().len(), 2);
        })
        .await;
    scene
        .request(|session| {
            let flashes = session.flashes().unwrap();
            assert_eq!(
                flashes,
                [Flash::info("twice"), Flash::new("notice", "once")]
            );
            assert!(session.is_modified());
        })
        .await;
    scene.store.calls();
    scene
        .request(|session| {
            assert_eq!(session.flashes().unwrap(), []);
            assert!(!session.is_modified());
        })
        .await;
    assert_eq!(scene.store.calls(), ["load"], "no message is no write");
}

/// ST-10: reading messages takes those away that were read. One that another request leaves meanwhile waits.
#[tokio::test]
async fn a_flash_message_left_meanwhile_waits() {
    let mut scene = Scene::with_session(config()).await;
    scene
        .request(|session| session.flash(Flash::info("first")).unwrap())
        .await;
    scene
        .overlap(
            |session| assert_eq!(session.flashes().unwrap(), [Flash::info("first")]),
            |session| session.flash(Flash::info("second")).unwrap(),
        )
        .await;
    scene
        .request(|session| assert_eq!(session.flashes().unwrap(), [Flash::info("second")]))
        .await;
}

/// ST-10: a message that is left after a logout begins a session of its own.
#[tokio::test]
async fn a_logout_can_say_goodbye() {
    let mut scene = Scene::with_session(config()).await;
    let before = scene.jar.clone();
    scene
        .request(|session| {
            session.flash(Flash::info("of the old session")).unwrap();
            session.logout();
            session.flash(Flash::success("Goodbye.")).unwrap();
        })
        .await;
    assert!(scene.jar.is_some() && scene.jar != before);
    scene
        .request(|session| {
            assert_eq!(session.flashes().unwrap(), [Flash::success("Goodbye.")]);
            assert!(session.is_empty());
        })
        .await;
}

/// ST-10: a flash message is never among what the application stores, and none of it is shown by `Debug`.
#[tokio::test]
async fn reserved_entries_are_no_values() {
    let mut scene = Scene::with_session(config()).await;
    scene
        .request(|session| {
            session.flash(Flash::info("hidden")).unwrap();
            let token = session.csrf_token().unwrap();
            assert_eq!(format!("{token:?}"), "CsrfToken(..)");
        })
        .await;
    scene
        .request(|session| {
            assert_eq!(session.keys(), ["n"]);
            session.clear();
            assert_eq!(session.peek_flashes().unwrap().len(), 1);
        })
        .await;
}

/// CS-1: a token that a handler makes after `regenerate` or `login` is the one of the session that comes of it.
#[tokio::test]
async fn a_token_made_after_a_rotation_is_good_after_it() {
    let moves: [fn(&Session); 4] = [
        |_| {},
        Session::regenerate,
        |session| session.login("ada").unwrap(),
        |session| {
            session.login("ada").unwrap();
            session.regenerate();
        },
    ];
    for moves in moves {
        for has_token in [false, true] {
            let mut scene = Scene::with_session(config()).await;
            if has_token {
                scene
                    .request(|session| drop(session.csrf_token().unwrap()))
                    .await;
            }
            let mut token = None;
            scene
                .request(|session| {
                    moves(session);
                    token = Some(session.csrf_token().unwrap());
                })
                .await;
            let token = token.unwrap();
            assert!(is_good(&scene, token.as_str()).await);
        }
    }
}

/// CS-1: tokens that two requests make side by side are both good, whichever is saved first.
#[tokio::test]
async fn first_tokens_made_side_by_side_are_both_good() {
    let scene = Scene::with_session(config()).await;
    let (mut first, mut second) = (None, None);
    scene
        .overlap(
            |session| first = session.csrf_token().ok(),
            |session| second = session.csrf_token().ok(),
        )
        .await;
    for token in [first.unwrap(), second.unwrap()] {
        assert!(is_good(&scene, token.as_str()).await);
    }
}

/// CS-1: a new secret refuses no token that an old one made.
#[tokio::test]
async fn tokens_outlast_a_new_secret() {
    let mut scene = Scene::with_session(config()).await;
    let mut token = None;
    scene
        .request(|session| token = Some(session.csrf_token().unwrap()))
        .await;
    let newer = "another secret for tests, long enough too";
    scene.reconfigure(
        session_core::SessionConfig::builder(newer).previous_secret(crate::scene::SECRET),
    );
    assert!(is_good(&scene, token.unwrap().as_str()).await);
}

async fn is_good(scene: &Scene, token: &str) -> bool {
    let handle = scene.manager.handle();
    let header = format!("session_id={}", scene.jar.clone().unwrap());
    let headers = [header.as_bytes()];
    let work = async {
        let session: Session = handle.load(&CookieHeaders(&headers)).await.unwrap();
        session.check_csrf(token).await
    };
    let (checked, finished) = handle.run(work).await;
    assert!(finished.error().is_none());
    checked.is_ok()
}

/// ID-2: where the generator fails there is no token and no message, and the session is as it was.
#[tokio::test]
async fn without_randomness_there_is_no_token() {
    struct Broken;

    impl Random for Broken {
        fn fill(&self, _: &mut [u8]) -> Result<(), RandomError> {
            Err(RandomError::new("no entropy"))
        }
    }

    let manager = SessionManager::builder(config().build().unwrap(), MapStore::default())
        .insecure_random(Broken)
        .build()
        .unwrap();
    let handle = manager.handle();
    let session: Session = handle.load(&CookieHeaders(&[])).await.unwrap();
    let token = session.csrf_token().unwrap_err();
    let flash = session.flash(Flash::info("none")).unwrap_err();
    for error in [token, flash] {
        assert_eq!(error.kind(), ErrorKind::Random);
    }
    assert!(!session.is_modified());
}

/// CS-1: a late visitor, and one who came with several live sessions, gets a token that is good for another such request:
/// they can log in and out behind the check. It is good for nobody else, and asking for it drops nothing.
#[tokio::test]
async fn a_late_visitor_can_pass_the_check() {
    let mut scene = Scene::with_session(config()).await;
    let late = scene.jar.clone();
    scene.request(|session| session.login("ada").unwrap()).await;
    let several = {
        let other = scene.request_with(None, |session| session.login("bob").unwrap());
        let other = other.await.cookie().unwrap();
        format!("{}; session_id={other}", scene.jar.clone().unwrap())
    };
    for cookie in [late.unwrap(), several] {
        scene.store.calls();
        let mut token = None;
        let response = scene.request_with(Some(cookie.clone()), |session| {
            token = Some(session.csrf_token().unwrap());
            assert!(!session.is_modified());
        });
        assert!(response.await.cookie().is_none());
        let token = token.unwrap();
        assert!(!is_good(&scene, token.as_str()).await);
        let current = scene.jar.replace(cookie);
        assert!(is_good(&scene, token.as_str()).await);
        scene.jar = current;
    }
}

/// ST-10: a whole session that doesn't fit its type can be replaced, and a migrated one converges.
#[tokio::test]
async fn a_whole_session_that_does_not_fit_can_be_replaced() {
    let mut scene = Scene::with_session(config()).await;
    scene
        .request(|session| session.set("note", 7).unwrap())
        .await;
    scene
        .request(|session| {
            let all = typed::<Everything>(session);
            assert_eq!(all.get().unwrap_err().kind(), ErrorKind::Mismatch);
            all.set(&Everything { n: 2, note: None }).unwrap();
            assert_eq!(all.get().unwrap().unwrap().n, 2);
            assert_eq!(session.keys(), ["n"]);
        })
        .await;
}

/// ST-9: messages that requests leave at the same moment keep their limit together; the oldest make room, and what else
/// the requests stored is kept.
#[tokio::test]
async fn messages_left_at_once_keep_their_limit() {
    let mut scene = Scene::with_session(config()).await;
    let long = |letter: &str| Flash::info(letter.repeat(1_500));
    scene
        .overlap(
            |session| {
                session.flash(long("b")).unwrap();
                session.set("n", 2).unwrap();
            },
            |session| session.flash(long("a")).unwrap(),
        )
        .await;
    scene
        .request(|session| {
            assert_eq!(session.flashes().unwrap(), [long("b")]);
            assert_eq!(session.get::<i64>("n").unwrap(), Some(2));
        })
        .await;
}

/// LG-1: `Debug` of what a handler holds shows no value.
#[tokio::test]
async fn debug_shows_no_value() {
    let mut scene = Scene::with_session(config()).await;
    scene
        .request(|session| {
            let shown: Result<String, Error> = session.atomically(|draft| {
                draft.set("secret", "hidden")?;
                Ok(format!("{draft:?}"))
            });
            let cart = typed::<Cart>(session);
            let shown = format!("{} {session:?} {cart:?}", shown.unwrap());
            // As text, and as the bytes of "hidden".
            for value in ["hidden", "104, 105", "secret"] {
                assert!(!shown.contains(value), "{shown}");
            }
        })
        .await;
}
