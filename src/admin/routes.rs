//! What each route of the control plane asks of whoever comes: a scope, and whose thing it is about. One table: the guard goes by it,
//! the contract and docs/ACCESS.md are made of it, and a route that does not stand in it is for the root token alone.

use axum::http::Method;

use crate::access::{Actor, Scope};
use crate::wire::Problem;
use crate::wire::problem::FORBIDDEN;

/// What a route is about, as far as merchants are apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// A campaign that the path names, and what belongs to it.
    Campaign,
    /// A list that the path names.
    List,
    /// A list that the path names, or one that is made.
    NewList,
    /// A webhook that the path names.
    Webhook,
    /// A module that the path names: one's own, or one that all share.
    Module,
    /// The same, and one's own alone.
    OwnModule,
    /// A key that the path names.
    Key,
    /// A merchant that the path names.
    Merchant,
    /// A dead letter that the path names by its topic, partition and offset.
    Letter,
    /// A list of things, of which one sees one's own; or a new one, which is one's own.
    Own,
    /// What is of no merchant: the root token, or a key of all merchants.
    All,
}

/// A route, and what it asks for.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    pub method: &'static str,
    /// Behind `/admin/v1`.
    pub path: &'static str,
    /// One of these will do.
    pub scopes: &'static [Scope],
    pub reach: Reach,
}

const fn route(method: &'static str, path: &'static str, scopes: &'static [Scope], reach: Reach) -> Route {
    Route {
        method,
        path,
        scopes,
        reach,
    }
}

/// Where the routes stand.
pub(super) const BASE: &str = "/admin/v1";

const SEE: &[Scope] = &[Scope::CampaignsRead];
const WRITE: &[Scope] = &[Scope::CampaignsWrite];
const ACTIVATE: &[Scope] = &[Scope::RulesActivate];
const APPROVE: &[Scope] = &[Scope::RulesApprove];
const PROPOSE: &[Scope] = &[Scope::CampaignsWrite, Scope::RulesApprove];
const ORDERS: &[Scope] = &[Scope::OrdersRead];
const BULK: &[Scope] = &[Scope::OrdersWrite];
const ORDER: &[Scope] = &[Scope::OrdersRead, Scope::Payments];
const PAY: &[Scope] = &[Scope::OrdersWrite, Scope::Payments];
const LISTS: &[Scope] = &[Scope::ListsRead];
const FILL: &[Scope] = &[Scope::ListsWrite];
const MODULES: &[Scope] = &[Scope::ModulesWrite];
const HOOKS: &[Scope] = &[Scope::Webhooks];
const BUYERS: &[Scope] = &[Scope::Buyers];
const KEYS: &[Scope] = &[Scope::Keys];
const LETTERS: &[Scope] = &[Scope::Letters];
const TRAIL: &[Scope] = &[Scope::Audit];

