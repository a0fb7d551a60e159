//! The gap: units that the engine admitted and that nobody has, neither the database, nor a dead letter, nor the
//! outbox; or the surplus, units that somebody has and that are on sale all the same. It names SKUs, and no orders;
//! finding these costs far more.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::Reconcile;
use super::difference::Mend;
use super::shard::Desk;
use super::stock::judge_quiet;
use super::{CompareError, Difference, Kind, Place};
use crate::lua::repair::Ledger;
use crate::store::CampaignSums;

/// Units by SKU, none 0. Above 0: nobody has them. Below 0: they are there too often, which may hide as many others that
/// nobody has.
pub(in crate::reconcile) type Gap = BTreeMap<String, i64>;

impl Reconcile {
    /// The gap at one moment, while orders flow: reads the confirmed orders in one sum. `None` where every try
    /// was in doubt: see [`super::stock::Sums`].
    pub(in crate::reconcile) async fn gap(
        &self,
        campaign: &str,
        patience: Duration,
    ) -> Result<Option<Gap>, CompareError> {
        let desk = Desk::open_for(self, campaign, patience).await?;
        let sums = desk.stock_once(&[]).await?;
        Ok(sums.are_clear.then(|| gap_of(&sums.differences)))
    }
}

/// As it was when the engine's side was read: it rises with whatever is given back.
fn reopened(difference: &Difference) -> Option<&str> {
    match &difference.mend {
        Mend::Stock { reopened, .. } => Some(reopened),
        _ => None,
    }
}

/// The gap where nothing was in the outbox, and nothing landed between two answers of the database around it.
pub(in crate::reconcile) fn quiet_gap(ledger: &Ledger, sums: &CampaignSums) -> Gap {
    gap_of(&judge_quiet(ledger, sums))
}

fn gap_of(differences: &[Difference]) -> Gap {
    let mut gap = Gap::new();
    for difference in differences {
        // A SKU that the engine does not know has no units to miss: the campaign is to be rebuilt.
        let known = reopened(difference).is_some();
        if let (Kind::Leaked | Kind::Overcommitted, true, Place::Sku { sku }) =
            (difference.kind, known, &difference.place)
        {
            gap.insert(sku.clone(), difference.database - difference.engine);
        }
    }
    gap
}
