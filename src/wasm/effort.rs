//! How much work it is to hold parameters against a schema, found out before it is done: the same walk as the
//! validation's, with a budget. A small schema and small parameters multiply.

use serde_json::{Map, Value};

use super::bounds::SCHEMA_STEPS_MAX;

/// Steps of looking at one keyword: what it finds wrong is written down.
const KEYWORD: u64 = 4;

/// The work is more than [`SCHEMA_STEPS_MAX`].
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooMuch;

/// Steps of validating `params`. `schema` was walked before: its references end, and none leads outside.
pub(super) fn steps(schema: &Value, params: &Value) -> Result<u64, TooMuch> {
    let mut effort = Effort {
        root: schema,
        steps: 0,
    };
    effort.schema(schema, params)?;
    Ok(effort.steps)
}

struct Effort<'a> {
    root: &'a Value,
    steps: u64,
}

impl<'a> Effort<'a> {
    fn take(&mut self, steps: u64) -> Result<(), TooMuch> {
        self.steps = self.steps.saturating_add(steps);
        match self.steps > SCHEMA_STEPS_MAX {
            true => Err(TooMuch),
            false => Ok(()),
        }
    }

    fn schema(&mut self, schema: &'a Value, value: &Value) -> Result<(), TooMuch> {
        self.take(1)?;
        let Some(keywords) = schema.as_object() else {
            return Ok(());
        };
        let before = self.steps;
        for (keyword, part) in keywords {
            self.take(KEYWORD)?;
            self.keyword(keyword, part, value)?;
        }
        // What an `unevaluated…` leaves over is found by looking at all of this again for each part.
        let again = ["unevaluatedProperties", "unevaluatedItems"];
        if again.iter().any(|keyword| keywords.contains_key(*keyword)) {
            self.take((self.steps - before).saturating_mul(children(value)))?;
        }
        Ok(())
    }

    fn keyword(&mut self, keyword: &str, part: &'a Value, value: &Value) -> Result<(), TooMuch> {
        match keyword {
            "$ref" => {
                let target = part
                    .as_str()
                    .and_then(|name| self.root.pointer(name.strip_prefix('#')?));
                target.map_or(Ok(()), |target| self.schema(target, value))
            }
            "allOf" | "anyOf" | "oneOf" => entries(part).try_for_each(|schema| self.schema(schema, value)),
            "not" | "if" | "then" | "else" => self.schema(part, value),
            "dependentSchemas" | "dependencies" => {
                fields(part).try_for_each(|(_, schema)| self.schema(schema, value))
            }
            "properties" => fields(part).try_for_each(|(name, schema)| match value.get(name) {
                Some(inner) => self.schema(schema, inner),
                None => self.take(1),
            }),
            "patternProperties" => fields(part).try_for_each(|(_, schema)| {
                fields(value).try_for_each(|(name, inner)| {
                    self.take(name.len() as u64)?;
                    self.schema(schema, inner)
                })
            }),
            "propertyNames" => fields(value).try_for_each(|(name, _)| {
                // A name is a text to its schema.
                self.schema(part, &Value::String(name.clone()))
            }),
            "additionalProperties" | "unevaluatedProperties" => {
                fields(value).try_for_each(|(_, inner)| self.schema(part, inner))
            }
            "items" | "additionalItems" | "unevaluatedItems" | "contains" => {
                entries(value).try_for_each(|inner| self.schema(part, inner))
            }
            "prefixItems" => entries(part)
                .zip(entries(value))
                .try_for_each(|(schema, inner)| self.schema(schema, inner)),
            "enum" => self.compare(part, value),
            "const" => self.take(nodes(part)),
            "uniqueItems" => self.unique(value),
            "pattern" | "format" => self.take(value.as_str().map_or(0, |text| text.len() as u64)),
            "required" | "dependentRequired" | "type" => self.take(children(part)),
            _ => Ok(()),
        }
    }

    /// With every entry of a list, as far as the smaller of both goes.
    fn compare(&mut self, list: &Value, value: &Value) -> Result<(), TooMuch> {
        let most = nodes(value);
        entries(list).try_for_each(|entry| self.take(nodes(entry).min(most)))
    }

    /// Each entry with each other.
    fn unique(&mut self, value: &Value) -> Result<(), TooMuch> {
        let Some(items) = value.as_array() else {
            return Ok(());
        };
        let plain = items.iter().all(|item| !item.is_array() && !item.is_object());
        match plain {
            true => self.take(items.len() as u64),
            false => self.take(nodes(value).saturating_mul(items.len() as u64)),
        }
    }
}

fn entries(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn children(value: &Value) -> u64 {
    match value {
        Value::Array(items) => items.len() as u64,
        Value::Object(fields) => fields.len() as u64,
        _ => 0,
    }
}

/// A value and everything inside.
pub(super) fn nodes(value: &Value) -> u64 {
    1 + match value {
        Value::Array(items) => items.iter().map(nodes).sum(),
        Value::Object(fields) => fields.values().map(nodes).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_multiplies_is_too_much() {
        let numbers = json!((0..10_000).collect::<Vec<u32>>());
        let objects = json!(vec![json!({"a": 1}); 2_000]);
        let named: Map<String, Value> = (0..2_000).map(|n| (format!("n{n}"), json!(1))).collect();
        let named = Value::Object(named);
        let three = vec![json!({"type": "integer"}); 3_000];
        let patterns: Map<String, Value> = (0..60).map(|n| (format!("{n}"), json!({}))).collect();
        let text = json!("x".repeat(60_000));
        let deep = (0..5).fold(
            json!({"type": "integer"}),
            |inner, _| json!({"allOf": [inner, inner, inner]}),
        );
        for (schema, params) in [
            (json!({"items": {"allOf": three}}), &numbers),
            (json!({"items": {"anyOf": three}}), &numbers),
            (
                json!({"items": {"$ref": "#/$defs/d"}, "$defs": {"d": {"oneOf": three}}}),
                &numbers,
            ),
            (
                json!({"items": {"enum": (0..3_000).collect::<Vec<u32>>()}}),
                &numbers,
            ),
            (json!({"items": deep}), &numbers),
            (json!({"contains": {"not": {"allOf": three}}}), &numbers),
            (json!({"uniqueItems": true}), &objects),
            (json!({"patternProperties": patterns}), &named),
            (json!({"additionalProperties": {"allOf": three}}), &named),
            (json!({"propertyNames": {"allOf": three}}), &named),
            (json!({"unevaluatedProperties": {"allOf": [{}, {}]}}), &named),
            (json!({"allOf": vec![json!({"pattern": "a+b"}); 30]}), &text),
        ] {
            assert_eq!(steps(&schema, params), Err(TooMuch), "{schema:.100}");
        }
    }

    #[test]
    fn what_merchants_write_is_far_from_it() {
        let id = json!({"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[a-z0-9-]+$"});
        let schema = json!({"type": "object", "additionalProperties": false, "required": ["skus"], "properties": {
            "skus": {"type": "array", "items": {"$ref": "#/$defs/id"}, "uniqueItems": true},
            "limit": {"type": "integer", "minimum": 1}}, "$defs": {"id": id}});
        let skus: Vec<String> = (0..5_500).map(|n| format!("sku-{n:04}")).collect();
        let taken = steps(&schema, &json!({"skus": skus, "limit": 2})).expect("a long list");
        assert!(taken < SCHEMA_STEPS_MAX / 2, "{taken}");
    }
}
