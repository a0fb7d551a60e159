//! The header `Idempotency-Key`, on both planes.

use std::borrow::Cow;

use super::Problem;
use super::problem::IDEMPOTENCY_KEY;

/// Characters of a key at most.
const KEY_MAX: usize = 255;

/// The key, bare or as a structured-field string (RFC 9651), which may also hold spaces; `None` where there is no such header.
/// `values` are those of the header.
pub fn idempotency_key<'a>(
    mut values: impl Iterator<Item = &'a [u8]>,
) -> Result<Option<Cow<'a, str>>, Problem> {
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let refused = |detail: &'static str| Err(Problem::new(&IDEMPOTENCY_KEY, detail));
    if values.next().is_some() {
        return refused("the header Idempotency-Key was sent more than once");
    }
    let text = match std::str::from_utf8(value) {
        Ok(text) if text.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t')) => text,
        _ => return refused("the Idempotency-Key has characters that are not visible ASCII"),
    };
    let key = match text.strip_prefix('"') {
        None if text.bytes().all(|b| b.is_ascii_graphic()) => Cow::Borrowed(text),
        None => return refused("the Idempotency-Key has characters that are not visible ASCII"),
        Some(rest) => match unquote(rest) {
            Some(key) => Cow::Owned(key),
            None => return refused("the Idempotency-Key begins with a quote and is no quoted string"),
        },
    };
    match key.len() {
        0 => refused("the Idempotency-Key is empty"),
        1..=KEY_MAX => Ok(Some(key)),
        _ => refused("the Idempotency-Key has more than 255 characters"),
    }
}

/// What stands after the opening quote, up to the closing one that must end it.
fn unquote(rest: &str) -> Option<String> {
    let mut text = String::with_capacity(rest.len());
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return chars.next().is_none().then_some(text),
            '\\' => text.push(chars.next().filter(|c| matches!(c, '"' | '\\'))?),
            ' '..='~' => text.push(c),
            _ => return None,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(value: &str) -> Result<Option<Cow<'_, str>>, Problem> {
        idempotency_key([value.as_bytes()].into_iter())
    }

    #[test]
    fn keys_are_bare_or_quoted() {
        let longest = "k".repeat(255);
        for (value, expected) in [
            ("abc", "abc"),
            ("\"abc\"", "abc"),
            (r#""a \"b\" \\ c""#, r#"a "b" \ c"#),
            ("a\"b", "a\"b"),
            (&longest, &longest),
        ] {
            assert_eq!(key(value).expect(value).as_deref(), Some(expected), "{value}");
        }
        assert_eq!(idempotency_key(std::iter::empty()).ok(), Some(None));
    }

    #[test]
    fn other_keys_are_refused() {
        let long = "k".repeat(256);
        let quoted_long = format!("\"{long}\"");
        for value in [
            "",
            "a b",
            "\"",
            "\"\"",
            "\"a",
            "\"a\"b",
            "\"a\\b\"",
            "\"a\";p=1",
            "ü",
            &long,
            &quoted_long,
        ] {
            let problem = key(value).expect_err(value);
            assert_eq!(
                (problem.status(), problem.reason_code().as_ref()),
                (400, "idempotency-key")
            );
        }
        assert!(idempotency_key([b"a".as_slice(), b"a"].into_iter()).is_err());
    }
}
