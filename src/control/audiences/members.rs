//! Who is on a list: one id asked for, or all of them handed out.

use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use super::pages::pages;
use super::{Control, ControlError, check_known, invalid, unknown};
use crate::audience::{AddressError, AddressRange, ListKind, unpack};
use crate::campaign::bucket_of;
use crate::plan::Fold;
use crate::plan::fold::list_of;
use crate::store::AudienceRow;
use crate::wire::echo;

/// Whether somebody is on a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub version: u32,
    pub listed: bool,
    /// The member that says so: the same text, or a range that an address is in.
    pub by: Option<String>,
    /// What active revisions find that ask for the list folded.
    pub folded: Vec<AskedFolded>,
}

/// Whether somebody is on a list as an active revision asks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AskedFolded {
    pub campaign: String,
    /// The one that its revision pins.
    pub version: u32,
    pub fold: Fold,
    /// Under some spelling.
    pub listed: bool,
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
        let folded = self.asked_folded(&row.id, member).await?;
        let version = row.version;
        for member in members {
            if self.has(&row.id, (version, row.buckets), &member).await? {
                return Ok(Asked {
                    version,
                    listed: true,
                    by: Some(member),
                    folded,
                });
            }
        }
        Ok(Asked {
            version,
            listed: false,
            by: None,
            folded,
        })
    }

    async fn asked_folded(&self, id: &str, member: &str) -> Result<Vec<AskedFolded>, ControlError> {
        let mut asked = Vec::new();
        for active in self.ruleset.all() {
            for (key, pinned) in &active.revision.audiences {
                let (list, Some(fold)) = list_of(key) else {
                    continue;
                };
                if list == id {
                    let text = fold.text(member).into_owned();
                    asked.push(AskedFolded {
                        campaign: active.campaign.id.clone(),
                        version: pinned.version,
                        listed: self.has(key, (pinned.version, pinned.buckets), &text).await?,
                        fold,
                    });
                }
            }
        }
        asked.sort_by(|one, other| one.campaign.cmp(&other.campaign));
        Ok(asked)
    }

    /// Whether a list has exactly this member.
    pub(in crate::control) async fn has(
        &self,
        key: &str,
        (version, buckets): (u32, u32),
        member: &str,
    ) -> Result<bool, ControlError> {
        let bucket = bucket_of(member.as_bytes(), buckets);
        let packed = self.store.audience_buckets(key, version, bucket, 1).await?;
        let mut members = packed.iter().flat_map(|packed| unpack(packed));
        Ok(members.any(|known| known == member.as_bytes()))
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
