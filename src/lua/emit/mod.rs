//! The emitter: a checked plan as readable Lua. What every script shares stands in `lua/parts`; the
//! emitter writes the header, the counters' windows and the questions of the plan.

mod admit;
mod buyers;
mod counts;
mod decide;
mod expr;
mod groups;
mod header;
mod inspect;
mod membership;
mod part;
mod shadow;
mod text;
mod usage;

use std::sync::Arc;

use super::{Family, SCRIPT_BYTES_MAX, Script};
use crate::plan::{CheckedPlan, PLAN_COMMANDS_MAX, PlanError};

/// Writes the family of scripts. The text follows from plan and revision alone. Refused when a
/// script would be longer than [`SCRIPT_BYTES_MAX`].
pub fn emit(plan: Arc<CheckedPlan>, revision: u32) -> Result<Family, PlanError> {
    emit_with_shadow(plan, None, revision)
}

/// The same with a second plan in shadow, checked against the same campaign. Both together have to stay
/// within [`PLAN_COMMANDS_MAX`].
pub fn emit_with_shadow(
    plan: Arc<CheckedPlan>,
    shadow: Option<Arc<CheckedPlan>>,
    revision: u32,
) -> Result<Family, PlanError> {
    let slots = part::slots(&plan, shadow.as_deref());
    let cost = plan.cost_with_shadow(shadow.as_deref(), &slots);
    if cost.commands > PLAN_COMMANDS_MAX {
        return Err(PlanError {
            at: "shadow".into(),
            code: "cost",
            message: format!(
                "with the rules in shadow one attempt could cause {} Redis commands; at most \
                 {PLAN_COMMANDS_MAX} are allowed",
                cost.commands
            ),
        });
    }
    let own_slots = part::read(plan.slots(), &plan, shadow.as_deref()).len();
    let slots = part::read(&slots, &plan, shadow.as_deref());
    let admit = admit::script(&plan, shadow.as_deref(), &slots, revision);
    let admit = script("admit", admit)?;
    let inspect = script("inspect", inspect::script(&plan, revision))?;
    Ok(Family {
        plan,
        shadow,
        slots,
        own_slots,
        cost,
        revision,
        admit,
        inspect,
    })
}

fn script(name: &'static str, text: String) -> Result<Script, PlanError> {
    if text.len() > SCRIPT_BYTES_MAX {
        return Err(PlanError {
            at: "nodes".into(),
            code: "cost",
            message: format!(
                "the plan makes a script of {} bytes; at most {SCRIPT_BYTES_MAX} are allowed: shorten its tables",
                text.len()
            ),
        });
    }
    Ok(Script::new(name, text))
}
