//! Tags of campaigns and endpoints: each change through the control plane gives what it changes another one, in its own transaction, and
//! is not made where whoever asks for it has seen the thing under another.
//!
//! Every such change writes a line of the audit trail, so that is where it is done: no change can forget it. A thing that has not changed
//! since there are tags has its own id as its tag.

use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::audit::AuditLine;
use crate::store::rows::text;
use crate::store::{Store, StoreError, StoreResult};

/// Actions that change nothing of what a merchant sees or says: repairs of a gateway, and messages.
const NO_CHANGES: [&str; 4] = [
    "campaign.rebuild",
    "campaign.cut_over",
    "webhook.replay",
    "webhook.test",
];

/// What has a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tagged {
    Campaign,
    Webhook,
}

impl Tagged {
    /// What a line of this action is about.
    fn of(action: &str) -> Option<Self> {
        if NO_CHANGES.contains(&action) {
            return None;
        }
        match action.split_once('.')?.0 {
            "campaign" | "revision" | "stock" | "sku" => Some(Self::Campaign),
            "webhook" => Some(Self::Webhook),
            _ => None,
        }
    }

    fn select(self) -> &'static str {
        match self {
            Self::Campaign => "SELECT COALESCE(tag, uid) FROM campaigns WHERE campaign_id = ?",
            Self::Webhook => "SELECT COALESCE(tag, webhook_id) FROM webhooks WHERE webhook_id = ?",
        }
    }

    fn update(self) -> &'static str {
        match self {
            Self::Campaign => "UPDATE campaigns SET tag = ? WHERE campaign_id = ?",
            Self::Webhook => "UPDATE webhooks SET tag = ? WHERE webhook_id = ?",
        }
    }
}

impl Store {
    /// Refuses a change on whose condition the thing is not any more; it is locked until the transaction ends. Whoever removes a thing, or
    /// begins a change whose line comes later, asks first.
    pub(in crate::store) async fn check_tag(
        &self,
        tx: &mut Transaction<'_, Any>,
        line: &AuditLine<'_>,
    ) -> StoreResult<()> {
        let (Some(tagged), Some(only)) = (Tagged::of(line.action), line.by.only_if) else {
            return Ok(());
        };
        let lock = self.dialect.for_update();
        let found = sqlx::query(AssertSqlSafe(format!("{}{lock}", tagged.select())))
            .bind(line.target.as_str())
            .fetch_optional(&mut **tx)
            .await?;
        // What is gone was asked about before it went.
        let Some(row) = found else { return Ok(()) };
        let tag = text(&row, 0)?;
        match only.allows(&tag) {
            true => Ok(()),
            false => Err(StoreError::Changed(tag)),
        }
    }

    /// Gives what the lines are about another tag, where nobody minds.
    pub(in crate::store) async fn move_tags(
        &self,
        tx: &mut Transaction<'_, Any>,
        lines: &[AuditLine<'_>],
    ) -> StoreResult<()> {
        for line in lines {
            self.check_tag(tx, line).await?;
        }
        for line in lines {
            let Some(tagged) = Tagged::of(line.action) else {
                continue;
            };
            let own = line.by.only_if.and_then(|only| only.condition().own());
            let tag = own.map_or_else(|| uuid::Uuid::now_v7().simple().to_string(), str::to_owned);
            sqlx::query(AssertSqlSafe(tagged.update()))
                .bind(tag)
                .bind(line.target.as_str())
                .execute(&mut **tx)
                .await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_only_repaired_keeps_its_tag() {
        for (action, tagged) in [
            ("campaign.pause", Some(Tagged::Campaign)),
            ("revision.create", Some(Tagged::Campaign)),
            ("sku.create", Some(Tagged::Campaign)),
            ("webhook.rotate", Some(Tagged::Webhook)),
            ("webhook.test", None),
            ("campaign.rebuild", None),
            ("order.pay", None),
            ("key.create", None),
        ] {
            assert_eq!(Tagged::of(action), tagged, "{action}");
        }
    }
}
