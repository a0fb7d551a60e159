//! The checker: turns an untrusted [`Plan`] into a [`CheckedPlan`], or says what is wrong and where.

mod counters;
mod parts;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use self::counters::check_counters;
use self::parts::{check_attributes, check_constraint, check_early};
use super::ceiling::ceilings;
use super::certain::Certain;
use super::checked::CheckedPlan;
use super::context::{CheckContext, check_context};
use super::cost::cost;
use super::error::PlanError;
use super::facts::Wanted;
use super::nodes::check_nodes;
use super::reach::reachable;
use super::slots::{read, slots};
use super::unfit::{Reads, arrays};
use super::{
    PLAN_ATTRIBUTES_MAX, PLAN_COMMANDS_MAX, PLAN_CONSTRAINTS_MAX, PLAN_COUNTERS_MAX, PLAN_EARLY_ACCESS_MAX,
    PLAN_NODES_MAX, PLAN_TEXTS_BYTES_MAX, Plan, SkuTexts,
};

/// Checks everything; the first problem found is the answer.
pub fn check(plan: Plan, context: CheckContext) -> Result<CheckedPlan, PlanError> {
    check_context(&context)?;
    check_sizes(&plan)?;
    let nodes = check_nodes(&plan, &context)?;
    let periods = check_counters(&plan, &context, &nodes)?;
    let mut text_bytes = nodes.text_bytes;
    for (index, constraint) in plan.constraints.iter().enumerate() {
        check_constraint(&plan, constraint, &nodes).map_err(|error| error.under("constraints", index))?;
        text_bytes += constraint.sentence.len();
    }
    for (index, early) in plan.early_access.iter().enumerate() {
        check_early(early, &nodes).map_err(|error| error.under("early_access", index))?;
        text_bytes += early.sentence.len();
    }
    if text_bytes > PLAN_TEXTS_BYTES_MAX {
        let message =
            format!("the plan's texts take {text_bytes} bytes; at most {PLAN_TEXTS_BYTES_MAX} are allowed");
        return Err(PlanError::new("nodes", "bound", message));
    }
    let reached = reachable(&plan);
    let attributes = check_attributes(&plan, &reached)?;
    let sku_texts = SkuTexts::of(&context.skus, read(&plan, &reached));
    let reads = Reads::of(&plan, &reached, &attributes);
    let slots = slots(&plan, &reached);
    let wanted = Wanted::of(&plan);
    let ceilings = ceilings(&plan);
    let certain = Certain::of(&plan, &nodes);
    let cost = cost(&plan, &context, &reached, &slots, attributes.len());
    if cost.commands > PLAN_COMMANDS_MAX {
        let message = format!(
            "one attempt could cause {} Redis commands; at most {PLAN_COMMANDS_MAX} are allowed",
            cost.commands
        );
        return Err(PlanError::new("nodes", "cost", message));
    }
    let digest = digest(&plan, &context);
    Ok(CheckedPlan {
        arrays: arrays(&plan),
        plan,
        context,
        kinds: nodes.kinds,
        periods,
        slots,
        wanted,
        ceilings,
        certain,
        attributes,
        sku_texts,
        reads,
        cost,
        digest,
    })
}

/// SHA-256 over what decides: the plan, the schedule and the versions of the uploaded lists.
fn digest(plan: &Plan, context: &CheckContext) -> String {
    let json = serde_json::to_vec(&(plan, context.schedule, &context.audiences))
        .expect("a plan is plain data with text keys");
    HEXLOWER.encode(&Sha256::digest(json))
}

fn check_sizes(plan: &Plan) -> Result<(), PlanError> {
    for (at, count, most) in [
        ("nodes", plan.nodes.len(), PLAN_NODES_MAX),
        ("counters", plan.counters.len(), PLAN_COUNTERS_MAX),
        ("constraints", plan.constraints.len(), PLAN_CONSTRAINTS_MAX),
        ("early_access", plan.early_access.len(), PLAN_EARLY_ACCESS_MAX),
        ("required", plan.required.len(), PLAN_ATTRIBUTES_MAX),
    ] {
        if count > most {
            return Err(PlanError::new(
                at,
                "bound",
                format!("{count} {at}; at most {most} are allowed"),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod wild;
