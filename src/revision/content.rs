//! What a revision holds, as one digest: an approval is of this digest, so that it is of nothing that the approver has not seen.
//!
//! ```text
//!  digest = SHA-256 of the JSON array ["rushgate revision 1", campaign, its uid, number, {part: SHA-256 of the part's JSON, …}]
//! ```

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Revision;
use crate::campaign::{Campaign, Sku};

/// The digest of a revision, and of each of its parts, in lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub digest: String,
    pub parts: BTreeMap<String, String>,
}

/// Why a revision may not be put in force in a campaign where two people have to agree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unapproved {
    /// Nobody has approved it, or nobody whose approval counts.
    #[error("{0}")]
    Missing(String),
    /// What was approved is not what there is.
    #[error("{detail}")]
    Stale { detail: String, differs: Vec<String> },
    /// The approver is no other person.
    #[error("{0}")]
    SamePerson(String),
}

impl Content {
    /// `campaign` has the stock that the database says, `members` is the digest of each list version that it pins.
    pub fn of(revision: &Revision, campaign: &Campaign, members: &BTreeMap<String, String>) -> Self {
        let schedule = revision.schedule;
        let shadow = revision.shadow.as_ref();
        let times = (schedule.opens_at, schedule.closes_at, schedule.retention_days());
        let parts = [
            ("rules", sha(&revision.rules)),
            ("shadow", sha(&shadow.map(|shadow| &shadow.rules))),
            (
                "plan",
                sha(&(
                    &revision.plan,
                    &revision.plan_digest,
                    shadow.map(|shadow| &shadow.plan),
                )),
            ),
            ("fold", sha(&revision.folds)),
            ("times", sha(&times)),
            ("lists", sha(&(&revision.audiences, members))),
            ("stock", sha(&stock(revision, campaign))),
        ];
        let parts: BTreeMap<String, String> = parts
            .into_iter()
            .map(|(name, digest)| (name.to_owned(), digest))
            .collect();
        let whole = (
            "rushgate revision 1",
            &campaign.id,
            &campaign.uid,
            revision.number,
            &parts,
        );
        Self {
            digest: sha(&whole),
            parts,
        }
    }

    /// Names of the parts that are others than in `parts`.
    pub fn differs(&self, parts: &BTreeMap<String, String>) -> Vec<String> {
        let other = |(name, digest): &(&String, &String)| parts.get(*name) != Some(*digest);
        let names = self.parts.iter().filter(other);
        names.map(|(name, _)| name.clone()).collect()
    }
}

/// The SKUs that it was made for: units in all, and attributes. What is added to the campaign later leaves them as they were.
fn stock<'a>(
    revision: &'a Revision,
    campaign: &'a Campaign,
) -> Vec<(&'a str, u64, &'a BTreeMap<String, String>)> {
    let units = |sku: &Sku| match &revision.stock {
        None => Some(sku.stock),
        Some(stock) => stock.get(&sku.id).copied(),
    };
    let skus = campaign.skus.iter();
    skus.filter_map(|sku| Some((sku.id.as_str(), units(sku)?, &sku.attributes)))
        .collect()
}

/// Maps are in order of their keys, whatever order they were written in.
fn sha(value: &impl Serialize) -> String {
    // Nothing of a revision has keys that are no texts, which is all that can fail.
    let json = serde_json::to_value(value).map(|value| value.to_string());
    HEXLOWER.encode(&Sha256::digest(json.unwrap_or_default()))
}
