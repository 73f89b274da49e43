//! Scripts, which servers know by their hash once they have seen the text.

use std::sync::LazyLock;

use redis::{ToRedisArgs, Value};
use sha1::{Digest as _, Sha1};

use crate::engine::Engine;
use crate::error::Failure;
use crate::node::Deadline;

pub(crate) static SAVE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/save.lua")));
pub(crate) static TOUCH: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/touch.lua")));
pub(crate) static ADD: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/add.lua")));
pub(crate) static REMOVE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/remove.lua")));

/// A script that works on one key.
pub(crate) struct Script {
    text: &'static str,
    hash: String,
}

impl Script {
    fn new(text: &'static str) -> Self {
        let hash: [u8; 20] = Sha1::digest(text).into();
        Self {
            text,
            hash: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }

    /// Runs it by its hash, and by its text on a server that doesn't know it: a new one, or one whose scripts were
    /// flushed. That server then hasn't run anything yet, so that nothing is done twice.
    pub(crate) async fn run(
        &self,
        engine: &Engine,
        key: &str,
        arguments: impl ToRedisArgs,
        deadline: Deadline,
    ) -> Result<Value, Failure> {
        let command = |name, script: &str| {
            let mut command = redis::cmd(name);
            command.arg(script).arg(1).arg(key).arg(&arguments);
            command
        };
        let answer = engine
            .call(key, &command("EVALSHA", &self.hash), deadline)
            .await;
        match answer {
            Err(Failure::Refused(refusal)) if refusal.is_unknown_script() => {
                let with_text = command("EVAL", self.text);
                engine.call(key, &with_text, deadline).await
            }
            answer => answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_known_by_its_sha1() {
        let hash = Script::new("abc").hash;
        assert_eq!(hash, "a9993e364706816aba3e25717850c26c9cd0d89d");
    }
}
