//! Comparisons whose failures tell a store's author what went wrong.

use std::fmt::Debug;

use session_core::store::{Record, RecordState, SaveOutcome, StoreError};

/// `what` must have been answered [`SaveOutcome::Saved`].
#[track_caller]
pub(super) fn assert_saved(outcome: &SaveOutcome, what: &str) {
    assert!(
        *outcome == SaveOutcome::Saved,
        "{what} was answered {}; it has to be stored, and answered Saved",
        describe(outcome)
    );
}

/// `what` must have been answered [`SaveOutcome::Missing`].
#[track_caller]
pub(super) fn assert_missing(outcome: &SaveOutcome, what: &str) {
    assert!(
        *outcome == SaveOutcome::Missing,
        "{what} was answered {}; it has to change nothing, and be answered Missing",
        describe(outcome)
    );
}

/// `what` must have been answered [`SaveOutcome::Conflict`], with no record or with the current one.
#[track_caller]
pub(super) fn assert_conflict(outcome: &SaveOutcome, current: &Record, what: &str) {
    let SaveOutcome::Conflict(carried) = outcome else {
        panic!(
            "{what} was answered {}; it has to change nothing, and be answered Conflict",
            describe(outcome)
        );
    };
    if let Some(carried) = carried {
        assert!(
            **carried == *current,
            "{what} was answered with a conflict that carries another record than the current one: {}. \
             Carry the current one, or none",
            differences(carried, current)
        );
    }
}

/// What `load` found must be what is expected.
#[track_caller]
pub(super) fn assert_same(found: Option<&Record>, expected: Option<&Record>, when: &str) {
    match (found, expected) {
        (None, None) => {}
        (Some(found), Some(expected)) => assert!(
            found == expected,
            "{when}, `load` has to return the record exactly as it was given, but: {}",
            differences(found, expected)
        ),
        (None, Some(expected)) => panic!(
            "{when}, `load` found nothing, but has to return {}",
            name(expected)
        ),
        (Some(found), None) => panic!(
            "{when}, `load` has to find nothing, but returned {}",
            name(found)
        ),
    }
}

/// What `load` found must be one of these.
#[track_caller]
pub(super) fn assert_one_of(found: Option<&Record>, allowed: &[Option<&Record>], when: &str) {
    if !allowed.contains(&found) {
        let compared: Vec<_> = allowed
            .iter()
            .map(|allowed| match (found, allowed) {
                (Some(found), Some(allowed)) => differences(found, allowed),
                (found, allowed) => format!(
                    "it returned {} where it could have returned {}",
                    found.map_or("nothing", name),
                    allowed.map_or("nothing", name)
                ),
            })
            .collect();
        panic!(
            "{when}, `load` returned what was neither there before nor written whole. Compared with what              it may return: {}",
            compared.join(" -- or: ")
        );
    }
}

/// `what` must have failed, as opposed to having found nothing.
#[track_caller]
pub(super) fn assert_error<T: Debug>(answer: Result<T, StoreError>, what: &str) -> StoreError {
    match answer {
        Err(error) => error,
        Ok(answer) => panic!(
            "{what} was answered {answer:?}; a failure has to be an error, or the session is taken for \
             missing or for saved"
        ),
    }
}

fn describe(outcome: &SaveOutcome) -> String {
    match outcome {
        SaveOutcome::Saved => "Saved".into(),
        SaveOutcome::Conflict(None) => "Conflict".into(),
        SaveOutcome::Conflict(Some(record)) => format!("Conflict, carrying {}", name(record)),
        _ => "Missing".into(),
    }
}

fn name(record: &Record) -> &'static str {
    match record.state {
        RecordState::Live(_) => "a live record",
        RecordState::Superseded { .. } => "a superseded record",
        _ => "an ended record",
    }
}

/// Which fields differ, and how.
fn differences(found: &Record, expected: &Record) -> String {
    let mut fields = Differences::default();
    fields.compare("version", &found.version, &expected.version);
    fields.compare("expires_at", &found.expires_at, &expected.expires_at);
    match (&found.state, &expected.state) {
        (RecordState::Live(found), RecordState::Live(expected)) => {
            fields.compare("created_at", &found.created_at, &expected.created_at);
            let (active, expected_active) = (&found.last_active_at, &expected.last_active_at);
            fields.compare("last_active_at", active, expected_active);
            let (from, end) = (&found.absolute_from, &found.absolute_end);
            fields.compare("absolute_from", from, &expected.absolute_from);
            fields.compare("absolute_end", end, &expected.absolute_end);
            fields.compare("reference", &found.reference, &expected.reference);
            fields.compare("persistent", &found.persistent, &expected.persistent);
            fields.compare("flags", &found.flags, &expected.flags);
            fields.compare("reserved", found.reserved(), expected.reserved());
            fields.compare("lifetime", &found.lifetime, &expected.lifetime);
            fields.compare("user", &found.user, &expected.user);
            fields.compare_data(found.data.as_json(), expected.data.as_json());
        }
        (found, expected) => fields.compare("state", found, expected),
    }
    fields.0.join("; ")
}

#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn compare<T: PartialEq + Debug>(&mut self, field: &str, found: &T, expected: &T) {
        if found != expected {
            self.0
                .push(format!("{field} is {found:?} and should be {expected:?}"));
        }
    }

    /// Shows where the data starts to differ; all of it may be long.
    fn compare_data(&mut self, found: &[u8], expected: &[u8]) {
        if found == expected {
            return;
        }
        let at = found
            .iter()
            .zip(expected)
            .take_while(|(a, b)| a == b)
            .count();
        let excerpt = |bytes: &[u8]| {
            let end = bytes.len().min(at + 16);
            String::from_utf8_lossy(&bytes[at..end]).into_owned()
        };
        self.0.push(format!(
            "data has {} bytes and should have {}; from byte {at} on it is {:?} and should be {:?}",
            found.len(),
            expected.len(),
            excerpt(found),
            excerpt(expected)
        ));
    }
}
