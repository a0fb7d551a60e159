//! Details that named a buyer who is erased: the name goes, and a line says of which rows, and what they come to since.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::{Any, AssertSqlSafe, Transaction};

use super::list::{COLUMNS, entry};
use super::new_salt;
use crate::audit::{AuditLine, MASK, OWN};
use crate::store::{Store, StoreResult};

impl Store {
    /// Writes other details into rows of the trail, each under a salt of its own, with a line of the chain that says so.
    pub(in crate::store) async fn mask_audit(
        &self,
        target: &str,
        details: &[(i64, Value)],
        now: i64,
    ) -> StoreResult<()> {
        if details.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        let mut of_merchants: BTreeMap<String, Vec<(u64, String)>> = BTreeMap::new();
        for (seq, detail) in details {
            let (merchant, masked) = self.mask_row(&mut tx, *seq, detail).await?;
            of_merchants.entry(merchant).or_default().extend(masked);
        }
        // Each in the chain of the rows that it names.
        let lines: Vec<AuditLine<'_>> = of_merchants
            .iter()
            .map(|(merchant, rows)| {
                AuditLine::new(now, OWN, MASK, target, json!({"rows": rows})).of_merchant(merchant)
            })
            .collect();
        self.append_audit(&mut tx, &lines).await?;
        Ok(tx.commit().await?)
    }

    /// Whose row it is, its number, and its digest as it is then; `None` of one that is in no chain.
    async fn mask_row(
        &self,
        tx: &mut Transaction<'_, Any>,
        seq: i64,
        detail: &Value,
    ) -> StoreResult<(String, Option<(u64, String)>)> {
        let lock = self.dialect.for_update();
        let sql = format!("SELECT {COLUMNS} FROM audit WHERE seq = ?{lock}");
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(seq)
            .fetch_one(&mut **tx)
            .await?;
        let mut masked = entry(&row)?;
        masked.detail = detail.to_string();
        masked.salt = masked.number.map(|_| new_salt());
        sqlx::query("UPDATE audit SET detail = ?, salt = ? WHERE seq = ?")
            .bind(masked.detail.as_str())
            .bind(masked.salt.as_deref())
            .bind(seq)
            .execute(&mut **tx)
            .await?;
        let told = masked.number.map(|number| (number, masked.digest()));
        Ok((masked.merchant, told))
    }
}
