//! The header maps of actix-web 4, which are none of `http` 1.

use std::borrow::Cow;

use actix_web::HttpRequest;
use actix_web::http::header::{
    AUTHORIZATION, CACHE_CONTROL, COOKIE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE, VARY,
};
use session_core::adapter::{RequestHeader, RequestHeaders, ResponseHeader, ResponseHeaders};

/// The headers of a request.
pub(crate) struct OfRequest<'r>(pub(crate) &'r HttpRequest);

impl RequestHeaders for OfRequest<'_> {
    fn values(&self, header: RequestHeader<'_>) -> impl Iterator<Item = &[u8]> {
        let headers = self.0.headers();
        let all = match header {
            RequestHeader::Cookie => headers.get_all(COOKIE),
            RequestHeader::Authorization => headers.get_all(AUTHORIZATION),
            other => headers.get_all(other.name()),
        };
        all.map(HeaderValue::as_bytes)
    }
}

/// The header map of a response.
pub(crate) struct OfResponse<'r>(pub(crate) &'r mut HeaderMap);

impl ResponseHeaders for OfResponse<'_> {
    fn values(&self, header: ResponseHeader<'_>) -> impl Iterator<Item = &[u8]> {
        let all = match name_of(header) {
            Some(name) => self.0.get_all(name),
            None => self.0.get_all(header.name()),
        };
        all.map(HeaderValue::as_bytes)
    }

    fn append(&mut self, header: ResponseHeader<'_>, value: Cow<'static, str>) {
        if let Some(name) = name_of(header)
            && let Some(value) = value_of(header, value)
        {
            self.0.append(name, value);
        }
    }

    fn replace(&mut self, header: ResponseHeader<'_>, value: Cow<'static, str>) {
        if let Some(name) = name_of(header)
            && let Some(value) = value_of(header, value)
        {
            self.0.insert(name, value);
        }
    }
}

/// The core checks the names that are configured, so that none is ever left out here.
fn name_of(header: ResponseHeader<'_>) -> Option<HeaderName> {
    match header {
        ResponseHeader::SetCookie => Some(SET_COOKIE),
        ResponseHeader::Vary => Some(VARY),
        ResponseHeader::CacheControl => Some(CACHE_CONTROL),
        ResponseHeader::CdnCacheControl => Some(HeaderName::from_static("cdn-cache-control")),
        ResponseHeader::SurrogateControl => Some(HeaderName::from_static("surrogate-control")),
        other => HeaderName::from_bytes(other.name().as_bytes()).ok(),
    }
}

/// The core writes printable ASCII, so that nothing is ever left out here.
fn value_of(header: ResponseHeader<'_>, value: Cow<'static, str>) -> Option<HeaderValue> {
    let mut value = match value {
        Cow::Borrowed(text) => HeaderValue::from_static(text),
        Cow::Owned(text) => text.try_into().ok()?,
    };
    value.set_sensitive(header.is_credential());
    Some(value)
}
