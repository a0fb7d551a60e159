//! Who is on a list: one id asked for, or all of them handed out.

use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};

use super::{Control, ControlError};
use crate::audience::unpack;
use crate::campaign::bucket_of;
use crate::store::AudienceRow;

/// Buckets read at once: of a full list they are some 200 KiB.
const BUCKETS_AT_ONCE: u32 = 128;

/// Whether somebody is on a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub version: u32,
    pub listed: bool,
}

/// The members of a version: each followed by a line feed, some hundred kilobytes at a time.
pub type MembersStream = BoxStream<'static, Result<Vec<u8>, ControlError>>;

impl Control {
    /// Whether a version has the member, spelt exactly so; of the newest one where none is named.
    pub async fn is_member(
        &self,
        id: &str,
        version: Option<u32>,
        member: &str,
    ) -> Result<Asked, ControlError> {
        let row = self.version(id, version).await?;
        let bucket = bucket_of(member.as_bytes(), row.buckets);
        let packed = self.store.audience_buckets(id, row.version, bucket, 1).await?;
        let listed = packed
            .iter()
            .any(|packed| unpack(packed).any(|known| known == member.as_bytes()));
        let version = row.version;
        Ok(Asked { version, listed })
    }

    /// Every member of a version, in no order.
    pub async fn members(&self, id: &str, version: u32) -> Result<MembersStream, ControlError> {
        let row = self.version(id, Some(version)).await?;
        let store = self.store.clone();
        let rounds = (0..row.buckets).step_by(BUCKETS_AT_ONCE as usize);
        let read = move |from| {
            let (store, id) = (store.clone(), row.id.clone());
            async move {
                let round = store
                    .audience_buckets(&id, version, from, BUCKETS_AT_ONCE)
                    .await?;
                Ok(round.concat())
            }
        };
        Ok(stream::iter(rounds).then(read).boxed())
    }

    async fn version(&self, id: &str, version: Option<u32>) -> Result<AudienceRow, ControlError> {
        let mut rows = self.audience(id).await?.into_iter();
        let found = match version {
            None => rows.next(),
            Some(version) => rows.find(|row| row.version == version),
        };
        found.ok_or_else(|| {
            let version = version.unwrap_or_default();
            ControlError::Unknown(format!("the list {id:?} has no version {version}"))
        })
    }
}
