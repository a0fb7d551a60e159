//! The whole document of a plane: its operations by path, and what they share.

use serde_json::{Map, Value, json};

use super::operation::{Answered, Operation};
use super::problems;
use super::schemas::Schemas;
use crate::wire::problem::Kind;

/// What a path parameter is: description and schema, by the path it stands in and its name.
pub type PathParameters = fn(&str, &str) -> (&'static str, Value);

/// A plane, described.
pub struct Plane {
    pub title: &'static str,
    pub description: &'static str,
    /// Name and description of its bearer tokens.
    pub token: &'static str,
    /// (Name, description) of groups of operations, in the order in which they are shown.
    pub groups: &'static [(&'static str, &'static str)],
    /// What may go wrong with every operation.
    pub common: Vec<&'static Kind>,
    /// What may go wrong with every operation that takes a token.
    pub guarded: Vec<&'static Kind>,
    pub path_parameters: PathParameters,
    /// Operations by group.
    pub operations: Vec<(&'static str, Vec<Operation>)>,
}

impl Plane {
    /// The document as JSON; the same for every process of a build.
    pub fn document(self) -> Value {
        let mut schemas = Schemas::default();
        for (name, schema) in problems::schemas() {
            schemas.put(name, schema);
        }
        let (mut paths, mut asked, mut shared) = (Map::new(), Vec::new(), Map::new());
        for (group, operations) in self.operations {
            for mut operation in operations {
                schemas.extend(std::mem::take(&mut operation.schemas));
                asked.extend(operation.body.clone());
                let (method, path) = (operation.method.to_lowercase(), operation.path);
                let guarded = self.guarded.iter().filter(|_| !operation.is_open);
                let common: Vec<_> = self.common.iter().chain(guarded).copied().collect();
                let described = described(operation, group, &common, self.path_parameters, &mut shared);
                let item = paths.entry(path).or_insert_with(|| json!({}));
                assert!(item.get(&method).is_none(), "{method} {path} is described twice");
                item[method] = described;
            }
        }
        let asked: Vec<&Value> = asked.iter().collect();
        let tags: Vec<Value> = self
            .groups
            .iter()
            .map(|(name, description)| json!({"name": name, "description": description}))
            .collect();
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": self.title,
                "version": env!("CARGO_PKG_VERSION"),
                "description": self.description,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            },
            "tags": tags,
            "paths": paths,
            "components": {
                "schemas": schemas.finish(&asked),
                "responses": shared,
                "examples": problems::examples(),
                "parameters": parameters(),
                "headers": headers(),
                "securitySchemes": {
                    "bearer": {"type": "http", "scheme": "bearer", "description": self.token},
                },
            },
        })
    }
}

fn described(
    operation: Operation,
    group: &str,
    common: &[&'static Kind],
    path_parameters: PathParameters,
    shared: &mut Map<String, Value>,
) -> Value {
    let mut parameters = path_parameters_of(operation.path, path_parameters);
    parameters.extend(operation.parameters.iter().cloned());
    let mut responses = Map::new();
    for (status, answer) in problems::answers(&operation.all_problems(common)) {
        let mut answer = answer;
        if operation.texts.contains(&status) {
            answer["content"]["text/plain"] = json!({"schema": {"type": "string"}});
            responses.insert(status.to_string(), answer);
            continue;
        }
        // Many operations have the same problems: each set of them is said once.
        let name = problems::name(&answer);
        responses.insert(
            status.to_string(),
            json!({"$ref": format!("#/components/responses/{name}")}),
        );
        shared.insert(name, answer);
    }
    for answer in &operation.answers {
        let status = answer.status.to_string();
        assert!(
            !responses.contains_key(&status),
            "{} of {}",
            status,
            operation.route()
        );
        responses.insert(status, answered(answer));
    }
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [group],
        "parameters": parameters,
        "responses": responses,
        "security": match operation.is_open {
            true => json!([]),
            false => json!([{"bearer": []}]),
        },
    });
    if !operation.description.is_empty() {
        described["description"] = operation.description.into();
    }
    if let Some(body) = operation.body {
        described["requestBody"] = body;
    }
    described
}

/// One for each `{name}` of a pattern.
fn path_parameters_of(path: &'static str, known: PathParameters) -> Vec<Value> {
    let names = path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names
        .map(|name| {
            let (description, schema) = known(path, name);
            json!({"name": name, "in": "path", "required": true, "description": description, "schema": schema})
        })
        .collect()
}

fn answered(answer: &Answered) -> Value {
    let mut value = json!({"description": answer.description});
    for (media_type, schema) in &answer.content {
        value["content"][media_type] = json!({"schema": schema});
    }
    for (name, header) in &answer.headers {
        value["headers"][name] = header.clone();
    }
    value
}

/// Keys, bare or as a quoted string; see [`crate::wire::idempotency_key`].
const KEY: &str = r#"^(?:[!#-~][!-~]{0,254}|"(?:[ !#-\[\]-~]|\\["\\]){1,255}")$"#;

/// Entity tags; see [`crate::wire::tags`].
const TAGS: &str = r#"^(?:\*|(?:W/)?"[!#-~]*"(?:[ \t]*,[ \t]*(?:W/)?"[!#-~]*")*)$"#;

/// Headers of requests that several operations take.
fn parameters() -> Value {
    let key = |required: bool, description: &str| {
        json!({
            "name": "Idempotency-Key", "in": "header", "required": required, "description": description,
            "schema": {"type": "string", "pattern": KEY}, "example": "cart-17",
        })
    };
    let tags = |name: &str, description: &str| {
        json!({
            "name": name, "in": "header", "required": false, "description": description,
            "schema": {"type": "string", "pattern": TAGS}, "example": "\"5f0c\"",
        })
    };
    json!({
        "IdempotencyKey": key(false, "Under one key the same request is carried out once: a retry gets the same answer. 1 to 255 \
            visible ASCII characters, bare or as a quoted string."),
        "IdempotencyKeyNeeded": key(true, "Under one key the same request is carried out once: a retry gets the same answer. 1 \
            to 255 visible ASCII characters, bare or as a quoted string. Needed unless it is a dry run."),
        "IfMatch": tags("If-Match", "ETags of what the path names as it was seen, or `*`: where it has another one by now, nothing \
            is changed, and the answer is 412."),
        "IfNoneMatch": tags("If-None-Match", "ETags that are known: where it has one of them, the answer is 304."),
    })
}

/// Headers of answers that several operations give.
fn headers() -> Value {
    let text = |description: &str| json!({"description": description, "schema": {"type": "string"}});
    json!({
        "IdempotentReplayed": {"description": "`true`: this was carried out before, under the same Idempotency-Key.",
            "schema": {"type": "string", "enum": ["true"]}},
        "RetryAfter": {"description": "Whole seconds, from 1, after which the same request may succeed; missing where nobody \
            knows.", "schema": {"type": "integer", "minimum": 1}},
        "WWWAuthenticate": text("Which token is wanted (RFC 6750)."),
        "ETag": text("Another one after each change of what it is of; for If-Match of a change."),
        "AcceptEncoding": text("Codings of a body that are taken, where the coding was the trouble."),
    })
}
