//! Problems in the contract: the document that all of them are, an example of each, and the answers of one status.

use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::schemas::value_of;
use crate::wire::Problem;
use crate::wire::problem::{ALL, Document, Fault, Kind, RULE_REJECTED};

/// Problems of rules have a `type` of their own.
const RULE_TYPE: &str = "^/problems/rule/[a-z0-9-]{1,64}$";

/// The schema of the document, and of what is in it.
pub(super) fn schemas() -> Vec<(String, Value)> {
    let named = |name: &str, schema| (name.to_owned(), value_of(&schema));
    let (name, mut problem) = named("Problem", <Document as utoipa::PartialSchema>::schema());
    // Members of one kind of problem alone.
    for (member, schema) in [
        (
            "state",
            json!({"type": "string", "description": "Of `order-state`: how the order stands."}),
        ),
        (
            "replaced_by",
            json!({"type": "string", "description": "Of `already-replaced`: the id of the order that has come in its place."}),
        ),
        (
            "accept",
            json!({"type": "array", "items": {"type": "string"}, "description": "Of `accept-missing`: ids of counters."}),
        ),
        (
            "changes",
            json!({"type": "array", "items": {"type": "object"}, "description": "Of `accept-missing`: what would change."}),
        ),
        (
            "counterexample",
            json!({"type": "object", "description": "Of `proof-failed`: what interpreter and script part over."}),
        ),
        (
            "suspicious",
            json!({"type": "integer", "description": "Of `invalid`, of a list: how many lines are wrong."}),
        ),
    ] {
        problem["properties"][member] = schema;
    }
    vec![
        (name, problem),
        named(&Fault::name(), <Fault as utoipa::PartialSchema>::schema()),
    ]
}

/// A document of each kind, by its slug.
pub(super) fn examples() -> Map<String, Value> {
    let example = |kind: &&'static Kind| {
        let problem = Problem::new(
            kind,
            kind.title.to_owned() + ": see the member detail of the answer.",
        );
        let value: Value = serde_json::from_slice(&problem.to_json()).unwrap_or_default();
        let shown = json!({"summary": kind.title, "description": kind.help, "value": value});
        (kind.slug.to_owned(), shown)
    };
    ALL.iter().map(example).collect()
}

/// The answers of these problems, by status.
pub(super) fn answers(problems: &[&'static Kind]) -> Vec<(u16, Value)> {
    let mut statuses: Vec<u16> = problems.iter().map(|kind| kind.status).collect();
    statuses.sort_unstable();
    statuses.dedup();
    let of = |status: u16| -> Vec<&'static Kind> {
        let mut kinds: Vec<_> = problems
            .iter()
            .copied()
            .filter(|kind| kind.status == status)
            .collect();
        kinds.sort_unstable_by_key(|kind| kind.slug);
        kinds
    };
    statuses
        .into_iter()
        .map(|status| (status, answer(status, &of(status))))
        .collect()
}

fn answer(status: u16, kinds: &[&'static Kind]) -> Value {
    let types: Vec<&str> = kinds.iter().map(|kind| kind.uri).collect();
    let of_rules = kinds
        .iter()
        .any(|kind| std::ptr::eq(*kind, &raw const RULE_REJECTED));
    let of_type = match of_rules {
        true => json!({"anyOf": [{"enum": types}, {"pattern": RULE_TYPE}]}),
        false => json!({"enum": types}),
    };
    let schema = json!({"allOf": [
        {"$ref": "#/components/schemas/Problem"},
        {"type": "object", "properties": {"type": of_type, "status": {"const": status}}},
    ]});
    let examples: Map<String, Value> = kinds
        .iter()
        .map(|kind| {
            let there = format!("#/components/examples/{}", kind.slug);
            (kind.slug.to_owned(), json!({"$ref": there}))
        })
        .collect();
    let titles: Vec<String> = kinds
        .iter()
        .map(|kind| format!("`{}`: {}.", kind.slug, kind.title))
        .collect();
    let mut answer = json!({
        "description": titles.join(" "),
        "content": {"application/problem+json": {"schema": schema, "examples": examples}},
    });
    if let Some(headers) = headers(status, kinds) {
        answer["headers"] = headers;
    }
    answer
}

/// The name of an answer of problems: their slugs.
pub(super) fn name(answer: &Value) -> String {
    let examples = answer["content"]["application/problem+json"]["examples"].as_object();
    let slugs: Vec<&str> = examples
        .into_iter()
        .flatten()
        .map(|(slug, _)| slug.as_str())
        .collect();
    slugs.join(".")
}

/// What an answer of this status says in headers.
fn headers(status: u16, kinds: &[&'static Kind]) -> Option<Value> {
    let waits = kinds
        .iter()
        .any(|kind| kind.retryable || kind.help.contains("Retry-After"));
    let name = match status {
        401 => "WWW-Authenticate",
        415 => "Accept-Encoding",
        _ if waits => "Retry-After",
        _ => return None,
    };
    let there = format!("#/components/headers/{}", name.replace('-', ""));
    Some(json!({name: {"$ref": there}}))
}
