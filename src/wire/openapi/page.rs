//! A document as a page for people: one HTML text without script, made of the document alone.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("page.css");

/// A page and the policy under which a browser may show it: it loads nothing, and has no style but its own.
pub struct Page {
    pub html: String,
    /// The header `Content-Security-Policy`.
    pub policy: String,
}

/// The page of a document.
pub fn page(document: &Value) -> Page {
    let mut html = String::new();
    let title = text(&document["info"]["title"]);
    let _ = write!(
        html,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<h1>{title}</h1>\n<p>{}</p>\n<p><a href=\"/openapi.json\">openapi.json</a> · <a href=\"/problems\">problems</a></p>\n\
         </header>\n",
        prose(&document["info"]["description"])
    );
    contents(&mut html, document);
    html.push_str("<main>\n");
    for (group, operations) in grouped(document) {
        let _ = write!(html, "<section>\n<h2>{}</h2>\n", escape(group));
        for (path, method, operation) in operations {
            operation_of(&mut html, document, (path, method), operation);
        }
        html.push_str("</section>\n");
    }
    schemas(&mut html, document);
    html.push_str("</main>\n</body>\n</html>\n");
    let digest = BASE64_STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    Page { html, policy }
}

type Routed<'a> = (&'a str, &'a str, &'a Value);

/// Operations by group, in the order of the document.
fn grouped(document: &Value) -> Vec<(&str, Vec<Routed<'_>>)> {
    let groups = document["tags"].as_array().into_iter().flatten();
    let of = |group: &str| {
        let paths = members(&document["paths"]);
        let all = paths.flat_map(|(path, item)| members(item).map(move |(method, one)| (path, method, one)));
        all.filter(|(_, _, one)| one["tags"][0] == group).collect()
    };
    groups
        .filter_map(|group| group["name"].as_str())
        .map(|group| (group, of(group)))
        .collect()
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let members = value.as_object().into_iter().flatten();
    members.map(|(name, member)| (name.as_str(), member))
}

fn contents(html: &mut String, document: &Value) {
    html.push_str("<nav aria-label=\"Operations\">\n");
    for (group, operations) in grouped(document) {
        let _ = write!(html, "<h2>{}</h2>\n<ul>\n", escape(group));
        for (path, method, operation) in operations {
            let _ = writeln!(
                html,
                "<li><a href=\"#{}\"><b>{}</b> {}</a></li>",
                text(&operation["operationId"]),
                method.to_uppercase(),
                escape(path)
            );
        }
        html.push_str("</ul>\n");
    }
    html.push_str("</nav>\n");
}

fn operation_of(html: &mut String, document: &Value, (path, method): (&str, &str), operation: &Value) {
    let open = operation["security"].as_array().is_some_and(Vec::is_empty);
    let _ = write!(
        html,
        "<article id=\"{}\">\n<h3><b>{}</b> <code>{}</code></h3>\n<p>{}.{}</p>\n",
        text(&operation["operationId"]),
        method.to_uppercase(),
        escape(path),
        text(&operation["summary"]),
        if open { " No token." } else { "" }
    );
    if operation["description"].is_string() {
        let _ = writeln!(html, "<p>{}</p>", prose(&operation["description"]));
    }
    parameters(html, document, &operation["parameters"]);
    for (media_type, content) in members(&operation["requestBody"]["content"]) {
        let _ = writeln!(
            html,
            "<p>Body <code>{}</code>: {}</p>",
            escape(media_type),
            kind(&content["schema"])
        );
    }
    html.push_str("<table>\n<tr><th>status</th><th>answer</th></tr>\n");
    for (status, answer) in members(&operation["responses"]) {
        let answer = followed(document, answer);
        let bodies: Vec<String> = members(&answer["content"])
            .filter(|(media_type, _)| *media_type != "application/problem+json")
            .map(|(media_type, content)| {
                format!("<code>{}</code> {}", escape(media_type), kind(&content["schema"]))
            })
            .collect();
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td>{} {}</td></tr>",
            escape(status),
            prose(&answer["description"]),
            bodies.join(", ")
        );
    }
    html.push_str("</table>\n</article>\n");
}

fn parameters(html: &mut String, document: &Value, parameters: &Value) {
    let all: Vec<&Value> = parameters
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| followed(document, one))
        .collect();
    if all.is_empty() {
        return;
    }
    html.push_str("<table>\n<tr><th>parameter</th><th>in</th><th></th></tr>\n");
    for one in all {
        let needed = if one["required"] == true { ", needed" } else { "" };
        let _ = writeln!(
            html,
            "<tr><td><code>{}</code></td><td>{}{needed}</td><td>{} {}</td></tr>",
            text(&one["name"]),
            text(&one["in"]),
            prose(&one["description"]),
            kind(&one["schema"])
        );
    }
    html.push_str("</table>\n");
}

