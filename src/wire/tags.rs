//! Entity tags (RFC 9110): what a thing is shown with, and the conditions `If-Match` and `If-None-Match` under which it is asked for.

use super::problem::MALFORMED;
use super::{Problem, echo};

/// Bytes of such a header at most, all of its values together.
const HEADER_BYTES_MAX: usize = 4096;

/// What `If-Match` or `If-None-Match` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// `*`: whatever is there.
    Any,
    Named(Vec<Tag>),
}

/// One tag, without its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    text: String,
    is_weak: bool,
}

impl Tags {
    /// Reads all values of a header; `None` where there is none.
    pub fn read<'a>(name: &str, values: impl Iterator<Item = &'a [u8]>) -> Result<Option<Self>, Problem> {
        let refused = |why: &str| {
            let detail = format!(
                "the header {name} {why}; it is *, or tags in quotes as the header ETag has them, with commas between: {name}: \"5f0c\""
            );
            Problem::new(&MALFORMED, detail)
        };
        let mut text = String::new();
        for value in values {
            let value = std::str::from_utf8(value).map_err(|_| refused("has characters that no tag has"))?;
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(value.trim());
            if text.len() > HEADER_BYTES_MAX {
                return Err(refused("is longer than 4 KiB"));
            }
            if text.is_empty() {
                return Err(refused("is empty"));
            }
        }
        match text.as_str() {
            "" => Ok(None),
            "*" => Ok(Some(Self::Any)),
            list => match named(list) {
                Ok(tags) => Ok(Some(Self::Named(tags))),
                Err(at) => Err(refused(&format!("cannot be read from {} on", echo(at)))),
            },
        }
    }

    /// Whether what has this tag may be changed: a weak one says too little.
    pub fn allow_change_of(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Named(tags) => tags.iter().any(|named| !named.is_weak && named.text == tag),
        }
    }

    /// Whether whoever names them has what has this tag.
    pub fn have(&self, tag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Named(tags) => tags.iter().any(|named| named.text == tag),
        }
    }
}

/// As the header `ETag` has it.
pub fn quoted(tag: &str) -> String {
    format!("\"{tag}\"")
}

/// Tags with commas between; `Err` is the rest that begins with none.
fn named(list: &str) -> Result<Vec<Tag>, &str> {
    let mut tags = Vec::new();
    let mut rest = list;
    loop {
        // Empty members of a list are passed over (RFC 9110, 5.6.1).
        rest = rest.trim_start_matches([' ', '\t', ',']);
        if rest.is_empty() {
            break;
        }
        let (is_weak, opened) = match rest.strip_prefix("W/") {
            Some(strong) => (true, strong),
            None => (false, rest),
        };
        let Some((text, behind)) = opened.strip_prefix('"').and_then(|text| text.split_once('"')) else {
            return Err(rest);
        };
        let behind = behind.trim_start_matches([' ', '\t']);
        if !text.chars().all(is_of_a_tag) || !(behind.is_empty() || behind.starts_with(',')) {
            return Err(rest);
        }
        tags.push(Tag {
            text: text.to_owned(),
            is_weak,
        });
        rest = behind;
    }
    match tags.is_empty() {
        true => Err(list),
        false => Ok(tags),
    }
}

fn is_of_a_tag(c: char) -> bool {
    matches!(c, '!' | '#'..='~') || !c.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<Option<Tags>, Problem> {
        Tags::read("If-Match", values.iter().map(|value| value.as_bytes()))
    }

    #[test]
    fn tags_are_read_as_a_list() {
        assert_eq!(read(&[]).ok(), Some(None));
        assert_eq!(read(&["*"]).ok(), Some(Some(Tags::Any)));
        let two = read(&["\"a\" , ,\"b,c\"", "W/\"d\""])
            .expect("read")
            .expect("there");
        for (tag, changes, has) in [
            ("a", true, true),
            ("b,c", true, true),
            ("d", false, true),
            ("e", false, false),
        ] {
            assert_eq!((two.allow_change_of(tag), two.have(tag)), (changes, has), "{tag}");
        }
        assert!(read(&["\"\""]).expect("read").expect("there").allow_change_of(""));
        assert!(Tags::Any.allow_change_of("a") && Tags::Any.have("a"));
    }

    #[test]
    fn what_is_no_tag_is_refused_with_what_one_is() {
        for wrong in [
            "",
            "a",
            "\"a",
            "a\"",
            "\"a\" \"b\"",
            "*,\"a\"",
            "\"a\",*",
            "w/\"a\"",
            "\"a b\"",
            ",",
            "W/",
        ] {
            let problem = read(&[wrong]).expect_err(wrong);
            assert_eq!(
                (problem.status(), problem.reason_code().as_ref()),
                (400, "malformed"),
                "{wrong}"
            );
            let json = String::from_utf8(problem.to_json()).expect("text");
            assert!(json.contains("If-Match") && json.contains("ETag"), "{json}");
        }
        assert!(read(&[&format!("\"{}\"", "a".repeat(5000))]).is_err());
    }
}
