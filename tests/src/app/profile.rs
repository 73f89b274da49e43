//! A struct of the application's in the session.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use session_core::{ErrorKind, Place, Session, Typed, TypedData};

use super::{Answer, SessionError};

/// What the visitor says about themselves.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub(super) struct Profile {
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    theme: Option<String>,
    visits: u32,
}

impl TypedData for Profile {
    const PLACE: Place = Place::Key("profile");
}

/// Reads a profile from a request.
pub(super) fn parse(body: Value) -> Result<Profile, Answer> {
    let shape =
        r#"a profile is {"name":"ada","theme":"dark","visits":1}, where the theme may be missing"#;
    serde_json::from_value(body).map_err(|_| Answer::error(422, shape))
}

pub(super) fn show<E: SessionError>(session: &Session<E>) -> Result<Answer, E> {
    let profile = Typed::<Profile, E>::new(session.clone()).get();
    match profile {
        Ok(Some(profile)) => Ok(Answer::json(&json!(profile))),
        Ok(None) => Ok(Answer::error(404, "there is no profile")),
        Err(error) if error.kind() == ErrorKind::Mismatch => Ok(Answer::session_error(&error)),
        Err(error) => Err(error),
    }
}

pub(super) fn store<E: SessionError>(session: &Session<E>, profile: &Profile) -> Result<Answer, E> {
    Typed::new(session.clone()).set(profile)?;
    Ok(Answer::ok())
}

pub(super) fn start_over<E: SessionError>(session: &Session<E>) -> Answer {
    Typed::<Profile, E>::new(session.clone()).delete();
    Answer::ok()
}
