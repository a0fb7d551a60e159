//! Who is on a list: one id asked for, or all of them handed out.

use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use super::pages::pages;
use super::{Control, ControlError, check_known, invalid, unknown};
use crate::audience::{AddressError, AddressRange, ListKind, unpack};
use crate::campaign::bucket_of;
use crate::store::AudienceRow;
use crate::wire::echo;

/// Whether somebody is on a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub version: u32,
    pub listed: bool,
    /// The member that says so: the same text, or a range that an address is in.
    pub by: Option<String>,
}

/// The members of a version: each followed by a line feed, some hundred kilobytes at a time.
pub type MembersStream = BoxStream<'static, Result<Vec<u8>, ControlError>>;

impl Control {
    /// Whether a version has the member, spelt exactly so, or, of addresses, whether one of its ranges covers it; of the newest
    /// version where none is named.
    pub async fn is_member(
        &self,
        id: &str,
        version: Option<u32>,
        member: &str,
    ) -> Result<Asked, ControlError> {
        let row = self.version(id, version).await?;
        self.asked_of(&row, member).await
    }

    /// The same of a version that was read.
    pub(super) async fn asked_of(&self, row: &AudienceRow, member: &str) -> Result<Asked, ControlError> {
        let members = match &row.kind {
            ListKind::Texts => vec![member.to_owned()],
            ListKind::Addresses(lengths) => match AddressRange::parse(member) {
                Ok(range) => lengths.covering(&range).collect(),
                Err(why) => return Err(no_address(member, why)),
            },
        };
        let version = row.version;
        for member in members {
            let bucket = bucket_of(member.as_bytes(), row.buckets);
            let packed = self.store.audience_buckets(&row.id, version, bucket, 1).await?;
            if packed
                .iter()
                .any(|packed| unpack(packed).any(|known| known == member.as_bytes()))
            {
                return Ok(Asked {
                    version,
                    listed: true,
                    by: Some(member),
                });
            }
        }
        Ok(Asked {
            version,
            listed: false,
            by: None,
        })
    }

    /// Every member of a version, in no order.
    pub async fn members(&self, id: &str, version: u32) -> Result<MembersStream, ControlError> {
        let row = self.version(id, Some(version)).await?;
        let pages = pages(&self.store, &row).map(|page| Ok(page?.1.concat()));
        Ok(pages.boxed())
    }

    async fn version(&self, id: &str, version: Option<u32>) -> Result<AudienceRow, ControlError> {
        check_known(id)?;
        let found = match version {
            None => self.store.newest_audience(id).await?,
            Some(version) => self.store.audience_version(id, version).await?,
        };
        found.ok_or_else(|| match version {
            None => unknown(id),
            Some(version) => ControlError::Unknown(format!("the list {id:?} has no version {version}")),
        })
    }
}

/// What is no address cannot be a member of a list of them.
pub(super) fn no_address(member: &str, why: AddressError) -> ControlError {
    invalid(format!("the list is of addresses, and {} {why}", echo(member)))
}
