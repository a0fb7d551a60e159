//! The form of records that a deployment writes, and the step to a newer one: `docs/RECORDS.md`.

use sqlx::AssertSqlSafe;

use crate::audit::AuditLine;
use crate::campaign::{Activation, RecordVersion};
use crate::store::campaigns::append_activation;
use crate::store::rows::{moment, text};
use crate::store::time;
use crate::store::{CampaignRow, Store, StoreResult};

/// A process of a build that cannot read or write some records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OlderSender {
    pub name: String,
    /// When it last said that it runs, by its own clock.
    pub seen_at: i64,
}

impl Store {
    /// What campaigns are made with.
    pub async fn record_version(&self) -> StoreResult<RecordVersion> {
        let newest: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(version), 1) FROM record_versions")
            .fetch_one(&self.pool)
            .await?;
        // A later build's is written by a later build.
        Ok(u8::try_from(newest)
            .ok()
            .and_then(|number| number.try_into().ok())
            .unwrap_or(RecordVersion::NEWEST))
    }

    /// Campaigns are made with this version from now on.
    pub async fn decide_record_version(&self, version: RecordVersion, now: i64) -> StoreResult<()> {
        let clause = self.dialect.on_conflict("version", "version", "version");
        let sql = format!("INSERT INTO record_versions (version, decided_at) VALUES (?, ?){clause}");
        sqlx::query(AssertSqlSafe(sql))
            .bind(i64::from(version.number()))
            .bind(time::to_text(now)?)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Processes that are written down and know records of lower versions only, in order of their names.
    pub async fn senders_below(&self, version: RecordVersion) -> StoreResult<Vec<OlderSender>> {
        let rows = sqlx::query(
            "SELECT name, CAST(MAX(seen_at) AS CHAR) FROM seal_senders WHERE record_version < ? \
             GROUP BY process, name ORDER BY name, process",
        )
        .bind(i64::from(version.number()))
        .fetch_all(&self.pool)
        .await?;
        let sender = |row| {
            Ok(OlderSender {
                name: text(row, 0)?,
                seen_at: moment(row, 1)?,
            })
        };
        rows.iter().map(sender).collect()
    }

    /// Moves a campaign to a version, under a new epoch. A campaign whose orders went by their key is spread over
    /// `partitions` from then on. Lines of the audit trail get the new one as `epoch`. `None`: its epoch is no longer the row's.
    pub async fn raise_record_version(
        &self,
        row: &CampaignRow,
        version: RecordVersion,
        partitions: u32,
        now: i64,
        audit: Vec<AuditLine<'_>>,
    ) -> StoreResult<Option<Activation>> {
        let (campaign, Activation { epoch, revision }) = (&row.campaign.id, row.activation);
        let mut tx = self.begin().await?;
        if self.lock_epoch(&mut tx, campaign).await? != epoch {
            return Ok(None);
        }
        sqlx::query(
            "UPDATE campaigns SET record_version = ?, partitions = COALESCE(partitions, ?) WHERE campaign_id = ?",
        )
        .bind(i64::from(version.number()))
        .bind(i64::from(partitions))
        .bind(campaign.as_str())
        .execute(&mut *tx)
        .await?;
        let activation = append_activation(&mut tx, campaign, revision, epoch + 1, now).await?;
        let lines = audit
            .into_iter()
            .map(|line| line.saying("epoch", activation.epoch));
        self.append_audit(&mut tx, &lines.collect::<Vec<_>>()).await?;
        tx.commit().await?;
        Ok(Some(activation))
    }
}
