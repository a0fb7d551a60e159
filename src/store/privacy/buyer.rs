//! Whom is meant: a user of one merchant, or everybody who has this name.

use crate::access::DEFAULT_MERCHANT;
use crate::store::{Owned, Owner, Store, StoreResult};

/// A buyer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BuyerName<'a> {
    pub user: &'a str,
    /// `None`: of all merchants.
    pub merchant: Option<&'a str>,
}

impl<'a> From<&'a str> for BuyerName<'a> {
    fn from(user: &'a str) -> Self {
        Self { user, merchant: None }
    }
}

impl BuyerName<'_> {
    /// As rows have the merchant; empty: all of them.
    pub(super) fn merchant(&self) -> &str {
        self.merchant.unwrap_or_default()
    }

    /// A condition on a column of campaigns' ids, where one merchant is meant: its one parameter is the merchant.
    pub(super) fn of_campaigns(&self, column: &str) -> String {
        match self.merchant {
            Some(_) => {
                format!(
                    " AND EXISTS (SELECT 1 FROM campaigns m WHERE m.campaign_id = {column} AND m.merchant = ?)"
                )
            }
            None => String::new(),
        }
    }
}

impl Store {
    /// Whether a campaign is of the merchant that is meant.
    pub(super) async fn is_meant(&self, buyer: BuyerName<'_>, campaign: &str) -> StoreResult<bool> {
        let Some(merchant) = buyer.merchant else {
            return Ok(true);
        };
        Ok(self.owner(Owned::Campaign, campaign).await? == Owner::One(merchant.to_owned()))
    }

    /// Those of these lists that are of the merchant that is meant.
    pub async fn lists_meant<T>(
        &self,
        buyer: BuyerName<'_>,
        mut lists: Vec<T>,
        id: impl Fn(&T) -> &str,
    ) -> StoreResult<Vec<T>> {
        if let Some(merchant) = buyer.merchant {
            let owners = self.list_owners().await?;
            lists.retain(|list| owners.get(id(list)).map_or(DEFAULT_MERCHANT, String::as_str) == merchant);
        }
        Ok(lists)
    }
}