fn schemas(html: &mut String, document: &Value) {
    html.push_str("<section>\n<h2>Types</h2>\n");
    for (name, schema) in members(&document["components"]["schemas"]) {
        let _ = write!(html, "<article id=\"type-{0}\">\n<h3>{0}</h3>\n", escape(name));
        if schema["description"].is_string() {
            let _ = writeln!(html, "<p>{}</p>", prose(&schema["description"]));
        }
        match rows(schema) {
            rows if rows.is_empty() => {
                let _ = writeln!(html, "<p>{}</p>", kind(schema));
            }
            rows => {
                let _ = writeln!(html, "<table>\n<tr><th>member</th><th></th></tr>\n{rows}</table>");
            }
        }
        html.push_str("</article>\n");
    }
    html.push_str("</section>\n");
}

/// A row for each member of an object, those of its parts included.
fn rows(schema: &Value) -> String {
    let mut rows = String::new();
    let required = |name: &str| {
        let mut names = schema["required"].as_array().into_iter().flatten();
        names.any(|one| one == name)
    };
    for (name, member) in members(&schema["properties"]) {
        let optional = if required(name) {
            ""
        } else {
            " <i>may be missing</i>"
        };
        let _ = writeln!(
            rows,
            "<tr><td><code>{}</code>{optional}</td><td>{} {}</td></tr>",
            escape(name),
            kind(member),
            prose(&member["description"])
        );
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        match part["$ref"].is_string() {
            true => {
                let _ = writeln!(rows, "<tr><td>and all of</td><td>{}</td></tr>", kind(part));
            }
            false => rows += &self::rows(part),
        }
    }
    rows
}

/// What a parameter or a part refers to, or it itself.
fn followed<'a>(document: &'a Value, one: &'a Value) -> &'a Value {
    let named = one["$ref"].as_str().and_then(|path| path.strip_prefix('#'));
    named.and_then(|path| document.pointer(path)).unwrap_or(one)
}

/// A schema in a few words, with links to named ones.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("<a href=\"#type-{0}\">{0}</a>", escape(name));
    }
    let several = ["oneOf", "anyOf"]
        .iter()
        .find_map(|keyword| schema[keyword].as_array());
    if let Some(several) = several {
        let kinds: Vec<String> = several.iter().map(kind).collect();
        return kinds.join(" or ");
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<String> = values
            .iter()
            .map(|value| format!("<code>{}</code>", text(value)))
            .collect();
        return values.join(" ");
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect(),
        _ => return String::new(),
    };
    let mut words = types.join(" or ");
    if schema["items"].is_object() {
        words = format!("array of {}", kind(&schema["items"]));
    } else if schema["additionalProperties"].is_object() {
        words = format!("object of {}", kind(&schema["additionalProperties"]));
    }
    for (keyword, word) in [
        ("minimum", "from"),
        ("maximum", "to"),
        ("minLength", "characters from"),
        ("maxLength", "characters to"),
        ("minItems", "entries from"),
        ("maxItems", "entries to"),
        ("pattern", "like"),
        ("default", "if missing"),
    ] {
        if let Some(value) = schema.get(keyword) {
            let _ = write!(words, ", {word} <code>{}</code>", text(value));
        }
    }
    words
}

/// A JSON value as text of a page.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => escape(text),
        other => escape(&other.to_string()),
    }
}

/// Text with what stands between backquotes as code.
fn prose(value: &Value) -> String {
    let text = text(value);
    let mut html = String::with_capacity(text.len());
    for (number, part) in text.split('`').enumerate() {
        let _ = match number % 2 == 1 {
            true => write!(html, "<code>{part}</code>"),
            false => write!(html, "{part}"),
        };
    }
    html
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_document_says_is_text_on_the_page() {
        let document = json!({
            "info": {"title": "a <b> & \"c\"", "description": "see `x<y`"},
            "tags": [{"name": "G"}],
            "paths": {"/a/{b}": {"get": {"operationId": "a", "tags": ["G"], "summary": "<script>", "responses": {}}}},
            "components": {"schemas": {"T": {"properties": {"m": {"$ref": "#/components/schemas/T"}}}}},
        });
        let Page { html, policy } = page(&document);
        assert!(
            html.contains("a &lt;b&gt; &amp; &quot;c&quot;") && html.contains("<code>x&lt;y</code>"),
            "{html}"
        );
        assert!(!html.contains("<script"), "{html}");
        assert!(
            html.contains("<a href=\"#type-T\">T</a>") && html.contains("<code>/a/{b}</code>"),
            "{html}"
        );
        assert!(
            policy.starts_with("default-src 'none'; style-src 'sha256-"),
            "{policy}"
        );
    }
}
