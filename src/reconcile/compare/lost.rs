//! Lost orders: computed again from their records, so that they can be sent again with their charges, or given up.
//!
//! Whichever is done, the order's row in the database decides: a copy that turns up later is a duplicate. So an order
//! that was given up is never sold, and one that is sent twice lands once.

use std::collections::BTreeMap;

use serde_json::json;
use tokio::sync::oneshot;

use super::super::Reconcile;
use super::difference::Mend;
use super::shard::Desk;
use super::{CompareError, Difference, Kind, LostOrders, Place, RepairOutcome};
use crate::audit::{AskedBy, AuditLine};
use crate::bus::{BusError, Outbound};
use crate::lua::record::Record;
use crate::lua::{calls, fixed};
use crate::order::{Attempt, OrderEvent, OrderId, check_event};
use crate::outbox;
use crate::plan::CheckedPlan;

/// Orders sent at a time.
const BATCH: usize = 500;
/// What one round of giving back takes in: see `reconcile::released`.
const GIVEN_BACK_AT_ONCE: usize = 500;

const SENT_AGAIN: &str = "reconcile.send-again";
const GIVEN_UP: &str = "reconcile.give-up";
const ENTRY_REMOVED: &str = "reconcile.entry-removed";

impl Desk<'_> {
    pub(super) async fn lost_order(
        &self,
        order: OrderId,
        record: &Record,
    ) -> Result<Difference, CompareError> {
        let place = Place::of(order, &record.placed);
        let (event, why) = self.event_of(order, record).await?;
        let mend = Mend::Lost {
            event: Box::new(event),
            whole: why.is_none(),
        };
        let mut lost = Difference::new(Kind::LostOrder, place, 1, 0, mend);
        if let Some(why) = why {
            lost.sentence += "; it cannot be sent again, an operator decides: ";
            lost.sentence += &why;
        }
        Ok(lost)
    }

    /// The order as its gateway published it. With a reason where that cannot be computed any more: then the event
    /// has no charges, and serves to give the order up.
    async fn event_of(
        &self,
        order: OrderId,
        record: &Record,
    ) -> Result<(OrderEvent, Option<String>), CompareError> {
        let number = record.placed.revision;
        let Some(compiled) = self.admitted_under(number).await? else {
            let why = format!("revision {number} is not in the database");
            return Ok((self.without_charges(order, record), Some(why)));
        };
        let plan = &compiled.family.plan;
        let Some(attempt) = record.attempt(order, plan) else {
            let why = format!(
                "revision {number} reads {}, and its record was written before that was kept",
                reads(plan)
            );
            return Ok((self.without_charges(order, record), Some(why)));
        };
        let event = outbox::event(&compiled, self.shard.number, &attempt, record.placed.placed_at);
        Ok(match check_event(&event) {
            Ok(()) => (event, None),
            Err(wrong) => (
                self.without_charges(order, record),
                Some(format!("its record is wrong: {wrong}")),
            ),
        })
    }

    fn without_charges(&self, order: OrderId, record: &Record) -> OrderEvent {
        let placed = record.placed.clone();
        let attempt = Attempt {
            order,
            user: placed.user,
            sku: placed.sku,
            quantity: placed.quantity,
            attributes: record.attributes.clone().unwrap_or_default(),
        };
        let under = (placed.revision, "");
        OrderEvent::of(
            attempt,
            self.campaign(),
            self.shard.number,
            under,
            placed.placed_at,
        )
    }

    /// An entry of the outbox that nobody can relay. `known`: its orders that have a record.
    pub(super) async fn stuck_entry(
        &self,
        entry: &str,
        orders: usize,
        known: Vec<OrderId>,
    ) -> Result<Difference, CompareError> {
        let landed = self.count_landed(&known).await?;
        let place = Place::Entry {
            entry: entry.to_owned(),
        };
        let complete = known.len() == orders;
        let mend = Mend::Entry { orders: known };
        let mut stuck = Difference::new(Kind::StuckEntry, place, orders as i64, landed as i64, mend);
        if !complete {
            stuck.refuse("not all of its orders have a record; look at the entry with XRANGE");
        }
        Ok(stuck)
    }

    async fn count_landed(&self, orders: &[OrderId]) -> Result<usize, CompareError> {
        let store = &self.reconcile.store;
        Ok(store.orders_known(self.campaign(), orders).await?.len())
    }

    /// Takes an entry away once all of its orders are in the database; says whether they are.
    async fn remove_entry(
        &self,
        entry: &str,
        orders: &[OrderId],
        by: AskedBy<'_>,
    ) -> Result<bool, CompareError> {
        self.landed().await?;
        if self.count_landed(orders).await? < orders.len() {
            return Ok(false);
        }
        let detail = json!({"entry": entry, "orders": orders});
        let line = self.line_of(by, ENTRY_REMOVED, detail);
        self.reconcile.store.audit(&[line]).await?;
        let args = calls::settle_args(&[(entry.to_owned(), orders.len())]);
        self.run(&fixed::SETTLE, args).await?;
        Ok(true)
    }

    fn line_of<'a>(&self, by: AskedBy<'a>, action: &'a str, detail: serde_json::Value) -> AuditLine<'a> {
        AuditLine::new((self.reconcile.clock)(), by, action, self.campaign(), detail)
    }

    /// Returns once the bus has them all: from there on they land as any order does.
    async fn send_again(&self, events: &[&OrderEvent]) -> Result<(), CompareError> {
        let partition = self.compiled.campaign.partition_of(self.shard.number);
        let records = events.iter().map(|event| Outbound {
            partition,
            key: event.key(),
            payload: event.encode(),
        });
        let (answer, acknowledged) = oneshot::channel();
        self.reconcile.producer.publish(
            records.collect(),
            // Whoever waited may be gone: then the next look finds the orders landed.
            Box::new(move |result| drop(answer.send(result))),
        );
        let patience = self.reconcile.config.patience;
        let silent = |_| {
            let what = format!("{} lost orders were sent again, without an answer", events.len());
            CompareError::Bus(BusError::Unacknowledged(what))
        };
        let answer = tokio::time::timeout(patience, acknowledged)
            .await
            .map_err(silent)?;
        Ok(answer.unwrap_or_else(|_| Err(BusError::Fatal("the producer ended".into())))?)
    }
}

