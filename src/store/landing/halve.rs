//! Landing orders apart from those that fail: inside one transaction, groups are written after a savepoint each, and
//! a group that fails is undone and halved, down to the one order that fails for itself.
//!
//! This finds any cause, wherever it is met: in an order's own row, in usage, in stock, or in a lock. It costs a
//! few statements per order that fails and level of halving, and is taken only where simpler means have failed.

use crate::failpoint::{self, Point};
use crate::order::OrderEvent;
use crate::store::dialect::Dialect;
use crate::store::landing::guards::{Written, account};
use crate::store::landing::insert::{Apart, insert_orders};
use crate::store::landing::lane::Tx;
use crate::store::{StoreError, StoreResult};

/// Seconds a statement waits for a lock while orders behind locks are looked for: each failing group waits once.
const LOCK_WAIT_SECONDS: u64 = 1;
/// Seconds of every other transaction.
const LOCK_WAIT_USUAL_SECONDS: u64 = 5;

/// Writes the orders that can be written; the others are added to `failed`.
pub(in crate::store) async fn write<'a>(
    tx: &mut Tx<'_>,
    dialect: Dialect,
    orders: &[&'a OrderEvent],
    now: &str,
    locks: bool,
    failed: &mut Vec<Apart<'a>>,
) -> StoreResult<Written> {
    if !locks {
        return groups(tx, dialect, orders, now, locks, failed).await;
    }
    run(tx, dialect.lock_wait(LOCK_WAIT_SECONDS)).await?;
    let written = groups(tx, dialect, orders, now, locks, failed).await;
    // The connection goes back to the pool as it was.
    run(tx, dialect.lock_wait(LOCK_WAIT_USUAL_SECONDS)).await?;
    written
}

async fn groups<'a>(
    tx: &mut Tx<'_>,
    dialect: Dialect,
    orders: &[&'a OrderEvent],
    now: &str,
    locks: bool,
    failed: &mut Vec<Apart<'a>>,
) -> StoreResult<Written> {
    let mut written = Written::default();
    let mut open = vec![orders];
    while let Some(group) = open.pop() {
        run(tx, Some("SAVEPOINT part".to_owned())).await?;
        let error = match write_group(tx, dialect, group, now).await {
            Ok(part) => {
                written.fresh += part.fresh;
                written.revoked += part.revoked;
                if !open.is_empty() {
                    failpoint::hit(Point::C6);
                }
                continue;
            }
            Err(error) => error,
        };
        let own = error.is_of_a_row() || (locks && matches!(error, StoreError::Locked(_)));
        // A deadlock has undone the savepoint with all the rest: then the whole is tried again.
        if !own
            || run(tx, Some("ROLLBACK TO SAVEPOINT part".to_owned()))
                .await
                .is_err()
        {
            return Err(error);
        }
        match group {
            [one] => failed.push((*one, error)),
            _ => {
                let (first, second) = group.split_at(group.len() / 2);
                open.extend([second, first]);
            }
        }
    }
    Ok(written)
}

async fn write_group(
    tx: &mut Tx<'_>,
    dialect: Dialect,
    group: &[&OrderEvent],
    now: &str,
) -> StoreResult<Written> {
    let fresh = insert_orders(tx, dialect, group, now, None).await?;
    let revoked = account(tx, dialect, &fresh, now).await?;
    let fresh = fresh.len() as u64;
    Ok(Written { fresh, revoked })
}

async fn run(tx: &mut Tx<'_>, statement: Option<String>) -> StoreResult<()> {
    if let Some(statement) = statement {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
            .execute(&mut **tx)
            .await?;
    }
    Ok(())
}
