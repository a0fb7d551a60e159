//! Which names a plan may carry: of rules, parts of a counter id, reasons, claims, client attributes and those of SKUs.

use super::error::Refusal;
use super::{ATTRIBUTE_NAME_BYTES_MAX, Attribute, NAME_BYTES_MAX};

/// `[a-z0-9][a-z0-9-]*`, at most [`NAME_BYTES_MAX`] bytes: rule names and the parts of a counter id.
pub(super) fn is_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.starts_with('-') && (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

/// Lower-case words joined by single hyphens.
pub(super) fn is_reason(text: &str) -> bool {
    is_name(text) && !text.ends_with('-') && !text.contains("--")
}

/// Code and message where the name of a claim, of a client attribute or of a SKU's is not allowed.
pub(super) fn check_attribute(attribute: &Attribute) -> Result<(), Refusal> {
    if let Attribute::Folded { of, .. } = attribute
        && !matches!(**of, Attribute::User | Attribute::Claim(_) | Attribute::Client(_))
    {
        return Err(("attribute", format!("{of} cannot be folded")));
    }
    let (Attribute::Claim(name) | Attribute::Client(name) | Attribute::OfSku(name)) = attribute.brought()
    else {
        return Ok(());
    };
    if name.is_empty() || name.len() > ATTRIBUTE_NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let message = format!(
            "the attribute name {name:?} is not of 1 to {ATTRIBUTE_NAME_BYTES_MAX} bytes without control characters"
        );
        return Err(("attribute", message));
    }
    Ok(())
}