/// Every route of the API.
pub const ROUTES: &[Route] = &[
    route("GET", "/campaigns", SEE, Reach::Own),
    route("POST", "/campaigns", WRITE, Reach::Own),
    route("GET", "/campaigns/{id}", SEE, Reach::Campaign),
    route("PATCH", "/campaigns/{id}", WRITE, Reach::Campaign),
    route("DELETE", "/campaigns/{id}", WRITE, Reach::Campaign),
    route("POST", "/campaigns/{id}/clone", WRITE, Reach::Campaign),
    route("POST", "/campaigns/{id}/pause", WRITE, Reach::Campaign),
    route("POST", "/campaigns/{id}/resume", WRITE, Reach::Campaign),
    route("POST", "/campaigns/{id}/end", WRITE, Reach::Campaign),
    route(
        "DELETE",
        "/campaigns/{id}/scheduled/{change}",
        WRITE,
        Reach::Campaign,
    ),
    route("POST", "/campaigns/{id}/skus", WRITE, Reach::Campaign),
    route("POST", "/campaigns/{id}/skus/{sku}/stock", WRITE, Reach::Campaign),
    route("POST", "/campaigns/{id}/stock", WRITE, Reach::Campaign),
    route("GET", "/campaigns/{id}/revisions", SEE, Reach::Campaign),
    route("POST", "/campaigns/{id}/revisions", WRITE, Reach::Campaign),
    route(
        "GET",
        "/campaigns/{id}/revisions/{revision}",
        SEE,
        Reach::Campaign,
    ),
    route(
        "GET",
        "/campaigns/{id}/revisions/{revision}/diff",
        SEE,
        Reach::Campaign,
    ),
    route(
        "POST",
        "/campaigns/{id}/revisions/{revision}/approve",
        APPROVE,
        Reach::Campaign,
    ),
    route(
        "DELETE",
        "/campaigns/{id}/revisions/{revision}/approve",
        APPROVE,
        Reach::Campaign,
    ),
    route("GET", "/campaigns/{id}/proposals", SEE, Reach::Campaign),
    route(
        "DELETE",
        "/campaigns/{id}/proposals/{proposal}",
        PROPOSE,
        Reach::Campaign,
    ),
    route(
        "POST",
        "/campaigns/{id}/proposals/{proposal}/approve",
        APPROVE,
        Reach::Campaign,
    ),
    route("POST", "/campaigns/{id}/simulate", WRITE, Reach::Campaign),
    route("POST", "/campaigns/{id}/reconcile", LETTERS, Reach::Campaign),
    route("POST", "/campaigns/{id}/activate", ACTIVATE, Reach::Campaign),
    route("GET", "/campaigns/{id}/orders", ORDERS, Reach::Campaign),
    route("POST", "/campaigns/{id}/orders/cancel", BULK, Reach::Campaign),
    route("POST", "/campaigns/{id}/orders/refund", BULK, Reach::Campaign),
    route("GET", "/campaigns/{id}/orders/jobs", ORDERS, Reach::Campaign),
    route(
        "GET",
        "/campaigns/{id}/orders/jobs/{job}",
        ORDERS,
        Reach::Campaign,
    ),
    route(
        "DELETE",
        "/campaigns/{id}/orders/jobs/{job}",
        BULK,
        Reach::Campaign,
    ),
    route("GET", "/campaigns/{id}/orders/{order}", ORDER, Reach::Campaign),
    route("POST", "/campaigns/{id}/orders/{order}/pay", PAY, Reach::Campaign),
    route(
        "POST",
        "/campaigns/{id}/orders/{order}/cancel",
        PAY,
        Reach::Campaign,
    ),
    route(
        "POST",
        "/campaigns/{id}/orders/{order}/refund",
        PAY,
        Reach::Campaign,
    ),
    route("GET", "/audit", TRAIL, Reach::Own),
    route("GET", "/audit/head", TRAIL, Reach::Own),
    route("GET", "/audiences", LISTS, Reach::Own),
    route("GET", "/audiences/{id}", LISTS, Reach::List),
    route("PUT", "/audiences/{id}", FILL, Reach::NewList),
    route("DELETE", "/audiences/{id}/{version}", FILL, Reach::List),
    route("GET", "/audiences/{id}/{version}/members", LISTS, Reach::List),
    route("GET", "/audiences/{id}/members/{member}", LISTS, Reach::List),
    route("PUT", "/audiences/{id}/members/{member}", FILL, Reach::List),
    route("DELETE", "/audiences/{id}/members/{member}", FILL, Reach::List),
    route("GET", "/modules", SEE, Reach::Own),
    route("POST", "/modules", MODULES, Reach::Own),
    route("GET", "/modules/{selector}", SEE, Reach::Module),
    route("DELETE", "/modules/{selector}", MODULES, Reach::OwnModule),
    route("GET", "/buyers/{user}/data", BUYERS, Reach::Own),
    route("POST", "/buyers/{user}/erase", BUYERS, Reach::Own),
    route("GET", "/buyers/{user}/erasure", BUYERS, Reach::Own),
    route("GET", "/webhooks", HOOKS, Reach::Own),
    route("POST", "/webhooks", HOOKS, Reach::Own),
    route("GET", "/webhooks/{id}", HOOKS, Reach::Webhook),
    route("PATCH", "/webhooks/{id}", HOOKS, Reach::Webhook),
    route("DELETE", "/webhooks/{id}", HOOKS, Reach::Webhook),
    route("POST", "/webhooks/{id}/secret", HOOKS, Reach::Webhook),
    route("GET", "/webhooks/{id}/deliveries", HOOKS, Reach::Webhook),
    route("POST", "/webhooks/{id}/replay", HOOKS, Reach::Webhook),
    route("POST", "/webhooks/{id}/test", HOOKS, Reach::Webhook),
    route("GET", "/letters", LETTERS, Reach::Own),
    route("POST", "/letters/replay", LETTERS, Reach::Own),
    route("POST", "/letters/cancel", LETTERS, Reach::Own),
    route("POST", "/letters/unpark", LETTERS, Reach::Own),
    route("POST", "/letters/discard", LETTERS, Reach::Own),
    route(
        "GET",
        "/letters/{topic}/{partition}/{offset}",
        LETTERS,
        Reach::Letter,
    ),
    route(
        "POST",
        "/letters/{topic}/{partition}/{offset}/repair",
        LETTERS,
        Reach::Letter,
    ),
    route("GET", "/keys", KEYS, Reach::Own),
    route("POST", "/keys", KEYS, Reach::Own),
    route("DELETE", "/keys/{id}", KEYS, Reach::Key),
    route("GET", "/merchants", KEYS, Reach::Own),
    route("POST", "/merchants", KEYS, Reach::All),
    route("PATCH", "/merchants/{id}", KEYS, Reach::Merchant),
];

