//! From a form back to parameters. What cannot be read is left as a text, for the module to say what is wrong with it.

use serde_json::{Map, Value};

use super::{ENTRIES_MAX, Place, Schema, Shape};
use crate::console::act::number;
use crate::console::form::Form;

impl Schema<'_> {
    /// What a form says; `None` where it says nothing. What cannot be read is left as a text, for the module to say so.
    pub(in crate::console) fn read(&self, place: &Place, form: &Form) -> Option<Value> {
        match self.shape() {
            Shape::Text => form.get(&place.name).map(Value::from),
            Shape::Number => number(form.get(&place.name)),
            Shape::Flag => form.get(&place.name).map(|text| Value::from(text == "true")),
            Shape::Lines(items) => {
                let lines = form
                    .get(&place.name)?
                    .lines()
                    .map(str::trim)
                    .filter(|line| !line.is_empty());
                Some(lines.map(|line| items.scalar(line)).collect())
            }
            Shape::Pairs(values) => pairs(values, form.get(&place.name)?),
            Shape::Object(parts) => {
                let said = |(name, part, _): (&str, Schema<'_>, bool)| {
                    Some((name.to_owned(), part.read(&place.child(name), form)?))
                };
                let read: Map<String, Value> = parts.into_iter().filter_map(said).collect();
                (!read.is_empty()).then_some(Value::Object(read))
            }
            Shape::Variants(parts) => {
                let index: usize = form.get(&place.chosen())?.parse().ok()?;
                let read = parts.get(index)?.read(&place.variant(index), form);
                Some(read.unwrap_or_else(|| Value::Object(Map::new())))
            }
            Shape::Items(item) => {
                let count: usize = form.get(&place.chosen())?.parse().ok()?;
                let entry = |index: usize| {
                    let read = item.read(&place.child(&index.to_string()), form);
                    read.unwrap_or_else(|| Value::Object(Map::new()))
                };
                let read: Vec<Value> = (0..count.min(ENTRIES_MAX)).map(entry).collect();
                (!read.is_empty()).then_some(Value::Array(read))
            }
            Shape::Choice(_) | Shape::Json => {
                let text = form.get(&place.name)?;
                Some(serde_json::from_str(text).unwrap_or_else(|_| text.into()))
            }
        }
    }

    fn scalar(&self, text: &str) -> Value {
        match self.shape() {
            Shape::Number => number(Some(text)).unwrap_or_else(|| text.into()),
            _ => text.into(),
        }
    }
}

/// `None` where it says nothing; the text itself where a line is no pair.
fn pairs(values: Schema<'_>, text: &str) -> Option<Value> {
    let mut read = Map::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once('=') else {
            return Some(text.into());
        };
        let value = match values.shape() {
            Shape::Lines(items) => value
                .split(',')
                .map(str::trim)
                .filter(|one| !one.is_empty())
                .map(|one| items.scalar(one))
                .collect(),
            _ => values.scalar(value.trim()),
        };
        read.insert(name.trim().to_owned(), value);
    }
    Some(Value::Object(read))
}
