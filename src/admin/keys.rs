//! Keys and merchants: made, listed and revoked.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use serde::Serialize;

use super::answer::{Refused, changed, id_of, idempotency_key, read_json};
use super::caller::Caller;
use super::campaigns::limit;
use super::owners::own;
use super::query::{parameters, query};
use super::{Admin, Answered};
use crate::access::Actor;
use crate::audit::AskedBy;
use crate::control::{
    self, Control, KEY_CREATE, KeyView, MERCHANT_CREATE, MerchantChange, MerchantView, NewKey, NewMerchant,
    Operation,
};
use crate::record::LetterId;
use crate::store::{ApiKeyRow, Owned, Owner, place_of};
use crate::wire::paged;

/// Keys of one page unless `limit` says otherwise.
const PAGE: u32 = 50;

/// What the control plane asks of [`Control`] about keys, merchants, and whose a thing is.
pub trait Keys: Send + Sync + 'static {
    /// By the hash of its text, in hex.
    fn key_by_digest<'a>(&'a self, digest: &'a str) -> Answered<'a, Option<ApiKeyRow>>;
    /// Notes that a key was used.
    fn key_used<'a>(&'a self, row: &'a ApiKeyRow) -> Answered<'a, ()>;
    fn owner<'a>(&'a self, of: Owned, id: &'a str) -> Answered<'a, Owner>;
    fn letter_owner<'a>(&'a self, id: &'a LetterId) -> Answered<'a, Owner>;
    /// Takes the id of a list; without a merchant it may be anybody's.
    fn claim_list<'a>(&'a self, id: &'a str, merchant: Option<&'a str>) -> Answered<'a, ()>;
    fn create_key<'a>(
        &'a self,
        operation: Operation<'a>,
        actor: &'a Actor,
        new: NewKey,
    ) -> Answered<'a, control::Answered>;
    fn keys<'a>(
        &'a self,
        merchant: Option<&'a str>,
        before: Option<&'a str>,
        limit: u32,
    ) -> Answered<'a, Vec<KeyView>>;
    fn revoke_key<'a>(&'a self, by: AskedBy<'a>, id: &'a str) -> Answered<'a, ()>;
    fn create_merchant<'a>(
        &'a self,
        operation: Operation<'a>,
        new: NewMerchant,
    ) -> Answered<'a, control::Answered>;
    fn change_merchant<'a>(
        &'a self,
        by: AskedBy<'a>,
        id: &'a str,
        change: MerchantChange,
    ) -> Answered<'a, MerchantView>;
    fn merchants<'a>(
        &'a self,
        only: Option<&'a str>,
        before: Option<&'a str>,
        limit: u32,
    ) -> Answered<'a, Vec<MerchantView>>;
}

impl Keys for Control {
    fn key_by_digest<'a>(&'a self, digest: &'a str) -> Answered<'a, Option<ApiKeyRow>> {
        self.key_by_digest(digest).boxed()
    }

    fn key_used<'a>(&'a self, row: &'a ApiKeyRow) -> Answered<'a, ()> {
        self.key_used(row).map(Ok).boxed()
    }

    fn owner<'a>(&'a self, of: Owned, id: &'a str) -> Answered<'a, Owner> {
        self.owner(of, id).boxed()
    }

    fn letter_owner<'a>(&'a self, id: &'a LetterId) -> Answered<'a, Owner> {
        self.letter_owner(id).boxed()
    }

