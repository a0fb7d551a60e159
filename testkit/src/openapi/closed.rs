//! Answers held against a contract that says all there is: what an answer has, the contract has.

use jsonschema::Validator;
use serde_json::{Value, json};

use super::followed;

/// A contract whose schemas of answers are closed: a member that is not described is wrong, which it is not for clients.
pub struct Contract(Value);

impl Contract {
    pub fn of(mut document: Value) -> Self {
        let known = document.clone();
        close(&mut document["paths"], &known, false);
        close(&mut document["components"]["responses"], &known, false);
        // A schema under a name is closed where it is used.
        if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
            schemas
                .values_mut()
                .for_each(|schema| close(schema, &known, true));
        }
        Self(document)
    }

    /// The document, whose schemas are closed.
    pub fn document(&self) -> &Value {
        &self.0
    }

    /// An operation; `path` is a pattern of the document.
    pub fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        self.0["paths"][path].get(method.to_lowercase())
    }

    /// What holds an answer against its schema; `None` where it has none, which is a body that is no JSON, or none at all.
    ///
    /// # Errors
    /// Where the operation does not describe an answer of this status and media type.
    pub fn validator(
        &self,
        method: &str,
        path: &str,
        status: u16,
        content_type: &str,
    ) -> Result<Option<Validator>, String> {
        let said = || format!("{method} {path}: {status} {content_type:?} is not described");
        let answer = self
            .operation(method, path)
            .and_then(|operation| operation["responses"].get(status.to_string()));
        let answer = followed(&self.0, answer.ok_or_else(said)?);
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if answer["content"].is_null() && media_type.is_empty() {
            return Ok(None);
        }
        let content = answer["content"].get(media_type).ok_or_else(said)?;
        if !matches!(media_type, "application/json" | "application/problem+json") {
            return Ok(None);
        }
        let schema = json!({"$schema": "https://json-schema.org/draft/2020-12/schema",
            "components": self.0["components"], "allOf": [content["schema"]]});
        jsonschema::validator_for(&schema)
            .map(Some)
            .map_err(|error| format!("{method} {path} {status}: {error}"))
    }
}

/// Closes every schema that describes an object, where it is used; not as a part of a whole, which the other parts are of as
/// well.
fn close(value: &mut Value, document: &Value, is_part: bool) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| close(item, document, is_part)),
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                match (name.as_str(), member) {
                    ("properties", Value::Object(properties)) => {
                        properties
                            .values_mut()
                            .for_each(|one| close(one, document, false));
                    }
                    ("examples" | "example" | "default" | "enum" | "const", _) => {}
                    ("allOf", parts) => close(parts, document, true),
                    ("oneOf" | "anyOf", choices) => close(choices, document, is_part),
                    (_, one) => close(one, document, false),
                }
            }
            if !is_part && describes(&Value::Object(members.clone()), document) {
                members.insert("unevaluatedProperties".to_owned(), false.into());
            }
        }
        _ => {}
    }
}

/// Whether a schema is of an object whose members have names.
fn describes(schema: &Value, document: &Value) -> bool {
    if schema["additionalProperties"].is_object() || schema["additionalProperties"] == false {
        return false;
    }
    if schema["$ref"].is_string() {
        return describes(followed(document, schema), document);
    }
    let is_typed = schema["type"] == "object" && schema["properties"].is_object();
    let parts = schema["allOf"].as_array();
    is_typed || parts.is_some_and(|parts| parts.iter().any(|part| describes(part, document)))
}
