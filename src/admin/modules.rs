//! Rule modules: uploaded, looked at and deleted.

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Admin;
use super::answer::{JSON_BYTES_MAX, Refused, read};
use super::caller::Caller;
use super::owners::own;
use super::query::{parameters, query};
use crate::access::Actor;
use crate::serving::FEW_BODY_BYTES;
use crate::store::ModuleRow;
use crate::wasm::{Descriptor, MODULE_BYTES_MAX};
use crate::wire::problem::FORBIDDEN;
use crate::wire::{Moment, Problem};

// No body that is held as a whole is longer than what is charged for it.
const _: () = assert!(MODULE_BYTES_MAX <= FEW_BODY_BYTES && JSON_BYTES_MAX <= FEW_BODY_BYTES);

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Module)]
pub(super) struct ModuleAnswer {
    digest: String,
    id: String,
    version: String,
    uploaded_at: Moment,
    /// Whose it is; missing where all share it.
    #[serde(skip_serializing_if = "Option::is_none")]
    merchant: Option<String>,
    #[schema(value_type = Descriptor)]
    descriptor: serde_json::Value,
}

impl From<ModuleRow> for ModuleAnswer {
    fn from(row: ModuleRow) -> Self {
        Self {
            digest: row.digest,
            id: row.id,
            version: row.version,
            uploaded_at: Moment(row.uploaded_at),
            merchant: row.merchant,
            descriptor: row.descriptor,
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Modules)]
pub(super) struct ModulesAnswer {
    modules: Vec<ModuleAnswer>,
}

parameters! {
    struct UploadQuery {
        /// The module may have the id of a built-in one and stand for it.
        #[serde(default)]
        replace_builtin: bool,
        /// Whose it is, where the key is one of all merchants; all share it where it does not say so.
        #[param(max_length = 64)]
        merchant: Option<String>,
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = UploadedModule)]
pub(super) struct UploadAnswer {
    #[serde(flatten)]
    module: ModuleAnswer,
    /// It stands for the built-in module whose id it has.
    replaces_builtin: bool,
    /// The version that the id alone stands for.
    highest: String,
}

/// 201 for a new module, 200 for bytes that are there already, 409 where `id@version` stands for other bytes.
pub(super) async fn upload(
    State(admin): State<Admin>,
    caller: Caller,
    how: Result<Query<UploadQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let UploadQuery {
        replace_builtin,
        merchant,
    } = query(how)?;
    let merchant = own(caller.actor(), merchant)?;
    if replace_builtin && caller.actor().merchant().is_some() {
        let detail = "all merchants share built-in modules: to replace one is for the root token, or a key of all merchants";
        return Err(Problem::new(&FORBIDDEN, detail).into());
    }
    let bytes = read(&headers, "application/wasm", body, MODULE_BYTES_MAX).await?;
    let uploaded = admin
        .rules
        .upload_module(caller.by(), merchant.as_deref(), bytes.into(), replace_builtin)
        .await?;
    let status = match uploaded.new {
        true => StatusCode::CREATED,
        false => StatusCode::OK,
    };
    let location = [(
        header::LOCATION,
        format!("/admin/v1/modules/{}", uploaded.row.digest),
    )];
    let answer = UploadAnswer {
        module: uploaded.row.into(),
        replaces_builtin: uploaded.replaces_builtin,
        highest: uploaded.highest,
    };
    Ok((status, location, Json(answer)).into_response())
}

/// Newest upload first.
pub(super) async fn list(
    State(admin): State<Admin>,
    Extension(actor): Extension<Actor>,
) -> Result<Response, Refused> {
    let modules = admin.rules.modules(actor.merchant()).await?;
    let modules = modules.into_iter().map(ModuleAnswer::from).collect();
    Ok(Json(ModulesAnswer { modules }).into_response())
}

/// By id (its highest version), `id@version` or digest.
pub(super) async fn show(
    State(admin): State<Admin>,
    Path(selector): Path<String>,
) -> Result<Response, Refused> {
    let row = admin.rules.module(&selector).await?;
    Ok(Json(ModuleAnswer::from(row)).into_response())
}

/// By `id@version` or digest; 204, or 409 where a revision pins it.
pub(super) async fn delete(
    State(admin): State<Admin>,
    caller: Caller,
    Path(selector): Path<String>,
) -> Result<Response, Refused> {
    admin.rules.delete_module(caller.by(), &selector).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
