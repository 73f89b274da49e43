//! How the trace of a violation shows calls, replies and answers.

use session_core::store::{AddOutcome, RecordState, SaveOutcome};

use crate::simulation::calls::{Reply, StoreCall};
use crate::simulation::kinds::Answer;

pub(super) fn show_call(call: &StoreCall) -> String {
    match call {
        StoreCall::Load(key, now) => format!("load {key} at {}", now.as_unix_millis()),
        StoreCall::Save(key, record, expect, _) => format!(
            "save {key} {} until {} expecting {expect:?}",
            show_state(&record.state),
            record.expires_at.as_unix_millis()
        ),
        StoreCall::Touch(key, touch, _) => {
            format!("touch {key} until {}", touch.expires_at.as_unix_millis())
        }
        StoreCall::Delete(key) => format!("delete {key}"),
        StoreCall::AddEntry(user, entry, cap, _) => {
            format!("list {} for {user}, cap {cap:?}", entry.key)
        }
        StoreCall::RemoveEntry(user, key) => format!("unlist {key} for {user}"),
        StoreCall::Entries(user, _) => format!("entries of {user}"),
    }
}

fn show_state(state: &RecordState) -> String {
    match state {
        RecordState::Live(live) => {
            let data = String::from_utf8_lossy(live.data.as_json());
            match &live.user {
                Some(user) => format!("{data:?} of {}", user.name),
                None => format!("{data:?}"),
            }
        }
        RecordState::Superseded { successor, .. } => format!("superseded by {successor}"),
        RecordState::Ended { by, .. } => format!("ended by {by:?}"),
        _ => "in an unknown state".to_owned(),
    }
}

pub(super) fn show_reply(reply: &Reply) -> &'static str {
    match reply {
        Reply::Loaded(None) => "nothing",
        Reply::Loaded(Some(record)) if record.live().is_some() => "a live record",
        Reply::Loaded(Some(_)) => "a tombstone",
        Reply::Outcome(SaveOutcome::Saved) => "saved",
        Reply::Outcome(SaveOutcome::Conflict(_)) => "conflict",
        Reply::Outcome(_) => "missing",
        Reply::Added(AddOutcome::Full) => "full",
        Reply::Added(_) => "added",
        Reply::Entries(_) => "entries",
        Reply::Done => "done",
    }
}

/// Shows how a request ended; without an answer its server crashed.
pub(super) fn show_answer(answer: Option<&Answer>, dropped: bool) -> String {
    let Some(Answer {
        error, set_cookie, ..
    }) = answer
    else {
        return "crashed".to_owned();
    };
    let status = match error {
        None => "200".to_owned(),
        Some(error) => format!("{error:?}"),
    };
    let cookie = match set_cookie.as_deref() {
        None => "no cookie",
        Some("") => "removal",
        Some(_) => "cookie",
    };
    let dropped = if dropped { ", dropped" } else { "" };
    format!("{status} with {cookie}{dropped}")
}
