//! What is asked of the database about many orders at once.

use std::future::Future;

use crate::order::{LandedOrder, OrderId};
use crate::store::StoreResult;

pub use crate::store::Standing;

/// Landed orders, many at once.
pub trait Landed: Send + Sync + 'static {
    /// See [`crate::store::Store::standing`].
    fn standing(
        &self,
        campaign: &str,
        orders: &[OrderId],
    ) -> impl Future<Output = StoreResult<Vec<Standing>>> + Send;

    /// See [`crate::store::Store::newest_of_buyers`].
    fn newest(
        &self,
        campaign: &str,
        users: &[String],
    ) -> impl Future<Output = StoreResult<Vec<Standing>>> + Send;

    /// These orders, those that landed, each with the moment of its last change: milliseconds since 1970-01-01 UTC by the
    /// database's clock.
    fn rows(
        &self,
        campaign: &str,
        orders: &[OrderId],
    ) -> impl Future<Output = StoreResult<Vec<(LandedOrder, Option<i64>)>>> + Send;
}
