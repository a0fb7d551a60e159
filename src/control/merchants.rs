//! Merchants, who own campaigns, lists, webhooks and modules of their own, and may name who says who their buyers are.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::keys::check_name;
use super::operations::{Answered, Operation};
use super::{Control, ControlError, Problem};
use crate::access::DEFAULT_MERCHANT;
use crate::audit::{AskedBy, AuditLine};
use crate::campaign::check_id;
use crate::reaching::Target;
use crate::store::{Issuer, MerchantEdit, MerchantRow};
use crate::wire::{self, Moment, check_text, echo, secret::shown_url};

/// Merchants of one page at most, and one that says whether more follow.
const PAGE_MAX: u32 = 101;
/// Bytes of an issuer's name, and of an audience.
const TEXT_BYTES_MAX: usize = 2048;

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
    /// Who signs the tokens of its buyers; the issuer of the configuration where it is left out.
    #[serde(default)]
    pub tokens: Option<TokensFrom>,
}

/// Body of `PATCH /admin/v1/merchants/{id}`. What is left out stays.
#[derive(Clone, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MerchantChange {
    #[schema(max_length = 64)]
    pub name: Option<String>,
    /// `null`: the issuer of the configuration from now on.
    #[serde(deserialize_with = "wire::json::given")]
    #[schema(value_type = Option<TokensFrom>)]
    pub tokens: Option<Option<TokensFrom>>,
}

/// Who signs the tokens of a merchant's buyers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokensFrom {
    /// What tokens have in `iss`.
    #[schema(min_length = 1, max_length = 2048)]
    pub issuer: String,
    /// And in `aud`; without it, anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 2048)]
    pub audience: Option<String>,
    /// Where its JWK Set is published: https, at a public address or in a network that `auth.private` names.
    #[schema(max_length = 2048)]
    pub jwks_url: String,
}

impl From<Issuer> for TokensFrom {
    fn from(issuer: Issuer) -> Self {
        Self {
            issuer: issuer.name,
            audience: issuer.audience,
            jwks_url: issuer.jwks_url,
        }
    }
}

impl From<TokensFrom> for Issuer {
    fn from(tokens: TokensFrom) -> Self {
        Self {
            name: tokens.issuer,
            audience: tokens.audience,
            jwks_url: tokens.jwks_url,
        }
    }
}

#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Merchant)]
pub struct MerchantView {
    pub id: String,
    pub name: String,
    pub created_at: Moment,
    /// Missing: the issuer of the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens: Option<TokensFrom>,
}

impl From<MerchantRow> for MerchantView {
    fn from(row: MerchantRow) -> Self {
        Self {
            id: row.id,
            name: row.name,
            created_at: Moment(row.created_at),
            tokens: row.issuer.map(TokensFrom::from),
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
        if let Some(tokens) = &new.tokens {
            self.check_tokens(tokens, &mut problems).await;
        }
        if !problems.is_empty() {
            return Err(ControlError::Invalid(problems));
        }
        let row = MerchantRow {
            name: new.name.unwrap_or_else(|| new.id.clone()),
            id: new.id,
            created_at: (self.clock)(),
            issuer: new.tokens.map(Issuer::from),
        };
        let mut detail = json!({"name": row.name});
        if let Some(issuer) = &row.issuer {
            detail["tokens"] = told(issuer);
        }
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

    /// Gateways go by another issuer within a second or two.
    pub async fn change_merchant(
        &self,
        by: impl Into<AskedBy<'_>>,
        id: &str,
        change: MerchantChange,
    ) -> Result<MerchantView, ControlError> {
        let there = self.store.merchant(id).await?;
        let mut row = there.ok_or_else(|| ControlError::Unknown(format!("no merchant {}", echo(id))))?;
        let mut problems = Vec::new();
        if let Some(name) = &change.name {
            check_name("/name", name, &mut problems);
        }
        if let Some(Some(tokens)) = &change.tokens {
            self.check_tokens(tokens, &mut problems).await;
        }
        if !problems.is_empty() {
            return Err(ControlError::Invalid(problems));
        }
        let issuer = change.tokens.map(|tokens| tokens.map(Issuer::from));
        let edit = MerchantEdit {
            name: change.name.filter(|name| *name != row.name),
            issuer: issuer.filter(|issuer| *issuer != row.issuer),
        };
        if edit == MerchantEdit::default() {
            return Ok(row.into());
        }
        let (mut from, mut to) = (json!({}), json!({}));
        if let Some(name) = &edit.name {
            (from["name"], to["name"]) = (row.name.as_str().into(), name.as_str().into());
            row.name.clone_from(name);
        }
        if let Some(issuer) = &edit.issuer {
            (from["tokens"], to["tokens"]) = (
                row.issuer.as_ref().map(told).into(),
                issuer.as_ref().map(told).into(),
            );
            row.issuer.clone_from(issuer);
        }
        let detail = json!({"from": from, "to": to});
        let line = AuditLine::new((self.clock)(), by, "merchant.change", id, detail).of_merchant(id);
        self.store.edit_merchant(id, &edit, &[line]).await?;
        Ok(row.into())
    }

    /// Nothing is fetched: gateways do that, and say when they cannot.
    async fn check_tokens(&self, tokens: &TokensFrom, problems: &mut Vec<Problem>) {
        let mut check = |pointer: &str, text: &str| {
            let wrong = match text.len() {
                0 => Err("is empty".to_owned()),
                1..=TEXT_BYTES_MAX => check_text(text),
                _ => Err(format!("is longer than {TEXT_BYTES_MAX} bytes")),
            };
            problems.extend(wrong.err().map(|why| Problem::new(pointer, why)));
        };
        check("/tokens/issuer", &tokens.issuer);
        if let Some(audience) = &tokens.audience {
            check("/tokens/audience", audience);
        }
        let place = match Target::parse(&tokens.jwks_url) {
            Ok(target) => self.reached.check_target(&target).await,
            Err(why) => Err(why),
        };
        problems.extend(place.err().map(|why| Problem::new("/tokens/jwks_url", why)));
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

/// An issuer as the audit trail has it: the query of its URL may be a secret.
fn told(issuer: &Issuer) -> Value {
    json!({"issuer": issuer.name, "audience": issuer.audience, "jwks_url": shown_url(&issuer.jwks_url)})
}
