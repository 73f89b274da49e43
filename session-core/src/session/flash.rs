//! Flash messages: what one response has to say on the next page.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::session::Session;
use crate::data::{Encoded, EscapedKey, Op, View};
use crate::error::{Error, ErrorKind};

/// The most JSON that the flash messages of a session may take: 2 KiB, a few dozen lines. They are kept apart from the
/// application's data, in the library's own entries.
pub const MAX_FLASH_LEN: usize = 2 * 1024;

const KEY: &str = "flash";

/// A message for the visitor's next page, such as "Saved.", which is shown once.
///
/// Two are equal if they say the same at the same level.
#[derive(Clone, Debug)]
pub struct Flash {
    level: FlashLevel,
    message: String,
    /// What tells it apart from others that say the same; none before it is in a session.
    id: Option<u64>,
}

/// How a [`Flash`] is meant: one of the constants, or a word of the application's own, for a CSS class, say.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FlashLevel(Cow<'static, str>);

impl FlashLevel {
    /// `debug`
    pub const DEBUG: Self = Self::new("debug");
    /// `info`
    pub const INFO: Self = Self::new("info");
    /// `success`
    pub const SUCCESS: Self = Self::new("success");
    /// `warning`
    pub const WARNING: Self = Self::new("warning");
    /// `error`
    pub const ERROR: Self = Self::new("error");

    /// A level of the application's own.
    pub const fn new(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// The level's name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for FlashLevel {
    fn from(name: String) -> Self {
        Self(Cow::Owned(name))
    }
}

impl From<&'static str> for FlashLevel {
    fn from(name: &'static str) -> Self {
        Self::new(name)
    }
}

impl fmt::Display for FlashLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Flash {
    /// A message at a level.
    pub fn new(level: impl Into<FlashLevel>, message: impl Into<String>) -> Self {
        Self {
            level: level.into(),
            message: message.into(),
            id: None,
        }
    }

    /// A message at the level `info`.
    pub fn info(message: impl Into<String>) -> Self {
        Self::new(FlashLevel::INFO, message)
    }

    /// A message at the level `success`.
    pub fn success(message: impl Into<String>) -> Self {
        Self::new(FlashLevel::SUCCESS, message)
    }

    /// A message at the level `warning`.
    pub fn warning(message: impl Into<String>) -> Self {
        Self::new(FlashLevel::WARNING, message)
    }

    /// A message at the level `error`.
    pub fn error(message: impl Into<String>) -> Self {
        Self::new(FlashLevel::ERROR, message)
    }

    /// How it is meant.
    pub fn level(&self) -> &FlashLevel {
        &self.level
    }

    /// What it says.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl PartialEq for Flash {
    fn eq(&self, other: &Self) -> bool {
        (&self.level, &self.message) == (&other.level, &other.message)
    }
}

impl Eq for Flash {}

impl fmt::Display for Flash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl<E: From<Error>> Session<E> {
    /// Leaves a message for the visitor's next page. It survives redirects, a login of a visitor and a rotation, and it
    /// begins a session where there is none. [`clear`](Self::clear) leaves it alone; [`destroy`](Self::destroy) and
    /// another user's login take it away, unless it is added afterwards.
    ///
    /// ```
    /// use session_core::{Error, Flash, Session};
    ///
    /// // In the handler of a form, which then redirects:
    /// fn saved(session: &Session) -> Result<(), Error> {
    ///     session.flash(Flash::success("The profile is saved."))
    /// }
    ///
    /// // In the handler of the page that the browser is sent to:
    /// fn banner(session: &Session) -> Result<String, Error> {
    ///     let lines = session.flashes()?;
    ///     let lines = lines.iter().map(|flash| format!("[{}] {flash}\n", flash.level()));
    ///     Ok(lines.collect())
    /// }
    /// ```
    ///
    /// Where several requests leave messages at the same moment, and together they would take more than
    /// [`MAX_FLASH_LEN`] bytes of JSON, the oldest go.
    ///
    /// # Errors
    /// [`ErrorKind::PayloadTooLarge`] if the messages would take more than that already now, and
    /// [`ErrorKind::Random`] if the random generator fails. The session is then as it was.
    pub fn flash(&self, flash: Flash) -> Result<(), E> {
        Ok(self.put_flashes(vec![flash])?)
    }

