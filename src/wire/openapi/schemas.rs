//! Schemas of the types that are read and written, gathered under their names.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// Schemas by name; two types of one name and different schemas are a defect of the description.
#[derive(Default)]
pub(super) struct Schemas(BTreeMap<String, Value>);

/// The JSON of a part of a description.
pub(super) fn value_of(part: &impl Serialize) -> Value {
    let text = serde_json::to_string(part).expect("a description is plain data with text keys");
    // utoipa spells the formats of unsigned integers in a way of its own.
    let text = text.replace("\"format\":\"u-int", "\"format\":\"uint");
    serde_json::from_str(&text).expect("it was JSON before")
}

impl Schemas {
    /// A reference to the schema of a type, which is there then with all that it refers to.
    pub(super) fn add<T: ToSchema>(&mut self) -> Value {
        let mut found = vec![(T::name().into_owned(), T::schema())];
        T::schemas(&mut found);
        for (name, schema) in found {
            self.put(name, value_of(&schema));
        }
        json!({"$ref": format!("#/components/schemas/{}", T::name())})
    }

    pub(super) fn put(&mut self, name: String, schema: Value) {
        if let Some(there) = self.0.get(&name) {
            assert!(*there == schema, "two schemas have the name {name}");
        }
        self.0.insert(name, schema);
    }

    pub(super) fn extend(&mut self, other: Self) {
        for (name, schema) in other.0 {
            self.put(name, schema);
        }
    }

    /// All of them; what is only answered is without the `null` that no answer has.
    pub(super) fn finish(self, asked: &[&Value]) -> BTreeMap<String, Value> {
        let mut read = BTreeSet::new();
        asked.iter().for_each(|body| self.reach(body, &mut read));
        let only_answered = |name: &String| !read.contains(name);
        let finished = self.0.into_iter().map(|(name, mut schema)| {
            if only_answered(&name) {
                without_null(&mut schema);
            }
            (name, schema)
        });
        finished.collect()
    }

    /// Names of all schemas that a value refers to, however indirectly.
    fn reach(&self, from: &Value, seen: &mut BTreeSet<String>) {
        match from {
            Value::Array(items) => items.iter().for_each(|item| self.reach(item, seen)),
            Value::Object(members) => {
                let named = members.get("$ref").and_then(Value::as_str);
                let named = named.and_then(|path| path.strip_prefix("#/components/schemas/"));
                if let Some(name) = named
                    && seen.insert(name.to_owned())
                    && let Some(schema) = self.0.get(name)
                {
                    self.reach(schema, seen);
                }
                members.values().for_each(|member| self.reach(member, seen));
            }
            _ => {}
        }
    }
}

/// What an answer does not have is missing: `null` is written only where a member is always there.
fn without_null(schema: &mut Value) {
    let Value::Object(members) = schema else { return };
    let required: Vec<String> = members
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    if let Some(Value::Object(properties)) = members.get_mut("properties") {
        for (name, property) in properties {
            if !required.contains(name) {
                never_null(property);
            }
            without_null(property);
        }
    }
    for (keyword, nested) in members.iter_mut() {
        match (keyword.as_str(), nested) {
            ("allOf" | "oneOf" | "anyOf", Value::Array(all)) => all.iter_mut().for_each(|one| {
                if keyword == "allOf" {
                    perhaps_nothing(one);
                }
                without_null(one);
            }),
            ("items" | "additionalProperties", one) => without_null(one),
            _ => {}
        }
    }
}

/// What is flattened and not there brings nothing.
fn perhaps_nothing(part: &mut Value) {
    let is_null = |one: &Value| one["type"] == "null";
    if let Some(choices) = part["oneOf"].as_array()
        && choices.iter().any(is_null)
    {
        let there = choices.iter().filter(|one| !is_null(one)).cloned();
        let all: Vec<Value> = there.chain([json!({"type": "object"})]).collect();
        *part = json!({"anyOf": all});
    }
}

/// What is missing where it is not said, and never `null`.
pub(super) fn never_null(property: &mut Value) {
    let Value::Object(members) = property else { return };
    if let Some(Value::Array(types)) = members.get_mut("type") {
        types.retain(|one| one != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            members.insert("type".to_owned(), only);
        }
    }
    let is_null = |one: &Value| one["type"] == "null";
    if let Some(Value::Array(choices)) = members.get_mut("oneOf")
        && choices.iter().any(is_null)
    {
        choices.retain(|one| !is_null(one));
        if let [only] = choices.as_slice() {
            let only = only.clone();
            members.remove("oneOf");
            if let Value::Object(only) = only {
                members.extend(only);
            }
        }
    }
}
