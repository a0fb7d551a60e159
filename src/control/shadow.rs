//! Rules in shadow: how often they say otherwise than the rules that decide.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Control, ControlError};
use crate::lua::calls::ShadowPair;
use crate::revision::PinnedRule;
use crate::store::CampaignRow;

/// The shadow of the active revision against its rules, over all gateways and since the revision was
/// first activated. Attempts that a gateway refuses without asking the script (a SKU known to be sold
/// out, a missing attribute) are in neither number.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ShadowFigures {
    pub rules: Vec<PinnedRule>,
    /// Attempts with the same outcome.
    pub agree: u64,
    /// The most frequent first.
    pub differ: Vec<Difference>,
}

/// Attempts with one outcome by the rules and another by the shadow: `admitted`, `<rule>/<reason>`, or a
/// reason of the gateway; `fault` where the shadow could not be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = ShadowDifference)]
pub struct Difference {
    pub live: String,
    pub shadow: String,
    pub count: u64,
}

impl Control {
    pub(super) async fn shadow_figures(
        &self,
        row: &CampaignRow,
        figures: &BTreeMap<ShadowPair, u64>,
    ) -> Result<Option<ShadowFigures>, ControlError> {
        let number = row.activation.revision;
        let compiled = match self.active(&row.campaign.id) {
            Some(active) if active.revision.number == number => active.compiled.clone(),
            _ => self.stored_revision(&row.campaign.id, number).await?,
        };
        let Some(shadow) = &compiled.revision.shadow else {
            return Ok(None);
        };
        let mut agree = 0;
        let mut differ = Vec::new();
        for (pair, count) in figures.iter().filter(|(pair, _)| pair.revision == number) {
            if pair.live == pair.shadow {
                agree += count;
                continue;
            }
            differ.push(Difference {
                live: pair.live.clone(),
                shadow: pair.shadow.clone(),
                count: *count,
            });
        }
        differ.sort_by_key(|difference| std::cmp::Reverse(difference.count));
        Ok(Some(ShadowFigures {
            rules: shadow.rules.clone(),
            agree,
            differ,
        }))
    }
}
