//! What requests do with their session.

use std::time::Duration;

use serde_json::{Value, json};
use session_core::{Error, Flash, Login, Session, SessionInfo, SessionRef, Timestamp};

use super::profile::{self, Profile};
use super::{Answer, Ending, SessionError, Watch};

/// What a request does with its session, with everything that it needs read and checked.
#[derive(Debug)]
pub(super) enum Action {
    AllValues,
    GetValue(String),
    DeleteValue(String),
    Increment(String),
    Info,
    /// Waits, and shows everything.
    SlowRead(Duration),
    /// Waits, and stores the value.
    SlowWrite(Duration, String, Value),
    /// Sends as many lines.
    Stream(u32),
    /// Sends events for as long.
    Watch(Duration),
    Login(Login),
    Flash(Flash),
    /// Shows the messages, which are gone then.
    Flashes,
    CsrfToken,
    /// Succeeds if the user has proved within this time who they are.
    Fresh(Duration),
    Reauthenticate,
    EndEverywhere,
    /// Takes an amount from one value and adds it to another.
    Move {
        from: String,
        to: String,
        n: i64,
    },
    Profile,
    SetProfile(Profile),
    DeleteProfile,
    Sessions,
    EndSession(SessionRef),
    /// Ends the user's other sessions, or all.
    EndSessions {
        all: bool,
    },
    /// Makes the change, and ends in one of several ways.
    Change(Change, Afterwards),
}

#[derive(Debug)]
pub(super) enum Change {
    Set(String, Value),
    Clear,
    Regenerate,
    RegenerateThenSet(String, Value),
    Destroy,
}

/// How the handler ends when the change is made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Afterwards {
    Answer,
    Status(u16),
    Fail,
    Panic,
}

impl Action {
    /// The error is the session's.
    pub(super) async fn run<E: SessionError>(self, session: &Session<E>) -> Result<Ending, E> {
        let answer = match self {
            Self::AllValues => all_values(session)?,
            Self::GetValue(key) => {
                let value: Option<Value> = session.get(&key)?;
                Answer::json(&json!({"exists": value.is_some(), "value": value}))
            }
            Self::DeleteValue(key) => Answer::json(&json!({"existed": session.delete(key)})),
            Self::Increment(key) => increment(session, &key)?,
            Self::Info => info(session),
            Self::SlowRead(wait) => {
                tokio::time::sleep(wait).await;
                all_values(session)?
            }
            Self::SlowWrite(wait, key, value) => {
                tokio::time::sleep(wait).await;
                session.set(&key, value)?;
                Answer::ok()
            }
            Self::Stream(lines) => Answer::lines(lines),
            Self::Watch(time) => {
                return Ok(Ending::Watch(
                    Answer::events(),
                    Watch::new(session.clone(), time),
                ));
            }
            Self::Login(login) => {
                session.login(login)?;
                Answer::ok()
            }
            Self::Flash(flash) => {
                session.flash(flash)?;
                Answer::ok()
            }
            Self::Flashes => flashes(&session.flashes()?),
            Self::CsrfToken => {
                let token = session.csrf_token()?;
                Answer::json(&json!({"token": token.as_str()}))
            }
            Self::Move { from, to, n } => move_amount(session, from, to, n)?,
            Self::Fresh(within) => {
                session.require_fresh(within)?;
                Answer::ok()
            }
            Self::Reauthenticate => {
                session.reauthenticate()?;
                Answer::ok()
            }
            Self::EndEverywhere => {
                let ended = session.end_everywhere().await?;
                Answer::json(&json!({"ended": ended}))
            }
            Self::Profile => profile::show(session)?,
            Self::SetProfile(profile) => profile::store(session, &profile)?,
            Self::DeleteProfile => profile::start_over(session),
            Self::Sessions | Self::EndSession(_) | Self::EndSessions { .. }
                if session.user().is_none() =>
            {
                Answer::error(401, "nobody is logged in")
            }
            Self::Sessions => list(&session.list_sessions().await?),
            Self::EndSession(reference) => match session.end_session(reference).await? {
                true => Answer::ok(),
                false => Answer::no_such_session(),
            },
            Self::EndSessions { all } => {
                let others = session.end_other_sessions().await?;
                if all {
                    session.logout();
                }
                Answer::json(&json!({"ended": others + usize::from(all)}))
            }
            Self::Change(change, afterwards) => {
                change.make(session)?;
                return Ok(afterwards.end());
            }
        };
        Ok(Ending::Answer(answer))
    }
}

