//! Rows that are in no chain: those of before there were chains, and those that a process of such a build has written since.

use sqlx::{Any, AssertSqlSafe, Transaction};

use super::list::{COLUMNS, entry};
use super::{new_salt, write_head};
use crate::access::DEFAULT_MERCHANT;
use crate::audit::{AskedBy, AuditLine, Head, OWN, SEAL};
use crate::store::{Store, StoreResult};

/// Rows that are read together.
const AT_ONCE: i64 = 500;
/// What lines about the trail itself are about.
const TARGET: &str = "audit";

impl Store {
    /// Puts the rows of before there were chains into that of the default merchant, once, where there are any.
    pub(in crate::store) async fn begin_chains(&self) -> StoreResult<()> {
        let sql = format!("SELECT {}", self.dialect.now_ms());
        let now: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&self.pool)
            .await?;
        let mut tx = self.begin().await?;
        let mut head = self.lock_head(&mut tx, DEFAULT_MERCHANT).await?;
        if head.number > 0 || self.chain_earlier(&mut tx, &mut head).await? == 0 {
            tx.rollback().await?;
            return Ok(());
        }
        let line = sealed(now, OWN.into(), (1, head.number), None);
        self.append_audit(&mut tx, &[line]).await?;
        Ok(tx.commit().await?)
    }

    /// Puts rows that are in no chain behind the last one of the default merchant's, with a line that says who did so; how many.
    pub async fn seal_audit(&self, by: AskedBy<'_>, note: Option<&str>, now: i64) -> StoreResult<u64> {
        let mut tx = self.begin().await?;
        let mut head = self.lock_head(&mut tx, DEFAULT_MERCHANT).await?;
        let first = head.number + 1;
        let rows = self.chain_earlier(&mut tx, &mut head).await?;
        if rows == 0 {
            tx.rollback().await?;
            return Ok(0);
        }
        let line = sealed(now, by, (first, head.number), note);
        self.append_audit(&mut tx, &[line]).await?;
        tx.commit().await?;
        Ok(rows)
    }

    /// Chains what is in no chain behind the head, which is locked, in order of writing; how many rows. Whoever is writing one is
    /// waited for.
    pub(super) async fn chain_earlier(
        &self,
        tx: &mut Transaction<'_, Any>,
        head: &mut Head,
    ) -> StoreResult<u64> {
        let sql = format!(
            "SELECT {COLUMNS} FROM audit WHERE merchant = ? AND number IS NULL AND seq > ? ORDER BY seq LIMIT {AT_ONCE}{}",
            self.dialect.for_update()
        );
        let (mut rows, mut after) = (0, 0);
        loop {
            let page = sqlx::query(AssertSqlSafe(sql.as_str()))
                .bind(DEFAULT_MERCHANT)
                .bind(after)
                .fetch_all(&mut **tx)
                .await?;
            for row in &page {
                let mut entry = entry(row)?;
                entry.chain(head, new_salt());
                after = entry.seq;
                sqlx::query("UPDATE audit SET number = ?, salt = ?, content = ?, hash = ? WHERE seq = ?")
                    .bind(entry.number.map(|number| number as i64))
                    .bind(entry.salt)
                    .bind(entry.content)
                    .bind(entry.hash)
                    .bind(entry.seq)
                    .execute(&mut **tx)
                    .await?;
                rows += 1;
            }
            if page.len() < AT_ONCE as usize {
                break;
            }
        }
        if rows > 0 {
            write_head(tx, head).await?;
        }
        Ok(rows)
    }
}

fn sealed<'a>(at: i64, by: AskedBy<'a>, (from, to): (u64, u64), note: Option<&'a str>) -> AuditLine<'a> {
    let detail = serde_json::json!({"rows": to + 1 - from, "from": from, "to": to});
    AuditLine::new(at, by, SEAL, TARGET, detail).noted(note)
}
