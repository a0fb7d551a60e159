//! Forms from JSON Schema: what a module says of its parameters becomes fields, a form becomes parameters again, and what is wrong with
//! them stands at its field. What a form cannot say well (a shape nobody has thought of) is a field for JSON.

mod draw;
mod read;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub(super) use draw::{Drawn, Node};

use crate::wire::json::escape;

/// Marks the field that says how many entries there are, or which shape was chosen.
const CHOSEN: char = '#';
/// Entries of a list that a form shows.
const ENTRIES_MAX: usize = 100;

/// A part of a schema, with its references followed.
#[derive(Clone, Copy)]
pub(super) struct Schema<'a> {
    root: &'a Value,
    here: &'a Value,
    /// Of whoever refers to it, where it has none itself.
    about: &'a str,
    default: Option<&'a Value>,
}

/// What fields a part becomes.
enum Shape<'a> {
    Text,
    Number,
    Flag,
    /// One of these values; with what is said about each.
    Choice(Vec<(&'a Value, &'a str)>),
    /// Texts or numbers, one per line.
    Lines(Schema<'a>),
    /// `name = value`, one per line.
    Pairs(Schema<'a>),
    Object(Vec<(&'a str, Schema<'a>, bool)>),
    /// One of several objects.
    Variants(Vec<Schema<'a>>),
    Items(Schema<'a>),
    Json,
}
/// Where a part stands: in the form and in the body.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) name: String,
    pub(super) pointer: String,
}

impl Place {
    pub(super) fn new(pointer: &str) -> Self {
        Self {
            name: pointer.to_owned(),
            pointer: pointer.to_owned(),
        }
    }

    fn child(&self, key: &str) -> Self {
        let key = escape(key);
        Self {
            name: format!("{}/{key}", self.name),
            pointer: format!("{}/{key}", self.pointer),
        }
    }

    /// Two shapes of one value may have fields of one name.
    fn variant(&self, index: usize) -> Self {
        Self {
            name: format!("{}~{index}", self.name),
            pointer: self.pointer.clone(),
        }
    }

    fn chosen(&self) -> String {
        format!("{}{CHOSEN}", self.name)
    }
}

fn is_null(schema: &Value) -> bool {
    schema["type"] == "null"
}

impl<'a> Schema<'a> {
    pub(super) fn new(root: &'a Value) -> Self {
        Self {
            root,
            here: root,
            about: "",
            default: None,
        }
    }

    /// A part of the same schema. References are followed, and what may also be null is what it is otherwise.
    fn part(&self, mut here: &'a Value) -> Self {
        let (mut about, mut default) = ("", None);
        // A schema refers at most so deep: longer chains are read as JSON.
        for _ in 0..16 {
            if about.is_empty() {
                about = here["description"].as_str().unwrap_or_default();
            }
            default = default.or_else(|| here.get("default"));
            let reference = here["$ref"]
                .as_str()
                .and_then(|reference| reference.strip_prefix('#'));
            let only = ["anyOf", "oneOf"]
                .iter()
                .find_map(|name| only_other(here.get(*name)?));
            let next = reference.and_then(|pointer| self.root.pointer(pointer)).or(only);
            match next {
                Some(next) => here = next,
                None => break,
            }
        }
        Self {
            root: self.root,
            here,
            about,
            default,
        }
    }

    /// Its type, where it has one besides null.
    fn kind(&self) -> &'a str {
        match &self.here["type"] {
            Value::Array(kinds) => kinds
                .iter()
                .filter_map(Value::as_str)
                .find(|kind| *kind != "null")
                .unwrap_or(""),
            kind => kind.as_str().unwrap_or(""),
        }
    }

    fn shape(&self) -> Shape<'a> {
        if let Some(choice) = self.choice() {
            return Shape::Choice(choice);
        }
        let alternatives = ["oneOf", "anyOf"]
            .iter()
            .find_map(|name| self.here.get(*name)?.as_array());
        if let Some(alternatives) = alternatives {
            let parts: Vec<_> = alternatives.iter().map(|one| self.part(one)).collect();
            let all_objects = parts.iter().all(|part| part.kind() == "object");
            return if all_objects {
                Shape::Variants(parts)
            } else {
                Shape::Json
            };
        }
        match self.kind() {
            "string" => Shape::Text,
            "integer" | "number" => Shape::Number,
            "boolean" => Shape::Flag,
            "array" => self.list(),
            "object" => self.object(),
            _ => Shape::Json,
        }
    }

    /// The values of an `enum`, or of a `oneOf` of constants.
    fn choice(&self) -> Option<Vec<(&'a Value, &'a str)>> {
        if let Some(values) = self.here["enum"].as_array() {
            return Some(
                values
                    .iter()
                    .filter(|value| !value.is_null())
                    .map(|value| (value, ""))
                    .collect(),
            );
        }
        let alternatives = self.here.get("oneOf")?.as_array()?;
        let constant =
            |one: &'a Value| Some((one.get("const")?, one["description"].as_str().unwrap_or_default()));
        alternatives.iter().map(constant).collect()
    }

    fn list(&self) -> Shape<'a> {
        let Some(items) = self.here.get("items") else {
            return Shape::Json;
        };
        let items = self.part(items);
        match items.shape() {
            Shape::Text | Shape::Number | Shape::Choice(_) => Shape::Lines(items),
            Shape::Object(_) | Shape::Variants(_) => Shape::Items(items),
            _ => Shape::Json,
        }
    }

    fn object(&self) -> Shape<'a> {
        if let Some(properties) = self.here["properties"].as_object() {
            let required = self.here["required"].as_array();
            let is_required = |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
            let mut parts: Vec<_> = properties
                .iter()
                .map(|(name, schema)| (name.as_str(), self.part(schema), is_required(name)))
                .collect();
            // What has to be said comes first.
            parts.sort_by_key(|(_, _, is_required)| !is_required);
            return Shape::Object(parts);
        }
        let Some(values) = self
            .here
            .get("additionalProperties")
            .filter(|values| values.is_object())
        else {
            return Shape::Json;
        };
        let values = self.part(values);
        match values.shape() {
            Shape::Text | Shape::Number | Shape::Lines(_) => Shape::Pairs(values),
            _ => Shape::Json,
        }
    }
}

/// The one alternative that is not null, where there is a null and one other.
fn only_other(alternatives: &Value) -> Option<&Value> {
    let alternatives = alternatives.as_array()?;
    let mut others = alternatives.iter().filter(|one| !is_null(one));
    let only = others.next()?;
    (others.next().is_none() && alternatives.len() > 1).then_some(only)
}
