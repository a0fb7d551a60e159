//! Merchants: who owns campaigns, lists, webhooks and modules, and who says who their buyers are.

use sqlx::any::AnyRow;
use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::audit::AuditLine;
use crate::store::error::is_duplicate;
use crate::store::rows::{int, maybe_text, moment, text};
use crate::store::{Store, StoreResult, time};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MerchantRow {
    pub id: String,
    pub name: String,
    /// Milliseconds since 1970-01-01 UTC.
    pub created_at: i64,
    /// `None`: its buyers are those of the issuer that the configuration names.
    pub issuer: Option<Issuer>,
}

/// Who signs the tokens of a merchant's buyers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// What tokens have in `iss`.
    pub name: String,
    /// And in `aud`; `None`: anything.
    pub audience: Option<String>,
    /// Where its keys are published.
    pub jwks_url: String,
}

/// The issuer of a merchant that has, or had, one of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerRow {
    pub merchant: String,
    /// Counts its changes, from 1.
    pub changes: u64,
    /// `None`: it was taken away.
    pub issuer: Option<Issuer>,
}

/// What is to change of a merchant; `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MerchantEdit {
    pub name: Option<String>,
    /// Within, `None`: that of the configuration.
    pub issuer: Option<Option<Issuer>>,
}

const SELECT: &str =
    "SELECT merchant_id, name, CAST(created_at AS CHAR), issuer, audience, jwks_url FROM merchants";
/// Place of the issuer in [`SELECT`].
const ISSUER: usize = 3;

fn row(row: &AnyRow) -> StoreResult<MerchantRow> {
    Ok(MerchantRow {
        id: text(row, 0)?,
        name: text(row, 1)?,
        created_at: moment(row, 2)?,
        issuer: issuer(row, ISSUER)?,
    })
}

/// Three columns from `at` on.
fn issuer(row: &AnyRow, at: usize) -> StoreResult<Option<Issuer>> {
    let (Some(name), Some(jwks_url)) = (maybe_text(row, at)?, maybe_text(row, at + 2)?) else {
        return Ok(None);
    };
    Ok(Some(Issuer {
        name,
        audience: maybe_text(row, at + 1)?,
        jwks_url,
    }))
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
            Ok(_) => {}
            Err(error) if is_duplicate(&error) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        if new.issuer.is_some() {
            put_issuer(&mut tx, &new.id, new.issuer.as_ref()).await?;
        }
        self.commit_if(tx, true, audit).await
    }

    /// Changes it, and writes the audit trail, in one transaction.
    pub async fn edit_merchant(
        &self,
        id: &str,
        edit: &MerchantEdit,
        audit: &[AuditLine<'_>],
    ) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        if let Some(name) = &edit.name {
            sqlx::query("UPDATE merchants SET name = ? WHERE merchant_id = ?")
                .bind(name.as_str())
                .bind(id)
                .execute(&mut *tx)
                .await?;
        }
        if let Some(issuer) = &edit.issuer {
            put_issuer(&mut tx, id, issuer.as_ref()).await?;
        }
        self.append_audit(&mut tx, audit).await?;
        Ok(tx.commit().await?)
    }

    /// Merchants that have, or had, an issuer of their own.
    pub async fn issuers(&self) -> StoreResult<Vec<IssuerRow>> {
        let rows = sqlx::query(
            "SELECT merchant_id, issuer_changes, issuer, audience, jwks_url FROM merchants \
             WHERE issuer_changes > 0 ORDER BY merchant_id",
        )
        .fetch_all(&self.pool)
        .await?;
        let read = |row: &AnyRow| {
            Ok(IssuerRow {
                merchant: text(row, 0)?,
                changes: u64::try_from(int(row, 1)?).unwrap_or(0),
                issuer: issuer(row, 2)?,
            })
        };
        rows.iter().map(read).collect()
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

async fn put_issuer(tx: &mut Transaction<'_, Any>, id: &str, issuer: Option<&Issuer>) -> StoreResult<()> {
    sqlx::query(
        "UPDATE merchants SET issuer = ?, audience = ?, jwks_url = ?, issuer_changes = issuer_changes + 1 \
         WHERE merchant_id = ?",
    )
    .bind(issuer.map(|issuer| issuer.name.as_str()))
    .bind(issuer.and_then(|issuer| issuer.audience.as_deref()))
    .bind(issuer.map(|issuer| issuer.jwks_url.as_str()))
    .bind(id)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
