//! The JSON Schema of a module's parameters: bounded before it is used, for it comes from the module.

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Map, Value};

use super::Diagnostic;
use super::bounds::{
    DIAGNOSTICS_MAX, SCHEMA_BYTES_MAX, SCHEMA_DEPTH_MAX, SCHEMA_NODES_MAX, SCHEMA_PATTERNS_MAX,
    SCHEMA_STEPS_MAX,
};
use super::effort::{nodes, steps};
use super::violation;

/// The draft every schema is read as.
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
/// Keywords whose evaluation looks at whole subtrees again, allowed so many times.
const UNEVALUATED_MAX: usize = 8;
/// Compiled size of one `pattern`, in bytes.
const PATTERN_BYTES_MAX: usize = 256 * 1024;

/// A schema that can be evaluated without reaching out, without recursion and in bounded time.
pub(super) struct ParamsSchema<'a> {
    schema: &'a Value,
    validator: Validator,
}

impl<'a> ParamsSchema<'a> {
    /// The error is a sentence about the schema.
    pub(super) fn new(schema: &'a Value) -> Result<Self, String> {
        let bytes = schema.to_string().len();
        if bytes > SCHEMA_BYTES_MAX {
            return Err(format!(
                "params-schema has {bytes} bytes; at most {SCHEMA_BYTES_MAX} are allowed"
            ));
        }
        Walk::over(schema)?;
        // The linear-time engine: the default one backtracks, on text the merchant chooses.
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .offline()
            .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES_MAX))
            .should_validate_formats(true)
            .build(schema)
            .map_err(|error| format!("params-schema is not a valid JSON Schema 2020-12: {error}"))?;
        Ok(Self { schema, validator })
    }

    /// Everything wrong with the parameters, at most [`DIAGNOSTICS_MAX`]; empty when they fit. What would take
    /// too long to check does not.
    pub(super) fn problems(&self, params: &Value) -> Vec<Diagnostic> {
        if steps(self.schema, params).is_err() {
            return vec![too_much()];
        }
        let mut problems: Vec<Diagnostic> = self
            .validator
            .iter_errors(params)
            .flat_map(|error| violation::explain(self.schema, &error))
            .collect();
        // A list of allowed values says more than their type.
        let listed: Vec<String> = problems
            .iter()
            .filter(|problem| problem.code == "enum")
            .map(|problem| problem.pointer.clone())
            .collect();
        problems.retain(|problem| problem.code != "type" || !listed.contains(&problem.pointer));
        problems.truncate(DIAGNOSTICS_MAX);
        problems
    }
}

fn too_much() -> Diagnostic {
    Diagnostic {
        severity: "error".into(),
        pointer: String::new(),
        code: "too-large".into(),
        message: format!(
            "holding these parameters against the schema takes more than {SCHEMA_STEPS_MAX} steps; give shorter lists, \
             or make the schema simpler"
        ),
        hint: None,
    }
}

