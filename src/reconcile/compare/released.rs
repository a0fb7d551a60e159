//! Released orders under comparison: what they hold is what their release is going to give back in the engine.
//!
//! Between the release and its mark in the database there are two acts in the engine and in the database, and a
//! process may end between them. The engine's own record says which side of the first an order is on: a released one
//! holds nothing, whatever the database says yet, and one without a record (after a rebuild, say) never will.

use std::collections::{HashMap, HashSet};

use super::CompareError;
use super::shard::{Desk, Moment};
use crate::order::OrderId;
use crate::store::{HeldOrder, Released};

impl Desk<'_> {
    /// An order may have landed, been released and given back while its entry still stands in the outbox, for whoever
    /// was to settle it is gone: it is the database's then. So it is where it was released while landing was waited for.
    pub(super) async fn leave_out_released(&self, moment: &mut Moment) -> Result<(), CompareError> {
        let ids: Vec<OrderId> = moment.outbox_ids().into_iter().collect();
        let store = &self.reconcile.store;
        let releases = store.releases_of(self.campaign(), &ids).await?;
        let released: HashSet<OrderId> = releases.iter().map(Released::id).collect();
        moment.outbox.retain(|event| !released.contains(&event.order));
        moment.released.extend(released);
        Ok(())
    }

    /// Leaves each released order with what it is going to give back: not with a unit or a charge that stands for what
    /// the engine had forgotten, and with nothing at all once it was released.
    ///
    /// Right as long as no order is released between the engine's reading that this is held against and the return:
    /// `state.reopened` says so.
    pub(super) async fn weigh(&self, held: &mut Vec<HeldOrder>) -> Result<(), CompareError> {
        let released: Vec<OrderId> = held
            .iter()
            .filter(|order| order.released)
            .map(|order| order.order)
            .collect();
        if released.is_empty() {
            return Ok(());
        }
        let store = &self.reconcile.store;
        let releases = store.releases_of(self.campaign(), &released).await?;
        let of_users = releases
            .iter()
            .map(|each| (each.id(), each.order.attempt.user.as_str()));
        let found = self.look_up(&of_users.collect::<Vec<_>>()).await?;
        let holding = releases.into_iter().zip(found).filter(|(_, found)| {
            let placed = found.as_ref().map(|found| &found.placed);
            placed.is_some_and(|placed| !placed.released)
        });
        let returned: HashMap<OrderId, Released> = holding.map(|(each, _)| (each.id(), each)).collect();
        held.retain(|order| !order.released || returned.contains_key(&order.order));
        for order in held.iter_mut().filter(|order| order.released) {
            if let Some(release) = returned.get(&order.order) {
                let (units, charges) = release.returns();
                (order.quantity, order.charges) = (units.into(), charges);
            }
        }
        Ok(())
    }
}
