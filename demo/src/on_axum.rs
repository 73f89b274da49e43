//! The demo on axum: its routes, and what binds them to the shared rules.

use std::collections::HashMap;
use std::convert::Infallible;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use session_axum::{Session, SessionConfig, SessionLayer, SessionManager};
use session_core::store::SessionStore;

use crate::rules::{self, Answer};

type Outcome = Result<Answer, Answer>;
type KeyPath = Result<Path<String>, PathRejection>;
type Pairs = Result<Query<HashMap<String, String>>, QueryRejection>;
type RawBody = Result<Bytes, BytesRejection>;

/// The whole demo.
pub fn app(config: SessionConfig, store: impl SessionStore) -> Router {
    routes().layer(sessions(SessionManager::new(config, store)))
}

/// The layer around the routes, with errors as JSON.
pub fn sessions(manager: SessionManager) -> SessionLayer {
    SessionLayer::from_manager(manager)
        .on_error(|error| Answer::session_error(error).into_response())
}

/// The routes, without sessions.
pub fn routes() -> Router {
    Router::new()
        .route("/", get(page))
        .route("/api/untouched", get(async || Answer::ok()))
        .route(
            "/api/values",
            get(async |session: Session| rules::all_values(&session)),
        )
        .route(
            "/api/values/{key}",
            get(get_value).put(put_value).delete(delete_value),
        )
        .route("/api/clear", post(clear))
        .route("/api/increment/{key}", post(increment))
        .route(
            "/api/info",
            get(async |session: Session| rules::info(&session)),
        )
        .merge(rotation_and_ending())
        .merge(slow_and_failing())
        .merge(not_built())
        .route("/api/stream", get(stream))
        .route("/excluded/{*any}", get(excluded))
        .fallback(async || Answer::error(404, "there is nothing here"))
        .method_not_allowed_fallback(async || Answer::error(405, "this method isn't allowed here"))
}

fn rotation_and_ending() -> Router {
    Router::new()
        .route("/api/regenerate", post(regenerate))
        .route("/api/regenerate-then-set/{key}", post(regenerate_then_set))
        .route(
            "/api/regenerate/status/{code}",
            post(regenerate_with_status),
        )
        .route("/api/regenerate/error", post(regenerate_with_error))
        .route("/api/destroy", post(destroy))
        .route("/api/destroy/status/{code}", post(destroy_with_status))
        .route("/api/destroy/error", post(destroy_with_error))
        .route("/api/destroy/panic", post(destroy_with_panic))
        .route("/api/logout", post(destroy))
}

fn slow_and_failing() -> Router {
    let fail_inside = middleware::from_fn(async |request: Request, next: Next| {
        drop(next.run(request).await);
        rules::failure()
    });
    Router::new()
        .route("/api/slow", get(slow_get))
        .route("/api/slow/{key}", put(slow_put))
        .route("/api/status/{code}/{key}", put(put_with_status))
        .route("/api/error/{key}", put(put_with_error))
        .route("/api/error-inner/{key}", put(put_value).layer(fail_inside))
        .route("/api/panic/{key}", put(put_with_panic))
}

fn not_built() -> Router {
    let answer = async || rules::not_built();
    Router::new()
        .route("/api/login", post(answer))
        .route("/api/sessions", get(answer).delete(answer))
        .route("/api/sessions/{reference}", delete(answer))
        .route("/api/flash", get(answer).post(answer))
        .route("/api/csrf", get(answer))
        .route("/api/csrf-protected", post(answer))
}

async fn page() -> impl IntoResponse {
    (
        [(header::CONTENT_SECURITY_POLICY, rules::PAGE_POLICY)],
        Html(rules::PAGE),
    )
}

async fn get_value(session: Session, key: KeyPath) -> Outcome {
    rules::get_value(&session, &segment(key)?)
}

async fn put_value(session: Session, key: KeyPath, body: RawBody) -> Outcome {
    rules::put_value(&session, &segment(key)?, &bytes(body)?)
}

async fn delete_value(session: Session, key: KeyPath) -> Outcome {
    Ok(rules::delete_value(&session, &segment(key)?))
}

