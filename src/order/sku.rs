//! Ids of SKUs: what shops write, `T-SHIRT RED/M`, `gid://shopify/ProductVariant/1`, `Äpfel`; and their attributes.

use super::ATTRIBUTE_NAME_BYTES_MAX;
use crate::wire::{VALUE_BYTES_MAX, check_seen, check_shown, check_text, echo, is_selector, prints_nothing};

/// Bytes of a SKU's id.
pub const SKU_BYTES_MAX: usize = 128;

/// Why an id of a SKU is refused; the text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SkuError {
    #[error("is empty")]
    Empty,
    #[error("is {0} bytes long; at most {SKU_BYTES_MAX} are allowed")]
    TooLong(usize),
    #[error(
        "begins or ends with a space; leave it out: with and without it would be two SKUs that look the same"
    )]
    Edge,
    /// Its code point.
    #[error(
        "begins or ends with U+{0:04X}, which is not seen there; leave it out: with and without it would be two SKUs \
         that look the same"
    )]
    EdgeUnseen(u32),
    #[error("{0}")]
    Hidden(String),
    #[error("{0}; write something that is seen")]
    Unseen(String),
}

/// Checks the id of a SKU: printable text of which something is seen, compared byte by byte and never folded. No space
/// stands at its edge, because the database's columns of text do not see one at the end, and no joiner, which joins
/// nothing there.
pub fn check_sku(id: &str) -> Result<(), SkuError> {
    if id.is_empty() {
        return Err(SkuError::Empty);
    }
    if id.len() > SKU_BYTES_MAX {
        return Err(SkuError::TooLong(id.len()));
    }
    // Line feeds are spaces, too, and are named as what they are.
    check_shown(id, false).map_err(SkuError::Hidden)?;
    if id.chars().all(char::is_whitespace) {
        return Err(SkuError::Edge);
    }
    check_seen(id).map_err(SkuError::Unseen)?;
    match unseen_edge(id) {
        None => Ok(()),
        Some(c) if c.is_whitespace() => Err(SkuError::Edge),
        Some(c) => Err(SkuError::EdgeUnseen(u32::from(c))),
    }
}

/// A character that is not seen where the text begins or ends.
fn unseen_edge(text: &str) -> Option<char> {
    let first = text.chars().next().filter(|c| prints_nothing(*c));
    // A selector is of the character before it, so that it may be the last.
    let last = text.chars().next_back();
    first.or(last.filter(|c| prints_nothing(*c) && !is_selector(*c)))
}

/// Whether people see what a name or a value of an attribute is, from its first character to its last.
fn check_seen_whole(text: &str) -> Result<(), String> {
    check_shown(text, false)?;
    let Some(c) = unseen_edge(text) else {
        return Ok(());
    };
    check_seen(text).map_err(|wrong| format!("{wrong}; write something that is seen"))?;
    let what = match c.is_whitespace() {
        true => "a space".to_owned(),
        false => format!("U+{:04X}, which is not seen there", u32::from(c)),
    };
    Err(format!(
        "begins or ends with {what}; leave it out: with and without it would be two that look the same"
    ))
}

/// Checks an attribute of a SKU; `Err` says what is wrong with its name or its value. Both are shown to people, and a
/// value is counted and compared byte by byte. One that is empty is refused: that is what a SKU without it has.
pub fn check_sku_attribute(name: &str, value: &str) -> Result<(), String> {
    let most = ATTRIBUTE_NAME_BYTES_MAX;
    if !(1..=most).contains(&name.len()) {
        let (name, bytes) = (echo(name), name.len());
        return Err(format!("the name {name} has {bytes} bytes; use 1 to {most}"));
    }
    check_seen_whole(name).map_err(|wrong| format!("the name {} {wrong}", echo(name)))?;
    let of = |wrong| format!("the value of {} {wrong}", echo(name));
    if value.is_empty() {
        let wrong = format!("is empty; use 1 to {VALUE_BYTES_MAX} bytes, or leave the attribute out");
        return Err(of(wrong));
    }
    check_text(value)
        .and_then(|()| check_seen_whole(value))
        .map_err(of)
}

