//! Lists with their members folded: made once per version and fold, for the first revision that asks for them, and kept
//! beside the version.

use futures_util::StreamExt;

use super::pages::pages;
use super::spool::Spool;
use super::{Control, ControlError, filled, spooled};
use crate::audience::{ListKind, unpack};
use crate::plan::{AudienceRef, Fold};
use crate::store::{AudienceRow, NewAudience};

/// A version of a list with its members folded, that is to be stored with the revision that asks for it.
pub(in super::super) struct FoldedCopy {
    /// The list as it was uploaded.
    list: String,
    version: u32,
    new: NewAudience,
    spool: Spool,
}

impl Control {
    /// How a revision pins a version of a list with its members folded, under this key; and the copy, where it is not there yet.
    pub(super) async fn folded(
        &self,
        row: &AudienceRow,
        key: &str,
        fold: &Fold,
    ) -> Result<(AudienceRef, Option<FoldedCopy>), ControlError> {
        if let Some(there) = self.store.audience_version(key, row.version).await? {
            return Ok((AudienceRef::whole(there.version, there.buckets), None));
        }
        let mut spool = Spool::default();
        let mut pages = pages(&self.store, row);
        while let Some(page) = pages.next().await {
            let ((_, page), fold) = (page?, fold.clone());
            let spooling = spooled(move || {
                for member in page.iter().flat_map(|packed| unpack(packed)) {
                    spool.add(&fold.text(&String::from_utf8_lossy(member)))?;
                }
                Ok(spool)
            });
            spool = spooling.await?;
        }
        let summing = spooled(move || spool.summary().map(|summary| (summary, spool)));
        let (summary, spool) = summing.await?;
        let new = self.new_audience(key.to_owned(), ListKind::Texts, summary?, None);
        let copy = FoldedCopy {
            list: row.id.clone(),
            version: row.version,
            new,
            spool,
        };
        Ok((AudienceRef::whole(row.version, copy.new.buckets), Some(copy)))
    }

    /// Stores what a revision asks for, before it is stored itself.
    pub(in super::super) async fn store_copies(&self, copies: Vec<FoldedCopy>) -> Result<(), ControlError> {
        for copy in copies {
            let FoldedCopy {
                list,
                version,
                new,
                spool,
            } = copy;
            let buckets = filled(spool, new.buckets);
            if !self.store.insert_folded(&list, version, &new, buckets).await? {
                return Err(ControlError::Conflict(format!(
                    "version {version} of the list {list:?} was removed meanwhile: send the request again"
                )));
            }
        }
        Ok(())
    }
}
