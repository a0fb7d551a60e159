//! Rule modules: upload and look.

use axum::Json;
use axum::body::Body;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Admin;
use super::answer::{Refused, read};
use super::guard::Actor;
use crate::store::ModuleRow;
use crate::wasm::MODULE_BYTES_MAX;
use crate::wire::Moment;

#[derive(Serialize)]
struct ModuleAnswer {
    digest: String,
    id: String,
    version: String,
    uploaded_at: Moment,
    descriptor: serde_json::Value,
}

impl From<ModuleRow> for ModuleAnswer {
    fn from(row: ModuleRow) -> Self {
        Self {
            digest: row.digest,
            id: row.id,
            version: row.version,
            uploaded_at: Moment(row.uploaded_at),
            descriptor: row.descriptor,
        }
    }
}

#[derive(Serialize)]
struct ModulesAnswer {
    modules: Vec<ModuleAnswer>,
}

/// 201 for a new module, 200 for bytes that are there already.
pub(super) async fn upload(
    State(admin): State<Admin>,
    Extension(Actor(actor)): Extension<Actor>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let bytes = read(&headers, "application/wasm", body, MODULE_BYTES_MAX).await?;
    let (new, row) = admin.rules.upload_module(actor, bytes).await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    let location = [(header::LOCATION, format!("/admin/v1/modules/{}", row.digest))];
    Ok((status, location, Json(ModuleAnswer::from(row))).into_response())
}

/// Newest upload first.
pub(super) async fn list(State(admin): State<Admin>) -> Result<Response, Refused> {
    let modules = admin.rules.modules().await?;
    let modules = modules.into_iter().map(ModuleAnswer::from).collect();
    Ok(Json(ModulesAnswer { modules }).into_response())
}

/// By id (newest upload), `id@version` or digest.
pub(super) async fn show(
    State(admin): State<Admin>,
    Path(selector): Path<String>,
) -> Result<Response, Refused> {
    let row = admin.rules.module(&selector).await?;
    Ok(Json(ModuleAnswer::from(row)).into_response())
}
