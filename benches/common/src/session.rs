//! The session that is measured: seven keys, 302 bytes of JSON, such as an application keeps for a user.

use serde_json::{Value, json};

/// The key that is read, and counted up where a case writes.
pub const COUNTER: &str = "visits";

/// The length of the session as one JSON object.
pub const JSON_LEN: usize = 302;

/// The session's keys and values.
pub fn entries() -> Vec<(&'static str, Value)> {
    vec![
        ("user_id", json!(471_100)),
        ("name", json!("Ada Lovelace")),
        ("roles", json!(["author", "editor", "admin"])),
        (
            "preferences",
            json!({"beta": true, "language": "en-GB", "page_size": 50, "theme": "dark"}),
        ),
        ("csrf_token", json!("5f2c9a".repeat(11)[..64])),
        (
            "recent",
            json!([{"id": 1, "n": 3}, {"id": 22, "n": 1}, {"id": 3, "n": 7}]),
        ),
        (COUNTER, json!(42)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_has_the_length_that_is_told() {
        let object: serde_json::Map<_, _> = entries()
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        assert_eq!(Value::from(object).to_string().len(), JSON_LEN);
    }
}
