//! Moves dead letters on, for people and for the re-drive. A row is only moved while it is as it was read: landing
//! may have landed, or refused, the record in between.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use sqlx::{AnyConnection, AssertSqlSafe};

use super::query::{ORIGIN, bind_origin};
use super::{Count, DeadLetter, LetterMove, Stage};
use crate::audit::{AskedBy, AuditLine};
use crate::order::OrderEvent;
use crate::store::conditions::{Bound, Query, bind_all};
use crate::store::{Store, StoreResult, time};

impl Store {
    /// Moves dead letters to another stage and writes the audit trail, in one transaction. Says which were as
    /// they had been read; the others stay where they are by now. A replay counts, and is in the trail, all the same. Whatever
    /// replay was asked for is not asked for any more.
    pub async fn move_dead_letters(
        &self,
        at: i64,
        by: impl Into<AskedBy<'_>>,
        action: &str,
        moves: &[LetterMove<'_>],
    ) -> StoreResult<Vec<bool>> {
        let (now, by) = (time::to_text(at)?, by.into());
        let mut lines = Vec::new();
        let mut tx = self.begin().await?;
        let mut moved = Vec::with_capacity(moves.len());
        for each in moves {
            if each.count == Count::Add {
                let sql = format!("UPDATE dead_letters SET replays = replays + 1 WHERE {ORIGIN}");
                let query = bind_origin(sqlx::query(AssertSqlSafe(sql)), &each.letter.origin);
                query.execute(&mut *tx).await?;
            }
            let done = set_stage(&mut tx, each, &now).await?;
            if done || each.to == Stage::Replayed {
                lines.push(line(at, by, action, each.letter, each.detail.clone()));
            }
            moved.push(done);
        }
        self.append_audit(&mut tx, &lines).await?;
        tx.commit().await?;
        Ok(moved)
    }

    /// Writes repaired payloads into letters that are as they had been read, before their records are sent, and the audit trail, in
    /// one transaction: landing knows by them which letter an order closes.
    pub async fn repair_dead_letters(
        &self,
        now: i64,
        by: AskedBy<'_>,
        repairs: &[(&DeadLetter, &[u8], &OrderEvent)],
    ) -> StoreResult<()> {
        let mut lines = Vec::new();
        let mut tx = self.begin().await?;
        for (letter, payload, event) in repairs {
            let sql = format!("UPDATE dead_letters SET {REPAIRED} WHERE {UNCHANGED}");
            let query = bind_all(sqlx::query(AssertSqlSafe(sql)), repaired(payload, event).into());
            let done = bind_unchanged(query, letter)?.execute(&mut *tx).await?;
            // One that has this payload by an earlier try says so already.
            if done.rows_affected() > 0 && letter.payload != *payload {
                let detail = serde_json::json!({"from": digest(&letter.payload), "to": digest(payload)});
                lines.push(line(now, by, "dlt.repair", letter, detail));
            }
        }
        self.append_audit(&mut tx, &lines).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Asks for replays at their moments, to a topic where one is named, and writes the audit trail, in one
    /// transaction. Says which letters were as they had been read; of the others nothing is asked.
    pub async fn schedule_dead_letters(
        &self,
        now: i64,
        by: impl Into<AskedBy<'_>>,
        replays: &[(&DeadLetter, i64)],
        to: Option<&str>,
    ) -> StoreResult<Vec<bool>> {
        let by = by.into();
        let mut lines = Vec::new();
        let mut tx = self.begin().await?;
        let mut asked = Vec::with_capacity(replays.len());
        for (letter, at) in replays {
            let sql = format!("UPDATE dead_letters SET replay_at = ?, replay_to = ? WHERE {UNCHANGED}");
            let query = sqlx::query(AssertSqlSafe(sql)).bind(time::to_text(*at)?).bind(to);
            let done = bind_unchanged(query, letter)?
                .execute(&mut *tx)
                .await?
                .rows_affected()
                > 0;
            if done {
                let detail = serde_json::json!({"at": at, "to": to});
                lines.push(line(now, by, "dlt.schedule", letter, detail));
            }
            asked.push(done);
        }
        self.append_audit(&mut tx, &lines).await?;
        tx.commit().await?;
        Ok(asked)
    }

    /// Takes back replays that were asked for, and writes the audit trail, in one transaction. Says which were still
    /// asked for of letters as they had been read; the others were sent, or moved on, or taken back before.
    pub async fn cancel_replays(
        &self,
        now: i64,
        by: impl Into<AskedBy<'_>>,
        letters: &[DeadLetter],
    ) -> StoreResult<Vec<bool>> {
        let by = by.into();
        let mut lines = Vec::new();
        let mut tx = self.begin().await?;
        let mut cancelled = Vec::with_capacity(letters.len());
        for letter in letters {
            let sql = format!(
                "UPDATE dead_letters SET replay_at = NULL, replay_to = NULL \
                 WHERE replay_at IS NOT NULL AND {UNCHANGED}"
            );
            let query = bind_unchanged(sqlx::query(AssertSqlSafe(sql)), letter)?;
            let done = query.execute(&mut *tx).await?.rows_affected() > 0;
            if done {
                let detail = serde_json::json!({"at": letter.replay_at, "to": letter.replay_to});
                lines.push(line(now, by, "dlt.cancel", letter, detail));
            }
            cancelled.push(done);
        }
        self.append_audit(&mut tx, &lines).await?;
        tx.commit().await?;
        Ok(cancelled)
    }
}

/// The line of what was done to a letter.
pub(super) fn line<'a>(
    now: i64,
    by: AskedBy<'a>,
    action: &'a str,
    letter: &DeadLetter,
    detail: serde_json::Value,
) -> AuditLine<'a> {
    AuditLine::new(now, by, action, letter.origin.to_string(), detail)
}

