//! Gaps: where landing goes on although the log does not hold what the database expects.

use serde_json::json;
use sqlx::Row;

use crate::store::rows::{int, to_json};
use crate::store::time;
use crate::store::{Store, StoreResult};

/// What the log of a partition holds, and what the database expects of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogGap {
    pub partition: i32,
    /// 0 where nothing has landed yet.
    pub expected: i64,
    /// The log's first offset, and one past its last record.
    pub low: i64,
    pub high: i64,
    /// Where landing is to go on.
    pub next: i64,
}

impl LogGap {
    /// Records that were removed before they landed: those that landing, which once came as far as `reached`, never
    /// took in. What lies below that was taken in, and somebody has set the offset back.
    fn missing(&self, reached: i64) -> u64 {
        // Landing cannot have come further than the log goes: it was another log, under the same name.
        let reached = if reached > self.high { 0 } else { reached };
        let from = self.expected.max(reached).max(0);
        u64::try_from(self.low - from).unwrap_or(0)
    }
}

impl Store {
    /// Moves a partition's offset past a gap, provided it is still what was expected; a row in `log_gaps` and one in the
    /// audit trail say so. The number of records that were removed before they landed; `None`: somebody else has moved it.
    pub async fn close_gap(&self, topic: &str, gap: &LogGap, now: i64) -> StoreResult<Option<u64>> {
        let at = time::to_text(now)?;
        let partition = i64::from(gap.partition);
        let mut tx = self.begin().await?;
        let lock = self.dialect.for_update();
        let sql = format!(
            "SELECT next_offset, reached FROM landing_offsets WHERE topic = ? AND `partition` = ?{lock}"
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
        let write = match stored {
            Some(_) => {
                "UPDATE landing_offsets SET next_offset = ?, reached = ? WHERE topic = ? AND `partition` = ?"
            }
            None => {
                "INSERT INTO landing_offsets (next_offset, reached, topic, `partition`) VALUES (?, ?, ?, ?)"
            }
        };
        sqlx::query(write)
            .bind(gap.next)
            // Where the log was made anew it is what landing came to in this one.
            .bind(if reached > gap.high {
                gap.next
            } else {
                reached.max(gap.next)
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
        .bind(gap.next)
        .bind(gap.low)
        .bind(gap.high)
        .bind(records)
        .bind(at.as_str())
        .execute(&mut *tx)
        .await?;
        let detail = json!({
            "expected": gap.expected, "next_offset": gap.next, "log_start": gap.low, "log_end": gap.high,
            "records_missing": missing, "reached": reached,
        });
        sqlx::query("INSERT INTO audit (at, actor, action, target, detail) VALUES (?, ?, ?, ?, ?)")
            .bind(at)
            .bind("rushgate land")
            .bind("landing.gap")
            .bind(format!("{topic}/{partition}"))
            .bind(to_json(&detail)?)
            .execute(&mut *tx)
            .await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_landing_had_taken_in_before_is_not_missing() {
        let missing = |expected, reached, (low, high)| {
            let gap = LogGap {
                partition: 0,
                expected,
                low,
                high,
                next: low,
            };
            gap.missing(reached)
        };
        let log = (12, 20);
        for (expected, reached, lost) in [
            // Never further than expected: all between was removed before it landed.
            (0, 0, 12),
            (3, 3, 9),
            (3, 0, 9),
            // Set back, also to what is no offset.
            (0, 15, 0),
            (-7, 15, 0),
            (3, 12, 0),
            // Set back, and more was removed than had landed.
            (0, 10, 2),
            (-7, 0, 12),
            // It came further in another log of that name.
            (3, 400, 9),
        ] {
            assert_eq!(missing(expected, reached, log), lost, "{expected} {reached}");
        }
        // The log ends before the offset: nothing was removed from its beginning.
        assert_eq!(missing(100, 100, (0, 9)), 0);
    }
}
