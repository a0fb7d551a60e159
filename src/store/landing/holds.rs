//! Until when orders that land now can be paid.

use std::collections::{BTreeMap, BTreeSet};

use crate::order::OrderEvent;
use crate::store::StoreResult;
use crate::store::dialect::{Dialect, placeholders};
use crate::store::landing::lane::{Lane, Value};

/// By campaign, for those of the orders' campaigns that have a hold: by the database's clock, which also says when the time is
/// over, whatever the clocks of landers say.
pub(super) async fn pay_by(
    lane: &mut Lane<'_>,
    dialect: Dialect,
    orders: &[&OrderEvent],
) -> StoreResult<BTreeMap<String, i64>> {
    let campaigns: BTreeSet<&str> = orders.iter().map(|order| order.campaign.as_str()).collect();
    if campaigns.is_empty() {
        return Ok(BTreeMap::new());
    }
    let sql = format!(
        "SELECT campaign_id, {} + 60000 * hold_minutes FROM campaigns WHERE hold_minutes IS NOT NULL AND campaign_id IN {}",
        dialect.now_ms(),
        placeholders(1, campaigns.len())
    );
    let values: Vec<Value<'_>> = campaigns.into_iter().map(Value::Text).collect();
    let found = lane
        .fetch(sql, &values, |row| Ok((row.text(0)?, row.int(1)?)))
        .await?;
    Ok(found.into_iter().collect())
}