    fn claim_list<'a>(&'a self, id: &'a str, merchant: Option<&'a str>) -> Answered<'a, ()> {
        self.claim_list(id, merchant).boxed()
    }

    fn create_key<'a>(
        &'a self,
        operation: Operation<'a>,
        actor: &'a Actor,
        new: NewKey,
    ) -> Answered<'a, control::Answered> {
        self.create_key_once(operation, actor, new).boxed()
    }

    fn keys<'a>(
        &'a self,
        merchant: Option<&'a str>,
        before: Option<&'a str>,
        limit: u32,
    ) -> Answered<'a, Vec<KeyView>> {
        self.keys(merchant, before, limit).boxed()
    }

    fn revoke_key<'a>(&'a self, by: AskedBy<'a>, id: &'a str) -> Answered<'a, ()> {
        self.revoke_key(by, id).boxed()
    }

    fn create_merchant<'a>(
        &'a self,
        operation: Operation<'a>,
        new: NewMerchant,
    ) -> Answered<'a, control::Answered> {
        self.create_merchant_once(operation, new).boxed()
    }

    fn change_merchant<'a>(
        &'a self,
        by: AskedBy<'a>,
        id: &'a str,
        change: MerchantChange,
    ) -> Answered<'a, MerchantView> {
        self.change_merchant(by, id, change).boxed()
    }

    fn merchants<'a>(
        &'a self,
        only: Option<&'a str>,
        before: Option<&'a str>,
        limit: u32,
    ) -> Answered<'a, Vec<MerchantView>> {
        self.merchants(only, before, limit).boxed()
    }
}

parameters! {
    struct PageQuery {
        /// Entries of the page at most.
        #[param(minimum = 1, maximum = 100, default = 50)]
        limit: Option<u32>,
        /// Id of the last one of the page before.
        before: Option<String>,
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Keys)]
pub(super) struct Page {
    keys: Vec<KeyView>,
    /// Value of `before` for the next page; missing on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Merchants)]
pub(super) struct MerchantPage {
    merchants: Vec<MerchantView>,
    /// Value of `before` for the next page; missing on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// 201 with the key, which nobody is shown again.
pub(super) async fn create(
    State(admin): State<Admin>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let mut new: NewKey = read_json(&headers, body).await?;
    new.merchant = own(caller.actor(), new.merchant)?;
    let (key, place) = (idempotency_key(&headers)?, place_of(new.merchant.as_deref()));
    let operation = Operation::by(caller.by(), &place, KEY_CREATE).asked(key.as_deref(), None);
    let created = admin.rules.create_key(operation, caller.actor(), new).await?;
    let headers = [
        (
            header::LOCATION,
            format!("/admin/v1/keys/{}", id_of(&created.body)),
        ),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((StatusCode::CREATED, headers, changed(created)).into_response())
}

/// Newest first.
pub(super) async fn list(
    State(admin): State<Admin>,
    Extension(actor): Extension<Actor>,
    page: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response, Refused> {
    let page = query(page)?;
    let limit = limit(page.limit, PAGE)?;
    let keys = admin
        .rules
        .keys(actor.merchant(), page.before.as_deref(), limit + 1)
        .await?;
    let (keys, next) = paged(keys, limit, |key| key.id.clone());
    Ok(Json(Page { keys, next }).into_response())
}

/// 204; also where it was revoked before.
pub(super) async fn revoke(
    State(admin): State<Admin>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Refused> {
    admin.rules.revoke_key(caller.by(), &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn create_merchant(
    State(admin): State<Admin>,
    caller: Caller,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let new: NewMerchant = read_json(&headers, body).await?;
    let (key, place) = (idempotency_key(&headers)?, place_of(None));
    let operation = Operation::by(caller.by(), &place, MERCHANT_CREATE).asked(key.as_deref(), None);
    let created = admin.rules.create_merchant(operation, new).await?;
    Ok((StatusCode::CREATED, changed(created)).into_response())
}

/// Also of a key of that merchant: who its buyers are is its own to say.
pub(super) async fn change_merchant(
    State(admin): State<Admin>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let change: MerchantChange = read_json(&headers, body).await?;
    let changed = admin.rules.change_merchant(caller.by(), &id, change).await?;
    Ok(Json(changed).into_response())
}

/// Newest first.
pub(super) async fn merchants(
    State(admin): State<Admin>,
    Extension(actor): Extension<Actor>,
    page: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response, Refused> {
    let page = query(page)?;
    let limit = limit(page.limit, PAGE)?;
    let only = actor.merchant();
    let merchants = admin
        .rules
        .merchants(only, page.before.as_deref(), limit + 1)
        .await?;
    let (merchants, next) = paged(merchants, limit, |merchant| merchant.id.clone());
    Ok(Json(MerchantPage { merchants, next }).into_response())
}
