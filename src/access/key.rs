//! The text of a key, `rgk_<id>_<secret>`: who holds it may do what the key may. The id names it in lists; of the whole text a hash is
//! kept, so that nobody who reads the table can be its holder.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// SHA-256 of a token's text: what may be kept of it.
pub type KeyDigest = [u8; 32];

const PREFIX: &str = "rgk_";
/// Hex digits of an id: unique enough for a list, and no secret.
const ID_DIGITS: usize = 16;
/// Hex digits of a secret: 256 bits.
const SECRET_DIGITS: usize = 64;

pub fn digest(token: &str) -> KeyDigest {
    Sha256::digest(token.as_bytes()).into()
}

/// A new key's text. It has no `Debug`: it is shown to one person, once.
pub struct KeyText {
    id: String,
    text: String,
}

impl KeyText {
    /// From two secrets of 64 random hex digits each.
    pub fn of(id: &str, secret: &str) -> Self {
        let id: String = id.chars().take(ID_DIGITS).collect();
        let text = format!("{PREFIX}{id}_{secret}");
        Self { id, text }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// In hex, as it is kept.
    pub fn digest(&self) -> String {
        HEXLOWER.encode(&digest(&self.text))
    }

    /// Whether a text has the form of a key: nothing else is looked up.
    pub fn is_one(text: &str) -> bool {
        let is_hex = |part: &str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let parts = text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_'));
        parts.is_some_and(|(id, secret)| {
            id.len() == ID_DIGITS && secret.len() == SECRET_DIGITS && is_hex(id) && is_hex(secret)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_its_form() {
        let key = KeyText::of(&"0a".repeat(32), &"b1".repeat(32));
        assert_eq!(
            (key.id(), key.text().len()),
            ("0a0a0a0a0a0a0a0a", 4 + 16 + 1 + 64)
        );
        assert!(KeyText::is_one(key.text()));
        assert_eq!(key.digest().len(), 64);
        let text = key.text();
        for wrong in [
            "",
            "rgk_",
            &text[..84],
            &text.to_uppercase(),
            &text.replace('b', "g"),
            "t0ken",
        ] {
            assert!(!KeyText::is_one(wrong), "{wrong}");
        }
    }
}
