//! What the checks refuse, and the defaults.

use super::*;
use crate::id::SessionId;

fn good() -> SessionConfigBuilder {
    SessionConfig::builder([1; 32])
}

fn error(builder: SessionConfigBuilder) -> String {
    builder.build().unwrap_err().to_string()
}

/// SG-5: a short secret, no secret and the same one twice don't start; the error says what to do.
#[test]
fn bad_secrets_do_not_start() {
    assert!(good().build().is_ok());
    assert!(error(SessionConfig::builder("secret")).contains("use at least 32"));
    assert!(error(SessionConfig::builder([1; 31])).contains("use at least 32"));
    assert!(error(good().previous_secret("short")).contains("secret number 2 has 5 bytes"));
    assert!(
        error(good().previous_secret([1; 32])).contains("same as an earlier one: leave it out")
    );
    let none: [&str; 0] = [];
    assert!(error(SessionConfig::builder_with_secrets(none)).contains("pass at least one"));
}

/// TM-1: an idle timeout above the absolute one doesn't start, unless the absolute one is the
/// default, which then follows.
#[test]
fn lifetimes_are_checked() {
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    let lifetime = |builder: SessionConfigBuilder| builder.build().unwrap().policy().lifetime;
    assert_eq!(lifetime(good()), Lifetime::new(hours(1), hours(24)));
    assert_eq!(
        lifetime(good().max_age(hours(48))),
        Lifetime::new(hours(48), hours(48))
    );
    let longer = good().max_age(hours(3)).absolute_timeout(hours(2));
    assert!(error(longer).contains("lower max_age or raise absolute_timeout"));
    assert!(error(good().max_age(Duration::ZERO)).contains("choose a longer one"));
}

/// TM-5: the longest durations are taken.
#[test]
fn the_longest_durations_are_taken() {
    let longest = good()
        .max_age(Duration::MAX)
        .absolute_timeout(Duration::MAX)
        .touch_interval(Duration::MAX)
        .grace(Duration::MAX)
        .store_timeout(Duration::MAX);
    assert!(longest.build().is_ok());
    assert!(error(good().store_timeout(Duration::ZERO)).contains("store_timeout is zero"));
}

/// TM-3: activity is written down after a tenth of the idle lifetime.
#[test]
fn the_touch_interval_follows_max_age() {
    let interval = |builder: SessionConfigBuilder| builder.build().unwrap().policy().touch_interval;
    assert_eq!(interval(good()), Duration::from_secs(360));
    assert_eq!(
        interval(good().max_age(Duration::from_secs(50))),
        Duration::from_secs(5)
    );
    assert_eq!(
        interval(good().touch_interval(Duration::from_secs(7))),
        Duration::from_secs(7)
    );
}

