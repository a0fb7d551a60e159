//! The explanation of a plan in sentences: what the merchant reads before activating a revision.

use super::CheckedPlan;

/// One entry per constraint and early access, in order; says which attributes can be forged, over
/// which window counts run, and when the sale opens and closes.
pub fn explain(_plan: &CheckedPlan) -> Vec<String> {
    todo!("plan::explain")
}
