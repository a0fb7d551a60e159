//! The contract of the control plane: its routes, described, a file for each part of it. README.md in `src/wire/openapi` says how a
//! route is described, and `tests/it/fronts/openapi.rs` holds what is described against what there is.

mod audit;
mod buyers;
mod campaigns;
mod health;
mod keys;
mod letters;
mod lists;
mod modules;
mod orders;
mod revisions;
mod webhooks;

use std::sync::LazyLock;

use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::routes::{BASE, ROUTES, Reach, Route};
use crate::wire::openapi::{IF_MATCH, JSON, Plane, Served, about};
use crate::wire::problem::{
    FORBIDDEN, INTERNAL, MALFORMED, OVERLOADED, TOKEN_INVALID, TOKEN_MISSING, TOO_OFTEN, UNAVAILABLE,
};

static DOCUMENT: LazyLock<Value> = LazyLock::new(openapi);

/// Methods that routes take.
const METHODS: [Method; 6] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
];

/// It, as it is served.
fn served() -> &'static Served {
    static SERVED: LazyLock<Served> = LazyLock::new(|| Served::of(&DOCUMENT));
    &SERVED
}

/// Whether a route takes this method, as it is described; one that is not described may take any of [`METHODS`].
pub(super) fn takes(method: &Method, path: &str) -> bool {
    let Some(there) = DOCUMENT["paths"].get(path) else {
        return METHODS.contains(method);
    };
    let name = match *method {
        Method::HEAD => "get".to_owned(),
        _ => method.as_str().to_ascii_lowercase(),
    };
    there.get(name).is_some()
}

/// Whether a route goes by the header `If-Match`, as it is described.
pub(super) fn takes_if_match(method: &Method, path: &str) -> bool {
    let name = method.as_str().to_ascii_lowercase();
    let parameters = DOCUMENT["paths"][path][name.as_str()]["parameters"].as_array();
    parameters.is_some_and(|all| all.iter().any(|one| one["$ref"] == IF_MATCH))
}

/// `GET /openapi.json`.
pub(super) async fn document() -> Response {
    ([(header::CONTENT_TYPE, JSON)], served().json.as_str()).into_response()
}

/// `GET /docs`.
pub(super) async fn page() -> Response {
    let page = &served().page;
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, page.policy.as_str()),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, page.html.as_str()).into_response()
}

/// The document that this plane serves.
pub fn openapi() -> Value {
    let plane = Plane {
        title: "rushgate control plane",
        description: "What merchants, payment systems and operators ask. Times are RFC 3339 in UTC with milliseconds. Unknown members \
            of a body are refused with a pointer to them, and unknown parameters of a query by name. Answers may get new members at \
            any time. Sentences for people (`did`, `detail`, `sentence`, `explain`, a module's descriptor) are in English, or in \
            the language of the rule's module that they come from: the contract has no locale, and programs go by `reason`, `type` \
            and `constraint`. Lengths of texts are in characters here and are checked in bytes of UTF-8. Lists in pages take `limit` \
            and `before`, which is `next` of the page before; the last page has no `next`.",
        token: "A key (`rgk_…`) with one of the scopes that the operation needs, RUSHGATE_ADMIN_TOKEN, which has them all, or the token of a \
            payment system, which has `payments`. Without a token in the configuration, programs of the same machine need none.",
        groups: &[
            (CAMPAIGNS, "Sales: made, changed while they run, ended."),
            (REVISIONS, "Rules of a sale: made, compared, tried, put in force."),
            (ORDERS, "What was bought, and what becomes of it."),
            (LISTS, "Uploaded lists that rules ask for."),
            (MODULES, "Rule modules."),
            (BUYERS, "One buyer's data."),
            (WEBHOOKS, "Endpoints that hear what becomes of orders."),
            (LETTERS, "Orders that could not land."),
            (AUDIT, "Who changed what, from where, in a chain."),
            (KEYS, "Who may use this plane."),
            (HEALTH, "What load balancers and operators ask."),
            (ABOUT, "What this plane says of itself."),
        ],
        common: vec![&MALFORMED, &FORBIDDEN, &OVERLOADED, &INTERNAL, &UNAVAILABLE],
        guarded: vec![&TOKEN_MISSING, &TOKEN_INVALID, &TOO_OFTEN],
        path_parameters,
        operations: vec![
            (CAMPAIGNS, campaigns::operations()),
            (REVISIONS, revisions::operations()),
            (ORDERS, orders::operations()),
            (LISTS, lists::operations()),
            (MODULES, modules::operations()),
            (BUYERS, buyers::operations()),
            (WEBHOOKS, webhooks::operations()),
            (LETTERS, letters::operations()),
            (AUDIT, audit::operations()),
            (KEYS, keys::operations()),
            (HEALTH, health::operations()),
            (ABOUT, about()),
        ],
    };
    let mut document = plane.document();
    ROUTES.iter().for_each(|route| guarded(&mut document, route));
    document
}