/// CK-1: the strictest form in one call.
#[test]
fn the_host_prefix_comes_with_its_attributes() {
    // In any order, and also twice.
    let config = good()
        .cookie_host_only()
        .cookie_name("id")
        .cookie_domain("example.com")
        .cookie_secure(false)
        .cookie_path("/app")
        .cookie_host_only()
        .build()
        .unwrap();
    let id = SessionId::from_slice(&[7; 32]).unwrap();
    let mut headers = http::HeaderMap::new();
    config
        .transport()
        .send(&id, Duration::from_secs(1), None)
        .apply(&mut headers);
    let cookie = headers["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("__Host-id="), "{cookie}");
    assert!(
        cookie.contains("; Secure") && cookie.contains("; Path=/;") && !cookie.contains("Domain")
    );
}

/// CK-3, CK-6: a former scope follows the grammar, is not the one that holds now, and is named once.
#[test]
fn former_scopes_are_checked() {
    let now = || good().cookie_domain("example.com");
    let several = now()
        .former_cookie_scope(None, "/")
        .former_cookie_scope(None, "/App")
        .former_cookie_scope(None, "/app")
        .former_cookie_scope(Some("www.example.com"), "/");
    assert!(several.build().is_ok());
    for path in ["", "app", "/a;b", "/a\r\nX: y"] {
        let error = error(now().former_cookie_scope(None, path));
        assert!(
            error.starts_with("former_cookie_scope: cookie path"),
            "{error}"
        );
    }
    for domain in ["", ".example.com", "a;b"] {
        let error = error(now().former_cookie_scope(Some(domain), "/"));
        assert!(
            error.starts_with("former_cookie_scope: cookie domain"),
            "{error}"
        );
    }
    for (same, path) in [
        (good(), "/"),
        (good().cookie_path("/app"), "/app"),
        (good().cookie_host_only().cookie_path("/app"), "/"),
    ] {
        assert!(error(same.former_cookie_scope(None, path)).contains("would remove it"));
    }
    let same = now().former_cookie_scope(Some("Example.COM"), "/");
    assert!(error(same).contains("would remove it"));
    let twice = now()
        .former_cookie_scope(None, "/app")
        .former_cookie_scope(None, "/app");
    assert!(error(twice).contains("called twice"));
    let impossible = good().cookie_host_only().former_cookie_scope(None, "/app");
    assert!(error(impossible).contains("leave former_cookie_scope out"));
}

#[test]
fn paths_are_excluded_exactly_or_with_what_is_below() {
    let config = good()
        .exclude_path("/health")
        .exclude_paths(["/static/*", "/a/b"])
        .build()
        .unwrap();
    for path in ["/health", "/static", "/static/", "/static/x/y", "/a/b"] {
        assert!(config.is_excluded(path), "{path}");
    }
    for path in [
        "/",
        "/health/",
        "/healthy",
        "/staticx",
        "/a",
        "/a/b/c",
        "/x/health",
        "health",
    ] {
        assert!(!config.is_excluded(path), "{path}");
    }
    assert!(
        good()
            .exclude_path("/*")
            .build()
            .unwrap()
            .is_excluded("/anything")
    );
    for bad in ["health", "", "/a*", "/*/a", "/a?b", "*"] {
        assert!(
            error(good().exclude_path(bad)).contains("write \"/health\""),
            "{bad}"
        );
    }
}

#[test]
fn a_payload_limit_beyond_the_format_does_not_start() {
    assert!(error(good().payload_limit(MAX_PAYLOAD_LIMIT + 1)).contains("choose at most"));
}

/// LG-1, SG-8: nothing secret is shown.
#[test]
fn debug_hides_the_secrets() {
    let builder = SessionConfig::builder("correct horse battery staple, and then some");
    let shown = [
        format!("{builder:?}"),
        format!("{:?}", builder.build().unwrap()),
    ]
    .concat();
    assert!(
        !shown.contains("horse") && !shown.contains("99, 111, 114"),
        "{shown}"
    );
}

/// ID-5: whoever chooses a token says nothing about the cookie, and chooses one place for the token; the error says what
/// to leave out. What is said as it is by default is no contradiction.
#[test]
fn a_token_and_options_of_the_cookie_do_not_start() {
    for (builder, option) in [
        (good().cookie_name("id"), "cookie_name"),
        (good().cookie_path("/app"), "cookie_path"),
        (good().cookie_domain("example.com"), "cookie_domain"),
        (good().cookie_secure(false), "cookie_secure"),
        (good().cookie_httponly(false), "cookie_httponly"),
        (good().cookie_samesite(SameSite::Strict), "cookie_samesite"),
        (good().cookie_partitioned(true), "cookie_partitioned"),
        (good().cookie_persistent(false), "cookie_persistent"),
        (good().cookie_host_only(), "cookie_host_only"),
        (good().former_cookie_scope(None, "/"), "former_cookie_scope"),
    ] {
        let error = error(builder.bearer_token());
        assert!(
            error.contains(&format!("for which {option} means nothing")),
            "{error}"
        );
    }
    let both = good()
        .cookie_name("id")
        .cookie_host_only()
        .token_header("x-session");
    assert!(error(both).contains("cookie_name, cookie_host_only means nothing"));
    assert!(good().cookie_secure(true).bearer_token().build().is_ok());

    let twice = good().bearer_token().token_header("x-session");
    assert!(error(twice).contains("leave one of them out"));
    let alone = good().token_response_header("x-session");
    assert!(error(alone).contains("call bearer_token()"));
    for name in ["", "a b", "Set-Cookie"] {
        assert!(error(good().token_header(name)).contains("token_header"));
        let response = good().bearer_token().token_response_header(name);
        assert!(error(response).contains("token_response_header"));
    }
}

/// US-5: sessions are of the kind that their cookie's name, or the name of their token's header, says by default.
#[test]
fn the_kind_follows_what_carries_the_id() {
    let kind = |builder: SessionConfigBuilder| builder.build().unwrap().policy().kind.to_string();
    assert_eq!(kind(good()), "session_id");
    assert_eq!(kind(good().bearer_token()), "authorization");
    assert_eq!(kind(good().token_header("X-Session")), "x-session");
    assert_eq!(kind(good().bearer_token().kind("members")), "members");
}
