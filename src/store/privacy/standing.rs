//! In which campaigns a buyer has orders, until when these need the buyer, and what they wait for then.

use std::collections::BTreeMap;

use sqlx::{AnyConnection, AssertSqlSafe};

use super::buyer::BuyerName;
use super::count;
use crate::order::TIME_MIN_MS;
use crate::store::rows::{int, maybe_int, maybe_text, moment, text};
use crate::store::{Store, StoreResult, time};

/// Between the end of a campaign's retention, when its keys in the engine go, and the first erasure: far more than clocks differ.
pub const ERASED_AFTER_MS: i64 = 300_000;

/// What an order still needs its buyer for, whatever the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Waits {
    /// It is to be paid yet.
    Payment,
    /// A change of it was not told.
    Event,
    /// The engine does not have back what it held.
    Release,
    /// A job over the campaign's orders is being worked off.
    Job,
    /// An endpoint was not sent its message.
    Delivery,
    /// It waits among the dead letters for a retry or for a person.
    Letter,
}

/// A campaign in which a buyer has orders that landed, or letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuyerCampaign {
    pub campaign: String,
    pub orders: u64,
    /// From then on nothing but `waits` is in the way, milliseconds since 1970-01-01 UTC.
    pub due_at: i64,
    /// Each with how many there are.
    pub waits: Vec<(Waits, u64)>,
}

impl Store {
    /// Campaigns with orders of a buyer that were placed at `until` or before.
    pub async fn buyer_campaigns(
        &self,
        buyer: impl Into<BuyerName<'_>>,
        until: i64,
    ) -> StoreResult<Vec<BuyerCampaign>> {
        let buyer = buyer.into();
        let user = buyer.user;
        let mut connection = self.pool.acquire().await?;
        let sql = format!(
            "SELECT campaign_id, COUNT(*) FROM orders{} WHERE user_id = ? AND placed_at <= ?{} \
             GROUP BY campaign_id ORDER BY campaign_id",
            self.dialect.by_index("orders_buyer"),
            buyer.of_campaigns("orders.campaign_id")
        );
        let query = sqlx::query(AssertSqlSafe(sql))
            .bind(user)
            .bind(time::to_text(until)?);
        let rows = buyer
            .merchant
            .into_iter()
            .fold(query, |query, merchant| query.bind(merchant))
            .fetch_all(&mut *connection)
            .await?;
        let mut found = Vec::with_capacity(rows.len());
        for row in &rows {
            let campaign = text(row, 0)?;
            found.push(BuyerCampaign {
                orders: count(int(row, 1)?),
                due_at: self.due_at(&mut connection, &campaign).await?,
                waits: self.waits(&mut connection, &campaign, user, until).await?,
                campaign,
            });
        }
        Ok(found)
    }

    /// When nothing in the engine needs the buyers of a campaign any more. Of one that is gone: always.
    pub async fn erased_from(&self, campaign: &str) -> StoreResult<i64> {
        let mut connection = self.pool.acquire().await?;
        self.due_at(&mut connection, campaign).await
    }

    /// The same; who brings the campaign back meanwhile waits where the connection is in a transaction.
    pub(super) async fn due_at(&self, connection: &mut AnyConnection, campaign: &str) -> StoreResult<i64> {
        let sql = format!(
            "SELECT CAST({} AS CHAR) FROM campaigns c JOIN revisions r ON r.campaign_id = c.campaign_id \
             AND r.revision = c.revision WHERE c.campaign_id = ?{}",
            self.dialect.kept_until(),
            self.dialect.for_share()
        );
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(campaign)
            .fetch_optional(connection)
            .await?;
        let kept_until = row.as_ref().map(|row| moment(row, 0)).transpose()?;
        Ok(kept_until.map_or(TIME_MIN_MS, |until| until.saturating_add(ERASED_AFTER_MS)))
    }

