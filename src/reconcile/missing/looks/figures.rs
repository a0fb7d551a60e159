//! What is counted of the looks, for whoever operates the sale.

use std::collections::BTreeMap;

use super::super::super::compare::{Difference, Gap, Place};

/// Counts since the start, and what is missing now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Orders sent again.
    pub sent_again: u64,
    /// Times that the orders of a campaign were read to name those that are missing.
    pub scans: u64,
    /// Looks at a campaign that failed.
    pub failed: u64,
    /// Campaigns that miss something, or have too much of it.
    pub campaigns: BTreeMap<String, CampaignFigures>,
}

/// What a campaign misses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CampaignFigures {
    /// Units nobody has, of the newest look.
    pub units: i64,
    /// Units that are on sale and that somebody has, of the newest look.
    pub surplus: i64,
    /// Orders the newest scan found missing.
    pub orders: u64,
    /// Of these, orders that cannot be sent again by themselves: an operator decides.
    pub for_operator: u64,
}

impl Figures {
    pub(super) fn show(&mut self, campaign: &str, gap: &Gap) {
        if gap.is_empty() && !self.campaigns.contains_key(campaign) {
            return;
        }
        let figures = self.campaigns.entry(campaign.to_owned()).or_default();
        figures.units = gap.values().filter(|units| **units > 0).sum();
        figures.surplus = -gap.values().filter(|units| **units < 0).sum::<i64>();
    }

    /// The sums are right: nothing is left to tell, unless an operator has to decide about an order that something
    /// else hides.
    pub(super) fn drop_settled(&mut self, campaign: &str) {
        if self.for_operator(campaign) == 0 {
            self.campaigns.remove(campaign);
        }
    }

    pub(super) fn for_operator(&self, campaign: &str) -> u64 {
        self.campaigns
            .get(campaign)
            .map_or(0, |figures| figures.for_operator)
    }

    pub(super) fn note(&mut self, campaign: &str, lost: usize, for_operator: usize, sent: usize) {
        let figures = self.campaigns.entry(campaign.to_owned()).or_default();
        (figures.orders, figures.for_operator) = (lost as u64, for_operator as u64);
        self.sent_again += sent as u64;
        if *figures == CampaignFigures::default() {
            self.campaigns.remove(campaign);
        }
    }
}

/// Units of these orders, by SKU.
pub(super) fn units_of<'d>(orders: impl Iterator<Item = &'d Difference>) -> Gap {
    let mut units = Gap::new();
    for order in orders {
        if let Place::Order { sku, quantity, .. } = &order.place {
            *units.entry(sku.clone()).or_default() += i64::from(*quantity);
        }
    }
    units
}
