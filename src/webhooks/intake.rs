//! What endpoints are to hear is written down as it is told: after Kafka has acknowledged an event, and before it counts as told.
//! So none is missing, and what is told twice is kept once. Where there is no endpoint, no statement is made.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::message;
use super::metrics::Metrics;
use crate::access::DEFAULT_MERCHANT;
use crate::needs::Hooks;
use crate::order::ToldChange;
use crate::store::{NewDelivery, Store, StoreResult, WebhookRow};

/// The endpoints are read no more often: a new one hears of what is told so long after it was made.
const READ_EVERY: Duration = Duration::from_secs(1);

type Known = Arc<Vec<WebhookRow>>;

/// Keeps changes for endpoints.
pub struct Intake {
    store: Store,
    clock: fn() -> i64,
    metrics: Metrics,
    known: Mutex<Option<(Instant, Known)>>,
}

impl Intake {
    pub fn new(store: Store, clock: fn() -> i64, metrics: Metrics) -> Self {
        Self {
            store,
            clock,
            metrics,
            known: Mutex::default(),
        }
    }

    async fn endpoints(&self) -> StoreResult<Known> {
        let mut known = self.known.lock().await;
        if let Some((read, hooks)) = known.as_ref()
            && read.elapsed() < READ_EVERY
        {
            return Ok(hooks.clone());
        }
        let hooks = Arc::new(self.store.webhooks().await?);
        *known = Some((Instant::now(), hooks.clone()));
        Ok(hooks)
    }

    async fn keep(&self, changes: &[ToldChange]) -> StoreResult<()> {
        let hooks = self.endpoints().await?;
        if hooks.is_empty() {
            return Ok(());
        }
        let owners = self.owners(&hooks, changes).await?;
        // As of a list: what has no owner written down is of the default merchant.
        let owner = |change: &ToldChange| {
            let owner = owners.get(&change.campaign);
            Some(owner.map_or(DEFAULT_MERCHANT, String::as_str))
        };
        let new: Vec<NewDelivery> = changes
            .iter()
            .flat_map(|change| deliveries(&hooks, change, owner(change)))
            .collect();
        let count = new.len() as u64;
        self.store.queue_deliveries(new, (self.clock)()).await?;
        self.metrics.queued.inc_by(count);
        Ok(())
    }

    /// Whose campaigns these are, where an endpoint hears of all campaigns of its merchant.
    async fn owners(
        &self,
        hooks: &[WebhookRow],
        changes: &[ToldChange],
    ) -> StoreResult<BTreeMap<String, String>> {
        if hooks.iter().all(|hook| hook.campaign.is_some()) {
            return Ok(BTreeMap::new());
        }
        let mut campaigns: Vec<&str> = changes.iter().map(|change| change.campaign.as_str()).collect();
        campaigns.sort_unstable();
        campaigns.dedup();
        self.store.campaign_owners(&campaigns).await
    }
}

impl Hooks for Intake {
    fn queue<'a>(&'a self, changes: &'a [ToldChange]) -> BoxFuture<'a, Result<(), String>> {
        async move { self.keep(changes).await.map_err(|error| error.to_string()) }.boxed()
    }
}

/// What each endpoint is to hear of a change. One that is disabled hears it when somebody enables it.
fn deliveries(hooks: &[WebhookRow], change: &ToldChange, owner: Option<&str>) -> Vec<NewDelivery> {
    let event = message::event(change);
    let asking = hooks
        .iter()
        .filter(|hook| hook.asks_for(&event, Some(&change.campaign), owner));
    let asking: Vec<&WebhookRow> = asking.collect();
    if asking.is_empty() {
        return Vec::new();
    }
    let body = message::body(&event, change.at, change);
    let delivery = |hook: &WebhookRow| NewDelivery {
        webhook: hook.id.clone(),
        of: message::of(change),
        event: event.clone(),
        body: body.clone(),
    };
    asking.into_iter().map(delivery).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::OrderState;
    use crate::order::fixture::event;
    use crate::webhooks::fixture::hook;

    #[test]
    fn an_endpoint_hears_what_it_asks_for_and_nothing_else() {
        let named = |id: &str, campaign: Option<&str>, events: &[&str]| WebhookRow {
            id: id.to_owned(),
            campaign: campaign.map(str::to_owned),
            events: events.iter().map(|event| (*event).to_owned()).collect(),
            ..hook("https://shop.example/")
        };
        let hooks = [
            named("all", None, &[]),
            named("paid", None, &["order.paid"]),
            named("spring", Some("spring"), &[]),
            named("autumn", Some("autumn"), &["order.confirmed"]),
            named("alarms", None, &["webhook.disabled"]),
            WebhookRow {
                merchant: "another".to_owned(),
                ..named("theirs", None, &[])
            },
        ];
        let confirmed = ToldChange::confirmed(event(1), 5);
        let paid = ToldChange {
            state: OrderState::Paid,
            number: 2,
            ..confirmed.clone()
        };
        let heard = |change: &ToldChange| {
            let each = deliveries(&hooks, change, Some("default")).into_iter();
            each.map(|each| (each.webhook, each.event, each.of.number))
                .collect::<Vec<_>>()
        };
        let lines = |hooks: &[&str], event: &str, number| {
            let each = hooks
                .iter()
                .map(|id| ((*id).to_owned(), event.to_owned(), number));
            each.collect::<Vec<_>>()
        };
        assert_eq!(heard(&confirmed), lines(&["all", "spring"], "order.confirmed", 1));
        assert_eq!(heard(&paid), lines(&["all", "paid", "spring"], "order.paid", 2));
    }
}
