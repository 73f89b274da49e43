//! The cookies of a browser, for the tests of all adapters.

use std::collections::BTreeMap;

/// From names to values.
pub(crate) type Cookies = BTreeMap<String, String>;

/// The Cookie header that a browser sends, if it has any cookies.
pub(crate) fn cookie_header(cookies: &Cookies) -> Option<String> {
    let pairs = cookies
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let pairs: Vec<_> = pairs.collect();
    Some(pairs.join("; ")).filter(|header| !header.is_empty())
}

/// Does to the cookies what the Set-Cookie headers of an answer say.
pub(crate) fn take_cookies(cookies: &mut Cookies, headers: &[&str]) {
    for cookie in headers {
        let (pair, attributes) = cookie.split_once(';').unwrap_or((cookie, ""));
        let (name, value) = pair.split_once('=').expect("a name and a value");
        if attributes.contains("Max-Age=0") {
            cookies.remove(name);
        } else {
            cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}

/// Of an answer's Set-Cookie headers the one that concerns the main session.
///
/// CK-6: there is never more than one.
pub(crate) fn session_cookie<'h>(headers: &[&'h str]) -> Option<&'h str> {
    let mut ours = headers.to_vec();
    ours.retain(|cookie| cookie.starts_with("session_id="));
    assert!(ours.len() <= 1, "{ours:?}");
    ours.pop()
}
