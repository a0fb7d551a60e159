//! A campaign that never admitted anybody is removed, and its id is free again.

use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::audit::AuditLine;
use crate::campaign::Holdings;
use crate::store::letters::Stage;
use crate::store::{Store, StoreResult};

/// Stages of dead letters that can have been orders.
const MAYBE_ORDERS: [Stage; 6] = [
    Stage::Retry,
    Stage::Dead,
    Stage::Replayed,
    Stage::Parked,
    Stage::Discarded,
    Stage::Landed,
];
/// Tables whose rows of the campaign go with it; the audit trail keeps what people did.
const TABLES: [&str; 13] = [
    "stock",
    "`usage`",
    "operations",
    "order_jobs",
    "scheduled_changes",
    "stock_changes",
    "activations",
    "approvals",
    "proposals",
    "revisions",
    "webhook_deliveries",
    "webhooks",
    "campaigns",
];

impl Store {
    /// What the database has of a campaign's orders.
    pub async fn holdings(&self, campaign: &str) -> StoreResult<Holdings> {
        let mut connection = self.pool.acquire().await?;
        held(&mut connection, campaign).await
    }

    /// Removes a campaign whose epoch is still `epoch` and that has no order; answers what it has, and removes nothing where
    /// that is something. The audit trail says so in the same transaction. `None` where the epoch is another one, or there is no such campaign.
    pub async fn remove_campaign(
        &self,
        campaign: &str,
        epoch: u64,
        audit: &[AuditLine<'_>],
    ) -> StoreResult<Option<Holdings>> {
        let mut tx = self.begin().await?;
        if self.locked_epoch(&mut tx, campaign).await? != Some(epoch) {
            return Ok(None);
        }
        for line in audit {
            self.check_tag(&mut tx, line).await?;
        }
        // Landing sells units of the order that it has written: whoever is about to has ended before the orders are counted.
        let lock = self.dialect.for_update();
        let sql = format!("SELECT sku_id FROM stock WHERE campaign_id = ?{lock}");
        sqlx::query(AssertSqlSafe(sql))
            .bind(campaign)
            .fetch_all(&mut *tx)
            .await?;
        let held = held(&mut tx, campaign).await?;
        if !held.is_empty() {
            return Ok(Some(held));
        }
        delete_rows(&mut tx, campaign).await?;
        self.append_audit(&mut tx, audit).await?;
        tx.commit().await?;
        // Attempts that were refused. What a gateway writes of them later is forgotten in time.
        self.forget_attempts_of(campaign).await?;
        Ok(Some(held))
    }
}

async fn delete_rows(tx: &mut Transaction<'_, Any>, campaign: &str) -> StoreResult<()> {
    for table in TABLES {
        let sql = format!("DELETE FROM {table} WHERE campaign_id = ?");
        sqlx::query(AssertSqlSafe(sql))
            .bind(campaign)
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}

async fn held(connection: &mut sqlx::AnyConnection, campaign: &str) -> StoreResult<Holdings> {
    let stages = MAYBE_ORDERS.map(|stage| format!("'{stage}'")).join(", ");
    let most = Holdings::COUNTED + 1;
    let landed = format!("SELECT 1 FROM orders WHERE campaign_id = ? LIMIT {most}");
    let letters =
        format!("SELECT 1 FROM dead_letters WHERE campaign_id = ? AND stage IN ({stages}) LIMIT {most}");
    let mut counts = [0, 0];
    for (count, rows) in counts.iter_mut().zip([landed, letters]) {
        let sql = format!("SELECT COUNT(*) FROM ({rows}) t");
        let found: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(campaign)
            .fetch_one(&mut *connection)
            .await?;
        *count = u64::try_from(found).unwrap_or(0);
    }
    let [landed, letters] = counts;
    Ok(Holdings {
        admitted: 0,
        landed,
        letters,
    })
}