/// Follows every reference and counts: the same walk a validation makes, with a budget.
struct Walk<'a> {
    root: &'a Value,
    nodes: usize,
    unevaluated: usize,
    patterns: usize,
    /// Schemas inside each other at this point.
    depth: usize,
    /// References being followed right now.
    following: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    fn over(root: &'a Value) -> Result<(), String> {
        if !root.is_object() {
            return Err("params-schema must be a JSON object".into());
        }
        if let Some(draft) = root.get("$schema").filter(|draft| *draft != DRAFT) {
            return Err(format!(
                "params-schema names the draft {draft}; only {DRAFT:?} is understood"
            ));
        }
        let mut walk = Self {
            root,
            nodes: 0,
            unevaluated: 0,
            patterns: 0,
            depth: 0,
            following: Vec::new(),
        };
        walk.schema(root)
    }

    fn schema(&mut self, schema: &'a Value) -> Result<(), String> {
        self.count(1)?;
        self.depth += 1;
        if self.depth > SCHEMA_DEPTH_MAX {
            return Err(format!(
                "params-schema is more than {SCHEMA_DEPTH_MAX} deep, every reference followed; make it simpler"
            ));
        }
        match schema {
            Value::Array(items) => items.iter().try_for_each(|item| self.schema(item)),
            Value::Object(fields) => fields
                .iter()
                .try_for_each(|(keyword, value)| self.keyword(schema, keyword, value)),
            _ => Ok(()),
        }?;
        self.depth -= 1;
        Ok(())
    }

    fn count(&mut self, nodes: usize) -> Result<(), String> {
        self.nodes = self.nodes.saturating_add(nodes);
        match self.nodes > SCHEMA_NODES_MAX {
            true => Err(format!(
                "params-schema has more than {SCHEMA_NODES_MAX} parts, every reference followed; make it simpler"
            )),
            false => Ok(()),
        }
    }

    /// Each regular expression is compiled, and takes memory for it.
    fn patterns(&mut self, more: usize) -> Result<(), String> {
        self.patterns += more;
        match self.patterns > SCHEMA_PATTERNS_MAX {
            true => Err(format!(
                "params-schema has more than {SCHEMA_PATTERNS_MAX} patterns, every reference followed"
            )),
            false => Ok(()),
        }
    }

    fn keyword(&mut self, parent: &'a Value, keyword: &str, value: &'a Value) -> Result<(), String> {
        match keyword {
            "patternProperties" => {
                let schemas = value.as_object();
                self.patterns(schemas.map_or(0, Map::len))?;
                schemas
                    .into_iter()
                    .flat_map(Map::values)
                    .try_for_each(|schema| self.schema(schema))
            }
            "pattern" => self.patterns(1),
            // The text of a merchant would be compiled as a regular expression.
            "format" if value == "regex" => {
                Err("params-schema uses the format \"regex\", which is not offered".into())
            }
            "properties" | "$defs" | "definitions" | "dependentSchemas" => value
                .as_object()
                .into_iter()
                .flat_map(Map::values)
                .try_for_each(|schema| self.schema(schema)),
            "const" | "enum" => self.count(usize::try_from(nodes(value)).unwrap_or(usize::MAX)),
            "default" | "examples" => Ok(()),
            "$ref" => self.reference(value),
            "$schema" | "$id" if std::ptr::eq(parent, self.root) => Ok(()),
            "$schema" | "$id" | "$dynamicRef" | "$dynamicAnchor" | "$anchor" | "$recursiveRef"
            | "$recursiveAnchor" | "$vocabulary" => Err(format!(
                "params-schema uses {keyword:?}; refer to parts by \"$ref\": \"#/$defs/…\" instead"
            )),
            "unevaluatedProperties" | "unevaluatedItems" => {
                self.unevaluated += 1;
                if self.unevaluated > UNEVALUATED_MAX {
                    return Err(format!(
                        "params-schema uses {keyword:?} more than {UNEVALUATED_MAX} times"
                    ));
                }
                self.schema(value)
            }
            _ => self.schema(value),
        }
    }

    fn reference(&mut self, value: &'a Value) -> Result<(), String> {
        let Some(name) = value.as_str() else {
            return Err("params-schema has a \"$ref\" that is not text".into());
        };
        let local = name.strip_prefix('#').filter(|pointer| !pointer.contains('%'));
        let Some(pointer) = local else {
            return Err(format!(
                "params-schema refers to {name:?}; a reference must stay inside the schema: \"#/$defs/…\""
            ));
        };
        if self.following.contains(&name) {
            return Err(format!(
                "params-schema refers to itself through {name:?}; recursion is not allowed"
            ));
        }
        let target = self
            .root
            .pointer(pointer)
            .ok_or_else(|| format!("params-schema refers to {name:?}, which it does not contain"))?;
        self.following.push(name);
        self.schema(target)?;
        self.following.pop();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(schema: Value) -> String {
        match ParamsSchema::new(&schema) {
            Err(message) => message,
            Ok(_) => panic!("{schema} was accepted"),
        }
    }

    #[test]
    fn schemas_stay_inside_themselves_and_finite() {
        for (schema, word) in [
            (json!(true), "object"),
            (json!({"type": "nonsense"}), "not a valid JSON Schema"),
            (
                json!({"$schema": "http://json-schema.org/draft-07/schema#"}),
                "draft",
            ),
            (json!({"$ref": "https://example.com/schema.json"}), "stay inside"),
            (json!({"$ref": "#"}), "recursion"),
            (json!({"properties": {"const": {"$ref": "#"}}}), "recursion"),
            (
                json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}),
                "recursion",
            ),
            (json!({"$ref": "#/$defs/none"}), "does not contain"),
            (json!({"properties": {"a": {"$id": "x"}}}), "$id"),
            (json!({"$dynamicRef": "#x"}), "$dynamicRef"),
            (json!({"pattern": "(a{1000}){1000}"}), "not a valid JSON Schema"),
            (json!({"description": "x".repeat(SCHEMA_BYTES_MAX)}), "bytes"),
            (json!({"format": "regex"}), "\"regex\""),
            (json!({"allOf": vec![json!({"pattern": "a"}); 65]}), "patterns"),
            (json!({"enum": vec![1; 10_001]}), "parts"),
            (
                json!({"items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"oneOf": vec![json!({}); 10_000]}}}),
                "parts",
            ),
        ] {
            let message = refused(schema);
            assert!(message.contains(word), "{message:?} does not say {word:?}");
        }
    }

    #[test]
    fn references_that_multiply_are_counted() {
        let mut defs = Map::new();
        for level in 0..14 {
            let next = json!({"$ref": format!("#/$defs/l{}", level + 1)});
            defs.insert(format!("l{level}"), json!({"allOf": [next, next]}));
        }
        defs.insert("l14".into(), json!({"type": "integer"}));
        let message = refused(json!({"$ref": "#/$defs/l0", "$defs": defs}));
        assert!(message.contains("parts"), "{message}");
    }

    #[test]
    fn references_that_lead_to_references_are_as_deep_as_what_is_written_out() {
        let chain = |length: usize| {
            let next = |n: usize| (format!("l{n}"), json!({"$ref": format!("#/$defs/l{}", n + 1)}));
            let mut defs: Map<String, Value> = (0..length).map(next).collect();
            defs.insert(format!("l{length}"), json!({}));
            json!({"$ref": "#/$defs/l0", "$defs": defs})
        };
        assert!(ParamsSchema::new(&chain(30)).is_ok());
        let message = refused(chain(1_000));
        assert!(message.contains("deep"), "{message}");
        let written_out = (0..100).fold(json!({}), |inner, _| json!({"not": inner}));
        let message = refused(written_out);
        assert!(message.contains("deep"), "{message}");
    }

    #[test]
    fn parameters_that_would_take_too_long_do_not_fit() {
        let schema = json!({"items": {"allOf": vec![json!({"type": "integer"}); 3_000]}});
        let schema = ParamsSchema::new(&schema).expect("by itself it is harmless");
        let problems = schema.problems(&json!(vec![1; 10_000]));
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].code, "too-large");
        assert_eq!(schema.problems(&json!([1, 2])), []);
    }

    #[test]
    fn a_shared_definition_is_no_recursion() {
        let schema = json!({
            "properties": {"a": {"$ref": "#/$defs/n"}, "b": {"$ref": "#/$defs/n"}, "$ref": {"type": "string"}},
            "$defs": {"n": {"type": "integer"}},
            "additionalProperties": false
        });
        let schema = ParamsSchema::new(&schema).expect("a plain schema");
        assert_eq!(schema.problems(&json!({"a": 1, "b": 2, "$ref": "x"})), []);
        assert_eq!(schema.problems(&json!({"a": "1", "b": false})).len(), 2);
    }

    #[test]
    fn nested_fields_have_nested_pointers() {
        let schema = json!({
            "properties": {"tiers": {"type": "array", "items": {"$ref": "#/$defs/tier"}}},
            "$defs": {"tier": {
                "type": "object", "additionalProperties": false, "required": ["name"],
                "properties": {"name": {"type": "string"}, "kind": {"oneOf": [{"const": "a"}, {"const": "b"}]}}
            }}
        });
        let schema = ParamsSchema::new(&schema).expect("a plain schema");
        let problems = schema.problems(&json!({"tiers": [{"name": "x"}, {"nmae": 1, "kind": "c"}]}));
        let found: Vec<_> = problems
            .iter()
            .map(|p| (p.pointer.as_str(), p.message.as_str()))
            .collect();
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(found.contains(&("/tiers/1/name", "\"name\" is missing")));
        assert!(found.contains(&("/tiers/1/nmae", "\"nmae\" is not a known parameter")));
        assert!(found.contains(&("/tiers/1/kind", "expected \"a\" or \"b\", found \"c\"")));
        let unknown = problems
            .iter()
            .find(|p| p.code == "unknown-field")
            .expect("found above");
        assert_eq!(unknown.hint.as_deref(), Some("known here: \"kind\", \"name\""));
    }
}
