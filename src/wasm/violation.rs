//! Schema violations as sentences a merchant can act on, each with a pointer to the field.

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

use super::Diagnostic;

/// Examples of a schema shown in a hint.
const EXAMPLES_MAX: usize = 4;
/// Characters of a value quoted in a message.
const QUOTED_CHARS_MAX: usize = 60;

/// One diagnostic per field that is wrong.
pub(super) fn explain(schema: &Value, error: &ValidationError<'_>) -> Vec<Diagnostic> {
    let at = error.instance_path().as_str().to_owned();
    match error.kind() {
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            let hint = known_fields(schema, error);
            unexpected
                .iter()
                .map(|name| {
                    let message = format!("{name:?} is not a known parameter");
                    problem(child(&at, name), "unknown-field", message, hint.clone())
                })
                .collect()
        }
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            vec![problem(
                child(&at, name),
                "required",
                format!("{name:?} is missing"),
                None,
            )]
        }
        Kind::PropertyNames { error: inner } => {
            let message = format!("a field has a name that is not allowed: {inner}");
            vec![problem(at, "propertyNames", message, None)]
        }
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => alternatives(at, error, context),
        kind => {
            let message = sentence(kind, error);
            vec![problem(at, kind.keyword(), message, examples(schema, error))]
        }
    }
}

fn problem(pointer: String, code: &str, message: String, hint: Option<String>) -> Diagnostic {
    Diagnostic {
        severity: "error".into(),
        pointer,
        code: code.into(),
        message,
        hint,
    }
}

fn sentence(kind: &Kind, error: &ValidationError<'_>) -> String {
    let found = quoted(error.instance());
    let expected = match kind {
        Kind::Type { kind } => types(kind),
        Kind::Enum { options } => one_of(options.as_array().into_iter().flatten()),
        Kind::Constant { expected_value } => quoted(expected_value),
        Kind::Minimum { limit } => format!("at least {limit}"),
        Kind::Maximum { limit } => format!("at most {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("more than {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("less than {limit}"),
        Kind::MinLength { limit } => format!("text of at least {limit} characters"),
        Kind::MaxLength { limit } => format!("text of at most {limit} characters"),
        Kind::MinItems { limit } => format!("at least {limit} entries"),
        Kind::MaxItems { limit } => format!("at most {limit} entries"),
        Kind::Pattern { pattern } => format!("text that matches {pattern}"),
        Kind::Format { format } => format!("text of the format {format}"),
        Kind::UniqueItems => "entries that differ from each other".into(),
        Kind::FalseSchema => return "this field is not allowed here".into(),
        _ => return clipped(&error.to_string(), 4 * QUOTED_CHARS_MAX),
    };
    format!("expected {expected}, found {found}")
}

/// Where several forms are allowed: a list of plain values where they are that, otherwise the first problem
/// of each form.
fn alternatives(
    at: String,
    error: &ValidationError<'_>,
    context: &[Vec<ValidationError<'static>>],
) -> Vec<Diagnostic> {
    let found = quoted(error.instance());
    let values: Vec<&Value> = context
        .iter()
        .flatten()
        .filter_map(|branch| match branch.kind() {
            Kind::Constant { expected_value } => Some(vec![expected_value.as_ref()]),
            Kind::Enum { options } => options.as_array().map(|options| options.iter().collect()),
            _ => None,
        })
        .flatten()
        .collect();
    let code = error.kind().keyword();
    if !values.is_empty() && context.iter().all(|branch| branch.iter().all(is_plain_value)) {
        let message = format!("expected {}, found {found}", one_of(values));
        return vec![problem(at, code, message, None)];
    }
    let forms: Vec<String> = context
        .iter()
        .filter_map(|branch| branch.first())
        .map(|first| {
            let path = first.instance_path().as_str();
            let path = path.strip_prefix(at.as_str()).unwrap_or(path);
            let text = explain(&Value::Null, first)
                .pop()
                .map_or_else(String::new, |inner| inner.message);
            match path.is_empty() {
                true => text,
                false => format!("{path}: {text}"),
            }
        })
        .collect();
    let message = format!("{found} fits none of the allowed forms");
    let hint =
        (!forms.is_empty()).then(|| format!("one of these must be put right: {}", forms.join("; or ")));
    vec![problem(at, code, message, hint)]
}

fn is_plain_value(error: &ValidationError<'static>) -> bool {
    matches!(error.kind(), Kind::Constant { .. } | Kind::Enum { .. })
}

/// The fields the violated object schema does know.
fn known_fields(schema: &Value, error: &ValidationError<'_>) -> Option<String> {
    let keyword = error.schema_path().as_str();
    let (parent, _) = keyword.rsplit_once('/')?;
    let fields = schema.pointer(parent)?.get("properties")?.as_object()?;
    let names: Vec<String> = fields.keys().map(|name| format!("{name:?}")).collect();
    match names.is_empty() {
        true => Some("this rule takes no parameters".into()),
        false => Some(format!("known here: {}", names.join(", "))),
    }
}

/// What the violated schema shows as examples: a pattern alone is hard to read.
fn examples(schema: &Value, error: &ValidationError<'_>) -> Option<String> {
    let (parent, _) = error.schema_path().as_str().rsplit_once('/')?;
    let examples = schema.pointer(parent)?.get("examples")?.as_array()?;
    let shown: Vec<String> = examples.iter().take(EXAMPLES_MAX).map(quoted).collect();
    (!shown.is_empty()).then(|| format!("for example {}", shown.join(", ")))
}

fn types(kind: &TypeKind) -> String {
    let names: Vec<&str> = match kind {
        TypeKind::Single(one) => vec![type_name(*one)],
        TypeKind::Multiple(set) => set.iter().map(type_name).collect(),
    };
    names.join(" or ")
}

fn type_name(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Null => "null",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "a whole number",
        JsonType::Number => "a number",
        JsonType::String => "text",
        JsonType::Array => "a list",
        JsonType::Object => "an object",
    }
}

fn one_of<'a>(values: impl IntoIterator<Item = &'a Value>) -> String {
    values.into_iter().map(quoted).collect::<Vec<_>>().join(" or ")
}

fn quoted(value: &Value) -> String {
    clipped(&value.to_string(), QUOTED_CHARS_MAX)
}

fn clipped(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// RFC 6901: `~` and `/` of a name are escaped.
fn child(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}
