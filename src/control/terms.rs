//! The terms of a campaign's orders, as a merchant says them: how long an order is held until it is paid, whether its buyer may
//! cancel it, and what comes back of one that ends.

use std::collections::BTreeMap;

use serde::Serialize;

use super::problem::Problem;
use super::{Control, ControlError};
use crate::order::{HOLD_MINUTES_MAX, Hold, OrderState, OrderTerms, REASONS_MAX, Release, check_reason};
use crate::wire::json;

/// The terms as they are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = OrderTerms)]
pub struct TermsView {
    /// Missing where no order expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    pub cancel_by_buyer: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub releases: BTreeMap<String, Release>,
}

impl From<OrderTerms> for TermsView {
    fn from(terms: OrderTerms) -> Self {
        Self {
            hold: terms.hold,
            cancel_by_buyer: terms.cancel_by_buyer,
            releases: terms.releases,
        }
    }
}

impl Control {
    /// The terms of a campaign's orders.
    pub(super) async fn terms(&self, campaign: &str) -> Result<OrderTerms, ControlError> {
        let terms = self.store.order_terms(campaign).await?;
        terms.ok_or_else(|| ControlError::Unknown(format!("no campaign {campaign:?}")))
    }
}

pub(super) fn check_terms(terms: &OrderTerms, problems: &mut Vec<Problem>) {
    let minutes = terms.hold.map_or(1, |hold| hold.minutes);
    if !(1..=HOLD_MINUTES_MAX).contains(&minutes) {
        let detail = format!("is not within 1 to {HOLD_MINUTES_MAX}, which are 30 days");
        problems.push(Problem::new("/hold/minutes", detail));
    }
    let count = terms.releases.len();
    if count > REASONS_MAX {
        let detail = format!("names {count} reasons; at most {REASONS_MAX} are allowed");
        problems.push(Problem::new("/releases", detail));
        return;
    }
    for reason in terms.releases.keys() {
        let there = |what: String| Problem::new(format!("/releases/{}", json::escape(reason)), what);
        match check_reason(reason) {
            Err(wrong) => problems.push(there(wrong)),
            Ok(()) if is_idle(reason) => problems.push(
                there("is a state of which these terms are never asked".to_owned())
                    .hint("name cancelled, expired or refunded, or the reason that such an order ends for"),
            ),
            Ok(()) => {}
        }
    }
}

/// Whether the name is that of a state of which the terms are never asked: nothing comes back there, or everything always does.
fn is_idle(name: &str) -> bool {
    let asked = [OrderState::Cancelled, OrderState::Expired, OrderState::Refunded];
    OrderState::of(name).is_some_and(|state| !asked.contains(&state))
}

/// What other terms come to, in sentences.
pub(super) fn told_terms(before: &OrderTerms, after: &OrderTerms, dry_run: bool) -> Vec<String> {
    let mut sentences = Vec::new();
    if before.hold != after.hold {
        let (would, expires) = if dry_run {
            ("would have", "would expire")
        } else {
            ("have", "expires")
        };
        sentences.push(match after.hold {
            Some(hold) => {
                let minutes = hold.minutes;
                format!("Orders that land from now on {would} to be paid within {minutes} min, or expire.")
            }
            None => format!("None of the orders that land from now on {expires}."),
        });
    }
    let may = match (after.cancel_by_buyer, dry_run) {
        (true, false) => "may cancel what is not paid",
        (true, true) => "could cancel what is not paid",
        (false, false) => "cannot cancel any more",
        (false, true) => "could not cancel any more",
    };
    if before.cancel_by_buyer != after.cancel_by_buyer {
        sentences.push(format!("Buyers {may}."));
    }
    if before.releases != after.releases {
        let comes = if dry_run { "would come" } else { "comes" };
        let said = after.releases.iter();
        let said = said.map(|(reason, release)| format!("{} for {reason}", release.as_str()));
        let said: Vec<String> = said.chain(["everything otherwise".to_owned()]).collect();
        sentences.push(format!(
            "Of an order that ends {comes} back: {}.",
            said.join(", ")
        ));
    }
    sentences
}
