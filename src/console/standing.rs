//! How a revision stands where two people have to agree, as its page says it.

use axum::http::Method;
use serde_json::json;

use super::api::{Ask, segment};
use super::figures::{Campaign, Revision};
use super::page;
use super::sale::shown;
use super::visitor::Reached;
use super::words::{Words, fill};

/// How a revision stands, as its page says it.
pub(super) struct Standing {
    pub(super) made_by: Option<String>,
    /// Who approved it, and when.
    pub(super) approvals: Vec<String>,
    pub(super) is_approved: bool,
    /// Why it cannot be put in force; empty where it can.
    pub(super) lacks: String,
    pub(super) digest: String,
    pub(super) action: String,
    pub(super) curl: String,
}

impl Standing {
    /// `None` where nobody has to approve anything.
    pub(super) fn of(
        words: &Words,
        (campaign, revision): (&Campaign, &Revision),
        number: u32,
        (reached, has_session): (&Reached, bool),
    ) -> Option<Self> {
        if !campaign.four_eyes {
            return None;
        }
        let standing = revision.approvals.iter().filter(|one| one.withdrawn_at.is_none());
        let told = |person: &str, at| {
            let by = fill(words.by, &[("who", &person)]);
            format!("{} {by}", shown(at))
        };
        let digest = revision.digest.clone().unwrap_or_default();
        Some(Self {
            made_by: revision.made_by.as_ref().map(|made| made.person.clone()),
            approvals: standing.map(|one| told(&one.person, one.at)).collect(),
            is_approved: revision.approved,
            lacks: match revision.may_activate {
                true => String::new(),
                false => revision.lacks.clone().unwrap_or_default(),
            },
            action: format!("{}/revisions/{number}/approve", page::sale_path(&campaign.id)),
            curl: approval(&campaign.id, number, &digest, None).curl(&reached.origin, has_session),
            digest,
        })
    }
}

/// What approves it.
pub(super) fn approval(id: &str, number: u32, digest: &str, note: Option<&str>) -> Ask {
    let mut body = json!({ "digest": digest });
    if let Some(note) = note {
        body["note"] = note.into();
    }
    let path = format!("/campaigns/{}/revisions/{number}/approve", segment(id));
    Ask::send(Method::POST, path, body)
}
