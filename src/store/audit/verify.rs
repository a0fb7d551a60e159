//! The chains, read from end to end, and held against their heads and against what somebody has noted.

use std::collections::BTreeSet;

use crate::audit::{Check, Checked, Finding, Head};
use crate::store::rows::maybe_int;
use crate::store::{Store, StoreResult};

/// Rows that are read together.
const AT_ONCE: u32 = 500;

/// What came of reading every chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailChecked {
    /// In order of merchants.
    pub chains: Vec<Checked>,
    /// How many rows are in no chain, and the `seq` of the first of them.
    pub unchained: Option<(u64, i64)>,
}

impl TrailChecked {
    /// The first thing that is wrong in each chain.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.chains.iter().filter_map(|chain| chain.finding.as_ref())
    }

    pub fn is_whole(&self) -> bool {
        self.unchained.is_none() && self.findings().next().is_none()
    }
}

impl Store {
    /// Reads all chains; `noted` is the head of one of them at another time. Lines may be written meanwhile.
    pub async fn check_audit(&self, noted: Option<&Head>) -> StoreResult<TrailChecked> {
        let mut merchants: BTreeSet<String> = self.audited_merchants().await?.into_iter().collect();
        merchants.extend(self.audit_heads().await?.into_iter().map(|head| head.merchant));
        merchants.extend(noted.map(|noted| noted.merchant.clone()));
        let mut chains = Vec::with_capacity(merchants.len());
        for merchant in merchants {
            let noted = noted.filter(|noted| noted.merchant == merchant);
            chains.push(self.check_chain(&merchant, noted.cloned()).await?);
        }
        Ok(TrailChecked {
            chains,
            unchained: self.unchained().await?,
        })
    }

    async fn check_chain(&self, merchant: &str, noted: Option<Head>) -> StoreResult<Checked> {
        let head = self.audit_head(merchant).await?;
        let to = head.as_ref().map_or(i64::MAX as u64, |head| head.number);
        let mut check = Check::of(merchant, noted);
        let mut after = 0;
        'pages: loop {
            let rows = self.audit_chain(merchant, (after, to), AT_ONCE).await?;
            for row in &rows {
                after = row.number.unwrap_or(after);
                if !check.take(row) {
                    break 'pages;
                }
            }
            if rows.len() < AT_ONCE as usize {
                break;
            }
        }
        let mut checked = check.end(head.as_ref());
        if checked.finding.is_none() {
            checked.finding = self.behind_the_head(merchant).await?;
        }
        Ok(checked)
    }

    async fn audit_head(&self, merchant: &str) -> StoreResult<Option<Head>> {
        let heads = self.audit_heads().await?.into_iter();
        Ok(heads.into_iter().find(|head| head.merchant == merchant))
    }

    /// A row behind the last one: its writer would have moved the head with it.
    async fn behind_the_head(&self, merchant: &str) -> StoreResult<Option<Finding>> {
        let row = sqlx::query("SELECT MAX(number) FROM audit WHERE merchant = ?")
            .bind(merchant)
            .fetch_one(&self.pool)
            .await?;
        let last = maybe_int(&row, 0)?.map_or(0, |last| last.unsigned_abs());
        // Read after the rows: lines that were written meanwhile have moved it.
        let Some(head) = self.audit_head(merchant).await? else {
            return Ok(None);
        };
        Ok((last > head.number).then(|| Finding {
            merchant: merchant.to_owned(),
            number: head.number + 1,
            seq: None,
            what: "a row stands behind the head of the chain".to_owned(),
            expected: format!("{} rows", head.number),
            found: format!("row {last}"),
        }))
    }
}
