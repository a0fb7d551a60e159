//! Whose pages may read what gateways say of a campaign: changed while it runs, and no rule with it.

use std::sync::Arc;

use super::problem::Problem;
use super::requests::check_origins;
use crate::campaign::Origins;
use crate::store::CampaignRow;

/// What a change asks for: left out they stay, `null` are those that the configuration names.
pub(super) type Asked = Option<Option<Vec<String>>>;

pub(super) fn check(asked: &Asked, problems: &mut Vec<Problem>) {
    let list = asked.as_ref().and_then(|list| list.as_deref());
    check_origins(list, problems);
}

/// Those that a campaign is to have, what was asked for being in order.
pub(super) fn after(asked: &Asked, row: &CampaignRow) -> Option<Arc<Origins>> {
    match asked {
        None => row.origins.clone(),
        Some(list) => check_origins(list.as_deref(), &mut Vec::new()).map(Arc::new),
    }
}

/// What it comes to.
pub(super) fn told(origins: Option<&Origins>, dry_run: bool) -> String {
    let may = if dry_run { "could" } else { "can" };
    match origins {
        None => format!("Pages {may} read what is said of it as the configuration says."),
        Some(origins) if origins.is_empty() => {
            format!("No page of another origin {may} read what is said of it.")
        }
        Some(origins) if origins.is_any() => format!("Pages of every origin {may} read what is said of it."),
        Some(origins) => {
            let names: Vec<&str> = origins.iter().collect();
            format!("Pages of {} {may} read what is said of it.", names.join(", "))
        }
    }
}
