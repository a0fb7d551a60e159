//! Lists with their members folded: made once per version and fold, when a revision first asks for them, and kept beside
//! the version.

use tokio::task::spawn_blocking;

use super::intake::IntakeError;
use super::spool::Spool;
use super::{Control, ControlError, ended, filled};
use crate::audience::{ListKind, unpack};
use crate::plan::Fold;
use crate::store::AudienceRow;

/// Buckets read at once.
const BUCKETS_AT_ONCE: u32 = 1024;

impl Control {
    /// A version of a list with its members folded, under this key; it is made where it is not there yet.
    pub(super) async fn folded(
        &self,
        row: &AudienceRow,
        key: &str,
        fold: &Fold,
    ) -> Result<AudienceRow, ControlError> {
        if let Some(there) = self.store.audience_version(key, row.version).await? {
            return Ok(there);
        }
        let mut spool = self.fold_into_spool(row, fold).await?;
        let summarised = spawn_blocking(move || spool.summary().map(|summary| (summary, spool)));
        let (summary, spool) = ended(summarised.await)?.map_err(IntakeError::Spool)?;
        let new = self.new_audience(key.to_owned(), ListKind::Texts, summary?, None);
        let buckets = filled(spool, new.buckets);
        self.store.insert_folded(&new, row.version, buckets).await?;
        let stored = self.store.audience_version(key, row.version).await?;
        stored.ok_or_else(|| ControlError::Internal(format!("the list {key:?} is not stored")))
    }

    async fn fold_into_spool(&self, row: &AudienceRow, fold: &Fold) -> Result<Spool, ControlError> {
        let mut spool = Spool::default();
        for from in (0..row.buckets).step_by(BUCKETS_AT_ONCE as usize) {
            let page = self
                .store
                .audience_buckets(&row.id, row.version, from, BUCKETS_AT_ONCE);
            let (page, fold) = (page.await?, fold.clone());
            let spooled = spawn_blocking(move || {
                for member in page.iter().flat_map(|packed| unpack(packed)) {
                    spool.add(&fold.text(&String::from_utf8_lossy(member)))?;
                }
                Ok(spool)
            });
            spool = ended(spooled.await)?.map_err(IntakeError::Spool)?;
        }
        Ok(spool)
    }
}