/// Says of a route what a key needs for it.
fn guarded(document: &mut Value, route: &Route) {
    let path = format!("{BASE}{}", route.path);
    let method = route.method.to_ascii_lowercase();
    let Some(operation) = document["paths"]
        .get_mut(&path)
        .and_then(|there| there.get_mut(&method))
    else {
        return;
    };
    let names: Vec<&str> = route.scopes.iter().map(|scope| scope.as_str()).collect();
    let each: Vec<Value> = names.iter().map(|name| json!({"bearer": [name]})).collect();
    operation["security"] = each.into();
    let mut said = operation["description"].as_str().unwrap_or_default().to_owned();
    if !said.is_empty() {
        said.push(' ');
    }
    said += &format!("Needs the scope `{}`", names.join("` or `"));
    said += match route.reach {
        Reach::All => ", in a key of all merchants.",
        _ => ".",
    };
    operation["description"] = said.into();
}

const CAMPAIGNS: &str = "Campaigns";
const REVISIONS: &str = "Revisions";
const ORDERS: &str = "Orders";
const LISTS: &str = "Lists";
const MODULES: &str = "Modules";
const BUYERS: &str = "Buyers";
const WEBHOOKS: &str = "Webhooks";
const LETTERS: &str = "Dead letters";
const AUDIT: &str = "Audit trail";
const KEYS: &str = "Keys and merchants";
const HEALTH: &str = "Health";
const ABOUT: &str = "This document and problems";

/// What each `{name}` of a pattern is.
fn path_parameters(path: &str, name: &str) -> (&'static str, Value) {
    let text = || json!({"type": "string", "minLength": 1});
    let number = || json!({"type": "integer", "format": "uint32", "minimum": 1});
    let id = || json!({"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"});
    match name {
        "order" => (
            "Id of an order.",
            json!({"type": "string", "pattern": "^[0-9a-f]{32}$"}),
        ),
        "job" => ("Id of the job.", text()),
        "change" => ("Id of the scheduled change.", text()),
        "proposal" => ("Id of the proposal.", text()),
        "slug" => ("Last part of a problem's `type`.", text()),
        "selector" => (
            "A module by its id (its highest version), `id@version` or digest.",
            text(),
        ),
        "sku" => (
            "A SKU; `/` is written `%2F`.",
            json!({"type": "string", "minLength": 1, "maxLength": 128}),
        ),
        "user" => (
            "Id of the buyer: `sub` of their tokens.",
            json!({"type": "string", "minLength": 1, "maxLength": 256, "pattern": r"^[^\x00-\x1f\x7f-\x9f]+$"}),
        ),
        "member" => (
            "The member.",
            json!({"type": "string", "minLength": 1, "maxLength": 256}),
        ),
        "revision" => ("Number of the revision.", number()),
        "topic" => ("Topic that the letter's record was in first.", text()),
        "partition" => (
            "Partition of the record.",
            json!({"type": "integer", "format": "int32", "minimum": 0}),
        ),
        "offset" => (
            "Offset of the record, with `:<position>` where the letter is not the first order of it.",
            json!({"type": "string", "pattern": "^[0-9]{1,19}(:[0-9]{1,10})?$"}),
        ),
        "version" => ("Number of the version.", number()),
        _ if path.contains("/webhooks/") => ("Id of the endpoint.", text()),
        _ if path.contains("/keys/") => ("Id of the key.", text()),
        _ if path.contains("/audiences/") => ("Id of the list.", id()),
        _ => ("Id of the campaign.", id()),
    }
}
