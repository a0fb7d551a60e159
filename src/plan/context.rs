//! What a plan is checked against: the campaign as the revision sees it, and whether that makes sense itself.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::error::PlanError;
use super::fold::list_of;
use super::{Audiences, NOW_MAX};
use crate::audience::ListKind;
use crate::campaign::{
    CAMPAIGN_DAYS_MAX, SKU_ATTRIBUTES_MAX, SKUS_MAX, STOCK_MAX, Schedule, Sku, Skus, check_id,
};
use crate::order::{check_sku, check_sku_attribute};

/// What a plan is checked against: the campaign as the revision sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckContext {
    pub campaign: String,
    pub schedule: Schedule,
    pub skus: Skus,
    /// Uploaded lists the plan may ask for.
    pub audiences: Audiences,
    /// Hash buckets of the campaign's keys.
    pub buckets: u32,
}

impl CheckContext {
    /// What the members of a list are.
    pub fn kind_of(&self, audience: &str) -> &ListKind {
        self.audiences
            .get(audience)
            .map_or(&ListKind::Texts, |list| &list.kind)
    }
}

pub(super) fn check_context(context: &CheckContext) -> Result<(), PlanError> {
    let bound = |at: &str, message: String| Err(PlanError::new(format!("context/{at}"), "bound", message));
    let Schedule {
        opens_at,
        closes_at,
        retention_ms,
    } = context.schedule;
    if !(0 <= opens_at && opens_at < closes_at && closes_at <= NOW_MAX) {
        let message = format!("opens at {opens_at} and closes at {closes_at}; it must open before it closes");
        return bound("schedule", message);
    }
    if closes_at - opens_at > CAMPAIGN_DAYS_MAX * 86_400_000 {
        return bound(
            "schedule",
            format!("a campaign lasts at most {CAMPAIGN_DAYS_MAX} days"),
        );
    }
    if !(0..=NOW_MAX - closes_at).contains(&retention_ms) {
        let message = format!("its state cannot be kept for {retention_ms} ms after it closed");
        return bound("schedule", message);
    }
    if let Err(error) = check_id(&context.campaign) {
        return Err(PlanError::new(
            "context/campaign",
            "name",
            format!("the id {error}"),
        ));
    }
    check_skus(&context.skus)?;
    if !(1..=65_536).contains(&context.buckets) {
        return bound(
            "buckets",
            format!("{} buckets; 1 to 65536 are allowed", context.buckets),
        );
    }
    for (id, audience) in &context.audiences {
        let at = format!("context/audiences/{id}");
        check_key(id, &audience.kind).map_err(|message| PlanError::new(&at, "audience", message))?;
        if !(1..=65_536).contains(&audience.buckets) {
            let message = format!("{} buckets; 1 to 65536 are allowed", audience.buckets);
            return Err(PlanError::new(at, "audience", message));
        }
        if let ListKind::Addresses(lengths) = &audience.kind
            && (lengths.v4.last() > Some(&32) || lengths.v6.last() > Some(&128))
        {
            let message = "ranges longer than an address".to_owned();
            return Err(PlanError::new(at, "audience", message));
        }
    }
    Ok(())
}

fn check_skus(skus: &[Sku]) -> Result<(), PlanError> {
    let bound = |message: String| Err(PlanError::new("context/skus", "bound", message));
    if !(1..=SKUS_MAX).contains(&skus.len()) {
        let count = skus.len();
        return bound(format!("{count} SKUs; 1 to {SKUS_MAX} are allowed"));
    }
    let mut ids = BTreeSet::new();
    let mut units: u64 = 0;
    for (index, sku) in skus.iter().enumerate() {
        let at = format!("context/skus/{index}/id");
        check_sku(&sku.id).map_err(|error| PlanError::new(&at, "name", format!("the id {error}")))?;
        if !ids.insert(&sku.id) {
            let message = format!("the SKU {:?} is there twice", sku.id);
            return Err(PlanError::new(at, "name", message));
        }
        check_attributes(sku).map_err(|message| {
            let at = format!("context/skus/{index}/attributes");
            PlanError::new(at, "attribute", message)
        })?;
        units = units.saturating_add(sku.stock);
    }
    if units > STOCK_MAX {
        return bound(format!("{units} units; at most {STOCK_MAX} are allowed"));
    }
    Ok(())
}

/// The key of a list, among those that a revision pins.
fn check_key(key: &str, kind: &ListKind) -> Result<(), String> {
    let (list, fold) = list_of(key);
    check_id(list).map_err(|error| format!("the id {error}"))?;
    match fold {
        None if list != key => Err("it is folded in a way that this build does not know".to_owned()),
        Some(_) if *kind != ListKind::Texts => Err("addresses are not folded".to_owned()),
        _ => Ok(()),
    }
}

fn check_attributes(sku: &Sku) -> Result<(), String> {
    let attributes = &sku.attributes;
    if attributes.len() > SKU_ATTRIBUTES_MAX {
        let count = attributes.len();
        return Err(format!(
            "{count} attributes; at most {SKU_ATTRIBUTES_MAX} are allowed"
        ));
    }
    let mut each = attributes.iter();
    each.try_for_each(|(name, value)| check_sku_attribute(name, value))
}
