//! The two ways foreign text enters a script: as a string literal, or inside a comment.

use std::fmt::Write as _;

/// A Lua string literal of exactly these bytes. Anything but plain printable ASCII is a decimal
/// escape, so no text can end the literal.
pub(super) fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for byte in text.bytes() {
        match byte {
            b'\'' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            // Three digits always: a digit may follow.
            _ => {
                let _ = write!(out, "\\{byte:03}");
            }
        }
    }
    out.push('\'');
    out
}

/// One line of comment text: whatever could end the line, or turn its reading around, is a space.
pub(super) fn comment(text: &str) -> String {
    let dangerous = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if dangerous(c) { ' ' } else { c }).collect()
}

/// An integer as an operand: a negative one in parentheses, because `--` starts a comment.
pub(super) fn integer(n: i64) -> String {
    if n < 0 { format!("({n})") } else { n.to_string() }
}

/// Indented lines of Lua.
#[derive(Default)]
pub(super) struct Lines {
    text: String,
    depth: usize,
}

impl Lines {
    pub(super) fn line(&mut self, line: impl AsRef<str>) {
        let line = line.as_ref();
        if !line.is_empty() {
            self.text.extend(std::iter::repeat_n("  ", self.depth));
            self.text.push_str(line);
        }
        self.text.push('\n');
    }

    /// Appends a hand-written part as it is.
    pub(super) fn part(&mut self, part: &str) {
        self.text.push_str(part);
    }

    /// A line that opens a block.
    pub(super) fn open(&mut self, line: impl AsRef<str>) {
        self.line(line);
        self.depth += 1;
    }

    /// Closes the innermost block.
    pub(super) fn close(&mut self, line: &str) {
        self.depth -= 1;
        self.line(line);
    }

    /// What follows stands inside a block that a part has opened.
    pub(super) fn indent(&mut self) {
        self.depth += 1;
    }

    pub(super) fn outdent(&mut self) {
        self.depth -= 1;
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_can_leave_its_literal() {
        assert_eq!(literal("plain text"), "'plain text'");
        assert_eq!(literal("it's \\ \"q\""), "'it\\'s \\\\ \"q\"'");
        assert_eq!(literal("a\n1\0ü]]"), "'a\\0101\\000\\195\\188]]'");
    }

    #[test]
    fn no_text_can_leave_its_comment() {
        assert_eq!(comment("a\r\nos.exit()\u{2028}\u{202e}b\0"), "a  os.exit()  b ");
    }

    #[test]
    fn negative_operands_never_start_a_comment() {
        assert_eq!(format!("1 - {}", integer(-5)), "1 - (-5)");
    }
}
