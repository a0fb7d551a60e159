//! From parameters to the fields of a form.

use askama::Template;
use serde_json::Value;

use super::{ENTRIES_MAX, Place, Schema, Shape};
use crate::console::api::Fault;
use crate::console::words::Words;

/// How a part is drawn.
pub(in crate::console) enum Kind {
    Text {
        value: String,
        example: String,
    },
    Number {
        value: String,
    },
    /// Value, words, whether it is chosen.
    Choice(Vec<(String, String, bool)>),
    Area {
        value: String,
        help: &'static str,
    },
    Object(Vec<Node>),
    Variants {
        variants: Vec<Variant>,
        is_unset: bool,
    },
    Items {
        entries: Vec<Node>,
        count: usize,
    },
}

pub(in crate::console) struct Variant {
    pub(in crate::console) index: usize,
    pub(in crate::console) label: String,
    pub(in crate::console) is_chosen: bool,
    pub(in crate::console) node: Node,
}

/// A part of a form.
#[derive(Template)]
#[template(path = "node.html")]
pub(in crate::console) struct Node {
    pub(in crate::console) t: &'static Words,
    pub(in crate::console) name: String,
    pub(in crate::console) pointer: String,
    pub(in crate::console) label: String,
    pub(in crate::console) about: String,
    pub(in crate::console) is_required: bool,
    pub(in crate::console) faults: Vec<Fault>,
    pub(in crate::console) kind: Kind,
}

impl Schema<'_> {
    /// Whether a value looks like one of this shape: it has what must be there.
    fn fits(&self, value: &Value) -> bool {
        let required = self.here["required"].as_array();
        value.is_object()
            && required.is_some_and(|all| {
                all.iter()
                    .filter_map(Value::as_str)
                    .all(|key| value.get(key).is_some())
            })
    }

    /// The fields of a value; each takes the faults that are its own.
    pub(in crate::console) fn node(
        &self,
        drawn: &mut Drawn<'_>,
        place: &Place,
        label: &str,
        value: Option<&Value>,
        is_required: bool,
    ) -> Node {
        let shape = self.shape();
        let kind = match shape {
            Shape::Object(parts) => Kind::Object(
                parts
                    .into_iter()
                    .map(|(name, part, is_required)| {
                        let value = value.and_then(|value| value.get(name));
                        part.node(drawn, &place.child(name), name, value, is_required)
                    })
                    .collect(),
            ),
            Shape::Variants(parts) => Kind::Variants {
                variants: variants(drawn, place, parts, value),
                is_unset: value.is_none(),
            },
            Shape::Items(item) => {
                let entries: Vec<&Value> = value
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    .take(ENTRIES_MAX)
                    .collect();
                let entry = |(index, value): (usize, &&Value)| {
                    let label = (index + 1).to_string();
                    item.node(
                        drawn,
                        &place.child(&index.to_string()),
                        &label,
                        Some(*value),
                        true,
                    )
                };
                Kind::Items {
                    count: entries.len(),
                    entries: entries.iter().enumerate().map(entry).collect(),
                }
            }
            scalar => self.leaf(drawn.words, &scalar, value, is_required),
        };
        Node {
            t: drawn.words,
            name: place.name.clone(),
            pointer: place.pointer.clone(),
            label: label.replace('_', " "),
            about: one_line(self.about),
            is_required,
            faults: drawn.take(&place.pointer),
            kind,
        }
    }

    fn leaf(
        &self,
        words: &'static Words,
        shape: &Shape<'_>,
        value: Option<&Value>,
        is_required: bool,
    ) -> Kind {
        let text = value.map(plain).unwrap_or_default();
        match shape {
            Shape::Number => Kind::Number { value: text },
            Shape::Choice(values) => {
                let is_unset = value.is_none();
                let default = self.default.filter(|_| is_unset);
                let none = (!is_required && default.is_none())
                    .then(|| (String::new(), words.not_set.to_owned(), is_unset));
                let option = |(of, about): &(&Value, &str)| {
                    let label = if about.is_empty() {
                        plain(of)
                    } else {
                        format!("{}: {about}", plain(of))
                    };
                    (of.to_string(), label, value.or(default) == Some(*of))
                };
                Kind::Choice(none.into_iter().chain(values.iter().map(option)).collect())
            }
            Shape::Flag => {
                let chosen = value.or(self.default);
                let option = |of: bool, label: &str| {
                    (of.to_string(), label.to_owned(), chosen == Some(&Value::from(of)))
                };
                let none = (String::new(), words.not_set.to_owned(), chosen.is_none());
                Kind::Choice(vec![none, option(true, words.yes), option(false, words.no)])
            }
            Shape::Lines(_) => Kind::Area {
                value: lines(value),
                help: words.one_per_line,
            },
            Shape::Pairs(values) => Kind::Area {
                value: pair_lines(value),
                help: match values.shape() {
                    Shape::Lines(_) => words.lists_per_line,
                    _ => words.pair_per_line,
                },
            },
            Shape::Json => Kind::Area {
                value: value.map(Value::to_string).unwrap_or_default(),
                help: words.json_value,
            },
            _ => Kind::Text {
                value: text,
                example: self.example(),
            },
        }
    }

    /// What stands in an empty field: what it is taken for, or what could be written.
    fn example(&self) -> String {
        let example = self.default.or_else(|| self.here["examples"].get(0));
        example.map(plain).unwrap_or_default()
    }
}

/// What a form is drawn with: the faults that no field has taken yet.
pub(in crate::console) struct Drawn<'a> {
    pub(in crate::console) words: &'static Words,
    pub(in crate::console) faults: &'a mut Vec<Fault>,
}

impl Drawn<'_> {
    fn take(&mut self, pointer: &str) -> Vec<Fault> {
        let below = format!("{pointer}/");
        let is_own = |fault: &mut Fault| fault.pointer == pointer || fault.pointer.starts_with(&below);
        self.faults.extract_if(.., is_own).collect()
    }
}

fn variants(
    drawn: &mut Drawn<'_>,
    place: &Place,
    parts: Vec<Schema<'_>>,
    value: Option<&Value>,
) -> Vec<Variant> {
    let chosen = value.and_then(|value| parts.iter().position(|part| part.fits(value)).or(Some(0)));
    let one = |(index, part): (usize, Schema<'_>)| {
        let is_chosen = chosen == Some(index);
        let value = value.filter(|_| is_chosen);
        Variant {
            index,
            label: one_line(part.about),
            is_chosen,
            node: Schema { about: "", ..part }.node(drawn, &place.variant(index), "", value, true),
        }
    };
    parts.into_iter().enumerate().map(one).collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(all) => all.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn lines(value: Option<&Value>) -> String {
    match value {
        Some(Value::Array(all)) => all.iter().map(plain).collect::<Vec<_>>().join("\n"),
        other => other.map(plain).unwrap_or_default(),
    }
}

fn pair_lines(value: Option<&Value>) -> String {
    match value {
        Some(Value::Object(all)) => all
            .iter()
            .map(|(name, value)| format!("{name} = {}", plain(value)))
            .collect::<Vec<_>>()
            .join("\n"),
        other => other.map(plain).unwrap_or_default(),
    }
}
