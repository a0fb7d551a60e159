//! Finds dead letters.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::{DeadLetter, KeyMatch, LetterFilter, LetterId, LetterOrder, LetterTotal, ReplayMatch, Stage};
use crate::store::conditions::{Bound, Query, Where, bind_all};
use crate::store::rows::{int, maybe_moment, maybe_text, moment, narrow, text};
use crate::store::{Store, StoreError, StoreResult, time};

/// The moment a letter came to its stage.
const SINCE: &str = "COALESCE(changed_at, landed_at)";

fn conditions(filter: &LetterFilter) -> StoreResult<Where> {
    let mut found = Where::default();
    found.one_of("stage", filter.stages.iter().map(|stage| stage.as_str()));
    found.one_of("class", filter.classes.iter().map(String::as_str));
    if let Some(campaign) = &filter.campaign {
        // What is no order has a key all the same.
        let (low, high) = prefix_range(format!("{campaign}/").as_bytes());
        found.and(
            "(campaign_id = ? OR (campaign_id IS NULL AND record_key >= ? AND record_key < ?))",
            [
                Bound::Text(campaign.clone()),
                Bound::Bytes(low),
                Bound::Bytes(high),
            ],
        );
    }
    if let Some(merchant) = &filter.merchant {
        found.and(
            "campaign_id IN (SELECT campaign_id FROM campaigns WHERE merchant = ?)",
            [Bound::Text(merchant.clone())],
        );
    }
    match &filter.key {
        None => {}
        Some(KeyMatch::Exact(key)) => found.and("record_key = ?", [Bound::Bytes(key.clone())]),
        Some(KeyMatch::Prefix(prefix)) => {
            let (low, high) = prefix_range(prefix);
            found.and(
                "record_key >= ? AND record_key < ?",
                [Bound::Bytes(low), Bound::Bytes(high)],
            );
        }
    }
    if let Some(error) = &filter.error {
        found.and("INSTR(error, ?) > 0", [Bound::Text(error.clone())]);
    }
    if let Some(since) = filter.since {
        found.and(format!("{SINCE} >= ?"), [Bound::Text(time::to_text(since)?)]);
    }
    if let Some(until) = filter.until {
        found.and(format!("{SINCE} < ?"), [Bound::Text(time::to_text(until)?)]);
    }
    found.one_of("topic", filter.topics.iter().map(String::as_str));
    if let Some(most) = filter.replays_below {
        found.and("replays < ?", [Bound::Int(most)]);
    }
    match filter.replay {
        ReplayMatch::Any => {}
        ReplayMatch::None => found.and("replay_at IS NULL", []),
        ReplayMatch::Asked => found.and("replay_at IS NOT NULL", []),
        ReplayMatch::Due(now) => found.and("replay_at <= ?", [Bound::Text(time::to_text(now)?)]),
    }
    Ok(found)
}

/// Every key that starts with `prefix` is at least the first and less than the second.
fn prefix_range(prefix: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut high = prefix.to_vec();
    while high.last() == Some(&0xff) {
        high.pop();
    }
    match high.last_mut() {
        Some(last) => *last += 1,
        // Longer than any key is of that byte.
        None => high = vec![0xff; 1024],
    }
    (prefix.to_vec(), high)
}

const SELECT: &str = "SELECT topic, `partition`, `offset`, position, record_key, payload, error, stage, class, attempts, replays, \
     order_id, campaign_id, sku_id, quantity, CAST(landed_at AS CHAR), CAST(recorded_at AS CHAR), \
     CAST(changed_at AS CHAR), CAST(replay_at AS CHAR), replay_to FROM dead_letters";
pub(in crate::store) const ORIGIN: &str = "topic = ? AND `partition` = ? AND `offset` = ? AND position = ?";

pub(in crate::store) fn bind_origin<'q>(query: Query<'q>, origin: &'q LetterId) -> Query<'q> {
    query
        .bind(origin.topic.as_str())
        .bind(i64::from(origin.partition))
        .bind(origin.offset)
        .bind(i64::from(origin.position))
}

impl Store {
    /// Dead letters in order of origin, after `after`, at most `limit`.
    pub async fn dead_letters(
        &self,
        filter: &LetterFilter,
        after: Option<&LetterId>,
        limit: u32,
    ) -> StoreResult<Vec<DeadLetter>> {
        let mut found = conditions(filter)?;
        if let Some(after) = after {
            let (partition, topic) = (
                Bound::Int(after.partition.into()),
                Bound::Text(after.topic.clone()),
            );
            found.and(
                "(topic > ? OR (topic = ? AND (`partition` > ? OR (`partition` = ? AND \
                 (`offset` > ? OR (`offset` = ? AND position > ?))))))",
                [
                    topic.clone(),
                    topic,
                    partition.clone(),
                    partition,
                    Bound::Int(after.offset),
                    Bound::Int(after.offset),
                    Bound::Int(after.position.into()),
                ],
            );
        }
        self.letters(found, LetterOrder::Origin, limit).await
    }

    /// The first letters in that order, at most `limit`.
    pub async fn first_dead_letters(
        &self,
        filter: &LetterFilter,
        order: LetterOrder,
        limit: u32,
    ) -> StoreResult<Vec<DeadLetter>> {
        self.letters(conditions(filter)?, order, limit).await
    }