async fn clear(session: Session) -> Answer {
    session.clear();
    Answer::ok()
}

async fn increment(session: Session, key: KeyPath) -> Outcome {
    rules::increment(&session, &segment(key)?)
}

async fn regenerate(session: Session) -> Answer {
    session.regenerate();
    Answer::ok()
}

async fn regenerate_then_set(session: Session, key: KeyPath, body: RawBody) -> Outcome {
    let (key, body) = (segment(key)?, bytes(body)?);
    let value = rules::json_body(&body)?;
    session.regenerate();
    session.set(&key, value)?;
    Ok(Answer::ok())
}

async fn regenerate_with_status(session: Session, code: KeyPath) -> Outcome {
    let answer = rules::status(&segment(code)?)?;
    session.regenerate();
    Ok(answer)
}

async fn regenerate_with_error(session: Session) -> Outcome {
    session.regenerate();
    Err(rules::failure())
}

async fn destroy(session: Session) -> Answer {
    session.destroy();
    Answer::ok()
}

async fn destroy_with_status(session: Session, code: KeyPath) -> Outcome {
    let answer = rules::status(&segment(code)?)?;
    session.destroy();
    Ok(answer)
}

async fn destroy_with_error(session: Session) -> Outcome {
    session.destroy();
    Err(rules::failure())
}

#[expect(clippy::panic, reason = "panicking is what this route is for")]
async fn destroy_with_panic(session: Session) -> Answer {
    session.destroy();
    panic!("the handler panicked, as it was asked to");
}

async fn slow_get(session: Session, query: Pairs) -> Outcome {
    tokio::time::sleep(rules::wait(parameter(&query, "ms"))?).await;
    rules::all_values(&session)
}

async fn slow_put(session: Session, key: KeyPath, query: Pairs, body: RawBody) -> Outcome {
    let (key, body) = (segment(key)?, bytes(body)?);
    let wait = rules::wait(parameter(&query, "ms"))?;
    rules::json_body(&body)?;
    tokio::time::sleep(wait).await;
    rules::put_value(&session, &key, &body)
}

async fn put_with_status(
    session: Session,
    path: Result<Path<(String, String)>, PathRejection>,
    body: RawBody,
) -> Outcome {
    let Path((code, key)) = path.map_err(|_| bad_key())?;
    let answer = rules::status(&code)?;
    rules::put_value(&session, &key, &bytes(body)?)?;
    Ok(answer)
}

async fn put_with_error(session: Session, key: KeyPath, body: RawBody) -> Outcome {
    rules::put_value(&session, &segment(key)?, &bytes(body)?)?;
    Err(rules::failure())
}

#[expect(clippy::panic, reason = "panicking is what this route is for")]
async fn put_with_panic(session: Session, key: KeyPath, body: RawBody) -> Outcome {
    rules::put_value(&session, &segment(key)?, &bytes(body)?)?;
    panic!("the handler panicked, as it was asked to");
}

async fn stream(_session: Session, query: Pairs) -> Result<Response, Answer> {
    let chunks = rules::chunks(parameter(&query, "n"))?;
    let body = Body::from_stream(futures_util::stream::iter(chunks.map(Ok::<_, Infallible>)));
    Ok(([(header::CONTENT_TYPE, "text/plain")], body).into_response())
}

async fn excluded(session: Option<Session>) -> Answer {
    Answer::json(serde_json::json!({"session": session.is_some()}))
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if !self.has_body() {
            return status.into_response();
        }
        (
            status,
            [(header::CONTENT_TYPE, "application/json")],
            self.body.to_string(),
        )
            .into_response()
    }
}

fn segment(key: KeyPath) -> Result<String, Answer> {
    key.map(|Path(key)| key).map_err(|_| bad_key())
}

fn bad_key() -> Answer {
    Answer::error(400, "the path is not valid UTF-8")
}

fn bytes(body: RawBody) -> Result<Bytes, Answer> {
    body.map_err(|error| Answer::error(error.status().as_u16(), "the body can't be read"))
}

fn parameter<'q>(query: &'q Pairs, name: &str) -> Option<&'q str> {
    query.as_ref().ok()?.get(name).map(String::as_str)
}
