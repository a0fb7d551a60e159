//! Golden examples as engine-neutral data: what to check a plan against, the state to start from, and the
//! attempts with their moments.

use std::collections::BTreeMap;

use super::{Descriptor, Example, Expected};
use crate::campaign::{Schedule, buckets_for};
use crate::order::{Attempt, OrderId};
use crate::plan::decision::Decision;
use crate::plan::merge::RulePlan;
use crate::plan::state::State;
use crate::plan::{AudienceRef, CheckContext, CheckedPlan, Plan};

/// One attempt of an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Milliseconds since 1970-01-01 UTC.
    pub now: i64,
    pub attempt: Attempt,
    pub expect: Expected,
}

/// What the example's plan is checked against. Every audience is its version 1 in one bucket.
pub fn check_context(example: &Example) -> CheckContext {
    let pinned = |(id, _): &(String, Vec<String>)| (id.clone(), AudienceRef::whole(1, 1));
    CheckContext {
        campaign: example.context.campaign.clone(),
        schedule: Schedule {
            opens_at: example.context.opens_at,
            closes_at: example.context.closes_at,
            retention_ms: crate::campaign::RETENTION_MS,
        },
        skus: example.context.skus.clone().into(),
        audiences: example.audiences.iter().map(pinned).collect(),
        buckets: buckets_for(&example.context.skus),
    }
}

/// The state before the first attempt: all of the stock, the audiences filled, nothing used.
pub fn state(example: &Example) -> State {
    let stock = example.context.skus.iter().map(|sku| {
        let units = i64::try_from(sku.stock).unwrap_or(i64::MAX);
        (sku.id.clone(), units)
    });
    State {
        stock: stock.collect(),
        audiences: example
            .audiences
            .iter()
            .map(|(id, members)| (id.clone(), members.iter().cloned().collect()))
            .collect(),
        ..State::default()
    }
}

/// The attempts in order, each an order of its own.
pub fn steps(example: &Example) -> Vec<Step> {
    let order = |index: usize| {
        OrderId::keyed(
            &example.context.campaign,
            &example.name,
            &format!("attempt {index}"),
        )
    };
    example
        .attempts
        .iter()
        .enumerate()
        .map(|(index, attempt)| Step {
            now: example.context.opens_at.saturating_add(attempt.at_ms),
            attempt: Attempt {
                order: order(index),
                user: attempt.user.clone(),
                sku: attempt.sku.clone(),
                quantity: attempt.quantity,
                attributes: attempt.attributes.iter().cloned().collect::<BTreeMap<_, _>>(),
            },
            expect: attempt.expect.clone(),
        })
        .collect()
}

/// A module's plan with what its descriptor declares, ready to be merged; named by the module's id.
pub fn rule_plan(descriptor: &Descriptor, plan: Plan) -> RulePlan {
    RulePlan {
        name: descriptor.id.clone(),
        plan,
        reasons: descriptor
            .reasons
            .iter()
            .map(|reason| (reason.code.clone(), reason.retryable))
            .collect(),
        attributes: descriptor
            .attributes
            .iter()
            .map(|need| (need.attribute.clone(), need.required))
            .collect(),
    }
}

/// A decision in the words of an example. An order that was admitted before counts as admitted.
pub fn outcome(plan: &CheckedPlan, decision: &Decision) -> Expected {
    let reason = match decision {
        Decision::Admitted | Decision::Existing(_) => return Expected::Admitted,
        Decision::Rejected(rejection) => rejection.reason(plan),
    };
    Expected::Rejected(reason.to_owned())
}
