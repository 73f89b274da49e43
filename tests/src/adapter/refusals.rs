//! What is refused: 400, 404, 405, 413 and 501. The same on every framework, to the byte.

use serde_json::json;

use super::harness::{AdapterHarness, Scene};

const NOT_JSON: &str = "the body is not valid JSON";
const NOT_UTF8: &str = "the path is not valid UTF-8";
const BAD_CODE: &str = "the status must be a number from 200 to 599";
const BAD_MS: &str = "the query needs ms=N, a number of milliseconds up to 10000";
const BAD_N: &str = "the query needs n=N, a number of lines up to 1000";

/// Requests that can't be read change nothing, whatever they would have done.
pub async fn what_cannot_be_read_is_a_400(harness: &impl AdapterHarness) {
    let mut refused: Vec<(String, &str, &str)> = Vec::new();
    for body in ["", " ", "{", "name", "'x'", "1 2", "\"\u{1}\"", "[1,]"] {
        for line in [
            "PUT /api/values/name",
            "PUT /api/slow/name?ms=0",
            "PUT /api/status/200/name",
            "PUT /api/error/name",
            "PUT /api/error-inner/name",
            "PUT /api/panic/name",
            "POST /api/regenerate-then-set/name",
        ] {
            refused.push((line.to_owned(), body, NOT_JSON));
        }
    }
    for code in ["0", "99", "100", "199", "600", "1000", "-200", "2e2", "ok"] {
        refused.extend([
            (format!("PUT /api/status/{code}/name"), "1", BAD_CODE),
            (format!("POST /api/destroy/status/{code}"), "", BAD_CODE),
            (format!("POST /api/regenerate/status/{code}"), "", BAD_CODE),
        ]);
    }
    for ms in [
        "",
        "?",
        "?ms",
        "?ms=",
        "?ms=x",
        "?ms=-1",
        "?ms=1.5",
        "?ms=10001",
        "?n=1",
        "?MS=1",
    ] {
        refused.push((format!("GET /api/slow{ms}"), "", BAD_MS));
        refused.push((format!("PUT /api/slow/name{ms}"), "1", BAD_MS));
    }
    for n in ["", "?n", "?n=", "?n=x", "?n=-1", "?n=1001", "?ms=1"] {
        refused.push((format!("GET /api/stream{n}"), "", BAD_N));
    }
    let bad_login = r#"the body needs a user and may have more: {"user":"ada","remember":true,"label":"a phone"}"#;
    for body in [
        "1",
        "{}",
        r#"{"user":1}"#,
        r#"{"user":"ada","remember":1}"#,
        r#"{"user":"ada","label":1}"#,
    ] {
        refused.push(("POST /api/login".to_owned(), body, bad_login));
    }
    let bad_all = "all must be true or false";
    refused.push(("DELETE /api/sessions?all=yes".to_owned(), "", bad_all));
    for line in [
        "GET /api/values/%FF",
        "PUT /api/values/%FF",
        "DELETE /api/values/%C0%80",
        "POST /api/increment/a%ED%A0%80",
        "PUT /api/slow/%FF?ms=0",
        "PUT /api/status/200/%FF",
        "PUT /api/status/%FF/name",
        "POST /api/destroy/status/%FF",
        "PUT /api/error/%FF",
        "PUT /api/panic/%FF",
        "POST /api/regenerate-then-set/%FF",
    ] {
        refused.push((line.to_owned(), "1", NOT_UTF8));
    }
    let scene = Scene::start(harness).await;
    let mut ada = scene.ada().await;
    for (line, body, error) in refused {
        let before = ada.clone();
        ada.check(&line, body, 400, json!({"error": error})).await;
        assert_eq!(ada.cookies, before.cookies, "{line}");
    }
    let reply = ada.send("PUT /api/values/name", &b"\"\xFF\""[..]).await;
    let refusal = json!({"error": NOT_JSON});
    assert_eq!((reply.status, reply.json()), (400, refusal));
    assert_eq!(ada.values().await, json!({"name": "Ada"}));
}

/// No more than 2 MiB are read into memory, however little of it would be stored.
pub async fn a_body_over_2_mib_is_a_413(harness: &impl AdapterHarness) {
    let mut ada = Scene::start(harness).await.visitor();
    let mut body = " ".repeat(2 * 1024 * 1024 - 1) + "1";
    ada.check("PUT /api/values/name", &body, 200, json!({"ok": true}))
        .await;
    body.push(' ');
    let refusal = json!({"error": "the body is too long"});
    ada.check("PUT /api/values/name", &body, 413, refusal).await;
}

/// What is no route is a 404, and asks no store.
pub async fn paths_that_are_no_route_are_a_404(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut ada = scene.ada().await;
    for path in [
        "/api",
        "/api/",
        "/nothing",
        "/api/values/",
        "/api/values/a/b",
        "/api/increment",
        "/API/values",
        "/api/untouched/",
        "/excluded",
        "/api/destroy/status",
    ] {
        let nothing = json!({"error": "there is nothing here"});
        ada.check(&format!("GET {path}"), "", 404, nothing).await;
    }
    assert_eq!(scene.store.take_calls(), []);
}

/// A wrong method is a 405 that names the right ones.
pub async fn other_methods_are_a_405(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    let mut ada = scene.ada().await;
    for (line, allowed) in [
        ("POST /", "GET,HEAD"),
        ("POST /api/untouched", "GET,HEAD"),
        ("PATCH /api/values/name", "GET,HEAD,PUT,DELETE"),
        ("GET /api/clear", "POST"),
        ("HEAD /api/increment/n", "POST"),
        ("GET /api/destroy/status/200", "POST"),
        ("GET /api/slow/name?ms=0", "PUT"),
        ("POST /api/stream?n=1", "GET,HEAD"),
        ("OPTIONS /excluded/x", "GET,HEAD"),
        ("PUT /api/login", "POST"),
    ] {
        let reply = ada.send(line, "").await;
        assert_eq!(reply.status, 405, "{line}");
        assert_eq!(reply.all("allow"), [allowed], "{line}");
        if !line.starts_with("HEAD") {
            let refusal = json!({"error": "this method isn't allowed here"});
            assert_eq!(reply.json(), refusal);
        }
    }
    assert_eq!(scene.store.take_calls(), []);
}
