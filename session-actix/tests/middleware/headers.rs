//! What the session does to the headers of actix-web, which has a header map of its own.

use actix_web::http::header::HeaderValue;
use session_actix::{Error, Session};
use session_conformance::adapter::SpyStore;

use crate::common::Visitor;
use crate::{NAME, app, with_other_headers};

/// LG-1, CK-6, CK-8: whoever logs a response's headers doesn't log the session's cookie, which is marked. What
/// others have put on the response is read: it stays, and so does a Cache-Control that is strict enough.
#[actix_web::test]
async fn headers_are_marked_and_read() {
    let handler = |session: Session| async move {
        session.set(NAME, "Eve")?;
        Ok::<_, Error>(with_other_headers("max-age=60, private"))
    };
    let site = app(&SpyStore::default(), handler).await;
    let reply = Visitor::new(&site).send("GET /").await;
    assert_eq!(reply.all("vary"), ["Accept", "Cookie"]);
    assert_eq!(reply.all("cache-control"), ["max-age=60, private"]);
    let cookies = reply.headers.get_all("set-cookie");
    let marks: Vec<_> = cookies.map(HeaderValue::is_sensitive).collect();
    assert_eq!(marks, [false, true], "theirs, and ours");
    let mut others = reply.headers.get_all("vary");
    assert!(others.all(|value| !value.is_sensitive()));
}
