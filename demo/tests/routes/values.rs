//! The routes under `/api/values`, and those that change what is there.

use serde_json::{Value, json};

use crate::common::{SpyStore, Visitor, config, demo};

fn visitor() -> Visitor {
    Visitor::new(&demo(config(), &SpyStore::default()))
}

fn ok() -> Value {
    json!({"ok": true})
}

#[tokio::test]
async fn values_are_stored_read_listed_and_removed() {
    let mut ada = visitor();
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

    ada.check("POST /api/clear", "", 200, ok()).await;
    ada.check("GET /api/values", "", 200, json!({"values": {}}))
        .await;
}

#[tokio::test]
async fn a_stored_null_is_a_value() {
    let mut ada = visitor();
    ada.check("PUT /api/values/nothing", "null", 200, ok())
        .await;
    let null = json!({"value": null, "exists": true});
    ada.check("GET /api/values/nothing", "", 200, null).await;
}

/// ID-6, ST-1: what changes nothing leaves a visitor without a session.
#[tokio::test]
async fn visitors_who_store_nothing_get_no_session() {
    let mut newcomer = visitor();
    for line in [
        "GET /api/values",
        "DELETE /api/values/name",
        "POST /api/clear",
    ] {
        newcomer.send(line, "").await;
    }
    assert_eq!(newcomer.session_id(), None);
}

/// SR-2: any JSON comes back as it was, as a value and in the list of all.
#[tokio::test]
async fn any_json_comes_back_as_it_was() {
    let values = [
        json!("a\u{0}b"),
        json!("𝄞 and 👩‍💻"),
        json!({"\u{0}": ["", {}], "𝄞": {"deep": [[[null]]]}}),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(-0.1),
        json!(true),
    ];
    let mut ada = visitor();
    for value in values {
        ada.check("PUT /api/values/v", &value.to_string(), 200, ok())
            .await;
        let stored = json!({"value": value, "exists": true});
        ada.check("GET /api/values/v", "", 200, stored).await;
        let all = json!({"values": {"v": value}});
        ada.check("GET /api/values", "", 200, all).await;
    }
}

/// Each key is sent as it would appear in a path, and has to be listed as what it means.
#[tokio::test]
async fn keys_are_decoded_exactly_once() {
    let keys = [
        ("a%2Fb", "a/b"),
        ("%2F", "/"),
        ("a%252Fb", "a%2Fb"),
        ("a%00b", "a\u{0}b"),
        ("%F0%9D%84%9E", "𝄞"),
        ("%22%5C", "\"\\"),
        ("a+b", "a+b"),
        ("%20", " "),
    ];
    for (segment, key) in keys {
        let mut ada = visitor();
        let path = format!("/api/values/{segment}");
        ada.check(&format!("PUT {path}"), "1", 200, ok()).await;
        let all = json!({"values": {key: 1}});
        ada.check("GET /api/values", "", 200, all).await;
        let value = json!({"value": 1, "exists": true});
        ada.check(&format!("GET {path}"), "", 200, value).await;
        let existed = json!({"existed": true});
        ada.check(&format!("DELETE {path}"), "", 200, existed).await;
    }
}

/// The interface says that the request's content type is ignored: forms and plain text are JSON too.
#[tokio::test]
async fn the_content_type_of_a_request_is_ignored() {
    let mut ada = visitor();
    for content_type in ["application/x-www-form-urlencoded", "text/plain", "no type"] {
        let mut request = ada.request("PUT /api/values/v", json!(content_type).to_string());
        let value = content_type.parse().unwrap();
        request.headers_mut().insert("content-type", value);
        let reply = ada.exchange(request).await;
        assert_eq!((reply.status, reply.json()), (200, ok()));
        ada.take_cookies(&reply.headers);
        let stored = json!({"value": content_type, "exists": true});
        ada.check("GET /api/values/v", "", 200, stored).await;
    }
}

#[tokio::test]
async fn increments_count_from_zero() {
    let mut ada = visitor();
    for n in 1..=3 {
        ada.check("POST /api/increment/n", "", 200, json!({"value": n}))
            .await;
    }
    ada.check("PUT /api/values/null", "null", 200, ok()).await;
    ada.check("POST /api/increment/null", "", 200, json!({"value": 1}))
        .await;
    ada.check("PUT /api/values/low", "-9223372036854775808", 200, ok())
        .await;
    let next = json!({"value": -9_223_372_036_854_775_807_i64});
    ada.check("POST /api/increment/low", "", 200, next).await;
}

#[tokio::test]
async fn what_is_no_integer_is_not_incremented() {
    let mut ada = visitor();
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
#[tokio::test]
async fn a_session_over_64_kib_is_refused_and_stays_as_it_was() {
    let mut ada = visitor();
    ada.check("PUT /api/values/a", "1", 200, ok()).await;
    // What is stored is `{"a":"…"}`.
    let around = r#"{"a":""}"#.len();
    let fits = json!("x".repeat(64 * 1024 - around));
    let too_large = json!("x".repeat(64 * 1024 - around + 1));

    let refusal = json!({"error": "session too large"});
    ada.check(
        "PUT /api/values/a",
        &too_large.to_string(),
        413,
        refusal.clone(),
    )
    .await;
    ada.check(
        "GET /api/values/a",
        "",
        200,
        json!({"value": 1, "exists": true}),
    )
    .await;
    ada.check("PUT /api/values/a", &fits.to_string(), 200, ok())
        .await;
    ada.check("PUT /api/values/b", "1", 413, refusal).await;
    ada.check("GET /api/values", "", 200, json!({"values": {"a": fits}}))
        .await;
}
