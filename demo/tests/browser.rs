//! The page in a real browser: headless Chromium, driven by way of chromedriver's JSON.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that meets the unexpected fails by panicking"
)]

mod common;

use std::env;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::Program;

/// How long the page may take to show what was asked of it.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long the driver may take to answer. It gives up on the page before.
const DRIVER_PATIENCE: Duration = Duration::from_secs(60);

/// Tells when the page shows the text: looks now, and again whenever the element changes.
const WAIT_FOR_TEXT: &str = "
    const [id, text, done] = arguments;
    const element = document.getElementById(id);
    const look = () => { if (element.textContent === text) done(true); };
    new MutationObserver(look).observe(element, { childList: true, characterData: true, subtree: true });
    look();
";

/// The values that the page shows, as `key value` lines.
const ROWS: &str = "
    const rows = [...document.querySelectorAll('#values tr')];
    return rows.map((row) => `${row.dataset.key} ${row.querySelector('.value').textContent}`);
";

/// CK-1 in a browser: a session that begins, survives a reload, changes its id and ends, and a page that
/// never sees its cookie.
#[test]
fn a_visitor_works_with_a_session_on_the_page() {
    let (_demo, address) = Program::demo(&[]);
    let browser = Browser::start();
    browser.open(&format!("http://{address}/"));
    browser.wait_for("status", "GET /api/values: 200");
    assert_eq!(
        (browser.rows(), browser.text("info-new")),
        (json!([]), "true".into())
    );

    browser.type_into("set-key", "name");
    browser.type_into("set-value", "bob");
    browser.click("set-submit");
    browser.wait_for("status", "PUT /api/values/name: 200");
    assert_eq!(browser.rows(), json!([r#"name "bob""#]));
    let cookie = browser.session_cookie().expect("the session has begun");
    for (attribute, value) in [
        ("httpOnly", json!(true)),
        ("secure", json!(true)),
        ("sameSite", json!("Lax")),
    ] {
        assert_eq!(cookie[attribute], value, "{attribute}");
    }
    assert_eq!(browser.run("return document.cookie", &json!([])), json!(""));

    browser.reload();
    browser.wait_for("status", "GET /api/values: 200");
    assert_eq!(
        (browser.rows(), browser.text("info-new")),
        (json!([r#"name "bob""#]), "false".into())
    );

    for visits in 1..=2 {
        browser.click("increment-visits");
        browser.wait_for("status", "POST /api/increment/visits: 200");
        let both = json!([r#"name "bob""#, format!("visits {visits}")]);
        assert_eq!(browser.rows(), both);
    }

    let reference = browser.text("info-ref");
    assert_ne!(reference, "none");
    browser.click("regenerate");
    browser.wait_for("status", "POST /api/regenerate: 200");
    assert_eq!(browser.text("info-ref"), reference);
    assert_eq!(browser.rows(), json!([r#"name "bob""#, "visits 2"]));
    let moved = browser.session_cookie().expect("the session has moved");
    assert_ne!(moved["value"], cookie["value"]);

    browser.click("destroy");
    browser.wait_for("status", "POST /api/destroy: 200");
    assert_eq!(browser.session_cookie(), None);
    browser.reload();
    browser.wait_for("status", "GET /api/values: 200");
    assert_eq!(
        (browser.rows(), browser.text("info-new")),
        (json!([]), "true".into())
    );
    assert_eq!(browser.text("error"), "");
}

/// What the server refuses is explained on the page, and the value stays.
#[test]
fn the_page_explains_what_the_server_refuses() {
    let (_demo, address) = Program::demo(&[]);
    let browser = Browser::start();
    browser.open(&format!("http://{address}/"));
    browser.type_into("set-key", "visits");
    browser.type_into("set-value", "many");
    browser.click("set-submit");
    browser.wait_for("status", "PUT /api/values/visits: 200");

    browser.click("increment-visits");
    browser.wait_for("status", "POST /api/increment/visits: 422");
    let error = browser.text("error");
    assert!(error.contains("The value is unchanged."), "{error}");
    assert_eq!(browser.rows(), json!([r#"visits "many""#]));
}

/// A browser with a profile of its own, gone when this is dropped, even if a test fails.
struct Browser {
    agent: ureq::Agent,
    session: String,
    /// These end after the session: the driver first, and then the profile.
    _driver: Program,
    _profile: Profile,
}

impl Browser {
    fn start() -> Self {
        let profile = Profile::new();
        let driver = match Program::try_start(Command::new("chromedriver").arg("--port=0")) {
            Ok(driver) => driver,
            Err(error) if error.kind() == ErrorKind::NotFound => panic!(
                "chromedriver isn't installed, and this test doesn't work without: it is in the Debian package \
                 chromium-driver, and `cargo xtask test --install` installs what the tests need"
            ),
            Err(error) => panic!("chromedriver can't be started: {error}"),
        };
        let port = loop {
            let line = driver.next_line().expect("chromedriver ended at once");
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').parse::<u16>().expect(&line);
            }
        };
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(DRIVER_PATIENCE))
            .build();
        let mut browser = Self {
            agent: agent.into(),
            session: format!("http://127.0.0.1:{port}/session"),
            _driver: driver,
            _profile: profile,
        };
        let args = json!([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            format!("--user-data-dir={}", browser._profile.0.display()),
        ]);
        let patience_ms = PATIENCE.as_millis();
        let wanted = json!({
            "goog:chromeOptions": {"args": args},
            "timeouts": {"script": patience_ms, "pageLoad": patience_ms},
        });
        let wanted = json!({"capabilities": {"alwaysMatch": wanted}});
        let started = match browser.call("POST", "", Some(&wanted)) {
            Ok(started) => started,
            Err(error) => panic!(
                "Chromium, of the Debian package chromium, can't be started (is it installed? \
                 `cargo xtask test --install` does that): {error}"
            ),
        };
        let id = started["sessionId"].as_str().expect("an id");
        browser.session = format!("{}/{id}", browser.session);
        browser
    }

    fn open(&self, url: &str) {
        self.post("/url", &json!({"url": url}));
    }

    fn reload(&self) {
        self.post("/refresh", &json!({}));
    }

    fn click(&self, id: &str) {
        self.post(&format!("{}/click", self.element(id)), &json!({}));
    }

    fn type_into(&self, id: &str, text: &str) {
        self.post(
            &format!("{}/value", self.element(id)),
            &json!({"text": text}),
        );
    }

    fn text(&self, id: &str) -> String {
        let text = self.get(&format!("{}/text", self.element(id)));
        text.as_str().expect("a text").to_owned()
    }

    fn rows(&self) -> Value {
        self.run(ROWS, &json!([]))
    }

    /// What the browser says about the session's cookie, which scripts can't see.
    fn session_cookie(&self) -> Option<Value> {
        let cookies = self.get("/cookie");
        let mut cookies = cookies.as_array().expect("a list").iter();
        cookies
            .find(|cookie| cookie["name"] == "session_id")
            .cloned()
    }

    fn wait_for(&self, id: &str, text: &str) {
        let script = json!({"script": WAIT_FOR_TEXT, "args": [id, text]});
        let answer = self.call("POST", "/execute/async", Some(&script));
        assert_eq!(
            answer,
            Ok(json!(true)),
            "#{id} says {:?}, not {text:?}",
            self.text(id)
        );
    }

    fn run(&self, script: &str, args: &Value) -> Value {
        self.post("/execute/sync", &json!({"script": script, "args": args}))
    }

    /// The path of the element with this id.
    fn element(&self, id: &str) -> String {
        let found = self.post(
            "/element",
            &json!({"using": "css selector", "value": format!("#{id}")}),
        );
        let mut references = found.as_object().expect("a reference").values();
        let reference = references
            .next()
            .and_then(Value::as_str)
            .expect("a reference");
        format!("/element/{reference}")
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.call("POST", path, Some(body)).expect(path)
    }

    fn get(&self, path: &str) -> Value {
        self.call("GET", path, None).expect(path)
    }

    /// Has the driver do something. An error is the driver's own, as it is.
    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Value> {
        let url = format!("{}{path}", self.session);
        let response = match (method, body) {
            ("POST", Some(body)) => self.agent.post(url).send_json(body),
            ("DELETE", _) => self.agent.delete(url).call(),
            _ => self.agent.get(url).call(),
        };
        let mut response = response.map_err(|error| json!(error.to_string()))?;
        let answer: Value = response
            .body_mut()
            .read_json()
            .map_err(|error| json!(error.to_string()))?;
        match response.status().is_success() {
            true => Ok(answer["value"].clone()),
            false => Err(answer["value"].clone()),
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Chromium runs in a process group of its own; the driver ends it when the session ends.
        let _ = self.call("DELETE", "", None);
    }
}

/// An empty folder for what the browser writes.
struct Profile(PathBuf);

impl Profile {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let name = format!("session-demo-browser-{process}-{count}");
        let folder = env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
