//! A line that is to be written, and who is behind it.

use serde_json::Value;

use super::Only;

/// Where a command asks from that is run beside the database.
pub const HERE: &str = "local";
/// Who acts where a process does so by itself.
pub const OWN: &str = "rushgate";

/// Who asks for a change, and from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskedBy<'a> {
    /// As lists name them: `admin`, `payments`, the name of a key, a person where a command is run.
    pub actor: &'a str,
    /// Id of the key that was shown.
    pub key: Option<&'a str>,
    /// Whose key that is.
    pub person: Option<&'a str>,
    /// Of the connection; [`HERE`] of a command. `None`: nobody is asking just now, a process does what is its own to do or was asked
    /// for before.
    pub address: Option<&'a str>,
    /// How what is to change has to be; `None`: that was looked at, or nobody says.
    pub only_if: Option<Only<'a>>,
}

impl<'a> AskedBy<'a> {
    /// Whoever runs a command beside the database.
    pub fn here(actor: &'a str) -> Self {
        Self {
            address: Some(HERE),
            ..actor.into()
        }
    }

    /// The same for what comes behind the first step of a change.
    pub fn begun(self) -> Self {
        Self {
            only_if: self.only_if.map(Only::begun),
            ..self
        }
    }

    /// The same for a change of something else, which the condition is not about.
    pub fn otherwise(self) -> Self {
        Self {
            only_if: None,
            ..self
        }
    }
}

impl<'a> From<&'a str> for AskedBy<'a> {
    fn from(actor: &'a str) -> Self {
        Self {
            actor,
            key: None,
            person: None,
            address: None,
            only_if: None,
        }
    }
}

impl<'a> From<&'a String> for AskedBy<'a> {
    fn from(actor: &'a String) -> Self {
        actor.as_str().into()
    }
}

/// The same, kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asker {
    pub actor: String,
    pub key: Option<String>,
    pub person: Option<String>,
    pub address: Option<String>,
}

impl Asker {
    pub fn by(&self) -> AskedBy<'_> {
        AskedBy {
            actor: &self.actor,
            key: self.key.as_deref(),
            person: self.person.as_deref(),
            address: self.address.as_deref(),
            only_if: None,
        }
    }
}

impl From<AskedBy<'_>> for Asker {
    fn from(by: AskedBy<'_>) -> Self {
        Self {
            actor: by.actor.to_owned(),
            key: by.key.map(str::to_owned),
            person: by.person.map(str::to_owned),
            address: by.address.map(str::to_owned),
        }
    }
}

/// A line of the audit trail, as whoever makes a change hands it to the transaction that makes it.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditLine<'a> {
    /// Milliseconds since 1970-01-01 UTC.
    pub at: i64,
    pub by: AskedBy<'a>,
    /// `campaign.pause`.
    pub action: &'a str,
    /// What was changed: a campaign's id, a list's, a letter's.
    pub target: String,
    /// A JSON object: what was done, `from` and `to` where there is one before and one after.
    pub detail: Value,
    /// Why, in the words of whoever asked.
    pub note: Option<&'a str>,
    /// Whose chain it is in; where nobody says, that of whoever owns what it is about.
    pub merchant: Option<&'a str>,
}

impl<'a> AuditLine<'a> {
    pub fn new(
        at: i64,
        by: impl Into<AskedBy<'a>>,
        action: &'a str,
        target: impl Into<String>,
        detail: Value,
    ) -> Self {
        Self {
            at,
            by: by.into(),
            action,
            target: target.into(),
            detail,
            note: None,
            merchant: None,
        }
    }

    /// The same with the words of whoever asked.
    pub fn noted(self, note: Option<&'a str>) -> Self {
        Self { note, ..self }
    }

    /// The same in this merchant's chain: what it is about is gone when it is written.
    pub fn of_merchant(self, merchant: &'a str) -> Self {
        let merchant = Some(merchant);
        Self { merchant, ..self }
    }

    /// The same with one more member of its detail, which the transaction alone knows.
    pub fn saying(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.detail[name] = value.into();
        self
    }
}
