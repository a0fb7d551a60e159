//! The emitter: a checked plan as readable Lua. What every script shares stands in `lua/parts`; the
//! emitter writes the header, the counters' windows and the questions of the plan.

mod admit;
mod counters;
mod decide;
mod expr;
mod header;
mod inspect;
mod text;
mod usage;

use std::sync::Arc;

use super::{Family, SCRIPT_BYTES_MAX, Script};
use crate::plan::{CheckedPlan, PlanError};

/// Writes the family of scripts. The text follows from plan and revision alone. Refused when a
/// script would be longer than [`SCRIPT_BYTES_MAX`].
pub fn emit(plan: Arc<CheckedPlan>, revision: u32) -> Result<Family, PlanError> {
    let admit = script("admit", admit::script(&plan, revision))?;
    let inspect = script("inspect", inspect::script(&plan, revision))?;
    Ok(Family {
        plan,
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
