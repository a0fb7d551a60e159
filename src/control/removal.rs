//! A campaign that never admitted anybody is removed.

use serde_json::json;

use super::eyes::needs_two;
use super::operations::{Operation, Pass, check_note};
use super::{Control, ControlError};
use crate::audit::Stale;
use crate::campaign::Holdings;
use crate::needs::{ANSWER_MAX, Removal};

impl Control {
    /// Removes a campaign that has no order anywhere; its id is free then. Answers when no gateway serves it any more.
    pub async fn delete_campaign(&self, operation: Operation<'_>) -> Result<(), ControlError> {
        check_note(operation.note)?;
        let campaign = operation.campaign;
        let row = self.row(campaign).await?;
        if let Err(ControlError::Changed(stale)) = self.as_seen(operation).await {
            return Err(self.stale(campaign, *stale).await);
        }
        if row.four_eyes.is_on() {
            if operation.pass != Pass::Root {
                return Err(needs_two(
                    &format!(
                        "that campaign {campaign:?} is removed, and with it that two people have to agree,"
                    ),
                    "turn four_eyes off first, which another person approves",
                ));
            }
            // The campaign is gone before anything else could say it.
            let bypass = operation.bypass((self.clock)());
            self.store.audit(&[bypass.of_merchant(&row.merchant)]).await?;
            self.alarm(operation, true);
        }
        // What is refused is refused with its gate open.
        let held = self.holdings(campaign).await?;
        if !held.is_empty() {
            return Err(stays(campaign, held));
        }
        let line = operation.line((self.clock)(), json!({"uid": row.campaign.uid}));
        let line = line.of_merchant(&row.merchant);
        match self.gate.remove(campaign, line).await {
            Ok(Removal::Gone) => {}
            Ok(Removal::Stays(held)) => {
                self.open_again(campaign).await;
                return Err(stays(campaign, held));
            }
            Ok(Removal::Changed(tag)) => {
                self.open_again(campaign).await;
                let stale = Stale {
                    tag,
                    ..Stale::default()
                };
                return Err(self.stale(campaign, stale).await);
            }
            Err(why) => {
                self.open_again(campaign).await;
                return Err(ControlError::Unavailable(format!(
                    "campaign {campaign:?} is not removed, for nobody can say yet that it has no order: {why}"
                )));
            }
        }
        self.loader
            .look_again(campaign)
            .await
            .map_err(ControlError::Unavailable)?;
        // Orders are refused everywhere by now. Others may show it as they last saw it, and read every second which campaigns there are.
        tokio::time::sleep(2 * ANSWER_MAX).await;
        Ok(())
    }

    /// Orders of a campaign that can be seen while its gate is open.
    async fn holdings(&self, campaign: &str) -> Result<Holdings, ControlError> {
        let row = self.row(campaign).await?;
        let held = self.store.holdings(campaign).await?;
        if !held.is_empty() || row.schedule.is_archived((self.clock)()) {
            return Ok(held);
        }
        let (status, _) = self.status(&row.campaign).await?;
        Ok(Holdings {
            admitted: u64::try_from(status.admitted).unwrap_or(0),
            ..held
        })
    }
}

fn stays(campaign: &str, held: Holdings) -> ControlError {
    ControlError::Conflict(format!(
        "campaign {campaign:?} has orders ({held}), and only one that never admitted anybody can be removed: its orders are to \
         be found as long as its buyers may ask. It is archived by itself when its retention is over"
    ))
}
