//! Attributes whose value is an array of texts: a buyer who is of several groups.
//!
//! Where an attempt keeps its attributes a value is one text. That of an array has a mark before each element, which no
//! text of an attribute has: [`check_text`] refuses control characters. An array of one element is that element; one of
//! none, the mark alone, has the empty text, as a buyer has who lacks the attribute, and is none that is missing.

use std::collections::BTreeMap;

use crate::wire::check_text;

/// Stands before each element.
pub const MARK: char = '\u{1f}';
/// Elements at most: each is looked up by itself.
pub const ELEMENTS_MAX: usize = 32;

/// The value of an array with these elements, each counted once.
pub fn of(elements: impl IntoIterator<Item = String>) -> String {
    let mut all: Vec<String> = Vec::new();
    for element in elements {
        if !all.contains(&element) {
            all.push(element);
        }
    }
    match all.as_mut_slice() {
        [] => MARK.to_string(),
        [one] => std::mem::take(one),
        several => several.iter().fold(String::new(), |mut value, element| {
            value.push(MARK);
            value + element
        }),
    }
}

/// Whether it is an array of other than one element.
pub fn is_array(value: &str) -> bool {
    value.starts_with(MARK)
}

/// The elements of an array; a text alone is the only one.
pub fn elements(value: &str) -> impl Iterator<Item = &str> {
    let (is_array, value) = match value.strip_prefix(MARK) {
        Some(elements) => (true, elements),
        None => (false, value),
    };
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let text = rest?;
        let split = text.split_once(MARK).filter(|_| is_array);
        rest = split.map(|(_, rest)| rest);
        Some(split.map_or(text, |(element, _)| element))
    })
}

/// As those who sent it wrote it: an array of texts, or a text.
pub fn to_json(value: &str) -> serde_json::Value {
    match several(value) {
        Some(several) => several.into(),
        None => value.into(),
    }
}

/// The elements of an array of none or several; `None` of a text.
pub fn several(value: &str) -> Option<Vec<&str>> {
    is_array(value).then(|| match value.len() == MARK.len_utf8() {
        true => Vec::new(),
        false => elements(value).collect(),
    })
}

/// Whether it is an attribute's text, or an array of such texts, as [`of`] makes it. `Err` says what is wrong.
pub fn check(value: &str) -> Result<(), String> {
    let Some(all) = several(value) else {
        return check_text(value);
    };
    if all.len() > ELEMENTS_MAX {
        return Err(format!(
            "has {} elements; at most {ELEMENTS_MAX} are allowed",
            all.len()
        ));
    }
    let wrong = |wrong| format!("has an element that {wrong}");
    all.into_iter()
        .try_for_each(|element| check_text(element).map_err(wrong))
}

/// [`check`] of an attribute of this name: only a claim can be an array.
pub fn check_of(name: &str, value: &str) -> Result<(), String> {
    match is_array(value) && !name.starts_with("claim:") {
        true => Err("is an array; only that of a claim can be".to_owned()),
        false => check(value),
    }
}

/// Attributes as JSON whose arrays are arrays: for whoever may know no mark, and for files that people write. A text with
/// the mark in it is none of an attribute, and refused: it would be read as an array.
pub mod as_json {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::{SerializeMap, Serializer};

    use super::{BTreeMap, MARK, of, several};

    #[derive(serde::Deserialize)]
    #[serde(untagged, expecting = "a text or an array of texts")]
    enum Value {
        Text(String),
        Array(Vec<String>),
    }

    pub fn serialize<S: Serializer>(
        attributes: &BTreeMap<String, String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(attributes.len()))?;
        for (name, value) in attributes {
            match several(value) {
                Some(elements) => map.serialize_entry(name, &elements)?,
                None => map.serialize_entry(name, value)?,
            }
        }
        map.end()
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, String>, D::Error> {
        let all = BTreeMap::<String, Value>::deserialize(deserializer)?;
        let value = |(name, value)| {
            let value = match value {
                Value::Text(text) => unmarked(text),
                Value::Array(elements) => elements
                    .into_iter()
                    .map(unmarked)
                    .collect::<Result<Vec<_>, _>>()
                    .map(of),
            };
            match value {
                Ok(value) => Ok((name, value)),
                Err(wrong) => Err(D::Error::custom(format!("the value of {name:?} {wrong}"))),
            }
        };
        all.into_iter().map(value).collect()
    }

