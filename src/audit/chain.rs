//! The chain: each line has a number in its merchant's chain, and a hash over itself and the hash before it.
//!
//! ```text
//!  content = SHA-256 of the JSON array  [salt, detail, note]
//!  hash    = SHA-256 of the JSON array  ["rushgate audit 1", merchant, number, at, actor, key, person, address, action, target,
//!                                        content, hash before]
//! ```
//!
//! Detail and note are in the hash by their salted digest alone: the name of an erased buyer can go, and whoever tries names against
//! the digest that stays finds nothing without the salt that went with it.

use data_encoding::HEXLOWER;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::line::{Asker, AuditLine};
use crate::access::DEFAULT_MERCHANT;

/// The first member of what is hashed: another form has another one.
const FORM: &str = "rushgate audit 1";
/// The action of lines that say whose details were masked, because a buyer was erased.
pub const MASK: &str = "audit.mask";
/// The action of lines that say which rows were there before they were in a chain.
pub const SEAL: &str = "audit.seal";

/// The last line of a merchant's chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub merchant: String,
    /// 0: there is none.
    pub number: u64,
    /// Hexadecimal; empty where there is no line.
    pub hash: String,
}

impl Head {
    /// Of a chain without a line.
    pub fn of(merchant: &str) -> Self {
        Self {
            merchant: merchant.to_owned(),
            number: 0,
            hash: String::new(),
        }
    }
}

/// A line as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// In order of writing, over all merchants.
    pub seq: i64,
    pub merchant: String,
    /// In the merchant's chain, from 1; `None`: it is in none.
    pub number: Option<u64>,
    /// Milliseconds since 1970-01-01 UTC.
    pub at: i64,
    pub by: Asker,
    pub action: String,
    pub target: String,
    /// JSON, to the letter.
    pub detail: String,
    pub note: Option<String>,
    pub salt: Option<String>,
    /// What `hash` has of detail and note. Where they were masked later, still that of what was written.
    pub content: Option<String>,
    pub hash: Option<String>,
}

impl AuditEntry {
    /// A line that is not kept yet, in no chain.
    pub fn of(line: &AuditLine<'_>) -> Self {
        Self {
            seq: 0,
            merchant: line.merchant.unwrap_or(DEFAULT_MERCHANT).to_owned(),
            number: None,
            at: line.at,
            by: line.by.into(),
            action: line.action.to_owned(),
            target: line.target.clone(),
            detail: line.detail.to_string(),
            note: line.note.map(str::to_owned),
            salt: None,
            content: None,
            hash: None,
        }
    }

    /// Puts it behind the head, which it is then.
    pub fn chain(&mut self, head: &mut Head, salt: String) {
        head.number += 1;
        self.number = Some(head.number);
        self.salt = Some(salt);
        self.content = Some(self.digest());
        head.hash = self.link(&head.hash);
        self.hash = Some(head.hash.clone());
    }

    /// What detail and note come to as they are now.
    pub fn digest(&self) -> String {
        sha256(&json!([self.salt, self.detail, self.note]))
    }

    /// What its hash has to be behind this one.
    pub fn link(&self, before: &str) -> String {
        let Asker {
            actor,
            key,
            person,
            address,
        } = &self.by;
        sha256(&json!([
            FORM,
            self.merchant,
            self.number,
            self.at,
            actor,
            key,
            person,
            address,
            self.action,
            self.target,
            self.content,
            before
        ]))
    }

    /// Its detail, as far as that is JSON.
    pub fn said(&self) -> Value {
        serde_json::from_str(&self.detail).unwrap_or_else(|_| Value::String(self.detail.clone()))
    }
}

fn sha256(value: &Value) -> String {
    HEXLOWER.encode(&Sha256::digest(value.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What docs/AUDIT.md shows can be computed by anybody: it stays as it is.
    #[test]
    fn the_form_is_as_the_page_says() {
        let line = AuditLine::new(
            1_795_229_721_007,
            "ann",
            "campaign.pause",
            "spring",
            json!({"to": null}),
        );
        let mut entry = AuditEntry::of(&line.noted(Some("rain")));
        let mut head = Head::of("default");
        entry.chain(&mut head, "5a17".to_owned());
        let content = HEXLOWER.encode(&Sha256::digest(r#"["5a17","{\"to\":null}","rain"]"#));
        assert_eq!(entry.content.as_ref(), Some(&content));
        let hashed = format!(
            r#"["rushgate audit 1","default",1,1795229721007,"ann",null,null,null,"campaign.pause","spring","{content}",""]"#
        );
        assert_eq!(head.hash, HEXLOWER.encode(&Sha256::digest(hashed)));
        assert_eq!(head.number, 1);
    }
}
