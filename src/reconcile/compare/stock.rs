//! Stock, SKU by SKU: what the engine has left and what is held elsewhere must make the total.

use std::collections::BTreeMap;

use super::shard::Desk;
use super::{CompareError, Difference, Kind, Mend, Part, Place};
use crate::lua::repair::Ledger;
use crate::order::OrderEvent;
use crate::store::CampaignSums;

/// Times a shard is read because an order fell into the very millisecond it was read at.
const AMBIGUOUS_MAX: u32 = 20;

/// A SKU at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sku {
    total: i64,
    sold: i64,
    confirmed: i64,
    /// Units the engine has left; `None` where it does not know the SKU.
    left: Option<i64>,
    /// Units of orders admitted before the moment.
    held: i64,
}

impl Desk<'_> {
    /// `lost`: orders that hold their units though nothing knows of them any more.
    pub(super) async fn compare_stock(&self, lost: &[&Difference]) -> Result<Part, CompareError> {
        let (mut skus, mut differences) = self.stock_once(lost).await?;
        if !differences.is_empty() {
            // What somebody gave back, repaired or revoked in between looks like a difference once.
            let first = differences;
            (skus, differences) = self.stock_once(lost).await?;
            differences.retain(|second| first.iter().any(|first| is_same(first, second)));
        }
        Ok(Part {
            compared: skus,
            differences,
            ..Part::default()
        })
    }

    pub(super) async fn stock_once(
        &self,
        lost: &[&Difference],
    ) -> Result<(u64, Vec<Difference>), CompareError> {
        let mut tries = 0;
        loop {
            let mut moment = self.moment().await?;
            self.landed().await?;
            self.leave_out_revoked(&mut moment).await?;
            let except = moment.outbox_ids();
            let store = &self.reconcile.store;
            let mut sums = store
                .campaign_sums(self.campaign(), moment.ledger.now, &except)
                .await?;
            self.weigh(&mut sums.held).await?;
            let skus = add_up(&moment.ledger, &moment.outbox, &sums, lost);
            let differences = skus
                .iter()
                .flat_map(|(id, sku)| judge(id, sku, &moment.ledger.reopened));
            let differences: Vec<Difference> = differences.collect();
            tries += 1;
            // An order of that very millisecond that is not in the outbox was admitted after the shard was read, if
            // not acknowledged within the same millisecond: then another look tells. So it does where an order gave
            // back what it held after the shard was read and before the database was.
            let is_clear = differences.is_empty()
                || sums.at_the_moment == 0 && self.read_counts(&[]).await?.reopened == moment.ledger.reopened;
            if is_clear || tries == AMBIGUOUS_MAX {
                return Ok((skus.len() as u64, differences));
            }
        }
    }
}

fn is_same(first: &Difference, second: &Difference) -> bool {
    let gap = |each: &Difference| each.engine - each.database;
    first.kind == second.kind && first.place == second.place && gap(first) == gap(second)
}

/// Differences of a shard that had nothing in its outbox, where nothing landed since.
pub(super) fn judge_quiet(ledger: &Ledger, sums: &CampaignSums) -> Vec<Difference> {
    let skus = add_up(ledger, &[], sums, &[]);
    let judged = skus.iter().flat_map(|(id, sku)| judge(id, sku, &ledger.reopened));
    judged.collect()
}

fn add_up(
    ledger: &Ledger,
    outbox: &[OrderEvent],
    sums: &CampaignSums,
    lost: &[&Difference],
) -> BTreeMap<String, Sku> {
    let mut skus: BTreeMap<String, Sku> = BTreeMap::new();
    for (id, sku) in &sums.skus {
        skus.insert(
            id.clone(),
            Sku {
                total: sku.total,
                sold: sku.sold,
                confirmed: sku.confirmed,
                left: ledger.stock.get(id).copied(),
                held: sku.before,
            },
        );
    }
    let mut hold = |sku: &str, units: i64| {
        // An order of a SKU that the campaign does not have holds nothing.
        if let Some(sku) = skus.get_mut(sku) {
            sku.held += units;
        }
    };
    for event in outbox {
        hold(&event.sku, event.quantity.into());
    }
    for order in &sums.held {
        if order.placed_at < ledger.now {
            hold(&order.sku, order.quantity);
        }
    }
    for difference in lost {
        if let Place::Order {
            sku,
            quantity,
            placed_at,
            ..
        } = &difference.place
            && *placed_at < ledger.now
        {
            hold(sku, (*quantity).into());
        }
    }
    skus
}

fn judge(id: &str, sku: &Sku, reopened: &str) -> Vec<Difference> {
    let place = || Place::Sku { sku: id.to_owned() };
    let mut found = Vec::new();
    if sku.confirmed > sku.total {
        found.push(Difference::new(
            Kind::Oversold,
            place(),
            sku.confirmed,
            sku.total,
            Mend::Never,
        ));
    }
    if sku.sold != sku.confirmed {
        let mut wrong = Difference::new(Kind::SoldMismatch, place(), sku.sold, sku.confirmed, Mend::Sold);
        if sku.confirmed > sku.total {
            wrong.refuse("the SKU is oversold");
        }
        found.push(wrong);
    }
    let left = sku.left.unwrap_or(0);
    let right = sku.total - sku.held;
    let kind = match left - right {
        0 => return found,
        n if n > 0 => Kind::Overcommitted,
        _ => Kind::Leaked,
    };
    let mend = Mend::Stock {
        reopened: reopened.to_owned(),
        units: right - left,
    };
    let mut wrong = Difference::new(kind, place(), left, right, mend);
    if sku.left.is_none() {
        wrong.refuse("the engine has no such SKU; rebuild the campaign");
    } else if right < 0 && left == 0 {
        wrong.refuse("the engine has none left to take off; landing revokes what does not fit");
    }
    found.push(wrong);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(sku: Sku) -> Vec<(Kind, i64, i64)> {
        let judged = judge("mug", &sku, "");
        judged
            .iter()
            .map(|each| (each.kind, each.engine, each.database))
            .collect()
    }

    #[test]
    fn what_is_left_and_what_is_held_make_the_total() {
        let fine = Sku {
            total: 10,
            sold: 3,
            confirmed: 3,
            left: Some(6),
            held: 4,
        };
        assert_eq!(kinds(fine), []);
        let leaked = Sku {
            left: Some(4),
            ..fine
        };
        assert_eq!(kinds(leaked), [(Kind::Leaked, 4, 6)]);
        let over = Sku {
            left: Some(7),
            ..fine
        };
        assert_eq!(kinds(over), [(Kind::Overcommitted, 7, 6)]);
        let miscounted = Sku { sold: 2, ..fine };
        assert_eq!(kinds(miscounted), [(Kind::SoldMismatch, 2, 3)]);
    }

    #[test]
    fn what_is_oversold_is_left_to_people() {
        let sku = Sku {
            total: 2,
            sold: 2,
            confirmed: 3,
            left: Some(0),
            held: 3,
        };
        let judged = judge("mug", &sku, "");
        assert!(judged.iter().all(|each| each.mend == Mend::Never), "{judged:?}");
        assert_eq!(kinds(sku)[0], (Kind::Oversold, 3, 2));
        let unknown = Sku {
            left: None,
            total: 2,
            ..Sku::default()
        };
        assert_eq!(judge("mug", &unknown, "")[0].mend, Mend::Never);
    }
}
