//! All that there is of one buyer, one JSON object after the other, read as it is taken: in memory are some orders at a time.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use serde_json::{Value, json};

use super::{Control, ControlError, EXPORT};
use crate::attempts::DecidedAttempt;
use crate::audit::{AskedBy, AuditLine};
use crate::order::{LandedOrder, OrderId, array};
use crate::record::LetterId;
use crate::store::{
    AttemptsPlace, AudienceRow, BuyerLetter, BuyerName, BuyerPlace, NamingJob, NamingLine, OrdersOf, Stage,
    Store,
};
use crate::wire::Moment;

/// Orders that are read together, each with all that hangs on it.
const ORDERS_AT_ONCE: u32 = 100;

/// Objects as they are handed out, some at a time.
pub type BuyerLines = BoxStream<'static, Result<Vec<Value>, ControlError>>;

/// What is read next.
enum Next {
    Orders(Option<BuyerPlace>),
    Letters(Option<LetterId>),
    /// Campaigns that are left, the next one last; where in it, in pieces or in rows of the release before.
    Attempts(Vec<String>, Option<AttemptsPlace>, i64),
    Jobs,
    Audit(i64),
    /// Lists that are left.
    Lists(std::vec::IntoIter<String>),
    /// The erasure that is asked for, and the last line.
    Rest,
}

/// An export under way.
struct Export {
    store: Store,
    user: String,
    /// `None`: of all merchants.
    merchant: Option<String>,
    /// Rows of `usage` that were handed out: orders share them.
    seen: HashSet<u64>,
    counts: BTreeMap<String, u64>,
}

impl Control {
    /// Hands out all there is of a buyer. Who asks is written down, not whose data it is.
    pub async fn export_buyer(
        &self,
        by: impl Into<AskedBy<'_>>,
        buyer: BuyerName<'_>,
    ) -> Result<BuyerLines, ControlError> {
        self.check_buyer(buyer).await?;
        let line = AuditLine::new((self.clock)(), by, EXPORT, "buyer", json!({}));
        let line = match buyer.merchant {
            Some(merchant) => line.of_merchant(merchant),
            None => line,
        };
        self.store.audit(&[line]).await?;
        let export = Export {
            store: self.store.clone(),
            user: buyer.user.to_owned(),
            merchant: buyer.merchant.map(str::to_owned),
            seen: HashSet::new(),
            counts: BTreeMap::new(),
        };
        let lines = stream::try_unfold(
            (export, Some(Next::Orders(None))),
            |(mut export, next)| async move {
                let Some(next) = next else { return Ok(None) };
                let (mut lines, next) = export.read(next).await?;
                export.count(&lines);
                if next.is_none() {
                    lines.push(export.end());
                }
                Ok(Some((lines, (export, next))))
            },
        );
        Ok(lines.boxed())
    }
}

