//! The emitter: a checked plan as readable Lua.

use std::sync::Arc;

use super::Family;
use crate::plan::CheckedPlan;

/// Writes the family of scripts. The text follows from plan and revision alone.
pub fn emit(_plan: Arc<CheckedPlan>, _revision: u32) -> Family {
    todo!("lua::emit")
}