/// A route by the pattern that the router matched.
pub(super) enum Found {
    Route(&'static Route),
    /// The path takes other methods: the router says so.
    OtherMethod,
    Nothing,
}

pub(super) fn find(method: &Method, pattern: &str) -> Found {
    let method = if method == Method::HEAD {
        "GET"
    } else {
        method.as_str()
    };
    let Some(path) = pattern.strip_prefix(BASE) else {
        return Found::Nothing;
    };
    let mut of_path = ROUTES.iter().filter(|route| route.path == path).peekable();
    if of_path.peek().is_none() {
        return Found::Nothing;
    }
    of_path
        .find(|route| route.method == method)
        .map_or(Found::OtherMethod, Found::Route)
}

impl Route {
    /// Refuses whoever has none of the scopes, and names them.
    pub(super) fn admits(&self, actor: &Actor) -> Result<(), Problem> {
        let Some((first, others)) = self.scopes.split_first() else {
            return Err(for_root());
        };
        if self.scopes.iter().any(|scope| actor.may(*scope)) {
            return self.is_of_all(actor);
        }
        let others: String = others.iter().map(|scope| format!(" or {scope}")).collect();
        Err(lacking(actor, &format!("{first}{others}")))
    }

    fn is_of_all(&self, actor: &Actor) -> Result<(), Problem> {
        match (self.reach, actor.merchant()) {
            (Reach::All, Some(merchant)) => {
                let detail = format!(
                    "this is of no merchant alone, and the key is one of {merchant}: use the root token, or a key of all merchants"
                );
                Err(Problem::new(&FORBIDDEN, detail))
            }
            _ => Ok(()),
        }
    }
}

/// What a part of a request needs besides the scope of its route.
pub(super) fn needs(actor: &Actor, scope: Scope) -> Result<(), Problem> {
    match actor.may(scope) {
        true => Ok(()),
        false => Err(lacking(actor, scope.as_str())),
    }
}

fn lacking(actor: &Actor, scopes: &str) -> Problem {
    let what = match actor.key() {
        Some(_) => "key",
        None => &format!("token of a payment system (with it {PAYMENTS_MAY})"),
    };
    Problem::new(
        &FORBIDDEN,
        format!("this needs the scope {scopes}, which the {what} does not have"),
    )
}

const PAYMENTS_MAY: &str = "an order can be looked at, paid, refunded and cancelled, and nothing else";

pub(super) fn payments_alone() -> Problem {
    Problem::new(
        &FORBIDDEN,
        format!("with this token, of a payment system, {PAYMENTS_MAY}"),
    )
}

pub(super) fn for_root() -> Problem {
    Problem::new(&FORBIDDEN, "this is for the root token alone")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{KeyHead, Role};

    #[test]
    fn a_route_stands_there_once() {
        for (at, one) in ROUTES.iter().enumerate() {
            let same = |other: &Route| (other.method, other.path) == (one.method, one.path);
            assert!(!ROUTES[..at].iter().any(same), "{} {}", one.method, one.path);
            assert!(!one.scopes.is_empty(), "{} {}", one.method, one.path);
        }
    }

    #[test]
    fn who_lacks_a_scope_is_told_which() {
        let key = |scopes: &[Scope], merchant: Option<&str>| {
            Actor::of_key(KeyHead {
                id: "0".repeat(16),
                name: "k".into(),
                person: "ada".into(),
                merchant: merchant.map(str::to_owned),
                scopes: scopes.iter().copied().collect(),
                expires_at: None,
            })
        };
        let route = |method: &str, path: &str| match find(&method.parse().expect("a method"), path) {
            Found::Route(route) => route,
            _ => panic!("{method} {path}"),
        };
        let pay = route("POST", "/admin/v1/campaigns/{id}/orders/{order}/pay");
        let told = |refused: Result<(), Problem>| {
            let json = refused.expect_err("refused").to_json();
            String::from_utf8(json.to_vec()).expect("text")
        };
        assert!(told(pay.admits(&key(&[Scope::OrdersRead], None))).contains("orders:write or payments"));
        assert!(pay.admits(&Actor::payments("payments")).is_ok());
        let make = route("POST", "/admin/v1/merchants");
        assert!(make.admits(&key(&[Scope::Keys], None)).is_ok());
        assert!(told(make.admits(&key(&[Scope::Keys], Some("a")))).contains("of all merchants"));
        assert!(Role::Merchant.scopes().has(Scope::Keys));
        assert!(matches!(
            find(&Method::TRACE, "/admin/v1/keys"),
            Found::OtherMethod
        ));
        assert!(matches!(find(&Method::GET, "/admin/v1/none"), Found::Nothing));
        assert!(matches!(find(&Method::HEAD, "/admin/v1/keys"), Found::Route(_)));
    }
}