fn reads(plan: &CheckedPlan) -> String {
    let names: Vec<String> = plan.attributes().iter().map(ToString::to_string).collect();
    names.join(", ")
}

impl Reconcile {
    /// Does what is asked for about the lost orders among the differences, and takes away entries whose orders have
    /// all landed.
    pub(super) async fn mend_lost(
        &self,
        desk: &Desk<'_>,
        by: AskedBy<'_>,
        lease: &str,
        lost: LostOrders,
        differences: &mut [Difference],
    ) -> Result<(), CompareError> {
        for group in differences.chunks_mut(BATCH) {
            if !self.lease_compare(lease).await? {
                return Err(CompareError::Busy(desk.campaign().to_owned()));
            }
            match lost {
                LostOrders::SendAgain => send_group(desk, by, group).await?,
                LostOrders::GiveUp => self.give_up(desk, by, group).await?,
            }
        }
        if lost == LostOrders::GiveUp {
            self.give_back_all(differences.len()).await;
        }
        for difference in differences {
            let Place::Entry { entry } = &difference.place else {
                continue;
            };
            difference.outcome = match &difference.mend {
                Mend::Entry { orders } if desk.remove_entry(entry, orders, by).await? => {
                    RepairOutcome::Repaired
                }
                Mend::Entry { .. } => RepairOutcome::Moved,
                _ => RepairOutcome::Refused,
            };
        }
        Ok(())
    }

    async fn give_up(
        &self,
        desk: &Desk<'_>,
        by: AskedBy<'_>,
        group: &mut [Difference],
    ) -> Result<(), CompareError> {
        for difference in group {
            let Mend::Lost { event, whole } = &difference.mend else {
                continue;
            };
            let mut detail = about(event);
            detail["counters"] = (*whole).into();
            let line = desk.line_of(by, GIVEN_UP, detail);
            difference.outcome = match self.store.give_up(event, line).await? {
                true => RepairOutcome::GivenUp,
                false => RepairOutcome::Moved,
            };
            tracing::warn!(
                campaign = desk.campaign(), order = %event.order, outcome = ?difference.outcome, "a lost order"
            );
        }
        Ok(())
    }

    /// Gateways do it within a second; where none runs, nobody else does.
    async fn give_back_all(&self, orders: usize) {
        for _ in 0..orders.div_ceil(GIVEN_BACK_AT_ONCE) {
            if let Err(error) = self.give_back().await {
                return tracing::warn!(%error, "orders that were given up still hold what they took");
            }
        }
    }
}

async fn send_group(desk: &Desk<'_>, by: AskedBy<'_>, group: &mut [Difference]) -> Result<(), CompareError> {
    let whole = |difference: &Difference| match &difference.mend {
        Mend::Lost { event, whole: true } => Some(event.clone()),
        _ => None,
    };
    let events: Vec<_> = group.iter().filter_map(whole).collect();
    if events.is_empty() {
        return refuse_lost(group);
    }
    let all: Vec<&OrderEvent> = events.iter().map(|event| &**event).collect();
    let line = |event: &&OrderEvent| desk.line_of(by, SENT_AGAIN, about(event));
    let lines: Vec<AuditLine<'_>> = all.iter().map(line).collect();
    desk.reconcile.store.audit(&lines).await?;
    desk.send_again(&all).await?;
    for difference in &mut *group {
        if let Some(event) = whole(difference) {
            difference.outcome = RepairOutcome::SentAgain;
            tracing::warn!(campaign = desk.campaign(), order = %event.order, "a lost order was sent again");
        }
    }
    refuse_lost(group)
}

fn refuse_lost(group: &mut [Difference]) -> Result<(), CompareError> {
    for difference in group {
        if let Mend::Lost { whole: false, .. } = difference.mend {
            difference.outcome = RepairOutcome::Refused;
        }
    }
    Ok(())
}

fn about(event: &OrderEvent) -> serde_json::Value {
    let charges = event
        .charges
        .iter()
        .map(|charge| (charge.counter.as_str(), charge.cost));
    json!({
        "order": event.order,
        "user": event.user,
        "sku": event.sku,
        "quantity": event.quantity,
        "revision": event.revision,
        "placed_at": event.placed_at,
        "charges": charges.collect::<BTreeMap<_, _>>(),
    })
}
