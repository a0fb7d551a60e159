//! The console: pages for merchants, on the control plane's listener. It asks the control plane's API as a program would, in the same
//! process, so that whatever it shows or does can be had without it; README.md says how a page is added.
//!
//! ```text
//!  browser ─▶ visitor: log-in, form's proof ─▶ page ─▶ api ─▶ admin's routes ─▶ template ─▶ browser
//! ```

mod act;
mod acts;
mod api;
mod assets;
mod audit;
mod entry;
mod eyes;
mod figures;
mod form;
mod health;
mod keys;
mod letters;
mod lists;
mod login;
mod look;
mod meaning;
mod modules;
mod order;
mod orders;
mod page;
mod preview;
mod reconcile;
mod revisions;
mod rules;
mod sale;
mod sales;
mod saved;
mod schema;
mod standing;
mod stream;
mod uploads;
mod visitor;
mod webhooks;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::http::Method;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::admin::{Inside, Pages, Readiness, query_parameters};
use crate::store::{Store, new_secret};

use look::Looks;
use saved::Saved;

/// The console of one gateway.
pub struct Console {
    inside: Inside,
    /// Where log-ins are kept.
    store: Store,
    readiness: Arc<Readiness>,
    /// Its listener speaks TLS.
    has_tls: bool,
    looks: Looks,
    /// Numbers of revisions that forms stored.
    saved: Saved<u32>,
    /// Ids of keys that forms made.
    made: Saved<String>,
    /// What forms prove themselves with where nobody logs in.
    proof: String,
}

impl Console {
    pub fn new(inside: Inside, store: Store, readiness: Arc<Readiness>, has_tls: bool) -> Self {
        Self {
            inside,
            store,
            readiness,
            has_tls,
            looks: Looks::default(),
            saved: Saved::default(),
            made: Saved::default(),
            proof: new_secret(),
        }
    }

    /// Its pages.
    pub fn pages(self) -> Pages {
        let console = Arc::new(self);
        let known = Router::new()
            .route("/console", get(sales::show))
            .route("/console/live", get(sales::live))
            .route("/console/audit", get(audit::list))
            .route("/console/health", get(health::show))
            .route("/console/keys", get(keys::list).post(keys::change))
            .route("/console/keys/new", get(keys::ask_for_new).post(keys::make))
            .route("/console/letters", get(letters::list).post(letters::act))
            .route(
                "/console/letters/{topic}/{partition}/{offset}",
                get(letters::show).post(letters::change),
            )
            .route("/console/lists", get(lists::list))
            .route(
                "/console/lists/{id}",
                get(lists::show).post(lists::change).put(uploads::upload),
            )
            .route("/console/modules", get(modules::list))
            .route("/console/modules/{selector}", get(modules::show))
            .route("/console/webhooks", get(webhooks::list))
            .route("/console/webhooks/{id}", get(webhooks::show).post(webhooks::act))
            .route("/console/logout", post(login::log_out))
            .route("/console/sales/{id}", get(sale::show))
            .route("/console/sales/{id}/live", get(sale::live))
            .route("/console/sales/{id}/act/{act}", get(acts::ask).post(acts::act))
            .route("/console/sales/{id}/rules", get(rules::show).post(rules::edit))
            .route("/console/sales/{id}/rules/lua", get(revisions::lua))
            .route(
                "/console/sales/{id}/reconcile",
                get(reconcile::show).post(reconcile::compare),
            )
            .route("/console/sales/{id}/preview", get(preview::show))
            .route("/console/sales/{id}/playground", get(preview::play))
            .route("/console/sales/{id}/revisions", get(revisions::list))
            .route(
                "/console/sales/{id}/revisions/{revision}",
                get(revisions::revision).post(revisions::activate),
            )
            .route(
                "/console/sales/{id}/revisions/{revision}/approve",
                post(eyes::approve),
            )
            .route("/console/sales/{id}/orders", get(orders::list).post(orders::act))
            .route("/console/sales/{id}/orders/jobs/{job}", get(orders::job))
            .route(
                "/console/sales/{id}/orders/{order}",
                get(order::show).post(order::act),
            )
            .layer(from_fn_with_state(console.clone(), entry::recognise));
        let open = Router::new()
            .route(visitor::LOG_IN, get(login::ask).post(login::log_in))
            .route("/console/static/{tag}/{*name}", get(assets::show))
            .route("/console/icon.svg", get(assets::icon));
        Pages {
            router: known.merge(open).with_state(console),
            parameters,
        }
    }
}

/// The query parameters of its pages, besides those that each has; and those of the API.
fn parameters(method: &Method, path: &str) -> &'static [&'static str] {
    match path {
        "/console" | "/console/keys" => &["as", "before", "lang", "theme"],
        "/console/sales/{id}/orders" => &[
            "as", "before", "from", "lang", "sku", "state", "theme", "to", "user",
        ],
        "/console/sales/{id}/revisions" => &["as", "before", "lang", "theme"],
        "/console/sales/{id}/act/{act}" => &["as", "change", "lang", "sku", "theme"],
        "/console/sales/{id}/preview" => &["as", "from", "lang", "old", "revision", "theme"],
        "/console/sales/{id}/playground" => &[
            "as", "at", "claims", "client", "ip", "lang", "quantity", "revision", "sku", "theme", "times",
            "user",
        ],
        "/console/lists/{id}" if method == Method::PUT => &uploads::FIELDS,
        "/console/lists/{id}" => &["as", "before", "lang", "member", "theme"],
        "/console/letters" => &[
            "as", "before", "campaign", "class", "error", "from", "key", "lang", "stage", "theme", "to",
        ],
        "/console/audit" => &[
            "action", "actor", "as", "before", "from", "lang", "target", "theme", "to",
        ],
        "/console/webhooks/{id}" => &["as", "before", "lang", "state", "theme"],
        "/console/login" => &["lang", "next", "theme"],
        _ if path.starts_with("/console") => &["as", "lang", "theme"],
        _ => query_parameters(method, path),
    }
}
