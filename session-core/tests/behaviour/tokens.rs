//! Ids in a token: under the rules of the cookie, and beside one.

use std::time::Duration;

use http::HeaderMap;
use session_core::adapter::RequestSessions;
use session_core::{
    Error, ErrorKind, Main, Session, SessionConfig, SessionConfigBuilder, SessionManager,
};

use crate::scene::{SECRET, SpyStore, TestClock, config};

/// A server, and a client that keeps its token.
struct Api {
    store: SpyStore,
    clock: TestClock,
    manager: SessionManager,
    token: Option<String>,
}

impl Api {
    fn new(config: SessionConfigBuilder) -> Self {
        let (store, clock) = (SpyStore::default(), TestClock::new());
        Self {
            manager: manager(config, &store, &clock),
            store,
            clock,
            token: None,
        }
    }

    fn reconfigure(&mut self, config: SessionConfigBuilder) {
        self.manager = manager(config, &self.store, &self.clock);
    }

    /// What the response says about the token: nothing, or the new one, which is empty if it is gone.
    async fn send(&mut self, act: impl FnOnce(&Session)) -> Option<String> {
        let mut headers = HeaderMap::new();
        if let Some(token) = &self.token {
            headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        let handle = self.manager.handle();
        let work = async { act(&handle.load::<Error>(&headers).await.unwrap()) };
        let ((), finished) = handle.run(work).await;
        let mut response = HeaderMap::new();
        finished.apply(&mut response);
        assert_eq!(response["vary"], "Authorization");
        assert!(!response.contains_key("set-cookie"));
        let token = response.get("session-token")?.to_str().unwrap().to_owned();
        assert_eq!(response["cache-control"], "no-store");
        self.token = Some(token.clone()).filter(|token| !token.is_empty());
        Some(token)
    }

    async fn n(&mut self) -> Option<i64> {
        let mut n = None;
        self.send(|session| n = session.get("n").unwrap()).await;
        n
    }
}

fn manager(config: SessionConfigBuilder, store: &SpyStore, clock: &TestClock) -> SessionManager {
    let builder = SessionManager::builder(config.build().unwrap(), store.clone());
    builder.clock(clock.clone()).build().unwrap()
}

/// ID-5, CK-7, TM-3: the token comes when a session begins, moves or is ended, and again with the note of activity,
/// at no other time.
#[tokio::test]
async fn a_token_follows_the_rules_of_the_cookie() {
    let mut api = Api::new(config().bearer_token());
    assert_eq!(api.n().await, None);
    assert_eq!(api.token, None);
    let begun = api
        .send(|session| session.set("n", 1).unwrap())
        .await
        .unwrap();
    assert_eq!(api.send(|session| session.set("n", 2).unwrap()).await, None);

    api.clock.advance(Duration::from_secs(359));
    assert_eq!(api.send(|_| ()).await, None);
    api.clock.advance(Duration::from_secs(1));
    assert_eq!(api.send(|_| ()).await.as_ref(), Some(&begun));
    assert_eq!(api.store.calls().pop(), Some("touch"));

    let login = api
        .send(|session| session.login("ada").unwrap())
        .await
        .unwrap();
    let moved = api.send(Session::regenerate).await.unwrap();
    assert!(begun != login && login != moved && begun != moved);
    assert_eq!(api.n().await, Some(2));
    for old in [begun, login] {
        let current = api.token.replace(old);
        let look = |session: &Session| assert!(session.is_superseded());
        assert_eq!(api.send(look).await, None);
        api.token = current;
    }
    assert_eq!(api.send(Session::destroy).await.as_deref(), Some(""));
    assert_eq!(api.token, None);
    api.token = Some(moved);
    assert_eq!(api.n().await, None);
}

/// SG-4: a token that was signed under a previous secret is signed anew, and one of a removed secret is nobody's.
#[tokio::test]
async fn a_token_is_signed_anew() {
    let new = || SessionConfig::builder("another secret for tests, of 32 bytes or more");
    let mut api = Api::new(config().bearer_token());
    let old = api.send(|session| session.set("n", 1).unwrap()).await;
    api.reconfigure(new().previous_secret(SECRET).bearer_token());
    let signed_anew = api.send(|_| ()).await;
    assert!(signed_anew.is_some() && signed_anew != old);
    assert_eq!(api.n().await, Some(1));
    api.reconfigure(new().bearer_token());
    assert_eq!(api.n().await, Some(1));
    api.store.calls();
    api.token = old;
    assert_eq!(api.n().await, None);
    assert!(api.store.calls().is_empty());
}

/// The session of clients without cookies.
enum Program {}

fn entered<N: 'static>(
    config: SessionConfigBuilder,
    outer: Option<&RequestSessions>,
) -> Result<RequestSessions, Error> {
    let manager = manager(config, &SpyStore::default(), &TestClock::new());
    Ok(manager.enter::<N>(outer, "/")?.expect("another session"))
}

/// ST-7: a cookie and a token live side by side, also where they have the same name, and each is read by its own session.
/// Two tokens in one header, of requests or of responses, are an error that says what to change.
#[tokio::test]
async fn a_cookie_and_a_token_live_side_by_side() {
    let cookie = entered::<Main>(config().cookie_name("x-session"), None).unwrap();
    let token = || config().token_header("x-session");
    let both = entered::<Program>(token(), Some(&cookie)).unwrap();
    let mut response = HeaderMap::new();
    for handle in [both.find::<Main>(), both.find::<Program>()] {
        let handle = handle.unwrap();
        let request = HeaderMap::new();
        let work = async {
            let session = handle.load::<Error>(&request).await.unwrap();
            session.set("n", 1).unwrap();
        };
        handle.run(work).await.1.apply(&mut response);
    }
    let count = |name: &str| response.get_all(name).iter().count();
    assert_eq!((count("set-cookie"), count("session-token")), (1, 1));
    let vary: Vec<_> = response.get_all("vary").iter().collect();
    assert_eq!(vary, ["Cookie", "x-session"]);

    for other in [
        token().token_response_header("x-other"),
        config().bearer_token(),
    ] {
        let error = entered::<Main>(other, Some(&both)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DuplicateName);
        let advice = "another token_header and another token_response_header";
        assert!(error.to_string().contains(advice), "{error}");
    }
    let apart = config().bearer_token().token_response_header("x-other");
    assert!(entered::<u8>(apart, Some(&both)).is_ok());
}
