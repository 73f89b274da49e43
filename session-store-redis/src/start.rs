//! What is found out about the servers before a store is given out: what can't work doesn't start.

use redis::{Cmd, Value};

use crate::engine::Engine;
use crate::error::{Failure, SetupError};
use crate::node::Deadline;

/// What a single server is refused with that turns out to belong to a cluster.
const IS_OF_A_CLUSTER: &str = "this server is a node of a cluster: connect with redis-cluster://, or \
    rediss-cluster:// for TLS";

/// Asks each server whether it lets this user do what the store does, and whether it keeps what it is given. A server
/// that can't answer now, such as one that is still reading its files, is taken as it is.
pub(crate) async fn check(
    engine: &Engine,
    key_prefix: &str,
    deadline: Deadline,
) -> Result<(), SetupError> {
    let probes = probes(key_prefix);
    let about_memory = redis::cmd("INFO").arg("memory").clone();
    let commands: Vec<_> = probes.iter().map(|(_, command)| command.clone()).collect();
    let commands = [commands, vec![about_memory]].concat();
    let mut policy = None;
    for mut answers in engine.ask_each(&commands, deadline).await {
        let memory = answers.pop();
        let is_single = matches!(engine, Engine::Single(_));
        if is_single && answers.iter().any(is_redirection) {
            return Err(SetupError::config(IS_OF_A_CLUSTER));
        }
        let names = probes.iter().map(|(name, _)| *name);
        Missing::of(names.zip(&answers)).check(key_prefix)?;
        if let Some(Ok(Value::BulkString(memory))) = memory {
            policy = policy.or_else(|| policy_of_eviction(&String::from_utf8_lossy(&memory)));
        }
    }
    if let Some(policy) = policy {
        tracing::warn!(
            target: "session",
            policy,
            "Redis evicts sessions that are alive when its memory is used up, which signs visitors out and hides \
             sessions from their users: set maxmemory-policy noeviction"
        );
    }
    Ok(())
}

/// The commands that the store sends or has scripts call, by the names that the access control has for them: each so
/// that it changes nothing. Nothing is ever stored under their keys, which lie in different slots of a cluster.
fn probes(key_prefix: &str) -> Vec<(&'static str, Cmd)> {
    let commands: [(&str, &[&str]); 11] = [
        ("get", &[]),
        ("getrange", &["0", "0"]),
        ("set", &["", "XX", "PX", "1"]),
        ("setrange", &["0", ""]),
        ("pexpire", &["1"]),
        ("pttl", &[]),
        ("del", &[]),
        ("zadd", &["XX", "0", "nobody"]),
        ("zrem", &["nobody"]),
        ("zcard", &[]),
        ("zrangebylex", &["-", "+", "LIMIT", "0", "1"]),
    ];
    let scripts = [("evalsha", "of no script"), ("eval", "return 0")];
    let key = |name: &str| format!("{key_prefix}start:{name}");
    let commands = commands.map(|(name, arguments)| {
        let command = redis::cmd(name).arg(key(name)).arg(arguments).clone();
        (name, command)
    });
    let scripts = scripts.map(|(name, script)| {
        let command = redis::cmd(name).arg(script).arg(1).arg(key(name)).clone();
        (name, command)
    });
    commands.into_iter().chain(scripts).collect()
}

fn is_redirection(answer: &Result<Value, Failure>) -> bool {
    matches!(answer, Err(Failure::Refused(refusal)) if refusal.text().starts_with("MOVED "))
}

/// What a server doesn't let this user do.
#[derive(Default)]
struct Missing {
    /// Commands that the user may not run.
    rights: Vec<&'static str>,
    /// Commands that the server doesn't have, or not under this name.
    commands: Vec<&'static str>,
    /// Whether the user may not read and write our keys.
    keys: bool,
}

impl Missing {
    fn of<'a>(answers: impl Iterator<Item = (&'static str, &'a Result<Value, Failure>)>) -> Self {
        let mut missing = Self::default();
        for (name, answer) in answers {
            let Err(Failure::Refused(refusal)) = answer else {
                continue;
            };
            if refusal.is_unknown_command() {
                missing.commands.push(name);
            } else if refusal.text().starts_with("NOPERM") {
                match refusal.text().contains(" to access ") {
                    true => missing.keys = true,
                    false => missing.rights.push(name),
                }
            }
        }
        missing
    }

    fn check(self, key_prefix: &str) -> Result<(), SetupError> {
        if !self.commands.is_empty() {
            let names = self.commands.join(", ").to_uppercase();
            return Err(SetupError::lacking(format!(
                "the Redis server doesn't have what the store needs, or under another name: {names}"
            )));
        }
        let keys = self.keys.then(|| format!(" ~{key_prefix}*"));
        let rights = self.rights.iter().map(|name| format!(" +{name}"));
        let granted: String = keys.into_iter().chain(rights).collect();
        if granted.is_empty() {
            return Ok(());
        }
        Err(SetupError::lacking(format!(
            "the Redis user may not do what the store needs: grant it with ACL SETUSER <user>{granted}"
        )))
    }
}

/// How a server chooses what it throws away, by what it says about its memory; `None` if it keeps everything.
fn policy_of_eviction(memory: &str) -> Option<String> {
    let value = |name: &str| memory.lines().find_map(|line| line.strip_prefix(name));
    let policy = value("maxmemory_policy:")?.trim();
    let has_bound = value("maxmemory:")?.trim() != "0";
    (has_bound && policy != "noeviction").then(|| policy.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Refusal;

    /// What the servers of several versions say.
    #[test]
    fn what_is_missing_is_told_from_what_is_away() {
        let told = |text: &str| {
            let answer = Err(Failure::Refused(Refusal::new(text)));
            let checked = Missing::of([("evalsha", &answer)].into_iter()).check("shop:");
            checked.map_err(|error| error.to_string())
        };
        for (text, grant) in [
            (
                "NOPERM this user has no permissions to run the 'evalsha' command",
                "ACL SETUSER <user> +evalsha",
            ),
            (
                "NOPERM User access has no permissions to run the 'evalsha' command",
                "ACL SETUSER <user> +evalsha",
            ),
            (
                "NOPERM this user has no permissions to access one of the keys used as arguments",
                "ACL SETUSER <user> ~shop:*",
            ),
            (
                "NOPERM No permissions to access a key",
                "ACL SETUSER <user> ~shop:*",
            ),
            (
                "ERR unknown command 'EVALSHA', with args beginning with: ",
                "name: EVALSHA",
            ),
        ] {
            let error = told(text).unwrap_err();
            assert!(error.ends_with(grant), "{text}: {error}");
        }
        for text in [
            "NOSCRIPT No matching script.",
            "LOADING Redis is loading the dataset in memory",
            "OOM command not allowed when used memory > 'maxmemory'.",
            "READONLY You can't write against a read only replica.",
            "MOVED 3999 127.0.0.1:6381",
        ] {
            assert_eq!(told(text), Ok(()), "{text}");
        }
    }
}
