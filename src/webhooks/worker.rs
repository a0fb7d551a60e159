//! Sends to one endpoint what is due: at most so many messages at once, and of each order one after the other by number. While
//! the endpoint fails, one message at a time finds out whether it still does.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant as Since;

use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Semaphore, watch};
use tokio::time::{Duration, Instant};

use super::backoff;
use super::disable::disable;
use super::metrics::Metrics;
use super::post::{Posted, Poster};
use crate::seldom::Seldom;
use crate::store::{DeliveryOf, Disabled, DueDelivery, Store, StoreResult, WebhookRow};

/// Messages on their way to one endpoint.
const AT_ONCE: usize = 8;
/// Deliveries of one look: those on their way are among them, and what waits behind them.
const LOOK: usize = 48;
/// Between looks, while nothing is due.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Sends to one endpoint, for as long as it runs.
pub(super) struct Worker {
    pub store: Store,
    pub poster: Poster,
    pub clock: fn() -> i64,
    pub metrics: Metrics,
    /// Of all endpoints together.
    pub permits: Arc<Semaphore>,
    pub hook: watch::Receiver<WebhookRow>,
    /// As this process knows it.
    pub failing_since: Option<i64>,
}

type Flight = BoxFuture<'static, (DueDelivery, Posted)>;

impl Worker {
    /// Goes on until it is dropped, or the endpoint is disabled.
    pub(super) async fn run(mut self) {
        let mut flights: FuturesUnordered<Flight> = FuturesUnordered::new();
        let mut orders: HashSet<(String, String)> = HashSet::new();
        let mut ready: VecDeque<DueDelivery> = VecDeque::new();
        let mut next_look = Instant::now();
        let mut trouble = Seldom::default();
        loop {
            if ready.is_empty() && Instant::now() >= next_look {
                match self.look(&orders).await {
                    Ok(found) => {
                        trouble.over();
                        ready = found;
                    }
                    Err(error) => self.troubled(&mut trouble, &error),
                }
                if ready.is_empty() {
                    next_look = Instant::now() + LOOK_EVERY;
                }
            }
            let most = if self.failing_since.is_some() { 1 } else { AT_ONCE };
            while flights.len() < most
                && let Some(delivery) = ready.pop_front()
            {
                orders.insert(order(&delivery.of));
                flights.push(self.send(delivery));
            }
            tokio::select! {
                Some((delivery, posted)) = flights.next(), if !flights.is_empty() => {
                    orders.remove(&order(&delivery.of));
                    match self.settle(&delivery, &posted).await {
                        Ok(false) => {}
                        Ok(true) => return,
                        // It is sent once more, under the same id.
                        Err(error) => self.troubled(&mut trouble, &error),
                    }
                }
                () = tokio::time::sleep_until(next_look), if ready.is_empty() => {}
            }
        }
    }

    /// What may be sent now, but for orders of which something is on its way.
    async fn look(&self, orders: &HashSet<(String, String)>) -> StoreResult<VecDeque<DueDelivery>> {
        let (id, now) = (self.hook.borrow().id.clone(), (self.clock)());
        let mut ready = VecDeque::new();
        for due in self.store.due_deliveries(&id, now, LOOK).await? {
            match due.behind {
                None if orders.contains(&order(&due.of)) => {}
                None => ready.push_back(due),
                // It would be looked at again and again.
                Some(until) if until > now => self.store.put_off_delivery(&id, &due.of, until).await?,
                Some(_) => {}
            }
        }
        Ok(ready)
    }

    fn send(&self, delivery: DueDelivery) -> Flight {
        let (permits, poster) = (self.permits.clone(), self.poster.clone());
        let (hook, clock) = (self.hook.clone(), self.clock);
        async move {
            // They are closed by nobody.
            let _permit = permits.acquire_owned().await;
            let hook = hook.borrow().clone();
            let posted = poster
                .post(&hook, &delivery.of.id(), &delivery.body, clock())
                .await;
            (delivery, posted)
        }
        .boxed()
    }

    /// Writes down what came of an attempt; says whether the endpoint is disabled because of it.
    async fn settle(&mut self, delivery: &DueDelivery, posted: &Posted) -> StoreResult<bool> {
        let hook = self.hook.borrow().clone();
        let now = (self.clock)();
        if posted.is_delivered() {
            self.store
                .delivered(&hook.id, &delivery.of, &posted.attempted, now)
                .await?;
            self.metrics.delivered.inc();
            if self.failing_since.is_some() {
                self.store.webhook_fails(&hook.id, None).await?;
                self.failing_since = None;
            }
            return Ok(false);
        }
        self.metrics.failed.inc();
        let attempts = delivery.attempts.saturating_add(1);
        let next = backoff::delay(attempts, fastrand::f64()).map(|delay| now + delay.as_millis() as i64);
        self.store
            .not_delivered(&hook.id, &delivery.of, &posted.attempted, next, now)
            .await?;
        if next.is_none() {
            self.metrics.given_up.inc();
        }
        let since = match self.failing_since {
            Some(since) => since,
            None => {
                self.store.webhook_fails(&hook.id, Some(now)).await?;
                *self.failing_since.insert(now)
            }
        };
        let Some(why) = unbearable(posted, now - since) else {
            return Ok(false);
        };
        let disabled = Disabled {
            at: now,
            why: Some(why),
        };
        disable(&self.store, &hook, disabled, &self.metrics).await?;
        Ok(true)
    }

    fn troubled(&self, trouble: &mut Seldom, error: &crate::store::StoreError) {
        if trouble.met(&error.to_string(), Since::now()).is_some() {
            let webhook = self.hook.borrow().id.clone();
            tracing::warn!(webhook, %error, "deliveries are not sent, or are sent again, for now");
        }
    }
}

/// Two orders of one id there are in different campaigns alone.
fn order(of: &DeliveryOf) -> (String, String) {
    (of.campaign.clone(), of.order.clone())
}

/// Why an endpoint is disabled that has failed for so long, and so at last; `None`: it is not.
fn unbearable(posted: &Posted, failing_ms: i64) -> Option<String> {
    if posted.is_gone() {
        return Some("it answered 410 Gone".to_owned());
    }
    let last = posted.attempted.error.as_deref().unwrap_or_default();
    let for_a_day = failing_ms >= backoff::ALL_ATTEMPTS_MS;
    for_a_day.then(|| format!("nothing was delivered to it for a day; at last: {last}"))
}
