//! JSON bodies: what is no JSON is 400 with line and column, what is JSON of the wrong shape is 422
//! with an RFC 6901 pointer to the place.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;
use serde_path_to_error::Segment;

use super::Problem;
use super::plain::{self, plain};
use super::problem::{INVALID, MALFORMED};

/// Reads a body. The pointer is found by reading a second time, so good bodies pay nothing for it.
pub fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    read(body, |_| None)
}

/// The same of a body that is not kept: where one of some words is expected and something else stands there, the words are named.
pub fn parse_owned<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    read(body, |changed| {
        T::deserialize(changed).err().map(|error| error.to_string())
    })
}

/// In plain words, what is wrong with a text that was to be JSON of some shape.
pub fn plainly(error: &serde_json::Error) -> String {
    match error.classify() {
        Category::Data => plain(&error.to_string()),
        Category::Eof => format!("the JSON is cut off: {error}"),
        Category::Syntax | Category::Io => format!("it is no JSON: {error}"),
    }
}

/// `again` reads a changed body, and says what is wrong with that.
fn read<'a, T: Deserialize<'a>>(
    body: &'a [u8],
    again: impl FnOnce(Value) -> Option<String>,
) -> Result<T, Problem> {
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
        Category::Data => invalid::<T>(body, &error, again),
        _ if body.is_empty() => Problem::new(&MALFORMED, "the body is empty; JSON is expected"),
        Category::Eof => Problem::new(&MALFORMED, format!("the body is cut off: {error}")),
        // Where one of some words is expected, serde_json takes another type for no JSON.
        Category::Syntax if serde_json::from_slice::<Value>(body).is_ok() => {
            invalid::<T>(body, &error, again)
        }
        Category::Syntax | Category::Io => Problem::new(&MALFORMED, format!("the body is no JSON: {error}")),
    })
}

fn invalid<'a, T: Deserialize<'a>>(
    body: &'a [u8],
    first: &serde_json::Error,
    again: impl FnOnce(Value) -> Option<String>,
) -> Problem {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let (mut at, error, is_word) = match serde_path_to_error::deserialize::<_, T>(&mut reader) {
        Ok(_) => (String::new(), first.to_string(), false),
        Err(error) => {
            let is_word = error.inner().is_syntax();
            (pointer(error.path()), error.inner().to_string(), is_word)
        }
    };
    let whole = || serde_json::from_slice::<Value>(body).unwrap_or_default();
    if is_word {
        return Problem::new(&INVALID, no_word(whole(), &at, again)).pointer(at);
    }
    // serde names a missing or a doubled member only in its text; a pointer to the member helps more
    // than one to the object around it.
    if let Some(member) = plain::member(&error) {
        at.push('/');
        at.push_str(&escape(member));
    }
    let detail = match whole().pointer(&at) {
        Some(there) if is_no_moment(there, &error) => plain::moment(there),
        _ => plain(&error),
    };
    Problem::new(&INVALID, detail).pointer(at)
}

/// Something else stands where one of some words is expected. Which these are is said of another word there.
fn no_word(mut whole: Value, at: &str, again: impl FnOnce(Value) -> Option<String>) -> String {
    let Some(place) = whole.pointer_mut(at) else {
        return plain::word(None, &Value::Null);
    };
    let there = std::mem::replace(place, Value::String(String::new()));
    plain::word(again(whole).as_deref(), &there)
}

/// Whether the error is that of a text which was to be a moment.
fn is_no_moment(there: &Value, error: &str) -> bool {
    let read = there.as_str().map(str::parse::<jiff::Timestamp>);
    matches!(read, Some(Err(wrong)) if error.starts_with(&wrong.to_string()))
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
    OnceEach::deserialize(reader).map(|values| values.0)
}

/// Both: values by name, or `null`, or nothing.
pub fn given_once_each<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    reader: D,
) -> Result<Option<Option<BTreeMap<String, T>>>, D::Error> {
    let values: Option<OnceEach<T>> = Option::deserialize(reader)?;
    Ok(Some(values.map(|values| values.0)))
}

/// See [`once_each`].
struct OnceEach<T>(BTreeMap<String, T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OnceEach<T> {
    fn deserialize<D: Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
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
        reader.deserialize_map(Values(PhantomData)).map(Self)
    }
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
        #[serde(default)]
        at: Option<jiff::Timestamp>,
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
            (r#"{}"#, 422, Some("/id"), "is missing"),
            (
                r#"{"words":{"a":null},"id":"a"}"#,
                422,
                Some("/words/a"),
                "one of the words yes is expected, not ",
            ),
            (
                r#"{"words":{"a":5},"id":"a"}"#,
                422,
                Some("/words/a"),
                "one of the words yes is expected, not ",
            ),
            (
                r#"{"words":{"a":{}},"id":"a"}"#,
                422,
                Some("/words/a"),
                "not an object",
            ),
            (
                r#"{"words":{"a":"no"},"id":"a"}"#,
                422,
                Some("/words/a"),
                "none of the words that may stand here: yes",
            ),
            (
                r#"{"at":"tomorrow","id":"a"}"#,
                422,
                Some("/at"),
                "a moment like \"2026-11-21T10:00:00Z\" (RFC 3339) is expected, not the text \"tomorrow\"",
            ),
            (r#"{"at":7,"id":"a"}"#, 422, Some("/at"), "a moment like"),
            (r#"{"words":{"a":nul},"id":"a"}"#, 400, None, "no JSON"),
            (r#" ["a"]"#, 422, Some(""), "not an array"),
            (r#"7"#, 422, Some(""), "an object is expected, not the number 7"),
            (
                r#"{"id":7}"#,
                422,
                Some("/id"),
                "a text is expected, not the number 7",
            ),
            (
                r#"{"id":"a","x":1}"#,
                422,
                Some("/x"),
                "no member \"x\"; there are id, rules, map, words, at",
            ),
            (r#"{"id":"a","id":"b"}"#, 422, Some("/id"), "twice"),
            (
                r#"{"id":"a","rules":[{"limit":1},{"limit":-1}]}"#,
                422,
                Some("/rules/1/limit"),
                "a whole number from 0 to 4294967295 is expected, not the number -1",
            ),
            (
                r#"{"id":"a","rules":[{}]}"#,
                422,
                Some("/rules/0/limit"),
                "is missing",
            ),
            (
                r#"{"id":"a","map":{"a/b~":"x"}}"#,
                422,
                Some("/map/a~1b~0"),
                "a whole number from 0 to 255",
            ),
        ] {
            let problem = parse_owned::<Body>(body.as_bytes()).expect_err(body);
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
