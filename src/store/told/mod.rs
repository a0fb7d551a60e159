//! What is to be told of orders: how far each partition was, and the changes themselves as the database has them.

mod changes;
mod orders;

use sqlx::AssertSqlSafe;

use crate::store::rows::{int, narrow, text};
use crate::store::{Store, StoreResult};

/// A partition that has landed further than it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untold {
    pub topic: String,
    pub partition: i32,
    /// The events of all orders below were published.
    pub told: i64,
    /// Behind the last record that has landed.
    pub next: i64,
    /// None of the orders between was placed before, milliseconds since 1970-01-01 UTC; 0: nobody knows.
    pub since: i64,
}

impl Store {
    /// Partitions of these topics that have landed further than they were told, in order.
    pub async fn untold(&self, topics: &[String]) -> StoreResult<Vec<Untold>> {
        let marks = vec!["?"; topics.len()].join(",");
        let sql = format!(
            "SELECT topic, `partition`, told, next_offset, told_since FROM landing_offsets \
             WHERE topic IN ({marks}) AND told < next_offset ORDER BY topic, `partition`"
        );
        let query = sqlx::query(AssertSqlSafe(sql));
        let query = topics
            .iter()
            .fold(query, |query, topic| query.bind(topic.as_str()));
        let rows = query.fetch_all(&self.pool).await?;
        let untold = rows.iter().map(|row| {
            Ok(Untold {
                topic: text(row, 0)?,
                partition: narrow(row, 1)?,
                told: int(row, 2)?,
                next: int(row, 3)?,
                since: int(row, 4)?,
            })
        });
        untold.collect()
    }

    /// The stretch of offsets from the first up to, not including, the second was told. Says how far the partition was
    /// told then: up to the end of the stretch where all before it was, and never beyond what has landed.
    pub async fn note_told(&self, topic: &str, partition: i32, (from, next): (i64, i64)) -> StoreResult<i64> {
        sqlx::query(
            "UPDATE landing_offsets SET told = CASE WHEN ? < next_offset THEN ? ELSE next_offset END \
             WHERE topic = ? AND `partition` = ? AND told >= ? AND told < ?",
        )
        .bind(next)
        .bind(next)
        .bind(topic)
        .bind(i64::from(partition))
        .bind(from)
        .bind(next)
        .execute(&self.pool)
        .await?;
        let row = sqlx::query("SELECT told FROM landing_offsets WHERE topic = ? AND `partition` = ?")
            .bind(topic)
            .bind(i64::from(partition))
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map_or(Ok(0), |row| int(row, 0))
    }
}
