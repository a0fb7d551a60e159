//! The tables of docs/API.md that are made of the contracts, between their markers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use super::{Documents, followed, operations};

/// The page with its tables made anew: the routes of each plane, and the problems.
///
/// # Panics
/// Where a marker is missing.
pub fn with_tables(page: &str, documents: &Documents) -> String {
    let page = replaced(page, "routes of orders", &routes(&documents.orders));
    let page = replaced(&page, "routes of the control plane", &routes(&documents.admin));
    replaced(&page, "problems", &problems(documents))
}

pub(super) fn replaced(page: &str, name: &str, table: &str) -> String {
    let (begin, end) = (
        format!("<!-- made by ./x openapi: {name} -->\n"),
        format!("<!-- end: {name} -->\n"),
    );
    let (before, rest) = page
        .split_once(&begin)
        .unwrap_or_else(|| panic!("the page has no {begin:?}"));
    let (_, after) = rest
        .split_once(&end)
        .unwrap_or_else(|| panic!("the page has no {end:?}"));
    [before, &begin, table, &end, after].concat()
}

/// A row for each route: what it does, its query, its `Idempotency-Key`, and statuses besides those that every route may have.
fn routes(document: &Value) -> String {
    let mut table = "| route | | query | key | answers |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for (method, path, operation) in operations(document) {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let parameters: Vec<&Value> = parameters.map(|one| followed(document, one)).collect();
        let of = |place: &str| {
            parameters
                .iter()
                .filter(|one| one["in"] == place)
                .copied()
                .collect::<Vec<_>>()
        };
        let query: Vec<String> = of("query")
            .iter()
            .map(|one| format!("`{}`", shown(one)))
            .collect();
        let key = of("header")
            .into_iter()
            .find(|one| one["name"] == "Idempotency-Key");
        let key = key.map_or("", |one| if one["required"] == true { "needed" } else { "yes" });
        let statuses = operation["responses"].as_object().into_iter().flatten();
        let statuses: Vec<&str> = statuses.map(|(status, _)| status.as_str()).collect();
        let _ = writeln!(
            table,
            "| `{method} {path}` | {} | {} | {key} | {} |",
            operation["summary"].as_str().unwrap_or_default(),
            query.join(", "),
            statuses.join(", ")
        );
    }
    table
}

/// The name of a parameter; of one that is an object, the names that its members have.
fn shown(parameter: &Value) -> String {
    match parameter["schema"]["propertyNames"]["pattern"].as_str() {
        Some(_) => "client.<name>".to_owned(),
        None => parameter["name"].as_str().unwrap_or_default().to_owned(),
    }
}

/// A row for each problem, with the planes whose contract names it.
fn problems(documents: &Documents) -> String {
    let mut planes: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (plane, document) in [("orders", &documents.orders), ("control plane", &documents.admin)] {
        for (_, _, operation) in operations(document) {
            let answers = operation["responses"].as_object().into_iter().flatten();
            let examples = answers.filter_map(|(_, answer)| {
                let answer = followed(document, answer);
                answer["content"]["application/problem+json"]["examples"].as_object()
            });
            for (slug, _) in examples.flatten() {
                planes.entry(slug).or_default().insert(plane);
            }
        }
    }
    let mut table = "| problem | status | retryable | of | |\n| --- | --- | --- | --- | --- |\n".to_owned();
    for (slug, example) in documents.orders["components"]["examples"]
        .as_object()
        .into_iter()
        .flatten()
    {
        let of = planes
            .get(slug.as_str())
            .into_iter()
            .flatten()
            .copied()
            .collect::<Vec<_>>();
        let _ = writeln!(
            table,
            "| `{slug}` | {} | {} | {} | {} |",
            example["value"]["status"],
            if example["value"]["retryable"] == true {
                "yes"
            } else {
                ""
            },
            of.join(", "),
            example["description"].as_str().unwrap_or_default()
        );
    }
    table
}
