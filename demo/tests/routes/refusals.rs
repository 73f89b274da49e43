//! What is refused: 400, 404, 405 and 501.

use serde_json::json;

use crate::common::{SpyStore, Visitor, config, demo};

const NOT_JSON: &str = "the body is not valid JSON";
const NOT_UTF8: &str = "the path is not valid UTF-8";
const BAD_CODE: &str = "the status must be a number from 200 to 599";
const BAD_MS: &str = "the query needs ms=N, a number of milliseconds up to 10000";
const BAD_N: &str = "the query needs n=N, a number of lines up to 1000";

/// Refused requests change nothing, whatever they would have done.
#[tokio::test]
async fn what_cannot_be_read_is_a_400_and_changes_nothing() {
    let mut refused: Vec<(String, &str, &str)> = Vec::new();
    for body in ["", " ", "{", "name", "'x'", "1 2", "\"\u{1}\"", "[1,]"] {
        for line in [
            "PUT /api/values/name",
            "PUT /api/slow/name?ms=0",
            "PUT /api/status/200/name",
            "PUT /api/error/name",
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
    for line in [
        "GET /api/values/%FF",
        "PUT /api/values/%FF",
        "DELETE /api/values/%C0%80",
        "POST /api/increment/a%ED%A0%80",
        "PUT /api/slow/%FF?ms=0",
        "PUT /api/status/200/%FF",
        "PUT /api/status/%FF/name",
        "POST /api/destroy/status/%FF",
        "POST /api/regenerate/status/%FF",
        "PUT /api/error/%FF",
        "PUT /api/panic/%FF",
        "POST /api/regenerate-then-set/%FF",
    ] {
        refused.push((line.to_owned(), "1", NOT_UTF8));
    }

    let mut ada = Visitor::new(&demo(config(), &SpyStore::default()));
    ada.send("PUT /api/values/name", r#""Ada""#).await;
    let before = ada.clone();
    for (line, body, error) in refused {
        ada.check(&line, body, 400, json!({"error": error})).await;
        assert_eq!(ada.cookies, before.cookies, "{line}");
    }
    let all = json!({"values": {"name": "Ada"}});
    ada.check("GET /api/values", "", 200, all).await;
}

/// A body that isn't UTF-8 isn't JSON.
#[tokio::test]
async fn a_body_that_is_not_utf8_is_a_400() {
    let mut ada = Visitor::new(&demo(config(), &SpyStore::default()));
    let reply = ada.send("PUT /api/values/name", &b"\"\xFF\""[..]).await;
    assert_eq!(
        (reply.status, reply.json()),
        (400, json!({"error": NOT_JSON}))
    );
}

/// The framework reads no more than this into memory, however little of it would be stored.
#[tokio::test]
async fn a_body_over_2_mib_is_a_413() {
    let mut ada = Visitor::new(&demo(config(), &SpyStore::default()));
    let mut body = " ".repeat(2 * 1024 * 1024 - 1) + "1";
    ada.check("PUT /api/values/name", &body, 200, json!({"ok": true}))
        .await;
    body.push(' ');
    let refusal = json!({"error": "the body can't be read"});
    ada.check("PUT /api/values/name", &body, 413, refusal).await;
}

#[tokio::test]
async fn paths_that_are_no_route_are_a_404() {
    let store = SpyStore::default();
    let mut ada = Visitor::new(&demo(config(), &store));
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
    assert_eq!(store.take_calls(), []);
}

#[tokio::test]
async fn other_methods_are_a_405_that_names_the_right_ones() {
    let mut ada = Visitor::new(&demo(config(), &SpyStore::default()));
    for (line, allowed) in [
        ("POST /", "GET,HEAD"),
        ("POST /api/untouched", "GET,HEAD"),
        ("POST /api/values", "GET,HEAD"),
        ("PATCH /api/values/name", "GET,HEAD,PUT,DELETE"),
        ("GET /api/clear", "POST"),
        ("HEAD /api/increment/n", "POST"),
        ("DELETE /api/info", "GET,HEAD"),
        ("GET /api/regenerate", "POST"),
        ("GET /api/destroy", "POST"),
        ("GET /api/destroy/status/200", "POST"),
        ("GET /api/logout", "POST"),
        ("GET /api/slow/name?ms=0", "PUT"),
        ("GET /api/panic/name", "PUT"),
        ("POST /api/stream?n=1", "GET,HEAD"),
        ("OPTIONS /excluded/x", "GET,HEAD"),
        ("PUT /api/login", "POST"),
    ] {
        let reply = ada.send(line, "").await;
        assert_eq!(reply.status, 405, "{line}");
        assert_eq!(reply.all("allow"), [allowed], "{line}");
        if !line.starts_with("HEAD") {
            assert_eq!(
                reply.json(),
                json!({"error": "this method isn't allowed here"})
            );
        }
    }
}

#[tokio::test]
async fn what_is_not_built_is_a_501() {
    let store = SpyStore::default();
    let mut ada = Visitor::new(&demo(config(), &store));
    for line in [
        "POST /api/login",
        "GET /api/sessions",
        "DELETE /api/sessions",
        "DELETE /api/sessions?all=true",
        "DELETE /api/sessions/x",
        "POST /api/flash",
        "GET /api/flash",
        "GET /api/csrf",
        "POST /api/csrf-protected",
    ] {
        let answer = json!({"error": "this version doesn't have this feature yet"});
        ada.check(line, "", 501, answer).await;
    }
    assert_eq!(store.take_calls(), []);
}
