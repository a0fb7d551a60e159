//! Stock, SKU by SKU: what the engine has left and what is held elsewhere must make the total.

use std::collections::{BTreeMap, HashSet};

use super::shard::{Desk, Moment};
use super::{CompareError, Difference, Kind, Mend, Part, Place};
use crate::lua::repair::Ledger;
use crate::order::{OrderEvent, OrderId};
use crate::store::{CampaignSums, HeldOrder};

/// Times a shard is read because an order fell into the very millisecond it was read at.
const AMBIGUOUS_MAX: u32 = 20;

/// A SKU at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sku {
    total: i64,
    sold: i64,
    /// Units that orders hold, as the database says.
    claimed: i64,
    /// Units the engine has left; `None` where it does not know the SKU.
    left: Option<i64>,
    /// Units of orders admitted before the moment.
    held: i64,
}

/// The sums of a campaign, added up once.
pub(super) struct Sums {
    pub(super) skus: u64,
    pub(super) differences: Vec<Difference>,
    /// Whether they say how many units are held. They do not where orders kept falling into the very millisecond the
    /// shard was read at, where units kept coming back meanwhile, or a merchant adds some or takes some off.
    pub(super) are_clear: bool,
}

impl Desk<'_> {
    /// `lost`: orders that hold their units though nothing knows of them any more.
    pub(super) async fn compare_stock(&self, lost: &[&Difference]) -> Result<Part, CompareError> {
        let mut sums = self.stock_once(lost).await?;
        if !sums.differences.is_empty() {
            // What somebody gave back, repaired or revoked in between looks like a difference once.
            let first = sums.differences;
            sums = self.stock_once(lost).await?;
            sums.differences
                .retain(|second| first.iter().any(|first| is_same(first, second)));
        }
        let mut part = Part {
            compared: sums.skus,
            differences: sums.differences,
            ..Part::default()
        };
        if !sums.are_clear {
            let before = part.differences.len();
            part.differences.retain(|each| !is_of_units(each.kind));
            part.unsettled = (before - part.differences.len()) as u64;
        }
        Ok(part)
    }

    pub(super) async fn stock_once(&self, lost: &[&Difference]) -> Result<Sums, CompareError> {
        let mut tries = 0;
        loop {
            let mut moment = self.moment().await?;
            self.landed().await?;
            self.leave_out_released(&mut moment).await?;
            let except = moment.outbox_ids();
            let store = &self.reconcile.store;
            let mut sums = store
                .campaign_sums(self.campaign(), moment.ledger.now, &except)
                .await?;
            self.weigh(&mut sums.held).await?;
            let skus = add_up(&moment.ledger, &moment.outbox, &moment.released, &sums, lost);
            let differences = skus
                .iter()
                .flat_map(|(id, sku)| judge(id, sku, &moment.ledger.reopened));
            let differences: Vec<Difference> = differences.collect();
            tries += 1;
            // Where an order of that very millisecond cannot be told to be before or after it, another look tells. So
            // it does where an order gave back what it held after the shard was read and before the database was.
            let are_clear = differences.is_empty()
                || !is_ambiguous(&moment, &sums)
                    && self.read_counts(&[]).await?.reopened == moment.ledger.reopened
                    && self.is_stock_settled().await?;
            if are_clear || tries == AMBIGUOUS_MAX {
                return Ok(Sums {
                    skus: skus.len() as u64,
                    differences,
                    are_clear,
                });
            }
        }
    }
}

/// Whether the database has an order of the very millisecond that the shard was read at, which was not in the outbox:
/// it was admitted after the shard was read, if not acknowledged within the same millisecond.
fn is_ambiguous(moment: &Moment, sums: &CampaignSums) -> bool {
    let is_of_it =
        |held: &HeldOrder| held.placed_at == moment.ledger.now && !moment.released.contains(&held.order);
    sums.at_the_moment > 0 || sums.held.iter().any(is_of_it)
}

/// Whether such a difference follows from how many units are held.
fn is_of_units(kind: Kind) -> bool {
    matches!(kind, Kind::Leaked | Kind::Overcommitted)
}

fn is_same(first: &Difference, second: &Difference) -> bool {
    let gap = |each: &Difference| each.engine - each.database;
    first.kind == second.kind && first.place == second.place && gap(first) == gap(second)
}

/// Differences of a shard that had nothing in its outbox, where nothing landed since.
pub(super) fn judge_quiet(ledger: &Ledger, sums: &CampaignSums) -> Vec<Difference> {
    let skus = add_up(ledger, &[], &HashSet::new(), sums, &[]);
    let judged = skus.iter().flat_map(|(id, sku)| judge(id, sku, &ledger.reopened));
    judged.collect()
}

/// `outbox` and `released` are those of a [`Moment`].
fn add_up(
    ledger: &Ledger,
    outbox: &[OrderEvent],
    released: &HashSet<OrderId>,
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
                claimed: sku.held,
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
        // One that was in the outbox was admitted before, were it in the very millisecond.
        if order.placed_at < ledger.now || released.contains(&order.order) {
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
    if sku.claimed > sku.total {
        found.push(Difference::new(
            Kind::Oversold,
            place(),
            sku.claimed,
            sku.total,
            Mend::Never,
        ));
    }
    if sku.sold != sku.claimed {
        let mut wrong = Difference::new(Kind::SoldMismatch, place(), sku.sold, sku.claimed, Mend::Sold);
        if sku.claimed > sku.total {
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
    use crate::store::SkuSums;

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
            claimed: 3,
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

    fn held(user: &str, placed_at: i64) -> HeldOrder {
        HeldOrder {
            order: OrderId::keyed("spring", user, "1"),
            sku: "mug".to_owned(),
            quantity: 1,
            placed_at,
            charges: Vec::new(),
            released: true,
        }
    }

    #[test]
    fn an_order_of_the_very_millisecond_is_held_where_it_was_in_the_outbox_and_in_doubt_elsewhere() {
        let ledger = Ledger {
            fence: None,
            now: 7,
            expires_at: 0,
            reopened: String::new(),
            admitted: String::new(),
            stock: BTreeMap::new(),
            outbox: None,
        };
        let mut moment = Moment {
            ledger,
            outbox: Vec::new(),
            released: HashSet::new(),
            stuck: BTreeMap::new(),
        };
        let mut sums = CampaignSums::default();
        sums.skus.insert("mug".to_owned(), SkuSums::default());
        sums.held = vec![held("ada", 6), held("bob", 7), held("eve", 8)];
        let units = |moment: &Moment, sums: &CampaignSums| {
            let skus = add_up(&moment.ledger, &moment.outbox, &moment.released, sums, &[]);
            skus["mug"].held
        };
        assert_eq!((units(&moment, &sums), is_ambiguous(&moment, &sums)), (1, true));
        moment.released.insert(sums.held[1].order);
        assert_eq!((units(&moment, &sums), is_ambiguous(&moment, &sums)), (2, false));
        sums.at_the_moment = 1;
        assert!(is_ambiguous(&moment, &sums));
    }

    #[test]
    fn what_is_oversold_is_left_to_people() {
        let sku = Sku {
            total: 2,
            sold: 2,
            claimed: 3,
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