fn digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// The letter is as it was read.
const UNCHANGED: &str = "topic = ? AND `partition` = ? AND `offset` = ? AND position = ? AND stage = ? AND attempts = ? \
     AND COALESCE(CAST(changed_at AS CHAR), '') = ?";

fn bind_unchanged<'q>(query: Query<'q>, letter: &'q DeadLetter) -> StoreResult<Query<'q>> {
    let seen = letter.changed_at.map(time::to_text).transpose()?;
    let query = bind_origin(query, &letter.origin).bind(letter.stage.as_str());
    Ok(query.bind(letter.attempts).bind(seen.unwrap_or_default()))
}

/// What a repaired payload changes.
const REPAIRED: &str = "payload = ?, order_id = ?, campaign_id = ?, sku_id = ?, quantity = ?";

fn repaired(payload: &[u8], event: &OrderEvent) -> [Bound; 5] {
    [
        Bound::Bytes(payload.to_vec()),
        Bound::Text(event.order.to_string()),
        Bound::Text(event.campaign.clone()),
        Bound::Text(event.sku.clone()),
        Bound::Int(event.quantity.into()),
    ]
}

/// Says whether the letter was still as it had been read.
pub(super) async fn set_stage(
    connection: &mut AnyConnection,
    each: &LetterMove<'_>,
    now: &str,
) -> StoreResult<bool> {
    let letter = each.letter;
    let mut set = "stage = ?, changed_at = ?, replay_at = NULL, replay_to = NULL".to_owned();
    if each.count == Count::Reset {
        set += ", replays = 0";
    }
    let mut values = vec![
        Bound::Text(each.to.as_str().to_owned()),
        Bound::Text(now.to_owned()),
    ];
    if let Some((payload, event)) = each.repaired {
        set = format!("{set}, {REPAIRED}");
        values.extend(repaired(payload, event));
    }
    let sql = format!("UPDATE dead_letters SET {set} WHERE {UNCHANGED}");
    let query = bind_unchanged(bind_all(sqlx::query(AssertSqlSafe(sql)), values), letter)?;
    Ok(query.execute(connection).await?.rows_affected() > 0)
}
