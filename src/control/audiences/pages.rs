//! The members of a version, some buckets at a time.

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use crate::store::{AudienceRow, Store, StoreResult};

/// Buckets read at once: of a full list they are some hundreds of kilobytes.
const BUCKETS_AT_ONCE: u32 = 256;

/// Number of the first bucket, and packed buckets from there on.
pub(in super::super) type Page = (u32, Vec<Vec<u8>>);

/// All buckets of a version, in order.
pub(in super::super) fn pages(store: &Store, row: &AudienceRow) -> BoxStream<'static, StoreResult<Page>> {
    let (store, row) = (store.clone(), row.clone());
    let rounds = (0..row.buckets).step_by(BUCKETS_AT_ONCE as usize);
    let read = move |first| {
        let (store, row) = (store.clone(), row.clone());
        async move {
            let page = store.audience_buckets(&row.id, row.version, first, BUCKETS_AT_ONCE);
            Ok((first, page.await?))
        }
    };
    stream::iter(rounds).then(read).boxed()
}