impl Export {
    fn buyer(&self) -> BuyerName<'_> {
        BuyerName {
            user: &self.user,
            merchant: self.merchant.as_deref(),
        }
    }

    async fn read(&mut self, next: Next) -> Result<(Vec<Value>, Option<Next>), ControlError> {
        match next {
            Next::Orders(before) => self.orders(before).await,
            Next::Letters(after) => self.letters(after).await,
            Next::Attempts(left, place, row) => self.attempts(left, place, row).await,
            Next::Jobs => self.jobs().await,
            Next::Audit(after) => self.audit(after).await,
            Next::Lists(left) => self.lists(left).await,
            Next::Rest => self.rest().await,
        }
    }

    async fn orders(
        &mut self,
        before: Option<BuyerPlace>,
    ) -> Result<(Vec<Value>, Option<Next>), ControlError> {
        let of = self.merchant.as_deref().map_or(OrdersOf::All, OrdersOf::Merchant);
        let rows = self
            .store
            .buyer_orders(&self.user, of, before.as_ref(), ORDERS_AT_ONCE)
            .await?;
        let is_full = rows.len() == ORDERS_AT_ONCE as usize;
        let last = rows.last().filter(|_| is_full).map(|last| BuyerPlace {
            placed_at: last.row.placed_at,
            campaign: last.campaign.clone(),
            order: last.row.order,
        });
        let mut by_campaign: BTreeMap<String, Vec<OrderId>> = BTreeMap::new();
        for row in rows {
            by_campaign.entry(row.campaign).or_default().push(row.row.order);
        }
        let mut lines = Vec::new();
        for (campaign, ids) in by_campaign {
            self.of_campaign(&campaign, &ids, &mut lines).await?;
        }
        let next = last.map_or(Next::Letters(None), |last| Next::Orders(Some(last)));
        Ok((lines, Some(next)))
    }

    async fn of_campaign(
        &mut self,
        campaign: &str,
        ids: &[OrderId],
        lines: &mut Vec<Value>,
    ) -> Result<(), ControlError> {
        // Who is erased meanwhile is not the buyer any more.
        let mut orders = self.store.orders_of(campaign, ids).await?;
        orders.retain(|order| order.attempt.user == self.user);
        for order in &orders {
            lines.push(order_line(campaign, order));
            for change in self.store.changes_of(campaign, order.attempt.order).await? {
                lines.push(
                    json!({"kind": "order_change", "campaign": campaign, "order": order.attempt.order,
                    "number": change.number, "from": change.from, "to": change.to, "at": Moment(change.at),
                    "actor": change.actor, "reason": change.reason, "note": change.note,
                    "idempotency_key": change.key}),
                );
            }
        }
        for release in self.store.releases_of(campaign, ids).await? {
            lines.push(
                json!({"kind": "release", "campaign": campaign, "order": release.id(),
                "reason": release.reason, "stock": release.stock, "allowance": release.allowance}),
            );
        }
        let texts: Vec<String> = ids.iter().map(OrderId::to_string).collect();
        for sent in self.store.deliveries_about(campaign, &texts).await? {
            let body: Value = serde_json::from_str(&sent.body).unwrap_or(Value::String(sent.body));
            lines.push(
                json!({"kind": "delivery", "campaign": campaign, "order": sent.order, "number": sent.number,
                "webhook": sent.webhook, "event": sent.event, "state": sent.state, "body": body}),
            );
        }
        for row in self.store.buyer_usage(campaign, &self.user, &orders).await? {
            if self.is_new((campaign, &row.counter, &row.subject, row.window)) {
                lines.push(
                    json!({"kind": "usage", "campaign": campaign, "counter": row.counter,
                    "subject": row.subject, "window": row.window, "used": row.used}),
                );
            }
        }
        Ok(())
    }

    fn is_new(&mut self, place: (&str, &str, &str, i64)) -> bool {
        let mut hash = DefaultHasher::new();
        place.hash(&mut hash);
        self.seen.insert(hash.finish())
    }

    async fn letters(&mut self, after: Option<LetterId>) -> Result<(Vec<Value>, Option<Next>), ControlError> {
        let (found, next) = self.store.buyer_letters(self.buyer(), after.as_ref()).await?;
        let lines = found.iter().map(letter_line).collect();
        let next = match next {
            Some(next) => Next::Letters(Some(next)),
            None => Next::Attempts(
                self.store.sampled_campaigns(self.buyer()).await?,
                Some(AttemptsPlace::default()),
                0,
            ),
        };
        Ok((lines, Some(next)))
    }

    async fn attempts(
        &mut self,
        mut left: Vec<String>,
        place: Option<AttemptsPlace>,
        row: i64,
    ) -> Result<(Vec<Value>, Option<Next>), ControlError> {
        let Some(campaign) = left.last().cloned() else {
            return Ok((Vec::new(), Some(Next::Jobs)));
        };
        let line =
            |found: Vec<DecidedAttempt>| found.iter().map(|one| attempt_line(&campaign, one)).collect();
        if let Some(place) = place {
            let (found, next) = self.store.buyer_attempts(&campaign, &self.user, place).await?;
            return Ok((line(found), Some(Next::Attempts(left, next, 0))));
        }
        let (found, next) = self.store.buyer_attempt_rows(&campaign, &self.user, row).await?;
        let lines = line(found);
        let next = match next {
            Some(row) => Next::Attempts(left, None, row),
            None => {
                left.pop();
                Next::Attempts(left, Some(AttemptsPlace::default()), 0)
            }
        };
        Ok((lines, Some(next)))
    }

    async fn jobs(&mut self) -> Result<(Vec<Value>, Option<Next>), ControlError> {
        let jobs = self.store.jobs_of_buyer(self.buyer()).await?.into_iter();
        let line = |job: NamingJob| json!({"kind": "job", "campaign": job.campaign, "job": job.id, "filter": job.filter});
        Ok((jobs.map(line).collect(), Some(Next::Audit(0))))
    }

    async fn audit(&mut self, after: i64) -> Result<(Vec<Value>, Option<Next>), ControlError> {
        let (found, next) = self.store.audit_of_buyer(self.buyer(), after).await?;
        let line = |each: NamingLine| {
            json!({"kind": "audit", "at": Moment(each.line.at), "actor": each.line.actor, "action": each.line.action,
                "target": each.target, "detail": each.line.detail})
        };
        let next = match next {
            Some(next) => Next::Audit(next),
            None => {
                let lists = self.store.list_ids().await?;
                let lists = self.store.lists_meant(self.buyer(), lists, |id| id).await?;
                Next::Lists(lists.into_iter())
            }
        };
        Ok((found.into_iter().map(line).collect(), Some(next)))
    }

    /// Every stored version of the next list that has the buyer: revisions pin earlier ones.
    async fn lists(
        &mut self,
        mut left: std::vec::IntoIter<String>,
    ) -> Result<(Vec<Value>, Option<Next>), ControlError> {
        let Some(list) = left.next() else {
            return Ok((Vec::new(), Some(Next::Rest)));
        };
        let found = self.store.versions_with(&list, &self.user).await?;
        let line = |(row, is_newest): (AudienceRow, bool)| {
            json!({"kind": "audience", "list": row.id, "version": row.version, "newest": is_newest,
                "member": self.user, "uploaded_at": Moment(row.uploaded_at)})
        };
        Ok((found.into_iter().map(line).collect(), Some(Next::Lists(left))))
    }

    async fn rest(&mut self) -> Result<(Vec<Value>, Option<Next>), ControlError> {
        let mut lines = Vec::new();
        if let Some(row) = self.store.erasure(self.buyer()).await? {
            lines.push(
                json!({"kind": "erasure", "erasure": row.id, "asked_at": Moment(row.asked_at),
                "done_at": row.done_at.map(Moment), "actor": row.actor, "note": row.note}),
            );
        }
        Ok((lines, None))
    }

    fn count(&mut self, lines: &[Value]) {
        for kind in lines.iter().filter_map(|line| line["kind"].as_str()) {
            *self.counts.entry(kind.to_owned()).or_default() += 1;
        }
    }

    /// The last line: whoever has it has all.
    fn end(&self) -> Value {
        json!({"kind": "end", "user": self.user, "merchant": self.merchant, "lines": self.counts,
            "elsewhere": "records of the last days in Kafka, and what Redis holds until the end of a campaign's retention: \
                          docs/PRIVACY.md"})
    }
}

