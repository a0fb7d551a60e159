//! Looks after what is watched, as long as anything is: all of it in one look a second, and at once what is said to have
//! changed. What a look finds changed is read whole, once, for all who wait for it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::event::Event;
use super::watch::{Look, Watch};
use crate::gateway::Orders;
use crate::gateway::told::Told;
use crate::order::{LandedOrder, OrderId, OrderState};
use crate::store::{StoreError, StoreResult};

/// Between two readings, so that what is said meanwhile is read together.
const PACE: Duration = Duration::from_millis(20);
/// After one that failed.
const AFTER_TROUBLE: Duration = Duration::from_secs(1);
/// A look at a campaign takes no longer.
const LOOK_LIMIT: Duration = Duration::from_secs(5);
/// A paid order whose campaign cannot be asked for its end is told of for so long, and then whoever wants more comes again.
const UNKNOWN_END: Duration = Duration::from_secs(60);

/// Ends when nobody watches any more; whoever subscribes then begins anew.
pub(super) async fn keep<O: Orders>(watch: Arc<Watch>, orders: Arc<O>, told: Arc<Told>) {
    let mut looked = Instant::now();
    while let Some(period) = watch.period() {
        let is_due = tokio::select! {
            () = tokio::time::sleep_until(looked + period) => true,
            () = watch.hurry.notified() => watch.takes_behind(),
        };
        if is_due {
            looked = Instant::now();
        }
        let looks = watch.looks(is_due);
        if looks.is_empty() {
            continue;
        }
        let mut is_well = true;
        for look in looks {
            let looking = timeout(LOOK_LIMIT, look_at(&watch, &*orders, &told, &look)).await;
            let late = || Err(StoreError::Transient("no answer in time".to_owned()));
            if let Err(error) = looking.unwrap_or_else(|_| late()) {
                tracing::warn!(%error, "watched orders cannot be looked up; who waits for a change is told later");
                watch.put_back(&look);
                is_well = false;
            }
        }
        tokio::time::sleep(if is_well { PACE } else { AFTER_TROUBLE }).await;
    }
}

async fn look_at<O: Orders>(watch: &Watch, orders: &O, told: &Told, look: &Look) -> StoreResult<()> {
    let campaign = look.campaign.as_str();
    let mut changed = look.changed.clone();
    if !look.orders.is_empty() {
        let standing = orders.standing(campaign, &look.orders).await?;
        changed.extend(watch.lacking(campaign, &standing));
    }
    if !look.buyers.is_empty() {
        let newest = orders.newest(campaign, &look.buyers).await?;
        let mut of_buyers: HashMap<&str, Vec<OrderId>> = HashMap::new();
        for each in &newest {
            let user = each.user.as_deref().unwrap_or_default();
            of_buyers.entry(user).or_default().push(each.order);
        }
        for (user, newest) in of_buyers {
            watch.keep_to(campaign, user, &newest);
        }
        changed.extend(watch.lacking(campaign, &newest));
    }
    tell(watch, orders, told, campaign, &changed).await
}

/// Reads these orders and tells of them.
async fn tell<O: Orders>(
    watch: &Watch,
    orders: &O,
    told: &Told,
    campaign: &str,
    changed: &HashSet<OrderId>,
) -> StoreResult<()> {
    if changed.is_empty() {
        return Ok(());
    }
    let ids: Vec<OrderId> = changed.iter().copied().collect();
    let rows = orders.rows(campaign, &ids).await?;
    let closes = closes(orders, campaign, rows.iter().map(|(row, _)| row)).await;
    for (row, at) in &rows {
        let event = Arc::new(Event::landed(campaign, row, closes, *at));
        told.note(event.order, event.state);
        watch.tell(campaign, &row.attempt.user, &event);
    }
    Ok(())
}

/// When the campaign closes, where one of these orders is paid: it may be refunded until then. `None`: it is over, or nothing
/// has to be known.
pub(super) async fn closes<O: Orders>(
    orders: &O,
    campaign: &str,
    rows: impl IntoIterator<Item = &LandedOrder>,
) -> Option<Instant> {
    if !rows.into_iter().any(|row| row.state == OrderState::Paid) {
        return None;
    }
    let now = Instant::now();
    match orders.campaign(campaign).await {
        Ok(view) => {
            let view = view?;
            let left = u64::try_from(view.schedule.closes_at.saturating_sub(view.now)).unwrap_or(0);
            (left > 0).then(|| now + Duration::from_millis(left))
        }
        Err(_) => Some(now + UNKNOWN_END),
    }
}