    /// The messages for this page, the oldest first. Each is seen by one request alone: the next one doesn't get it, while
    /// messages that others add meanwhile stay for it. (Two requests that load the session at the same moment may both
    /// show a message.) If the request fails, the messages stay.
    ///
    /// # Errors
    /// None today; the signature leaves room for some.
    pub fn flashes(&self) -> Result<Vec<Flash>, E> {
        let mut state = self.shared.state();
        let flashes = stored(&state.reserved()?);
        if flashes.is_empty() {
            return Ok(flashes);
        }
        let seen: Vec<_> = flashes.iter().map(|flash| flash.id).collect();
        let recorded = state.record_reserved(change(move |flashes| {
            flashes.retain(|flash| !seen.contains(&flash.id));
        }));
        drop(state);
        recorded.settle(self.shared.events());
        Ok(flashes)
    }

    /// The messages for this page, which stay for the next one.
    ///
    /// # Errors
    /// As [`flashes`](Self::flashes).
    pub fn peek_flashes(&self) -> Result<Vec<Flash>, E> {
        let state = self.shared.state();
        Ok(stored(&state.reserved()?))
    }

    /// Leaves messages that [`flashes`](Self::flashes) gave for the next page after all: where this response is another
    /// redirect, say.
    ///
    /// # Errors
    /// As [`flash`](Self::flash).
    pub fn keep_flashes(&self, flashes: impl IntoIterator<Item = Flash>) -> Result<(), E> {
        Ok(self.put_flashes(flashes.into_iter().collect())?)
    }

    /// Puts these among those that are there, each once.
    fn put_flashes(&self, mut added: Vec<Flash>) -> Result<(), Error> {
        for flash in &mut added {
            if flash.id.is_none() {
                flash.id = Some(self.new_flash_id()?);
            }
        }
        let mut state = self.shared.state();
        let mut together = stored(&state.reserved()?);
        put(&mut together, &added);
        check_len(encode(&together).len())?;
        let put = change(move |flashes| {
            put(flashes, &added);
            // Other requests may have left messages meanwhile. The oldest make room; the data of a request doesn't get lost
            // for a message.
            while encode(flashes).len() > MAX_FLASH_LEN {
                flashes.remove(0);
            }
        });
        let recorded = state.record_reserved(put);
        drop(state);
        recorded.settle(self.shared.events());
        Ok(())
    }

    fn new_flash_id(&self) -> Result<u64, Error> {
        let mut bytes = [0; 8];
        let random = &self.shared.manager().environment().random;
        random.fill_unique(&mut bytes).map_err(|error| {
            let message = "the random generator failed, which a flash message needs";
            Error::with_source(ErrorKind::Random, message, error)
        })?;
        Ok(u64::from_le_bytes(bytes))
    }
}

/// Puts these among those that are there, each once.
fn put(flashes: &mut Vec<Flash>, added: &[Flash]) {
    for flash in added {
        if !flashes.iter().any(|other| other.id == flash.id) {
            flashes.push(flash.clone());
        }
    }
}

fn check_len(len: usize) -> Result<(), Error> {
    if len > MAX_FLASH_LEN {
        let message = format!(
            "the flash messages would take {len} bytes of JSON; their limit is {MAX_FLASH_LEN}"
        );
        return Err(Error::new(ErrorKind::PayloadTooLarge, message));
    }
    Ok(())
}

/// The messages in a view of the reserved entries.
fn stored(reserved: &View) -> Vec<Flash> {
    let value = reserved.get(&EscapedKey::new(KEY));
    value.map_or_else(Vec::new, |value| parse(value.json()))
}

/// The operation that changes the messages, on whatever record it runs.
fn change(change: impl Fn(&mut Vec<Flash>) + Send + Sync + 'static) -> Op {
    let recompute = move |json: Option<&[u8]>| {
        let mut flashes = json.map_or_else(Vec::new, parse);
        change(&mut flashes);
        Ok((!flashes.is_empty()).then(|| encode(&flashes)))
    };
    Op::Update(EscapedKey::new(KEY).into_owned(), Arc::new(recompute))
}

/// An entry that can't be read has no messages.
fn parse(json: &[u8]) -> Vec<Flash> {
    let stored: Vec<(u64, String, String)> = serde_json::from_slice(json).unwrap_or_default();
    let flash = |(id, level, message): (u64, String, String)| Flash {
        level: level.into(),
        message,
        id: Some(id),
    };
    stored.into_iter().map(flash).collect()
}

fn encode(flashes: &[Flash]) -> Encoded {
    let entry = flashes
        .iter()
        .map(|flash| serde_json::json!([flash.id, flash.level.as_str(), flash.message]));
    let entries = serde_json::Value::Array(entry.collect());
    entries.to_string().into_bytes().into()
}
