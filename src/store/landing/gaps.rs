//! Gaps: where landing goes on although the log does not hold what the database expects.

use serde_json::json;
use sqlx::Row;

use crate::audit::AuditLine;
use crate::record::Gap;
use crate::store::rows::int;
use crate::store::{Store, StoreResult, time};

impl Store {
    /// Moves a partition's offset past a gap, provided it is still what was expected; a row in `log_gaps` and one in the
    /// audit trail say so. The number of records that were removed before they landed; `None`: somebody else has moved it.
    pub async fn close_gap(&self, topic: &str, gap: &Gap, now: i64) -> StoreResult<Option<u64>> {
        let at = time::to_text(now)?;
        let partition = i64::from(gap.partition);
        let mut tx = self.begin().await?;
        let lock = self.dialect.for_update();
        let sql = format!(
            "SELECT next_offset, reached, told FROM landing_offsets WHERE topic = ? AND `partition` = ?{lock}"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(topic)
            .bind(partition)
            .fetch_optional(&mut *tx)
            .await?;
        let stored = row.as_ref().map(|row| int(row, 0)).transpose()?;
        if stored.unwrap_or(0) != gap.expected {
            tx.rollback().await?;
            return Ok(None);
        }
        let reached = row.as_ref().map(|row| int(row, 1)).transpose()?.unwrap_or(0);
        let missing = gap.missing(reached);
        let told = row.as_ref().map(|row| int(row, 2)).transpose()?.unwrap_or(0);
        let write = match stored {
            Some(_) => {
                "UPDATE landing_offsets SET next_offset = ?, reached = ?, told = ? WHERE topic = ? AND `partition` = ?"
            }
            None => {
                "INSERT INTO landing_offsets (next_offset, reached, told, topic, `partition`) VALUES (?, ?, ?, ?, ?)"
            }
        };
        sqlx::query(write)
            .bind(gap.next())
            // Where the log was made anew it is what landing came to in this one.
            .bind(if reached > gap.high {
                gap.next()
            } else {
                reached.max(gap.next())
            })
            // What did not land is not to be told.
            .bind(if told >= gap.expected {
                gap.next()
            } else {
                told.min(gap.next())
            })
            .bind(topic)
            .bind(partition)
            .execute(&mut *tx)
            .await?;
        let records = i64::try_from(missing).unwrap_or(i64::MAX);
        sqlx::query(
            "INSERT INTO log_gaps (topic, `partition`, expected, next_offset, log_start, log_end, records, found_at) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(topic)
        .bind(partition)
        .bind(gap.expected)
        .bind(gap.next())
        .bind(gap.low)
        .bind(gap.high)
        .bind(records)
        .bind(at.as_str())
        .execute(&mut *tx)
        .await?;
        let detail = json!({
            "expected": gap.expected, "next_offset": gap.next(), "log_start": gap.low, "log_end": gap.high,
            "records_missing": missing, "reached": reached,
        });
        let target = format!("{topic}/{partition}");
        let line = AuditLine::new(now, "rushgate land", "landing.gap", target, detail);
        self.append_audit(&mut tx, &[line]).await?;
        tx.commit().await?;
        Ok(Some(missing))
    }

    /// Topics that have landed here, with whatever prefix.
    pub async fn landed_topics(&self) -> StoreResult<Vec<String>> {
        let rows = sqlx::query("SELECT DISTINCT topic FROM landing_offsets ORDER BY topic")
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }
}
