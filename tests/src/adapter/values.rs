//! The routes under `/api/values`, and those that change what is there: any JSON under any key.

use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};

use super::harness::{AdapterHarness, Scene};

fn ok() -> Value {
    json!({"ok": true})
}

/// Values are stored, read, listed, removed and cleared.
pub async fn values_are_stored_and_removed(harness: &impl AdapterHarness) {
    let mut ada = Scene::start(harness).await.visitor();
    let absent = json!({"value": null, "exists": false});
    ada.check("GET /api/values", "", 200, json!({"values": {}}))
        .await;
    ada.check("GET /api/values/name", "", 200, absent.clone())
        .await;
    ada.check("PUT /api/values/name", r#""Ada""#, 200, ok())
        .await;
    ada.check("PUT /api/values/age", "36", 200, ok()).await;
    let name = json!({"value": "Ada", "exists": true});
    ada.check("GET /api/values/name", "", 200, name).await;
    let both = json!({"values": {"name": "Ada", "age": 36}});
    ada.check("GET /api/values", "", 200, both).await;

    let removed = |existed: bool| json!({"existed": existed});
    ada.check("DELETE /api/values/name", "", 200, removed(true))
        .await;
    ada.check("DELETE /api/values/name", "", 200, removed(false))
        .await;
    ada.check("GET /api/values/name", "", 200, absent).await;
    ada.check("PUT /api/values/nothing", "null", 200, ok())
        .await;
    let null = json!({"value": null, "exists": true});
    ada.check("GET /api/values/nothing", "", 200, null).await;
    ada.check("POST /api/clear", "", 200, ok()).await;
    ada.check("GET /api/values", "", 200, json!({"values": {}}))
        .await;
}

/// SR-2: any JSON comes back as it was, as a value and in the list of all.
pub async fn any_json_comes_back_as_it_was(harness: &impl AdapterHarness) {
    let mut ada = Scene::start(harness).await.visitor();
    for value in [
        json!("a\u{0}b"),
        json!("𝄞 and 👩‍💻"),
        json!({"\u{0}": ["", {}], "𝄞": {"deep": [[[null]]]}}),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(-0.1),
        json!(true),
    ] {
        ada.check("PUT /api/values/v", &value.to_string(), 200, ok())
            .await;
        let stored = json!({"value": value, "exists": true});
        ada.check("GET /api/values/v", "", 200, stored).await;
        let all = json!({"values": {"v": value}});
        ada.check("GET /api/values", "", 200, all).await;
    }
}

/// A key in a path is decoded exactly once, and listed as what it means.
pub async fn keys_are_decoded_once(harness: &impl AdapterHarness) {
    let scene = Scene::start(harness).await;
    for (segment, key) in [
        ("a%2Fb", "a/b"),
        ("%2F", "/"),
        ("a%252Fb", "a%2Fb"),
        ("a%00b", "a\u{0}b"),
        ("%F0%9D%84%9E", "𝄞"),
        ("%22%5C", "\"\\"),
        ("a+b", "a+b"),
        ("%20", " "),
        ("..", ".."),
    ] {
        let mut ada = scene.visitor();
        let path = format!("/api/values/{segment}");
        ada.check(&format!("PUT {path}"), "1", 200, ok()).await;
        assert_eq!(ada.values().await, json!({key: 1}), "{segment}");
        let value = json!({"value": 1, "exists": true});
        ada.check(&format!("GET {path}"), "", 200, value).await;
        let existed = json!({"existed": true});
        ada.check(&format!("DELETE {path}"), "", 200, existed).await;
    }
}

/// The request's content type is ignored: forms and plain text are JSON too.
pub async fn the_content_type_of_a_request_is_ignored(harness: &impl AdapterHarness) {
    let mut ada = Scene::start(harness).await.visitor();
    for content_type in ["application/x-www-form-urlencoded", "text/plain", "no type"] {
        let mut request = ada.request("PUT /api/values/v", json!(content_type).to_string());
        let value = HeaderValue::from_static(content_type);
        request.headers_mut().insert(CONTENT_TYPE, value);
        let reply = ada.exchange(request).await;
        assert_eq!((reply.status, reply.json()), (200, ok()));
        ada.take_cookies(&reply);
        assert_eq!(ada.values().await, json!({"v": content_type}));
    }
}

/// An increment counts from nothing and from `null`, and refuses what it can't increase.
pub async fn increments_count_and_refuse(harness: &impl AdapterHarness) {
    let mut ada = Scene::start(harness).await.visitor();
    for n in 1..=3 {
        ada.check("POST /api/increment/n", "", 200, json!({"value": n}))
            .await;
    }
    ada.check("PUT /api/values/v", "null", 200, ok()).await;
    ada.check("POST /api/increment/v", "", 200, json!({"value": 1}))
        .await;
    ada.check("PUT /api/values/v", "-9223372036854775808", 200, ok())
        .await;
    let next = json!({"value": -9_223_372_036_854_775_807_i64});
    ada.check("POST /api/increment/v", "", 200, next).await;

    let refusal = json!({"error": "the value is not an integer that can be increased"});
    for value in [
        json!("1"),
        json!(1.5),
        json!([1]),
        json!(i64::MAX),
        json!(u64::MAX),
    ] {
        ada.check("PUT /api/values/v", &value.to_string(), 200, ok())
            .await;
        ada.check("POST /api/increment/v", "", 422, refusal.clone())
            .await;
        let unchanged = json!({"value": value, "exists": true});
        ada.check("GET /api/values/v", "", 200, unchanged).await;
    }
}

/// ST-9: the payload cap is 64 KiB of JSON, and the old value is kept.
pub async fn a_session_over_its_cap_is_refused(harness: &impl AdapterHarness) {
    let mut ada = Scene::start(harness).await.visitor();
    ada.check("PUT /api/values/a", "1", 200, ok()).await;
    // What is stored is `{"a":"…"}`.
    let around = r#"{"a":""}"#.len();
    let fits = json!("x".repeat(64 * 1024 - around));
    let too_large = json!("x".repeat(64 * 1024 - around + 1)).to_string();
    let refusal = json!({"error": "too large to be stored"});
    ada.check("PUT /api/values/a", &too_large, 413, refusal.clone())
        .await;
    assert_eq!(ada.values().await, json!({"a": 1}));
    ada.check("PUT /api/values/a", &fits.to_string(), 200, ok())
        .await;
    ada.check("PUT /api/values/b", "1", 413, refusal).await;
    assert_eq!(ada.values().await, json!({"a": fits}));
}
