//! Orders that were lost on their way and are not to land any more.

use crate::audit::AuditLine;
use crate::order::{LOST, OrderEvent, Revoked};
use crate::store::changes::row;
use crate::store::landing::insert::insert_orders;
use crate::store::landing::stock;
use crate::store::{Store, StoreResult, time};

impl Store {
    /// Gives up an order that is in no row: it gets a revoked one, so that a copy which turns up later is a
    /// duplicate, and the engine is to get back all it holds. Written with a line of the audit trail, in one
    /// transaction. `false` where the order has a row by now; then nothing is written.
    pub async fn give_up(&self, event: &OrderEvent, line: AuditLine<'_>) -> StoreResult<bool> {
        let (at, actor) = (time::to_text(line.at)?, line.by.actor);
        let mut tx = self.begin().await?;
        if insert_orders(&mut tx, self.dialect, &[event], &at, None)
            .await?
            .is_empty()
        {
            tx.rollback().await?;
            return Ok(false);
        }
        stock::revoke(&mut tx, &[Revoked::new(event, LOST)], &at).await?;
        row::revoked(&mut tx, event, (actor, LOST), &at).await?;
        self.append_audit(&mut tx, &[line]).await?;
        tx.commit().await?;
        Ok(true)
    }
}