impl Change {
    fn make<E: SessionError>(self, session: &Session<E>) -> Result<(), E> {
        match self {
            Self::Set(key, value) => session.set(&key, value)?,
            Self::Clear => session.clear(),
            Self::Regenerate => session.regenerate(),
            Self::RegenerateThenSet(key, value) => {
                session.regenerate();
                session.set(&key, value)?;
            }
            Self::Destroy => session.destroy(),
        }
        Ok(())
    }
}

impl Afterwards {
    fn end(self) -> Ending {
        match self {
            Self::Answer => Ending::Answer(Answer::ok()),
            Self::Status(status @ ..400) => {
                Ending::Answer(Answer::with_status(status, &json!({"ok": true})))
            }
            Self::Status(status) => {
                Ending::Answer(Answer::error(status, "the status that was asked for"))
            }
            Self::Fail => {
                Ending::Error(Answer::error(500, "the handler failed, as it was asked to"))
            }
            Self::Panic => Ending::Panic,
        }
    }
}

fn all_values<E: SessionError>(session: &Session<E>) -> Result<Answer, E> {
    Ok(Answer::json(&json!({"values": session.entries()?})))
}

fn increment<E: SessionError>(session: &Session<E>, key: &str) -> Result<Answer, E> {
    let add_one = |value: Option<Value>| match value.unwrap_or_default() {
        Value::Null => Ok(Value::from(1)),
        Value::Number(n) => n
            .as_i64()
            .and_then(|n| n.checked_add(1))
            .map(Value::from)
            .ok_or(()),
        _ => Err(()),
    };
    Ok(match session.try_update(key, add_one)? {
        Ok(value) => Answer::json(&json!({"value": value})),
        Err(()) => Answer::error(422, "the value is not an integer that can be increased"),
    })
}

fn flashes(flashes: &[Flash]) -> Answer {
    let shown = flashes
        .iter()
        .map(|flash| json!({"level": flash.level().as_str(), "message": flash.message()}));
    Answer::json(&json!({"messages": shown.collect::<Vec<_>>()}))
}

/// Why nothing was moved.
enum NotMoved<E> {
    Refused,
    Failed(E),
}

impl<E: From<Error>> From<Error> for NotMoved<E> {
    fn from(error: Error) -> Self {
        Self::Failed(error.into())
    }
}

fn move_amount<E: SessionError>(
    session: &Session<E>,
    from: String,
    to: String,
    n: i64,
) -> Result<Answer, E> {
    let amount = |value: Option<Value>| match value.unwrap_or_default() {
        Value::Null => Ok(0),
        value => value.as_i64().ok_or(NotMoved::Refused),
    };
    let moved = session.atomically(move |draft| {
        let taken = amount(draft.get(&from)?)?.checked_sub(n);
        let left = taken.filter(|left| *left >= 0).ok_or(NotMoved::Refused)?;
        draft.set(&from, left)?;
        let sum = amount(draft.get(&to)?)?.checked_add(n);
        let sum = sum.ok_or(NotMoved::Refused)?;
        draft.set(&to, sum)?;
        Ok((draft.get_or(&from, left)?, sum))
    });
    match moved {
        Ok((from, to)) => Ok(Answer::json(&json!({"from": from, "to": to}))),
        Err(NotMoved::Refused) => Ok(Answer::error(
            422,
            "the values have to be integers, and the first one large enough",
        )),
        Err(NotMoved::Failed(error)) => Err(error),
    }
}

fn list(sessions: &[SessionInfo]) -> Answer {
    let shown = sessions.iter().map(|session| {
        json!({
            "ref": session.reference.to_string(),
            "current": session.is_current,
            "created_at": session.created_at.as_unix_secs(),
            "last_seen_at": session.last_active_at.as_unix_secs(),
            "authenticated_at": session.authenticated_at.as_unix_secs(),
            "label": session.label.as_deref(),
        })
    });
    Answer::json(&json!({"sessions": shown.collect::<Vec<_>>()}))
}

fn info<E: From<Error>>(session: &Session<E>) -> Answer {
    Answer::json(&json!({
        "new": session.is_new(),
        "user": session.user().map(|user| user.name.to_string()),
        "created_at": session.created_at().map(Timestamp::as_unix_secs),
        "expires_at": session.expires_at().map(Timestamp::as_unix_secs),
        "superseded": session.is_superseded(),
        "ref": session.reference().map(|reference| reference.to_string()),
    }))
}
