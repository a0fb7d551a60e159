//! TypeScript types of a document's schemas.

use std::fmt::Write as _;

use serde_json::Value;

/// A module of types, one for each schema of the document.
pub fn typescript(document: &Value) -> String {
    let title = document["info"]["title"].as_str().unwrap_or_default();
    let mut text = format!(
        "// Types of what {title} is asked and answers, made of docs/openapi/orders.json by ./x openapi: do not edit.\n"
    );
    let schemas = document["components"]["schemas"]
        .as_object()
        .into_iter()
        .flatten();
    for (name, schema) in schemas {
        text.push('\n');
        text += &comment(schema, "");
        let _ = match is_interface(schema) {
            true => writeln!(text, "export interface {name} {}", object(schema, "")),
            false => writeln!(text, "export type {name} = {};", of(schema, "")),
        };
    }
    text
}

fn is_interface(schema: &Value) -> bool {
    schema["properties"].is_object() && schema["allOf"].is_null()
}

fn comment(schema: &Value, indent: &str) -> String {
    match schema["description"].as_str() {
        None => String::new(),
        Some(said) => {
            let said = said.replace("*/", "*\\/");
            let lines: Vec<&str> = said
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .collect();
            format!("{indent}/** {} */\n", lines.join(" "))
        }
    }
}

/// The type of a schema.
fn of(schema: &Value, indent: &str) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return name.to_owned();
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    if let Some(values) = schema["enum"].as_array() {
        return joined(values.iter().map(Value::to_string), " | ");
    }
    for (keyword, between) in [("oneOf", " | "), ("anyOf", " | "), ("allOf", " & ")] {
        if let Some(several) = schema[keyword].as_array() {
            let mut parts: Vec<String> = several.iter().map(|one| of(one, indent)).collect();
            if schema["properties"].is_object() {
                parts.push(object(schema, indent));
            }
            return joined(parts.into_iter(), between);
        }
    }
    match &schema["type"] {
        Value::String(one) => of_type(one, schema, indent),
        Value::Array(all) => {
            let types = all.iter().filter_map(Value::as_str);
            joined(types.map(|one| of_type(one, schema, indent)), " | ")
        }
        _ => "unknown".to_owned(),
    }
}

fn joined(parts: impl Iterator<Item = String>, between: &str) -> String {
    let parts: Vec<String> = parts.collect();
    match parts.as_slice() {
        [] => "never".to_owned(),
        [one] => one.clone(),
        // What stands between the others binds less.
        _ => parts
            .iter()
            .map(|part| {
                if between == " & " && part.contains(" | ") {
                    format!("({part})")
                } else {
                    part.clone()
                }
            })
            .collect::<Vec<_>>()
            .join(between),
    }
}

fn of_type(name: &str, schema: &Value, indent: &str) -> String {
    match name {
        "string" => "string".to_owned(),
        "integer" | "number" => "number".to_owned(),
        "boolean" => "boolean".to_owned(),
        "null" => "null".to_owned(),
        "array" => {
            let items = of(&schema["items"], indent);
            if items.contains(' ') {
                format!("({items})[]")
            } else {
                format!("{items}[]")
            }
        }
        _ => object(schema, indent),
    }
}

fn object(schema: &Value, indent: &str) -> String {
    let Some(properties) = schema["properties"].as_object() else {
        let values = &schema["additionalProperties"];
        let values = if values.is_object() {
            of(values, indent)
        } else {
            "unknown".to_owned()
        };
        return format!("Record<string, {values}>");
    };
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let inner = format!("{indent}  ");
    let mut text = "{\n".to_owned();
    for (name, property) in properties {
        let optional = if required.contains(&name.as_str()) {
            ""
        } else {
            "?"
        };
        text += &comment(property, &inner);
        let _ = writeln!(text, "{inner}{name}{optional}: {};", of(property, &inner));
    }
    text + indent + "}"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_kind_of_schema_has_a_type() {
        let document = json!({"info": {"title": "t"}, "components": {"schemas": {
            "A": {"description": "An a.", "type": "object", "required": ["b"], "properties": {
                "b": {"$ref": "#/components/schemas/B"}, "c": {"type": ["string", "null"]},
                "d": {"type": "array", "items": {"enum": ["x", "y"]}},
                "e": {"type": "object", "additionalProperties": {"type": "integer"}}}},
            "B": {"allOf": [{"$ref": "#/components/schemas/A"}, {"type": "object", "properties": {"f": {}}}]},
        }}});
        let text = typescript(&document);
        let (_, types) = text.split_once("\n\n").expect("types");
        assert_eq!(
            types,
            "/** An a. */\nexport interface A {\n  b: B;\n  c?: string | null;\n  d?: (\"x\" | \"y\")[];\n  \
             e?: Record<string, number>;\n}\n\nexport type B = A & {\n  f?: unknown;\n};\n"
        );
    }
}
