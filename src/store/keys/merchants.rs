//! Merchants: who owns campaigns, lists, webhooks and modules.

use sqlx::AssertSqlSafe;
use sqlx::any::AnyRow;

use crate::audit::AuditLine;
use crate::store::error::is_duplicate;
use crate::store::rows::{moment, text};
use crate::store::{Store, StoreResult, time};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MerchantRow {
    pub id: String,
    pub name: String,
    /// Milliseconds since 1970-01-01 UTC.
    pub created_at: i64,
}

const SELECT: &str = "SELECT merchant_id, name, CAST(created_at AS CHAR) FROM merchants";

fn row(row: &AnyRow) -> StoreResult<MerchantRow> {
    Ok(MerchantRow {
        id: text(row, 0)?,
        name: text(row, 1)?,
        created_at: moment(row, 2)?,
    })
}

impl Store {
    /// `false` where the id is taken.
    pub async fn insert_merchant(&self, new: &MerchantRow, audit: &[AuditLine<'_>]) -> StoreResult<bool> {
        let mut tx = self.begin().await?;
        let inserted = sqlx::query("INSERT INTO merchants (merchant_id, name, created_at) VALUES (?, ?, ?)")
            .bind(new.id.as_str())
            .bind(new.name.as_str())
            .bind(time::to_text(new.created_at)?)
            .execute(&mut *tx)
            .await;
        match inserted {
            Ok(_) => self.commit_if(tx, true, audit).await,
            Err(error) if is_duplicate(&error) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub async fn merchant(&self, id: &str) -> StoreResult<Option<MerchantRow>> {
        let sql = format!("{SELECT} WHERE merchant_id = ?");
        let found = sqlx::query(AssertSqlSafe(sql))
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        found.as_ref().map(row).transpose()
    }

    /// Newest first, those made before `before`, at most `limit`; or one where it is named.
    pub async fn merchants(
        &self,
        only: Option<&str>,
        before: Option<&str>,
        limit: u32,
    ) -> StoreResult<Vec<MerchantRow>> {
        let mut sql = format!("{SELECT} WHERE 1 = 1");
        if only.is_some() {
            sql += " AND merchant_id = ?";
        }
        if before.is_some() {
            sql += " AND seq < (SELECT b.seq FROM merchants b WHERE b.merchant_id = ?)";
        }
        sql += " ORDER BY seq DESC LIMIT ?";
        let texts = [only, before].into_iter().flatten();
        let query = texts.fold(sqlx::query(AssertSqlSafe(sql)), |query, text| query.bind(text));
        let rows = query.bind(i64::from(limit)).fetch_all(&self.pool).await?;
        rows.iter().map(row).collect()
    }
}
