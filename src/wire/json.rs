//! JSON bodies: what is no JSON is 400 with line and column, what is JSON of the wrong shape is 422
//! with an RFC 6901 pointer to the place.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde_json::error::Category;
use serde_path_to_error::Segment;

use super::Problem;
use super::problem::{INVALID, MALFORMED};

/// Reads a body. The pointer is found by reading a second time, so good bodies pay nothing for it.
pub fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    // Editors put a byte order mark before UTF-8; it says nothing (RFC 8259 lets readers ignore it).
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    if body.starts_with(b"\xff\xfe") || body.starts_with(b"\xfe\xff") {
        let detail = "the body begins with the byte order mark of UTF-16 or UTF-32; JSON is sent as UTF-8";
        return Err(Problem::new(&MALFORMED, detail));
    }
    // serde would take the members of a struct from an array, by position.
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Err(Problem::new(&INVALID, "an object is expected, not an array").pointer(""));
    }
    serde_json::from_slice(body).map_err(|error| match error.classify() {
        Category::Data => invalid::<T>(body, &error),
        _ if body.is_empty() => Problem::new(&MALFORMED, "the body is empty; JSON is expected"),
        Category::Eof => Problem::new(&MALFORMED, format!("the body is cut off: {error}")),
        // Where one of some words is expected, serde_json takes another type for no JSON.
        Category::Syntax if serde_json::from_slice::<serde_json::Value>(body).is_ok() => {
            invalid::<T>(body, &error)
        }
        Category::Syntax | Category::Io => Problem::new(&MALFORMED, format!("the body is no JSON: {error}")),
    })
}

fn invalid<'a, T: Deserialize<'a>>(body: &'a [u8], first: &serde_json::Error) -> Problem {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let (mut at, detail) = match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Ok(_) => (String::new(), first.to_string()),
        Err(error) if error.inner().is_syntax() => (
            pointer(error.path()),
            "a text is expected, one of the words that there are".to_owned(),
        ),
        Err(error) => (pointer(error.path()), error.inner().to_string()),
    };
    // serde names a missing or a doubled field only in its text; a pointer to the member helps more
    // than one to the object around it.
    let named = ["missing field `", "duplicate field `"]
        .iter()
        .find_map(|prefix| detail.strip_prefix(prefix))
        .and_then(|rest| rest.split_once('`'));
    if let Some((field, _)) = named {
        at.push('/');
        at.push_str(&escape(field));
    }
    Problem::new(&INVALID, detail).pointer(at)
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    let mut pointer = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&format!("/{}", escape(key))),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

/// Reads a member that may be `null`, which is something else than one that is left out.
pub fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(reader: D) -> Result<Option<T>, D::Error> {
    T::deserialize(reader).map(Some)
}

/// Reads values by name. A name that comes twice is refused: nobody could know which one counts.
pub fn once_each<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    reader: D,
) -> Result<BTreeMap<String, T>, D::Error> {
    struct Values<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Values<T> {
        type Value = BTreeMap<String, T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut values = BTreeMap::new();
            while let Some((name, value)) = map.next_entry::<String, T>()? {
                if values.contains_key(&name) {
                    return Err(de::Error::custom(format!("duplicate field `{name}`")));
                }
                values.insert(name, value);
            }
            Ok(values)
        }
    }
    reader.deserialize_map(Values(PhantomData))
}

/// One token of an RFC 6901 pointer.
pub fn escape(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Body {
        id: String,
        #[serde(default)]
        rules: Vec<Rule>,
        #[serde(default)]
        map: std::collections::BTreeMap<String, u8>,
        #[serde(default)]
        words: std::collections::BTreeMap<String, Word>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Word {
        Yes,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Rule {
        limit: u32,
    }

    #[test]
    fn wrong_bodies_name_the_place() {
        for (body, status, pointer, text) in [
            (r#""#, 400, None, "the body is empty"),
            (r#"{"id":"a""#, 400, None, "cut off"),
            ("{\n \"id\": nope}", 400, None, "line 2 column"),
            (r#"{"id":"a"} x"#, 400, None, "trailing characters"),
            ("{\"id\":\"\u{0}\"}", 400, None, "control character"),
            (r#"{"id":"\ud800"}"#, 400, None, "line 1"),
            (r#"{}"#, 422, Some("/id"), "missing field"),
            (
                r#"{"words":{"a":null},"id":"a"}"#,
                422,
                Some("/words/a"),
                "a text is expected",
            ),
            (
                r#"{"words":{"a":5},"id":"a"}"#,
                422,
                Some("/words/a"),
                "a text is expected",
            ),
            (r#"{"words":{"a":{}},"id":"a"}"#, 422, Some("/words/a"), "text"),
            (
                r#"{"words":{"a":"no"},"id":"a"}"#,
                422,
                Some("/words/a"),
                "unknown variant",
            ),
            (r#"{"words":{"a":nul},"id":"a"}"#, 400, None, "no JSON"),
            (r#" ["a"]"#, 422, Some(""), "not an array"),
            (r#"7"#, 422, Some(""), "invalid type"),
            (r#"{"id":7}"#, 422, Some("/id"), "expected a string"),
            (r#"{"id":"a","x":1}"#, 422, Some("/x"), "unknown field `x`"),
            (r#"{"id":"a","id":"b"}"#, 422, Some("/id"), "duplicate"),
            (
                r#"{"id":"a","rules":[{"limit":1},{"limit":-1}]}"#,
                422,
                Some("/rules/1/limit"),
                "u32",
            ),
            (
                r#"{"id":"a","rules":[{}]}"#,
                422,
                Some("/rules/0/limit"),
                "missing field",
            ),
            (r#"{"id":"a","map":{"a/b~":"x"}}"#, 422, Some("/map/a~1b~0"), "u8"),
        ] {
            let problem = parse::<Body>(body.as_bytes()).expect_err(body);
            let json: serde_json::Value = serde_json::from_slice(&problem.to_json()).expect("JSON");
            assert_eq!(problem.status(), status, "{body}: {json}");
            assert_eq!(json["pointer"].as_str(), pointer, "{body}: {json}");
            assert!(
                json["detail"].as_str().is_some_and(|d| d.contains(text)),
                "{body}: {json}"
            );
        }
    }

    #[test]
    fn bytes_that_are_no_utf8_are_malformed() {
        let problem = parse::<Body>(b"{\"id\":\"\xff\"}").expect_err("not UTF-8");
        assert_eq!(problem.status(), 400);
    }
}
