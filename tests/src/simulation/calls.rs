//! What a store is asked, and what it answers.

use session_core::Timestamp;
use session_core::store::{
    AddOutcome, Expect, IndexEntry, Record, SaveOutcome, StoreKey, Touch, UserKey,
};

#[derive(Clone, Debug)]
pub(super) enum StoreCall {
    Load(StoreKey, Timestamp),
    Save(StoreKey, Record, Expect, Timestamp),
    Touch(StoreKey, Touch, Timestamp),
    Delete(StoreKey),
    AddEntry(UserKey, IndexEntry, Option<usize>, Timestamp),
    RemoveEntry(UserKey, StoreKey),
    Entries(UserKey, Timestamp),
}

#[derive(Clone, Debug)]
pub(super) enum Reply {
    Loaded(Option<Record>),
    Outcome(SaveOutcome),
    Added(AddOutcome),
    Entries(Vec<IndexEntry>),
    Done,
}

impl Reply {
    /// The record that came with the answer.
    pub(super) fn record(&self) -> Option<&Record> {
        match self {
            Self::Loaded(record) => record.as_ref(),
            Self::Outcome(SaveOutcome::Conflict(record)) => record.as_deref(),
            _ => None,
        }
    }
}