    /// What the buyer's orders of a campaign wait for.
    pub(super) async fn waits(
        &self,
        connection: &mut AnyConnection,
        campaign: &str,
        user: &str,
        until: i64,
    ) -> StoreResult<Vec<(Waits, u64)>> {
        let index = self.dialect.by_index("orders_buyer");
        let own = |join: &str, condition: &str| {
            format!(
                "SELECT COUNT(*) FROM orders o{index}{join} \
                 WHERE o.campaign_id = ? AND o.user_id = ? AND o.placed_at <= ? AND {condition}"
            )
        };
        let join = |table: &str| {
            format!(" JOIN {table} t ON t.campaign_id = o.campaign_id AND t.order_id = o.order_id")
        };
        let event = own(&join("order_changes"), "t.told_at IS NULL");
        let release = own(&join("releases"), "t.given_back_at IS NULL");
        let mut asked = vec![
            (Waits::Payment, own("", "o.pay_by IS NOT NULL"), None),
            (Waits::Event, event, None),
            (Waits::Release, release, None),
        ];
        if let Some(since) = self.untold_since(connection).await? {
            let since = time::to_text(since)?;
            asked.push((Waits::Event, own("", "o.placed_at >= ?"), Some(since)));
        }
        let until = time::to_text(until)?;
        let mut waits: BTreeMap<Waits, u64> = BTreeMap::new();
        let of = (campaign, user, until.as_str());
        count_waits(connection, of, asked, &mut waits).await?;
        let jobs = "SELECT COUNT(*) FROM order_jobs WHERE campaign_id = ? AND ended_at IS NULL";
        let jobs = sqlx::query_scalar(jobs).bind(campaign);
        waits.insert(Waits::Job, count(jobs.fetch_one(&mut *connection).await?));
        // After the events: a delivery is written down before its event counts as told.
        let waiting = own(
            &join("webhook_deliveries"),
            "t.state = 'waiting' AND t.webhook_id = ?",
        );
        let webhooks = self.delivered_to(connection).await?.into_iter();
        let sending = webhooks.map(|webhook| (Waits::Delivery, waiting.clone(), Some(webhook)));
        count_waits(connection, of, sending, &mut waits).await?;
        Ok(waits.into_iter().filter(|(_, waiting)| *waiting > 0).collect())
    }

    /// Orders placed at this moment or later may not have been told; `None`: all are.
    async fn untold_since(&self, connection: &mut AnyConnection) -> StoreResult<Option<i64>> {
        let row = sqlx::query("SELECT MIN(told_since) FROM landing_offsets WHERE told < next_offset")
            .fetch_one(connection)
            .await?;
        maybe_int(&row, 0)
    }

    /// Endpoints that have deliveries, also those that are gone; from one to the next, whatever they have.
    pub(super) async fn delivered_to(&self, connection: &mut AnyConnection) -> StoreResult<Vec<String>> {
        let mut found: Vec<String> = Vec::new();
        loop {
            let row = sqlx::query("SELECT MIN(webhook_id) FROM webhook_deliveries WHERE webhook_id > ?")
                .bind(found.last().map_or("", String::as_str))
                .fetch_optional(&mut *connection)
                .await?;
            match row.as_ref().map(|row| maybe_text(row, 0)).transpose()?.flatten() {
                Some(webhook) => found.push(webhook),
                None => return Ok(found),
            }
        }
    }
}

/// Counts orders by statements for a campaign, a buyer, a moment and, where there is one, a value more.
async fn count_waits(
    connection: &mut AnyConnection,
    (campaign, user, until): (&str, &str, &str),
    asked: impl IntoIterator<Item = (Waits, String, Option<String>)>,
    waits: &mut BTreeMap<Waits, u64>,
) -> StoreResult<()> {
    for (what, sql, more) in asked {
        let query = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(campaign)
            .bind(user)
            .bind(until);
        let query = more.into_iter().fold(query, |query, more| query.bind(more));
        *waits.entry(what).or_default() += count(query.fetch_one(&mut *connection).await?);
    }
    Ok(())
}
