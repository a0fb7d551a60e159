//! Which query parameters each route takes.

use axum::http::Method;

use super::{
    audiences, audit, buyers, campaigns, keys, letters, lifetime, members, modules, order_jobs, orders,
    revisions, running, stock, webhooks,
};

/// The query parameters of a route, by its pattern.
pub fn query_parameters(method: &Method, path: &str) -> &'static [&'static str] {
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    match path.strip_prefix("/admin/v1").unwrap_or(path) {
        "/readyz" => &["verbose"],
        "/modules" if method == Method::POST => modules::UploadQuery::PARAMETERS,
        "/audiences/{id}" if method == Method::PUT => audiences::UploadQuery::PARAMETERS,
        "/audiences/{id}" if is_read => audiences::PageQuery::PARAMETERS,
        "/audiences/{id}/members/{member}" if is_read => members::AskQuery::PARAMETERS,
        "/audiences/{id}/members/{member}" if method == Method::PUT => members::PutQuery::PARAMETERS,
        "/audiences/{id}/members/{member}" if method == Method::DELETE => members::RemoveQuery::PARAMETERS,
        "/campaigns" if is_read => campaigns::PageQuery::PARAMETERS,
        "/campaigns" if method == Method::POST => campaigns::CreateQuery::PARAMETERS,
        "/campaigns/{id}" if method == Method::PATCH => running::ChangeQuery::PARAMETERS,
        "/campaigns/{id}/revisions" if is_read => revisions::PageQuery::PARAMETERS,
        "/campaigns/{id}/revisions" if method == Method::POST => revisions::RevisionQuery::PARAMETERS,
        "/campaigns/{id}/revisions/{revision}" => campaigns::ScriptQuery::PARAMETERS,
        "/campaigns/{id}/revisions/{revision}/diff" => revisions::DiffQuery::PARAMETERS,
        "/campaigns/{id}" if method == Method::DELETE => lifetime::DeleteQuery::PARAMETERS,
        "/campaigns/{id}/clone" => campaigns::ScriptQuery::PARAMETERS,
        "/campaigns/{id}/orders" => orders::OrdersQuery::PARAMETERS,
        "/campaigns/{id}/orders/cancel" | "/campaigns/{id}/orders/refund" => {
            order_jobs::BulkQuery::PARAMETERS
        }
        "/campaigns/{id}/orders/jobs" => order_jobs::JobsQuery::PARAMETERS,
        "/campaigns/{id}/skus" | "/campaigns/{id}/skus/{sku}/stock" | "/campaigns/{id}/stock" => {
            stock::StockQuery::PARAMETERS
        }
        "/audit" => audit::AuditQuery::PARAMETERS,
        "/buyers/{user}/data" | "/buyers/{user}/erasure" => buyers::BuyerQuery::PARAMETERS,
        "/buyers/{user}/erase" => buyers::EraseQuery::PARAMETERS,
        "/keys" | "/merchants" if is_read => keys::PageQuery::PARAMETERS,
        "/letters" => letters::LettersQuery::PARAMETERS,
        "/letters/replay" | "/letters/cancel" | "/letters/unpark" | "/letters/discard" => {
            letters::ActQuery::PARAMETERS
        }
        "/webhooks/{id}/deliveries" => webhooks::DeliveriesQuery::PARAMETERS,
        _ => &[],
    }
}
