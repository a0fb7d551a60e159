//! Texts that are shown to people: without characters that are not seen, or that turn round what stands beside them.

/// Whether a character of a text that people read could make it read otherwise than it is: control characters, line and
/// paragraph separators, marks of the direction, and what has no width. The joiners that emoji, Arabic and Indian scripts
/// need are none of these.
pub fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            // Soft hyphen, Arabic letter mark, Mongolian vowel separator.
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            // Zero-width space; left-to-right and right-to-left marks.
            | '\u{200b}' | '\u{200e}' | '\u{200f}'
            // Separators, embeddings and overrides; word joiner, invisible operators, isolates, deprecated formats.
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            // Byte order mark, annotations, tags.
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Whether a character leaves nothing to be seen where it stands alone: spaces, what is hidden, and what only shapes or
/// fills beside others. Unicode calls most of these ignorable by default.
pub fn prints_nothing(c: char) -> bool {
    c.is_whitespace()
        || is_hidden(c)
        || is_selector(c)
        || matches!(c,
            // Joiners, of graphemes and of letters.
            '\u{34f}' | '\u{200c}' | '\u{200d}'
            // Fillers of Hangul, inherent vowels of Khmer, the empty pattern of Braille.
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' | '\u{17b4}' | '\u{17b5}' | '\u{2800}'
            // Unassigned ignorable ones, formats of shorthand and of music, the rest of the plane of tags.
            | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0080}'..='\u{e0fff}')
}

/// Whether a character says in which of its forms the one before it is shown, as behind the heart of an emoji.
pub fn is_selector(c: char) -> bool {
    matches!(c, '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// `Err` says of which character a text is that is not empty and of which nothing is seen.
pub fn check_seen(text: &str) -> Result<(), String> {
    match text.chars().next() {
        Some(first) if text.chars().all(prints_nothing) => Err(format!(
            "prints nothing: it begins with U+{:04X}, and no other character of it is seen either",
            u32::from(first)
        )),
        _ => Ok(()),
    }
}

/// `Err` says which hidden character a text has; `lines`: it may have line breaks and tabs.
pub fn check_shown(text: &str, lines: bool) -> Result<(), String> {
    let allowed = |c: char| lines && matches!(c, '\n' | '\t');
    match text.chars().find(|c| is_hidden(*c) && !allowed(*c)) {
        None => Ok(()),
        Some(c) if c.is_control() => Err(format!("contains the control character {c:?}")),
        Some(c) => Err(format!(
            "contains the character U+{:04X}, which is not seen and can make other text read otherwise",
            u32::from(c)
        )),
    }
}

/// Bytes of a note.
const NOTE_BYTES_MAX: usize = 500;

/// `Err` says what a note cannot have, which somebody leaves with a change for those who read of it later.
pub fn check_note(note: &str) -> Result<(), String> {
    match note.len() {
        0..=NOTE_BYTES_MAX => check_shown(note, false).and_then(|()| check_seen(note)),
        _ => Err(format!("is longer than {NOTE_BYTES_MAX} bytes")),
    }
}

/// The first text in a JSON value that [`check_shown`] refuses, names of members included: its RFC 6901 pointer, and why.
pub fn check_shown_json(value: &serde_json::Value) -> Result<(), (String, String)> {
    use serde_json::Value;
    let below = |token: &str, value: &Value| {
        check_shown_json(value).map_err(|(rest, why)| (format!("/{token}{rest}"), why))
    };
    match value {
        Value::String(text) => check_shown(text, true).map_err(|why| (String::new(), why)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| below(&index.to_string(), item)),
        Value::Object(members) => members.iter().try_for_each(|(name, member)| {
            check_shown(name, false)
                .map_err(|why| (String::new(), format!("has a member whose name {why}")))?;
            below(&super::json::escape(name), member)
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_refused_and_every_script_is_not() {
        for good in [
            "At most 2 per user.",
            "Höchstens 2 je Käufer – „fair“",
            "每位用户限购 2 件",
            "לכל משתמש לכל היותר 2",
            "حداکثر ۲ برای هر کاربر می\u{200c}شود",
            "👩\u{200d}🚀 2",
        ] {
            assert_eq!(check_shown(good, false), Ok(()), "{good}");
        }
        for bad in [
            "a\0b",
            "a\nb",
            "a\u{1b}[2J",
            "\u{85}",
            "\u{202e}2",
            "\u{2066}x\u{2069}",
            "\u{200b}",
            "\u{200f}",
            "\u{61c}",
            "\u{feff}",
            "\u{2028}",
            "\u{ad}",
            "\u{e0041}",
        ] {
            let why = check_shown(bad, false).expect_err(bad);
            assert!(why.chars().all(|c| !is_hidden(c)), "{why:?}");
        }
        assert_eq!(check_shown("a\n\tb", true), Ok(()));
        assert!(check_shown("a\rb", true).is_err());
    }

    #[test]
    fn what_prints_nothing_is_told_from_what_does() {
        for good in [
            "",
            "a",
            " a ",
            "👩\u{200d}🚀",
            "❤\u{fe0f}",
            "می\u{200c}شود",
            "\u{1100}\u{1160}",
        ] {
            assert_eq!(check_seen(good), Ok(()), "{good:?}");
        }
        for (bad, named) in [
            (" ", "U+0020"),
            ("\u{200b}", "U+200B"),
            ("\u{200d}\u{200c}", "U+200D"),
            ("\u{feff}", "U+FEFF"),
            ("\u{2060}", "U+2060"),
            ("\u{200f}", "U+200F"),
            ("\u{3164}", "U+3164"),
            ("\u{2800}\u{2800}", "U+2800"),
            ("\u{fe0f}", "U+FE0F"),
            ("\u{34f}", "U+034F"),
            ("\u{e0100}", "U+E0100"),
        ] {
            let why = check_seen(bad).expect_err(bad);
            assert!(why.contains(named), "{why}");
        }
    }

    #[test]
    fn json_is_looked_through() {
        let value = serde_json::json!({"a/b": [1, {"title": "x\u{202e}y"}]});
        assert_eq!(check_shown_json(&value).expect_err("hidden").0, "/a~1b/1/title");
        let value = serde_json::json!({"a": {"b\u{202e}": 1}});
        assert_eq!(check_shown_json(&value).expect_err("hidden").0, "/a");
        assert_eq!(
            check_shown_json(&serde_json::json!({"a": ["b\n", 1, null]})),
            Ok(())
        );
    }
}
