//! Merchants, who own campaigns, lists, webhooks and modules of their own.

use serde::{Deserialize, Serialize};

use super::keys::check_name;
use super::operations::{Answered, Operation};
use super::{Control, ControlError, Problem};
use crate::access::DEFAULT_MERCHANT;
use crate::audit::{AskedBy, AuditLine};
use crate::campaign::check_id;
use crate::store::MerchantRow;
use crate::wire::{Moment, echo};

/// Merchants of one page at most, and one that says whether more follow.
const PAGE_MAX: u32 = 101;

/// As the audit trail names it.
pub const MERCHANT_CREATE: &str = "merchant.create";

/// Body of `POST /admin/v1/merchants`.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMerchant {
    #[schema(
        min_length = 1,
        max_length = 64,
        pattern = "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
    )]
    pub id: String,
    /// The id where it is left out.
    #[serde(default)]
    #[schema(max_length = 64)]
    pub name: Option<String>,
}

#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Merchant)]
pub struct MerchantView {
    pub id: String,
    pub name: String,
    pub created_at: Moment,
}

impl From<MerchantRow> for MerchantView {
    fn from(row: MerchantRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            created_at: Moment(row.created_at),
        }
    }
}

impl Control {
    pub async fn create_merchant(
        &self,
        by: impl Into<AskedBy<'_>>,
        new: NewMerchant,
    ) -> Result<MerchantView, ControlError> {
        let mut problems = Vec::new();
        if let Err(error) = check_id(&new.id) {
            problems.push(Problem::new("/id", format!("the merchant's id {error}")));
        }
        if let Some(name) = &new.name {
            check_name("/name", name, &mut problems);
        }
        if !problems.is_empty() {
            return Err(ControlError::Invalid(problems));
        }
        let row = MerchantRow {
            name: new.name.unwrap_or_else(|| new.id.clone()),
            id: new.id,
            created_at: (self.clock)(),
        };
        let detail = serde_json::json!({"name": row.name});
        let line = AuditLine::new(row.created_at, by, MERCHANT_CREATE, row.id.as_str(), detail);
        if !self.store.insert_merchant(&row, &[line]).await? {
            let detail = format!("there is a merchant {} already", echo(&row.id));
            return Err(ControlError::Conflict(detail));
        }
        Ok(row.into())
    }

    /// The same, once per key.
    pub async fn create_merchant_once(
        &self,
        operation: Operation<'_>,
        new: NewMerchant,
    ) -> Result<Answered, ControlError> {
        let asked = serde_json::json!(new);
        self.keyed(operation, &asked, async |_| {
            self.create_merchant(operation.by, new).await
        })
        .await
    }

    /// Newest first; or one, where it is named.
    pub async fn merchants(
        &self,
        only: Option<&str>,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<MerchantView>, ControlError> {
        if let Some(before) = before
            && (self.store.merchant(before).await?.is_none() || only.is_some_and(|only| only != before))
        {
            return Err(ControlError::Unknown(format!("no merchant {}", echo(before))));
        }
        let rows = self
            .store
            .merchants(only, before, limit.clamp(1, PAGE_MAX))
            .await?;
        Ok(rows.into_iter().map(MerchantView::from).collect())
    }

    /// What is wrong with a merchant that a body names.
    pub(super) async fn no_merchant(&self, id: &str) -> Result<Option<Problem>, ControlError> {
        let there = self.store.merchant(id).await?;
        Ok(match there {
            Some(_) => None,
            None => Some(Problem::new(
                "/merchant",
                format!("there is no merchant {}", echo(id)),
            )),
        })
    }

    /// Takes the id of a list that is about to be made, unless it is that merchant's already; without a merchant it may be anybody's,
    /// and a new one is of the default merchant. An id that no list may have is refused later, with the list.
    pub async fn claim_list(&self, id: &str, merchant: Option<&str>) -> Result<(), ControlError> {
        if check_id(id).is_err() {
            return Ok(());
        }
        let Some(merchant) = merchant else {
            return Ok(self.store.claim_list(id, DEFAULT_MERCHANT).await.map(drop)?);
        };
        if let Some(problem) = self.no_merchant(merchant).await? {
            return Err(ControlError::Malformed(problem.detail));
        }
        let owner = self.store.claim_list(id, merchant).await?;
        match owner == merchant {
            true => Ok(()),
            false => Err(ControlError::Conflict(format!(
                "the list {} is of another merchant: give yours another id",
                echo(id)
            ))),
        }
    }
}
