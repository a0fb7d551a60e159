//! The tables of docs/ACCESS.md, made of the control plane's table of routes.

use std::fmt::Write as _;

use rushgate::access::{Role, Scope, Scopes};
use rushgate::admin::{ROUTES, Reach};

use super::tables::replaced;

/// The page with its tables made anew.
///
/// # Panics
/// Where a marker is missing.
pub fn with_access(page: &str) -> String {
    let page = replaced(page, "scopes", &scopes());
    let page = replaced(&page, "roles", &roles());
    replaced(&page, "scopes of routes", &routes())
}

fn scopes() -> String {
    let mut table = "| scope | with it one may |\n| --- | --- |\n".to_owned();
    for scope in Scope::ALL {
        let _ = writeln!(table, "| `{scope}` | {} |", scope.meaning());
    }
    table
}

fn named(scopes: &Scopes) -> String {
    let names: Vec<String> = scopes.iter().map(|scope| format!("`{scope}`")).collect();
    names.join(", ")
}

fn roles() -> String {
    let mut table = "| role | scopes |\n| --- | --- |\n".to_owned();
    for role in Role::ALL {
        let scopes = match role.scopes() {
            all if all == Scopes::all() => "all".to_owned(),
            some => named(&some),
        };
        let _ = writeln!(table, "| `{}` | {scopes} |", role.as_str());
    }
    table
}

fn routes() -> String {
    let mut table = "| route | scope | of another merchant |\n| --- | --- | --- |\n".to_owned();
    for route in ROUTES {
        let scopes: Vec<String> = route.scopes.iter().map(|scope| format!("`{scope}`")).collect();
        let other = match route.reach {
            Reach::Campaign
            | Reach::List
            | Reach::Webhook
            | Reach::Module
            | Reach::Key
            | Reach::Merchant
            | Reach::Letter => "404",
            Reach::OwnModule => "404; of all: 403",
            Reach::NewList => "409",
            Reach::Own => "not seen",
            Reach::All => "403: for keys of all merchants",
        };
        let scopes = scopes.join(" or ");
        let _ = writeln!(
            table,
            "| `{} {}` | {scopes} | {other} |",
            route.method, route.path
        );
    }
    table
}
