//! What a buyer has used and still has: one call of the `inspect` script, past the lanes, because it
//! decides nothing and must not wait behind orders.

use std::sync::Arc;

use tokio::time::Instant;

use super::call_result::CallResult;
use super::lane::{Lane, RETRY_EVERY};
use super::{Admission, AdmissionError, Refusal};
use crate::lua::codec::{self, InspectReply};
use crate::order::Attempt;
use crate::plan::Attribute;
use crate::plan::decision::Rejection;
use crate::plan::facts::Facts;
use crate::plan::quota::{Allowance, Thought};
use crate::ruleset::Active;

/// The constraints of the active revision as they stand for one buyer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    pub revision: u32,
    /// The engine's clock, milliseconds since 1970-01-01 UTC.
    pub as_of: i64,
    /// How an order would be refused by what is known of it: what an order has to say besides is not asked, nor are
    /// prechecks.
    pub refused: Option<Refusal>,
    pub allowances: Vec<Allowance>,
}

impl Admission {
    /// Reads and never writes. `attempt` is as if ordering; its SKU is the empty text where the buyer
    /// names none, and of its attributes only those count that are there. `None`: the campaign does not
    /// have this SKU. `Refused` where one that is read cannot be read.
    pub async fn quota(&self, campaign: &str, attempt: &Attempt) -> Result<Option<Quota>, AdmissionError> {
        let within = self.shared.config.load().deadline;
        let until = Instant::now() + within;
        let lane = self.lane(campaign).await?;
        loop {
            let active = self.active(campaign).await?;
            let known = |sku: &str| active.campaign.skus.iter().any(|each| each.id == sku);
            if !attempt.sku.is_empty() && !known(&attempt.sku) {
                return Ok(None);
            }
            if let Some(unfit) = active.decides_by.unfit(&attempt.attributes) {
                return Err(AdmissionError::Refused(Box::new(Refusal::unfit(&unfit))));
            }
            let result = match self.inspect(&lane, &active, attempt).await {
                Ok(facts) => return Ok(Some(self.answer_quota(&lane, &active, &facts, attempt).await)),
                Err(result) => result,
            };
            match result {
                CallResult::Closed(_)
                | CallResult::Lost { .. }
                | CallResult::Gone(_)
                | CallResult::Failed(_) => return Err(result.into()),
                CallResult::Later(_) if Instant::now() >= until => return Err(result.into()),
                CallResult::Later(_) => tokio::time::sleep(RETRY_EVERY).await,
                CallResult::Done | CallResult::Again if Instant::now() >= until => {
                    return Err(AdmissionError::Engine(format!("no answer within {within:?}")));
                }
                CallResult::Done | CallResult::Again => {}
            }
        }
    }

    async fn answer_quota(&self, lane: &Lane, active: &Active, facts: &Facts, attempt: &Attempt) -> Quota {
        let plan = &active.family.plan;
        let given = |attribute: &Attribute| is_given(attribute, attempt);
        let thought = Thought {
            plan,
            facts,
            attempt,
            given,
        };
        let refused = match (Refusal::missing(plan, attempt, given), thought.rejection()) {
            (Some(missing), _) => Some(missing),
            (None, Some(Rejection::SoldOut { remaining })) => Some(
                self.sold_out_of(lane, (&attempt.sku, attempt.quantity), remaining)
                    .await,
            ),
            (None, Some(rejection)) => Some(Refusal::named(plan, &rejection, facts.taken_at)),
            (None, None) => None,
        };
        Quota {
            revision: active.revision.number,
            as_of: facts.taken_at,
            refused,
            allowances: thought.allowances(),
        }
    }

    async fn inspect(
        &self,
        lane: &Lane,
        active: &Arc<Active>,
        attempt: &Attempt,
    ) -> Result<Facts, CallResult> {
        let args = codec::inspect_args(&active.family, &active.fence(), attempt);
        let script = &active.family.inspect;
        let begun = lane.local.elapsed();
        let asked = self.shared.ask(&lane.shard, &lane.local, active, script, args);
        let reply = asked.await?;
        match codec::inspect_reply(&active.family, reply) {
            Ok(InspectReply::Counted(facts)) => {
                lane.local.seen_now(facts.taken_at, begun);
                Ok(facts)
            }
            Ok(InspectReply::Fenced(there)) => Err(self.shared.refence(&lane.shard, active, there).await),
            Err(error) => Err(CallResult::Failed(error.to_string())),
        }
    }
}

/// A claim the token lacks counts as the empty text, as it does for an order. What the buyer's program would send is only
/// known when it is sent.
fn is_given(attribute: &Attribute, attempt: &Attempt) -> bool {
    match attribute.brought() {
        Attribute::Sku | Attribute::OfSku(_) => !attempt.sku.is_empty(),
        known @ Attribute::Client(_) => attempt.attributes.contains_key(&known.to_string()),
        Attribute::User
        | Attribute::Quantity
        | Attribute::Ip
        | Attribute::IpNetwork
        | Attribute::Claim(_)
        | Attribute::Folded { .. } => true,
    }
}