    async fn letters(&self, found: Where, order: LetterOrder, limit: u32) -> StoreResult<Vec<DeadLetter>> {
        let first = match order {
            LetterOrder::Origin => String::new(),
            LetterOrder::Oldest => format!("{SINCE}, "),
        };
        let sql = format!(
            "{SELECT}{} ORDER BY {first}topic, `partition`, `offset`, position LIMIT ?",
            found.sql()
        );
        let query = bind_all(sqlx::query(AssertSqlSafe(sql)), found.values).bind(i64::from(limit));
        let rows = query.fetch_all(&self.pool).await?;
        rows.iter().map(letter).collect()
    }

    /// Where letters stand, in their order; `None` for one that is not there.
    pub async fn dead_letter_stages(&self, origins: &[LetterId]) -> StoreResult<Vec<Option<Stage>>> {
        let sql = format!("SELECT stage FROM dead_letters WHERE {ORIGIN}");
        let mut stages = Vec::with_capacity(origins.len());
        for origin in origins {
            let query = bind_origin(sqlx::query(AssertSqlSafe(sql.as_str())), origin);
            let row = query.fetch_optional(&self.pool).await?;
            stages.push(row.as_ref().map(|row| stage(&text(row, 0)?)).transpose()?);
        }
        Ok(stages)
    }

    pub async fn dead_letter(&self, origin: &LetterId) -> StoreResult<Option<DeadLetter>> {
        let sql = format!("{SELECT} WHERE {ORIGIN}");
        let query = bind_origin(sqlx::query(AssertSqlSafe(sql)), origin);
        let row = query.fetch_optional(&self.pool).await?;
        row.as_ref().map(letter).transpose()
    }

    /// How many match, by stage and class.
    pub async fn dead_letter_totals(&self, filter: &LetterFilter) -> StoreResult<Vec<LetterTotal>> {
        let found = conditions(filter)?;
        let sql = format!(
            "SELECT stage, class, COUNT(*) FROM dead_letters{} GROUP BY stage, class ORDER BY stage, class",
            found.sql()
        );
        let query = bind_all(sqlx::query(AssertSqlSafe(sql)), found.values);
        let total = |row: &AnyRow| {
            Ok(LetterTotal {
                stage: stage(&text(row, 0)?)?,
                class: text(row, 1)?,
                letters: narrow(row, 2)?,
            })
        };
        query.fetch_all(&self.pool).await?.iter().map(total).collect()
    }
}

fn stage(text: &str) -> StoreResult<Stage> {
    text.parse()
        .map_err(|error| StoreError::Permanent(format!("stored stage of a dead letter: {error}")))
}

fn letter(row: &AnyRow) -> StoreResult<DeadLetter> {
    Ok(DeadLetter {
        origin: LetterId {
            topic: text(row, 0)?,
            partition: narrow(row, 1)?,
            offset: int(row, 2)?,
            position: narrow(row, 3)?,
        },
        key: row.try_get(4)?,
        payload: row.try_get(5)?,
        error: text(row, 6)?,
        stage: stage(&text(row, 7)?)?,
        class: text(row, 8)?,
        attempts: int(row, 9)?,
        replays: int(row, 10)?,
        order: maybe_text(row, 11)?,
        campaign: maybe_text(row, 12)?,
        sku: maybe_text(row, 13)?,
        quantity: row.try_get(14)?,
        failed_at: moment(row, 15)?,
        recorded_at: maybe_moment(row, 16)?,
        changed_at: maybe_moment(row, 17)?,
        replay_at: maybe_moment(row, 18)?,
        replay_to: maybe_text(row, 19)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_becomes_conditions_with_their_values() {
        let filter = LetterFilter {
            campaign: Some("spring".into()),
            merchant: Some("shop".into()),
            key: Some(KeyMatch::Prefix(b"spring/a".to_vec())),
            classes: vec!["failing".into(), "locked".into()],
            error: Some("1644".into()),
            since: Some(0),
            until: None,
            stages: vec![Stage::Dead],
            topics: vec!["rushgate.orders".into()],
            replays_below: Some(3),
            replay: ReplayMatch::None,
        };
        let found = conditions(&filter).expect("times are in range");
        assert_eq!(
            found.sql(),
            " WHERE stage IN (?) AND class IN (?,?) AND (campaign_id = ? OR (campaign_id IS NULL AND record_key >= ? \
             AND record_key < ?)) AND campaign_id IN (SELECT campaign_id FROM campaigns WHERE merchant = ?) AND record_key >= ? AND record_key < ? AND INSTR(error, ?) > 0 AND \
             COALESCE(changed_at, landed_at) >= ? AND topic IN (?) AND replays < ? AND replay_at IS NULL"
        );
        assert_eq!(found.values.len(), found.sql().matches('?').count());
        assert_eq!(conditions(&LetterFilter::default()).expect("nothing").sql(), "");
    }

    #[test]
    fn a_prefix_covers_what_starts_with_it_and_no_more() {
        let (low, high) = prefix_range(b"spring/");
        assert!(low.as_slice() <= b"spring/a".as_slice() && b"spring/\xff\xff".as_slice() < high.as_slice());
        assert!(b"spring0".as_slice() >= high.as_slice());
        assert_eq!(prefix_range(b"a\xff").1, b"b");
        assert!(prefix_range(b"\xff").1.len() > 1);
    }
}