fn order_line(campaign: &str, order: &LandedOrder) -> Value {
    let attempt = &order.attempt;
    json!({"kind": "order", "campaign": campaign, "order": attempt.order, "user": attempt.user, "state": order.state,
        "sku": attempt.sku, "quantity": attempt.quantity, "revision": order.revision,
        "placed_at": Moment(order.placed_at), "confirmed_at": order.confirmed_at.map(Moment),
        "revoked_reason": order.revoked_reason, "pay_by": order.pay_by.map(Moment), "replaces": order.replaces,
        "holds": order.holds.as_str(), "attributes": attributes(&attempt.attributes), "charges": order.charges})
}

fn letter_line(BuyerLetter { letter, order }: &BuyerLetter) -> Value {
    json!({"kind": "letter", "campaign": order.campaign, "order": order.order, "stage": letter.stage.as_str(),
        "open": Stage::OPEN.contains(&letter.stage), "user": order.user, "sku": order.sku, "quantity": order.quantity,
        "placed_at": Moment(order.placed_at), "failed_at": Moment(letter.failed_at), "error": letter.error,
        "attributes": attributes(&order.attributes), "charges": order.charges})
}

fn attempt_line(campaign: &str, one: &DecidedAttempt) -> Value {
    let attempt = &one.attempt;
    json!({"kind": "attempt", "campaign": campaign, "order": attempt.order, "user": attempt.user, "at": Moment(one.at),
        "sku": attempt.sku, "quantity": attempt.quantity, "revision": one.revision, "outcome": one.outcome,
        "attributes": attributes(&attempt.attributes)})
}

fn attributes(kept: &BTreeMap<String, String>) -> Value {
    kept.iter()
        .map(|(name, text)| (name.clone(), array::to_json(text)))
        .collect()
}
