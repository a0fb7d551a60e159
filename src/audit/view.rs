//! A line as lists and exports show it: with all that its place in the chain can be computed from.

use serde::Serialize;
use serde_json::Value;

use super::chain::{AuditEntry, Head};
use super::line::Asker;
use crate::wire::Moment;

/// A line of the audit trail.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = AuditLine)]
pub struct AuditView {
    /// In order of writing, over all merchants.
    pub seq: i64,
    pub merchant: String,
    /// In the merchant's chain, from 1; missing where it is in none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    pub at: Moment,
    pub actor: String,
    /// Id of the key that was shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whose key that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// Where it was asked from: an address, or `local` for a command that was run beside the database. Missing where a process did by
    /// itself what was asked for before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    pub action: String,
    pub target: String,
    /// What was done; `from` and `to` where there is a before and an after.
    #[schema(value_type = Object)]
    pub detail: Value,
    /// Why, in the words of whoever asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
    /// SHA-256 of salt, detail and note as they were written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
    /// SHA-256 of the line and of the hash before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

impl From<AuditEntry> for AuditView {
    fn from(entry: AuditEntry) -> Self {
        let detail = entry.said();
        let Asker {
            actor,
            key,
            person,
            address,
        } = entry.by;
        Self {
            seq: entry.seq,
            merchant: entry.merchant,
            number: entry.number,
            at: Moment(entry.at),
            actor,
            key,
            person,
            address,
            action: entry.action,
            target: entry.target,
            detail,
            note: entry.note,
            salt: entry.salt,
            content: entry.content,
            hash: entry.hash,
        }
    }
}

/// The last line of a merchant's chain.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = AuditHead)]
pub struct HeadView {
    pub merchant: String,
    /// 0: there is none.
    pub number: u64,
    /// Empty where there is none.
    pub hash: String,
}

impl From<Head> for HeadView {
    fn from(head: Head) -> Self {
        let Head {
            merchant,
            number,
            hash,
        } = head;
        Self {
            merchant,
            number,
            hash,
        }
    }
}