/// An id within a sentence that people read: as it is where it is one word, and quoted where a reader could not see
/// where it ends.
pub fn shown_sku(id: &str) -> std::borrow::Cow<'_, str> {
    let is_word = !id.is_empty() && check_sku(id).is_ok() && !id.contains([' ', '"', ',']);
    match is_word {
        true => id.into(),
        false => echo(id).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_what_shops_write() {
        let long = "ü".repeat(SKU_BYTES_MAX / 2);
        for good in [
            "mug",
            "gid://shopify/ProductVariant/1",
            "T-SHIRT RED/M",
            "RED/M x",
            "Äpfel",
            "{a}",
            "a'b\"c\\d",
            "-x",
            "50% + 1 & 2? #3",
            "茶碗 ２つ",
            "👩\u{200d}🚀",
            "❤\u{fe0f}",
            long.as_str(),
        ] {
            assert_eq!(check_sku(good), Ok(()), "{good}");
        }
        assert_eq!(check_sku(""), Err(SkuError::Empty));
        assert_eq!(check_sku(&"a".repeat(129)), Err(SkuError::TooLong(129)));
        for edge in [" a", "a ", " ", "a\u{a0}", "\u{3000}a"] {
            assert_eq!(check_sku(edge), Err(SkuError::Edge), "{edge:?}");
        }
        for hidden in [
            "a\0",
            "a\nb",
            "a\n",
            "\ta",
            "a\u{7f}",
            "a\u{85}",
            "a\u{202e}b",
            "a\u{200b}",
            "\u{feff}a",
        ] {
            let error = check_sku(hidden).expect_err("hidden");
            assert!(matches!(error, SkuError::Hidden(_)), "{hidden:?}: {error}");
            assert!(check_shown(&error.to_string(), false).is_ok(), "{error:?}");
        }
    }

    #[test]
    fn of_an_id_something_is_seen() {
        for (unseen, named) in [
            ("\u{200d}", "U+200D"),
            ("\u{200c}\u{200d}", "U+200C"),
            ("\u{200d} \u{200d}", "U+200D"),
            ("\u{3164}", "U+3164"),
            ("\u{2800}", "U+2800"),
            ("\u{fe0f}", "U+FE0F"),
            ("\u{e0100}", "U+E0100"),
        ] {
            let error = check_sku(unseen).expect_err("unseen");
            assert!(matches!(error, SkuError::Unseen(_)), "{unseen:?}: {error}");
            assert!(error.to_string().contains(named), "{error}");
        }
        for hidden in ["\u{200b}", "\u{feff}", "\u{2060}", "\u{200e}", "\u{2066}\u{2069}"] {
            let error = check_sku(hidden).expect_err("hidden");
            let named = format!("U+{:04X}", hidden.chars().next().map_or(0, u32::from));
            assert!(error.to_string().contains(&named), "{error}");
        }
        for (edge, c) in [
            ("\u{200d}a", 0x200d),
            ("a\u{200d}", 0x200d),
            ("a\u{3164}", 0x3164),
            ("\u{fe0f}a", 0xfe0f),
        ] {
            assert_eq!(check_sku(edge), Err(SkuError::EdgeUnseen(c)), "{edge:?}");
        }
    }

    #[test]
    fn attributes_are_seen_from_edge_to_edge() {
        for good in [
            "mugs",
            "50% off",
            "T-Shirt RED/M",
            "茶碗 ２つ",
            "❤\u{fe0f}",
            "می\u{200c}شود",
        ] {
            assert_eq!(check_sku_attribute(good, good), Ok(()), "{good:?}");
        }
        for (bad, wrong) in [
            (" mugs", "begins or ends with a space"),
            ("mugs ", "begins or ends with a space"),
            ("mugs\u{a0}", "begins or ends with a space"),
            ("mugs\u{200d}", "begins or ends with U+200D"),
            ("\u{3164}mugs", "begins or ends with U+3164"),
            ("\u{fe0f}mugs", "begins or ends with U+FE0F"),
            (" ", "prints nothing"),
            ("\u{2800}", "prints nothing"),
            ("mu\u{200b}gs", "U+200B"),
            ("mugs\n", "control character"),
        ] {
            let name = check_sku_attribute(bad, "mugs").expect_err(bad);
            assert!(name.starts_with("the name ") && name.contains(wrong), "{name}");
            let value = check_sku_attribute("category", bad).expect_err(bad);
            assert!(value.starts_with("the value of \"category\" "), "{value}");
            assert!(value.contains(wrong), "{value}");
        }
    }

    #[test]
    fn a_sentence_shows_where_an_id_ends() {
        assert_eq!(shown_sku("mug"), "mug");
        assert_eq!(
            shown_sku("gid://shopify/ProductVariant/1"),
            "gid://shopify/ProductVariant/1"
        );
        assert_eq!(shown_sku("RED/M x"), "\"RED/M x\"");
        assert_eq!(shown_sku("a\nb"), "\"a\\nb\"");
    }
}
