//! The audit trail: lines that are written in the transaction of the change that they tell of, each behind the last one of its
//! merchant's chain.
//!
//! The row of a chain's head is what lines of one merchant wait for: it is locked last in every transaction, so that nobody who holds
//! it waits for anything else.

mod list;
mod mask;
mod seal;
mod verify;

use std::collections::BTreeSet;

use sqlx::{Any, AssertSqlSafe, Row, Transaction};

use crate::access::DEFAULT_MERCHANT;
use crate::audit::{AuditEntry, AuditLine, Head};
use crate::failpoint::{self, Point};
use crate::store::dialect::Dialect;
use crate::store::privacy::erasures::new_secret;
use crate::store::rows::{maybe_text, narrow, text};
use crate::store::{Owned, Store, StoreError, StoreResult, time};
pub use list::{AuditFilter, AuditPlace};
pub use verify::TrailChecked;

impl Store {
    /// Writes lines that tell of something elsewhere than in the database, before it is done.
    pub async fn audit(&self, lines: &[AuditLine<'_>]) -> StoreResult<()> {
        let mut tx = self.begin().await?;
        self.append_audit(&mut tx, lines).await?;
        Ok(tx.commit().await?)
    }

    /// Writes a line, does something elsewhere than in the database, and keeps the line if that has changed anything: where it cannot
    /// be written, nothing is done. Other lines wait meanwhile, so that is to be short. Who dies between the two leaves what was done.
    pub async fn audit_around<E: From<StoreError>>(
        &self,
        line: AuditLine<'_>,
        work: impl Future<Output = Result<bool, E>>,
    ) -> Result<(), E> {
        if self.dialect == Dialect::Sqlite {
            // It has one writer, for whom the work may wait; and the engine beside it is in this process, and forgets with it.
            return match work.await? {
                true => Ok(self.audit(&[line]).await?),
                false => Ok(()),
            };
        }
        let mut tx = self.begin().await?;
        self.append_audit(&mut tx, &[line]).await?;
        let done = match work.await? {
            true => tx.commit().await,
            false => tx.rollback().await,
        };
        Ok(done.map_err(StoreError::from)?)
    }

    /// Writes the lines of a change, as the last thing that its transaction does. Where they cannot be written, the change fails.
    pub(in crate::store) async fn append_audit(
        &self,
        tx: &mut Transaction<'_, Any>,
        lines: &[AuditLine<'_>],
    ) -> StoreResult<()> {
        self.move_tags(tx, lines).await?;
        let mut entries = Vec::with_capacity(lines.len());
        for line in lines {
            let mut entry = AuditEntry::of(line);
            if line.merchant.is_none()
                && let Some(owner) = owner(tx, line).await?
            {
                entry.merchant = owner;
            }
            entries.push(entry);
        }
        // Heads of several merchants are locked in one order.
        let merchants: BTreeSet<String> = entries.iter().map(|entry| entry.merchant.clone()).collect();
        for merchant in &merchants {
            let mut head = self.lock_head(tx, merchant).await?;
            if head.number == 0 && merchant == DEFAULT_MERCHANT {
                self.chain_earlier(tx, &mut head).await?;
            }
            for entry in entries.iter_mut().filter(|entry| entry.merchant == *merchant) {
                entry.chain(&mut head, new_salt());
                insert(tx, entry).await?;
            }
            write_head(tx, &head).await?;
            failpoint::hit(Point::A1);
        }
        Ok(())
    }

    /// Ends a transaction whose change was made, or found nothing to change: then without its lines.
    pub(in crate::store) async fn commit_if(
        &self,
        mut tx: Transaction<'_, Any>,
        is_made: bool,
        lines: &[AuditLine<'_>],
    ) -> StoreResult<bool> {
        if is_made {
            self.append_audit(&mut tx, lines).await?;
        }
        tx.commit().await?;
        Ok(is_made)
    }

    /// The heads of all chains, in order of merchants.
    pub async fn audit_heads(&self) -> StoreResult<Vec<Head>> {
        let rows = sqlx::query("SELECT merchant, number, hash FROM audit_heads ORDER BY merchant")
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(head).collect()
    }

    /// Locks the end of a merchant's chain until the transaction ends.
    async fn lock_head(&self, tx: &mut Transaction<'_, Any>, merchant: &str) -> StoreResult<Head> {
        let lock = self.dialect.for_update();
        let sql = format!("SELECT merchant, number, hash FROM audit_heads WHERE merchant = ?{lock}");
        let there = sqlx::query(AssertSqlSafe(sql.clone()))
            .bind(merchant)
            .fetch_optional(&mut **tx)
            .await?;
        if let Some(row) = there {
            return head(&row);
        }
        let clause = self.dialect.on_conflict("merchant", "merchant", "merchant");
        let first = format!("INSERT INTO audit_heads (merchant, number, hash) VALUES (?, 0, ''){clause}");
        sqlx::query(AssertSqlSafe(first))
            .bind(merchant)
            .execute(&mut **tx)
            .await?;
        let row = sqlx::query(AssertSqlSafe(sql))
            .bind(merchant)
            .fetch_one(&mut **tx)
            .await?;
        head(&row)
    }
}

/// Who owns what a line is about, where one merchant does.
async fn owner(tx: &mut Transaction<'_, Any>, line: &AuditLine<'_>) -> StoreResult<Option<String>> {
    let (kind, _) = line.action.split_once('.').unwrap_or((line.action, ""));
    let owned = match kind {
        "campaign" | "revision" | "stock" | "sku" | "order" | "reconcile" => Owned::Campaign,
        "audience" => Owned::List,
        "webhook" => Owned::Webhook,
        "module" => Owned::Module,
        "key" => Owned::Key,
        _ => return Ok(None),
    };
    let found = sqlx::query(owned.merchant_sql())
        .bind(line.target.as_str())
        .fetch_optional(&mut **tx)
        .await?;
    match found {
        Some(row) => maybe_text(&row, 0),
        None => Ok(None),
    }
}

fn head(row: &sqlx::any::AnyRow) -> StoreResult<Head> {
    Ok(Head {
        merchant: text(row, 0)?,
        number: narrow(row, 1)?,
        hash: row.try_get(2)?,
    })
}

async fn write_head(tx: &mut Transaction<'_, Any>, head: &Head) -> StoreResult<()> {
    sqlx::query("UPDATE audit_heads SET number = ?, hash = ? WHERE merchant = ?")
        .bind(head.number as i64)
        .bind(head.hash.as_str())
        .bind(head.merchant.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(())
}

async fn insert(tx: &mut Transaction<'_, Any>, entry: &AuditEntry) -> StoreResult<()> {
    let by = entry.by.by();
    sqlx::query(
        "INSERT INTO audit (at, actor, action, target, detail, merchant, number, key_id, person, address, note, salt, content, hash) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(time::to_text(entry.at)?)
    .bind(by.actor)
    .bind(entry.action.as_str())
    .bind(entry.target.as_str())
    .bind(entry.detail.as_str())
    .bind(entry.merchant.as_str())
    .bind(entry.number.map(|number| number as i64))
    .bind(by.key)
    .bind(by.person)
    .bind(by.address)
    .bind(entry.note.as_deref())
    .bind(entry.salt.as_deref())
    .bind(entry.content.as_deref())
    .bind(entry.hash.as_deref())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Nobody can guess it: 128 bits.
fn new_salt() -> String {
    let mut salt = new_secret();
    salt.truncate(32);
    salt
}
