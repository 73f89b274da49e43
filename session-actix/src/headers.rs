//! The header maps of actix-web 4, which are none of `http` 1.

use std::borrow::Cow;

use actix_web::HttpRequest;
use actix_web::http::header::{
    CACHE_CONTROL, COOKIE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE, VARY,
};
use session_core::adapter::{RequestHeader, RequestHeaders, ResponseHeader, ResponseHeaders};

/// The headers of a request.
pub(crate) struct OfRequest<'r>(pub(crate) &'r HttpRequest);

impl RequestHeaders for OfRequest<'_> {
    fn values(&self, header: RequestHeader) -> impl Iterator<Item = &[u8]> {
        let name = match header {
            RequestHeader::Cookie => COOKIE,
            other => HeaderName::from_static(other.name()),
        };
        self.0.headers().get_all(name).map(HeaderValue::as_bytes)
    }
}

/// The header map of a response.
pub(crate) struct OfResponse<'r>(pub(crate) &'r mut HeaderMap);

impl ResponseHeaders for OfResponse<'_> {
    fn values(&self, header: ResponseHeader) -> impl Iterator<Item = &[u8]> {
        self.0.get_all(name_of(header)).map(HeaderValue::as_bytes)
    }

    fn append(&mut self, header: ResponseHeader, value: Cow<'static, str>) {
        if let Some(value) = value_of(header, value) {
            self.0.append(name_of(header), value);
        }
    }

    fn replace(&mut self, header: ResponseHeader, value: Cow<'static, str>) {
        if let Some(value) = value_of(header, value) {
            self.0.insert(name_of(header), value);
        }
    }
}

fn name_of(header: ResponseHeader) -> HeaderName {
    match header {
        ResponseHeader::SetCookie => SET_COOKIE,
        ResponseHeader::Vary => VARY,
        ResponseHeader::CacheControl => CACHE_CONTROL,
        other => HeaderName::from_static(other.name()),
    }
}

/// The core writes printable ASCII, so that nothing is ever left out here.
fn value_of(header: ResponseHeader, value: Cow<'static, str>) -> Option<HeaderValue> {
    let mut value = match value {
        Cow::Borrowed(text) => HeaderValue::from_static(text),
        Cow::Owned(text) => text.try_into().ok()?,
    };
    value.set_sensitive(header == ResponseHeader::SetCookie);
    Some(value)
}
