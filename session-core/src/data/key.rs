//! A key as it stands in the encoded text.

use std::cmp::Ordering;
use std::sync::Arc;

/// A key as it stands in the text: escaped, without its quotes.
#[derive(Clone, Debug)]
pub(crate) enum EscapedKey<'k> {
    Borrowed(&'k str),
    /// Shared between the log and the view.
    Shared(Arc<str>),
}

impl<'k> EscapedKey<'k> {
    pub(crate) fn new(key: &'k str) -> Self {
        if key
            .bytes()
            .all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\')
        {
            return Self::Borrowed(key);
        }
        let mut literal = serde_json::Value::from(key).to_string();
        literal.pop();
        literal.remove(0);
        Self::Shared(literal.into())
    }

    pub(crate) fn into_owned(self) -> EscapedKey<'static> {
        EscapedKey::Shared(match self {
            Self::Borrowed(text) => text.into(),
            Self::Shared(text) => text,
        })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.text().as_bytes()
    }

    pub(crate) fn reborrow(&self) -> EscapedKey<'_> {
        EscapedKey::Borrowed(self.text())
    }

    /// The escaped key in these bytes of a text; `None` if they aren't UTF-8.
    pub(crate) fn from_text(bytes: &'k [u8]) -> Option<Self> {
        std::str::from_utf8(bytes).ok().map(Self::Borrowed)
    }

    /// The key as the application wrote it; `None` if it isn't the inside of a JSON string.
    pub(crate) fn unescape(&self) -> Option<String> {
        let text = self.text();
        if !text.contains('\\') {
            return Some(text.to_owned());
        }
        serde_json::from_str(&format!("\"{text}\"")).ok()
    }

    fn text(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

/// Keys are in the order of their bytes, wherever these lie.
impl Ord for EscapedKey<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        #[cfg(test)]
        super::work::step();
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl PartialOrd for EscapedKey<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for EscapedKey<'_> {
    fn eq(&self, other: &Self) -> bool {
        #[cfg(test)]
        super::work::step();
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for EscapedKey<'_> {}
