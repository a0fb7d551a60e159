//! Whose a thing is: what keeps merchants apart.

use std::collections::BTreeMap;

use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::access::DEFAULT_MERCHANT;
use crate::record::LetterId;
use crate::store::dialect::{pieces, placeholders};
use crate::store::error::is_duplicate;
use crate::store::letters::query::{ORIGIN, bind_origin};
use crate::store::rows::{maybe_text, text};
use crate::store::{ModuleRow, Store, StoreError, StoreResult};

/// Kinds of things that have an owner, each named by an id of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owned {
    Campaign,
    List,
    Webhook,
    /// By `id`, `id@version` or digest.
    Module,
    Key,
}

/// Whose a thing is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// There is no such thing.
    Missing,
    /// It is there for all merchants: a module. Or it is of none alone: a key of all merchants.
    All,
    One(String),
}

impl Owned {
    /// The merchant of one, by its id; of a module by its digest.
    pub(in crate::store) fn merchant_sql(self) -> &'static str {
        match self {
            Self::Campaign => "SELECT merchant FROM campaigns WHERE campaign_id = ?",
            Self::List => "SELECT merchant FROM audience_owners WHERE audience_id = ?",
            Self::Webhook => "SELECT merchant FROM webhooks WHERE webhook_id = ?",
            Self::Module => "SELECT merchant FROM modules WHERE digest = ?",
            Self::Key => "SELECT merchant FROM api_keys WHERE key_id = ?",
        }
    }
}

impl Store {
    pub async fn owner(&self, of: Owned, id: &str) -> StoreResult<Owner> {
        let merchant = match of {
            Owned::List => return self.list_owner(id).await,
            Owned::Module => self.module(id).await?.map(|row| row.merchant),
            Owned::Campaign | Owned::Webhook | Owned::Key => {
                let found = sqlx::query(of.merchant_sql()).bind(id);
                let found = found.fetch_optional(&self.pool).await?;
                found.map(|row| maybe_text(&row, 0)).transpose()?
            }
        };
        Ok(merchant.map_or(Owner::Missing, |merchant| merchant.map_or(Owner::All, Owner::One)))
    }

    /// Whose a dead letter is: whose its campaign is. One whose record is no order, or whose campaign is gone, is of no
    /// merchant alone.
    pub async fn letter_owner(&self, id: &LetterId) -> StoreResult<Owner> {
        let sql = format!(
            "SELECT c.merchant FROM dead_letters d LEFT JOIN campaigns c ON c.campaign_id = d.campaign_id WHERE {ORIGIN}"
        );
        let query = bind_origin(sqlx::query(AssertSqlSafe(sql)), id);
        let found = query.fetch_optional(&self.pool).await?;
        let merchant = found.map(|row| maybe_text(&row, 0)).transpose()?;
        Ok(merchant.map_or(Owner::Missing, |merchant| merchant.map_or(Owner::All, Owner::One)))
    }

    /// A list that the release before made has no owner written down.
    async fn list_owner(&self, id: &str) -> StoreResult<Owner> {
        let found = sqlx::query(Owned::List.merchant_sql())
            .bind(id)
            .fetch_optional(&self.pool)
            .await?;
        let there = self.newest_audience(id).await?.is_some();
        Ok(match found {
            Some(row) => Owner::One(text(&row, 0)?),
            None if there => Owner::One(DEFAULT_MERCHANT.to_owned()),
            None => Owner::Missing,
        })
    }

    /// Takes the id of a list for a merchant; whose it is then.
    pub async fn claim_list(&self, id: &str, merchant: &str) -> StoreResult<String> {
        if let Owner::One(owner) = self.list_owner(id).await? {
            return Ok(owner);
        }
        let taken = sqlx::query("INSERT INTO audience_owners (audience_id, merchant) VALUES (?, ?)")
            .bind(id)
            .bind(merchant)
            .execute(&self.pool)
            .await;
        match taken {
            Ok(_) => Ok(merchant.to_owned()),
            Err(error) if is_duplicate(&error) => match self.list_owner(id).await? {
                Owner::One(owner) => Ok(owner),
                _ => Err(StoreError::Transient(format!(
                    "the list {id:?} is being made by others"
                ))),
            },
            Err(error) => Err(error.into()),
        }
    }

    /// The owners of lists, by id; one that is missing here is of the default merchant.
    pub async fn list_owners(&self) -> StoreResult<BTreeMap<String, String>> {
        let rows = sqlx::query("SELECT audience_id, merchant FROM audience_owners")
            .fetch_all(&self.pool)
            .await?;
        rows.iter()
            .map(|row| Ok((text(row, 0)?, text(row, 1)?)))
            .collect()
    }

    /// The owners of these campaigns, by id.
    pub async fn campaign_owners(&self, ids: &[&str]) -> StoreResult<BTreeMap<String, String>> {
        let mut owners = BTreeMap::new();
        for range in pieces(ids.len()) {
            let marks = placeholders(1, range.len());
            let sql = format!("SELECT campaign_id, merchant FROM campaigns WHERE campaign_id IN {marks}");
            let query = sqlx::query(AssertSqlSafe(sql));
            let query = ids[range].iter().fold(query, |query, id| query.bind(*id));
            for row in query.fetch_all(&self.pool).await? {
                owners.insert(text(&row, 0)?, text(&row, 1)?);
            }
        }
        Ok(owners)
    }

    /// Refuses a module whose id is somebody else's: whoever names the id alone must get modules of one owner.
    pub(in crate::store) async fn check_module_owner(
        &self,
        tx: &mut Transaction<'_, Any>,
        module: &ModuleRow,
    ) -> StoreResult<()> {
        let rows = sqlx::query("SELECT DISTINCT merchant FROM modules WHERE module_id = ?")
            .bind(module.id.as_str())
            .fetch_all(&mut **tx)
            .await?;
        for row in rows {
            if maybe_text(&row, 0)? != module.merchant {
                return Err(StoreError::Conflict(format!(
                    "the id {:?} is another owner's: give your module another id",
                    module.id
                )));
            }
        }
        Ok(())
    }
}
