//! A cookie whose domain or path the deployment has changed.

use std::collections::BTreeMap;
use std::time::Duration;

use session_core::{Session, SessionConfigBuilder};

use crate::scene::{Response, Scene, config};

/// The cookies of our name that a browser has, by domain and path.
#[derive(Default)]
struct Browser(BTreeMap<(String, String), String>);

impl Browser {
    /// What `Scene` takes for the value of the cookie: the values of all, as they are sent side by side.
    fn cookies(&self) -> Option<String> {
        let values: Vec<_> = self.0.values().map(String::as_str).collect();
        (!values.is_empty()).then(|| values.join("; session_id="))
    }

    fn take(&mut self, response: &Response) {
        for cookie in response.set_cookies() {
            let (pair, attributes) = cookie.split_once("; ").unwrap();
            let value = pair.strip_prefix("session_id=").unwrap();
            let attribute = |name: &str| {
                let mut all = attributes.split("; ");
                let found = all.find_map(|attribute| attribute.strip_prefix(name));
                found.unwrap_or_default().to_owned()
            };
            let scope = (attribute("Domain="), attribute("Path="));
            match value {
                "" => self.0.remove(&scope),
                _ => self.0.insert(scope, value.to_owned()),
            };
        }
    }

    async fn send(&mut self, scene: &Scene, act: impl FnOnce(&Session)) -> usize {
        let response = scene.request_with(self.cookies(), act).await;
        self.take(&response);
        response.set_cookies().len()
    }

    fn scopes(&self) -> Vec<(&str, &str)> {
        let scopes = self.0.keys();
        scopes
            .map(|(domain, path)| (domain.as_str(), path.as_str()))
            .collect()
    }
}

/// Releases of one application: the cookie of the host below `/app`, then that of its domain.
fn first() -> SessionConfigBuilder {
    config().cookie_path("/app")
}

fn second() -> SessionConfigBuilder {
    config().cookie_domain("example.com")
}

fn third() -> SessionConfigBuilder {
    second()
        .former_cookie_scope(None, "/app")
        .former_cookie_scope(None, "/")
}

const FORMER: (&str, &str) = ("", "/app");
const CURRENT: (&str, &str) = ("example.com", "/");

/// CK-6: whoever has a cookie in a scope that the deployment has left keeps the session, and is rid of that cookie when
/// the response sends one.
#[tokio::test]
async fn a_cookie_moves_out_of_a_former_scope() {
    let mut scene = Scene::new(first());
    let mut browser = Browser::default();
    browser
        .send(&scene, |session| session.set("n", 1).unwrap())
        .await;
    assert_eq!(browser.scopes(), [FORMER]);

    scene.reconfigure(third());
    // No cookie of ours has to change, so that none is removed.
    let read = |session: &Session| assert_eq!(session.get("n").unwrap(), Some(1));
    assert_eq!(browser.send(&scene, read).await, 0);
    assert_eq!(browser.scopes(), [FORMER]);
    scene.clock.advance(Duration::from_secs(600));
    assert_eq!(browser.send(&scene, read).await, 3);
    assert_eq!(browser.scopes(), [CURRENT]);
    assert_eq!(browser.send(&scene, read).await, 0);
}

/// CK-6, RQ-5: two cookies that live side by side become one with the next response that sends one or takes it away, and
/// a logout takes both.
#[tokio::test]
async fn two_cookies_of_one_name_become_one() {
    let mut scene = Scene::new(first());
    let mut browser = Browser::default();
    browser
        .send(&scene, |session| session.set("n", 1).unwrap())
        .await;
    // Without a word about the former scope, a rotation leaves the old cookie beside the new one.
    scene.reconfigure(second());
    browser.send(&scene, Session::regenerate).await;
    assert_eq!(browser.scopes(), [FORMER, CURRENT]);
    let both = browser.0.clone();

    scene.reconfigure(third());
    browser.send(&scene, Session::regenerate).await;
    assert_eq!(browser.scopes(), [CURRENT]);
    let mut n = None;
    browser
        .send(&scene, |session| n = session.get::<i64>("n").unwrap())
        .await;
    assert_eq!(n, Some(1));

    let mut browser = Browser(both);
    browser.send(&scene, Session::destroy).await;
    assert!(browser.0.is_empty());
}

/// RQ-5: a write that comes with a user's session and with a planted one is dropped, and begins no third one. The next
/// request has the user's session for itself.
#[tokio::test]
async fn a_planted_cookie_signs_nobody_out() {
    let scene = Scene::new(config());
    let write = |session: &Session| session.set("n", 1).unwrap();
    let planted = scene.request_with(None, write).await.cookie().unwrap();
    let login = scene.request_with(None, |session| session.login("ada").unwrap());
    let own = login.await.cookie().unwrap();
    let both = Some(format!("{planted}; session_id={own}"));
    let written = scene.request_with(both.clone(), write).await;
    assert!(written.error.is_none());
    assert_eq!(written.cookie(), None);
    let mut user = None;
    let look = |session: &Session| user = session.user().map(|user| user.name.to_string());
    scene.request_with(both, look).await;
    assert_eq!(user.as_deref(), Some("ada"));
}
