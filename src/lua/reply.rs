//! Replies of scripts, whichever engine ran them, and how a flat one is taken apart.

use super::args::text;

/// A script's reply, whichever engine ran it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Nil,
    Int(i64),
    Bulk(Vec<u8>),
    Array(Vec<Reply>),
}

/// The reply is not of the shape the ABI promises.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{script}: unexpected reply: {what}")]
pub struct CodecError {
    pub script: &'static str,
    pub what: String,
}

impl CodecError {
    pub(super) fn new(script: &'static str, what: impl Into<String>) -> Self {
        Self {
            script,
            what: what.into(),
        }
    }
}

/// Takes a flat reply apart, one value at a time.
pub(super) struct Reader {
    script: &'static str,
    parts: std::vec::IntoIter<Reply>,
}

impl Reader {
    pub(super) fn new(script: &'static str, reply: Reply) -> Result<Self, CodecError> {
        match reply {
            Reply::Array(parts) => Ok(Self {
                script,
                parts: parts.into_iter(),
            }),
            other => Err(CodecError {
                script,
                what: format!("{other:?}"),
            }),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.len() == 0
    }

    /// Integers are given as their text; nothing as the empty text.
    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, CodecError> {
        match self.parts.next() {
            Some(Reply::Bulk(bytes)) => Ok(bytes),
            Some(Reply::Int(n)) => Ok(text(n)),
            Some(Reply::Nil) => Ok(Vec::new()),
            other => Err(CodecError {
                script: self.script,
                what: format!("{other:?} for a value"),
            }),
        }
    }

    pub(super) fn word(&mut self) -> Result<String, CodecError> {
        String::from_utf8(self.bytes()?).map_err(|_| CodecError {
            script: self.script,
            what: "not UTF-8".into(),
        })
    }

    /// The empty text counts as 0: a field that was never written.
    pub(super) fn number<T: std::str::FromStr + Default>(&mut self) -> Result<T, CodecError> {
        let word = self.word()?;
        if word.is_empty() {
            return Ok(T::default());
        }
        word.parse().map_err(|_| CodecError {
            script: self.script,
            what: format!("{word:?} for a number"),
        })
    }
}
