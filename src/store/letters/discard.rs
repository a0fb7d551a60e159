//! Discarding a dead letter: its order is given up in the same transaction, so that no copy of it lands any more.

use serde_json::{Value, json};
use sqlx::{AnyConnection, AssertSqlSafe, Row};

use super::moves::{line, set_stage};
use super::{Count, DeadLetter, LetterMove, Stage};
use crate::audit::AskedBy;
use crate::order::{DISCARDED, OrderEvent, OrderState, Revoked, check_event};
use crate::store::changes::row;
use crate::store::dialect::Dialect;
use crate::store::landing::insert::insert_orders;
use crate::store::landing::stock;
use crate::store::{Store, StoreError, StoreResult, time};

/// Class of letters that nobody can have been admitted with: the id they name may be another, genuine order's.
const IMPLAUSIBLE: &str = "implausible";

/// What became of a letter that was to be discarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Discarded {
    /// Its order is revoked, and the engine is to get back what it holds. A copy of it is a duplicate.
    GivenUp,
    /// Its order had landed, from another copy, and stays as it is.
    Landed,
    /// No order of its own goes with it: it is none, nobody can have been admitted with it, or its id is another
    /// order's. The letter is discarded, and no order is touched.
    NoOrder,
    /// The database refuses the order's row. Where that was agreed to, the letter is discarded without one; otherwise
    /// it stays as it was.
    Unwritten(String),
    /// Somebody else moved the letter on meanwhile; it stays where it is by now.
    Overtaken,
}

impl Store {
    /// Discards one letter, if it is as it was read, and writes the audit trail with `detail` and what became of the
    /// order, in one transaction. An order that has not landed gets a revoked row, as one that was lost does.
    /// `without_row`: also where the database refuses that row.
    pub async fn discard_dead_letter(
        &self,
        now: i64,
        by: impl Into<AskedBy<'_>>,
        letter: &DeadLetter,
        detail: &Value,
        without_row: bool,
    ) -> StoreResult<Discarded> {
        let (at, by) = (time::to_text(now)?, by.into());
        let mut tx = self.begin().await?;
        // Orders are locked before letters, as landing does.
        let outcome = match order_of(letter) {
            None => Discarded::NoOrder,
            Some(event) => {
                match is_known(&mut tx, &event).await? && !is_claimed(&mut tx, letter, &event).await? {
                    true => give_up(&mut tx, self.dialect, &event, (&at, by.actor)).await?,
                    false => Discarded::NoOrder,
                }
            }
        };
        if matches!(outcome, Discarded::Unwritten(_)) && !without_row {
            tx.rollback().await?;
            return Ok(outcome);
        }
        let mut detail = detail.clone();
        detail["order"] = outcome.in_the_trail();
        let discard = LetterMove {
            letter,
            to: Stage::Discarded,
            repaired: None,
            count: Count::Keep,
            detail,
        };
        if !set_stage(&mut tx, &discard, &at).await? {
            tx.rollback().await?;
            return Ok(Discarded::Overtaken);
        }
        let line = line(now, by, "dlt.discard", letter, discard.detail);
        self.append_audit(&mut tx, &[line]).await?;
        tx.commit().await?;
        Ok(outcome)
    }
}

impl Discarded {
    fn in_the_trail(&self) -> Value {
        match self {
            Self::GivenUp => json!("revoked"),
            Self::Landed => json!("landed"),
            Self::Unwritten(why) => json!({"unwritten": why}),
            Self::NoOrder | Self::Overtaken => Value::Null,
        }
    }
}

/// The order of a letter that may have been admitted.
fn order_of(letter: &DeadLetter) -> Option<OrderEvent> {
    if letter.stage == Stage::Forged || letter.class == IMPLAUSIBLE {
        return None;
    }
    let event = OrderEvent::decode(&letter.payload).ok()?;
    let is_its_own = letter.order == Some(event.order.to_string())
        && letter.campaign.as_deref() == Some(event.campaign.as_str())
        && check_event(&event).is_ok();
    is_its_own.then_some(event)
}

/// Whether its campaign exists: nobody was admitted to another one, and nothing would ever give back for it.
async fn is_known(connection: &mut AnyConnection, event: &OrderEvent) -> StoreResult<bool> {
    let row = sqlx::query("SELECT 1 FROM campaigns WHERE campaign_id = ?")
        .bind(event.campaign.as_str())
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

/// Whether another order of the same id is among the letters that may land yet. Which of the two was admitted nobody
/// can say here: the other one keeps the id, and what it holds.
async fn is_claimed(
    connection: &mut AnyConnection,
    letter: &DeadLetter,
    event: &OrderEvent,
) -> StoreResult<bool> {
    let open = Stage::OPEN
        .map(|stage| format!("'{}'", stage.as_str()))
        .join(", ");
    let sql = format!(
        "SELECT payload FROM dead_letters WHERE campaign_id = ? AND order_id = ? AND stage IN ({open}) \
         AND class <> ? AND NOT (topic = ? AND `partition` = ? AND `offset` = ? AND position = ?)"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(event.campaign.as_str())
        .bind(event.order.to_string())
        .bind(IMPLAUSIBLE)
        .bind(letter.origin.topic.as_str())
        .bind(i64::from(letter.origin.partition))
        .bind(letter.origin.offset)
        .bind(i64::from(letter.origin.position))
        .fetch_all(connection)
        .await?;
    for row in rows {
        let payload: Vec<u8> = row.try_get(0)?;
        if OrderEvent::decode(&payload).is_ok_and(|other| other.content() != event.content()) {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn give_up(
    tx: &mut sqlx::Transaction<'_, sqlx::Any>,
    dialect: Dialect,
    event: &OrderEvent,
    (at, actor): (&str, &str),
) -> StoreResult<Discarded> {
    let mut failed = Vec::new();
    let fresh = insert_orders(tx, dialect, &[event], at, Some(&mut failed)).await?;
    if let Some((_, error)) = failed.pop() {
        return Ok(match error {
            StoreError::Contradiction(_) => Discarded::NoOrder,
            error => Discarded::Unwritten(error.to_string()),
        });
    }
    if !fresh.is_empty() {
        stock::revoke(tx, &[Revoked::new(event, DISCARDED)], at).await?;
        row::revoked(tx, event, (actor, DISCARDED), at).await?;
        return Ok(Discarded::GivenUp);
    }
    let row = sqlx::query("SELECT 1 FROM orders WHERE campaign_id = ? AND order_id = ? AND state <> ?")
        .bind(event.campaign.as_str())
        .bind(event.order.to_string())
        .bind(OrderState::Revoked.as_str())
        .fetch_optional(&mut **tx)
        .await?;
    Ok(match row {
        Some(_) => Discarded::Landed,
        // Another copy of it was discarded before, or it was revoked for a reason of its own.
        None => Discarded::GivenUp,
    })
}