    fn unmarked(text: String) -> Result<String, String> {
        match text.contains(MARK) {
            true => Err(format!("contains the control character {MARK:?}")),
            false => Ok(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(elements: &[&str]) -> String {
        of(elements.iter().map(|element| (*element).to_owned()))
    }

    #[test]
    fn an_array_is_its_elements_each_once() {
        for (given, kept) in [
            (&["staff", "gold"][..], &["staff", "gold"][..]),
            (&["staff", "gold", "staff"], &["staff", "gold"]),
            (&["", "gold"], &["", "gold"]),
            (&["gold", ""], &["gold", ""]),
        ] {
            let value = array(given);
            assert!(is_array(&value));
            assert_eq!(elements(&value).collect::<Vec<_>>(), kept);
            assert_eq!(several(&value).as_deref(), Some(kept));
        }
        for (given, one) in [(&["gold"][..], "gold"), (&["gold", "gold"], "gold"), (&[""], "")] {
            let value = array(given);
            assert_eq!((value.as_str(), several(&value)), (one, None));
            assert_eq!(elements(&value).collect::<Vec<_>>(), [one]);
        }
        // None is no text of its own, and has none.
        let none = array(&[]);
        assert_eq!((is_array(&none), several(&none)), (true, Some(Vec::new())));
        assert_eq!(elements(&none).collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn what_is_wrong_with_an_element_is_said() {
        let long = "x".repeat(257);
        let many: Vec<String> = (0..33).map(|n| n.to_string()).collect();
        for (value, wrong) in [
            (array(&["a", "b\n"]), "has an element that contains the control"),
            (array(&["a", &long]), "has an element that is 257 bytes"),
            (of(many), "has 33 elements; at most 32"),
            ("a\u{1f}b".to_owned(), "contains the control character"),
        ] {
            let error = check(&value).expect_err(wrong);
            assert!(error.contains(wrong), "{error}");
        }
        for good in ["", "a", "\u{1f}", "\u{1f}a\u{1f}b"] {
            assert_eq!(check(good), Ok(()), "{good:?}");
        }
    }

    #[test]
    fn as_json_arrays_are_arrays() {
        #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        struct Attributes(#[serde(with = "as_json")] BTreeMap<String, String>);
        for (json, value, again) in [
            (r#"["a","b"]"#, "\u{1f}a\u{1f}b", None),
            (r#"["a","a"]"#, "a", Some(r#""a""#)),
            ("[]", "\u{1f}", None),
            (r#""a""#, "a", None),
        ] {
            let text = format!(r#"{{"claim:groups":{json}}}"#);
            let read: Attributes = serde_json::from_str(&text).expect(json);
            assert_eq!(read.0["claim:groups"], value);
            let written = serde_json::to_string(&read).expect("JSON");
            assert_eq!(
                written,
                text.replace(json, again.unwrap_or(json)),
                "{json} reads back"
            );
        }
        for marked in [
            r#""\u001fa""#,
            r#""\u001f""#,
            r#""a\u001fb""#,
            r#"["\u001fa"]"#,
            r#"["a","b\u001fc"]"#,
        ] {
            let text = format!(r#"{{"claim:groups":{marked}}}"#);
            let wrong = serde_json::from_str::<Attributes>(&text)
                .expect_err(marked)
                .to_string();
            let what = r#"the value of "claim:groups" contains the control character '\u{1f}'"#;
            assert!(wrong.starts_with(what), "{wrong}");
        }
        let wrong = serde_json::from_str::<Attributes>(r#"{"claim:groups":[1]}"#).expect_err("a number");
        assert!(
            wrong.to_string().contains("a text or an array of texts"),
            "{wrong}"
        );
    }
}
