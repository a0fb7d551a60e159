//! What a module's own code threw, as its SDK hands it over: a call that ends with an exception has no other way to say
//! why.

use super::ModuleError;
use super::bindings::wit;
use crate::wire::is_hidden;

/// Key of the annotation of a descriptor, and code of a diagnostic, whose text is an exception that nobody caught.
/// Nothing else of such an answer means anything.
const UNCAUGHT: &str = "uncaught-exception";
/// Bytes of the text that are shown.
const TEXT_BYTES_MAX: usize = 2000;

/// Whether `describe` threw instead of describing.
pub(super) fn check_described(answer: &wit::Descriptor) -> Result<(), ModuleError> {
    let mut annotations = answer.annotations.iter();
    match annotations.find(|(key, _)| key == UNCAUGHT) {
        Some((_, text)) => Err(threw("describe", text)),
        None => Ok(()),
    }
}

/// Whether `compile` threw instead of saying what is wrong with the parameters.
pub(super) fn check_refused(diagnostics: &[wit::Diagnostic]) -> Result<(), ModuleError> {
    let mut diagnostics = diagnostics.iter();
    match diagnostics.find(|diagnostic| diagnostic.code == UNCAUGHT) {
        Some(diagnostic) => Err(threw("compile", &diagnostic.message)),
        None => Ok(()),
    }
}

fn threw(function: &'static str, text: &str) -> ModuleError {
    ModuleError::Misbehaved {
        function,
        code: "exception",
        message: format!("it threw {}", shown(text)),
    }
}

/// In one line, without what is not seen, and short.
fn shown(text: &str) -> String {
    let cut = text.floor_char_boundary(TEXT_BYTES_MAX);
    let mut shown = String::with_capacity(cut);
    for c in text[..cut].trim().chars() {
        match is_hidden(c) {
            true if c.is_whitespace() => shown.push(' '),
            true => shown.extend(c.escape_unicode()),
            false => shown.push(c),
        }
    }
    if shown.is_empty() {
        shown.push_str("something without a text");
    }
    if cut < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_thrown_is_one_line_of_text() {
        assert_eq!(
            shown("TypeError: no tiers (rule.js:60)"),
            "TypeError: no tiers (rule.js:60)"
        );
        assert_eq!(shown("a\n  b\u{1b}[2J\u{202e}"), "a   b\\u{1b}[2J\\u{202e}");
        assert_eq!(shown(" \n"), "something without a text");
        let long = shown(&"ü".repeat(TEXT_BYTES_MAX));
        assert!(
            long.len() < TEXT_BYTES_MAX + 10 && long.ends_with('…'),
            "{}",
            long.len()
        );
    }
}
