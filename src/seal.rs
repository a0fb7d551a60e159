//! Seals: HMAC-SHA256 under keys that gateways, landers and operators share, and that nobody else has. Pure.
//!
//! A record that carries one was written by somebody who has the key. Several keys may be valid at once: the first
//! one signs, each of them verifies, so that keys can be replaced while orders flow.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes of a secret at least: what HMAC-SHA256 can use.
pub const SECRET_BYTES_MIN: usize = 32;
/// Bytes of a key's id.
pub const ID_BYTES_MAX: usize = 32;
/// What a key's check value is computed from: no record begins like this.
const CHECK: &[u8] = b"rushgate key check";

/// The name of a key: it stands in every record that the key signed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId(String);

impl KeyId {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyId {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        match (1..=ID_BYTES_MAX).contains(&text.len()) && text.chars().all(legal) {
            true => Ok(Self(text.to_owned())),
            false => Err(KeyError::Id(text.to_owned())),
        }
    }
}

/// Why keys are refused; the text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("{0:?} is no id of a key: 1 to {ID_BYTES_MAX} letters, digits, '.', '_' or '-'")]
    Id(String),
    #[error("the secret of key {id} has {bytes} bytes; at least {SECRET_BYTES_MIN} random ones are needed")]
    Short { id: KeyId, bytes: usize },
    #[error("key {0} is given twice: every key needs an id of its own")]
    Twice(KeyId),
    #[error("no key is given")]
    None,
}

/// A secret with its name.
#[derive(Clone)]
pub struct Key {
    id: KeyId,
    /// Keyed already; never shown.
    mac: Hmac<Sha256>,
}

impl Key {
    pub fn new(id: KeyId, secret: &[u8]) -> Result<Self, KeyError> {
        let bytes = secret.len();
        let mac = Hmac::new_from_slice(secret)
            .ok()
            .filter(|_| bytes >= SECRET_BYTES_MIN);
        match mac {
            Some(mac) => Ok(Self { id, mac }),
            None => Err(KeyError::Short { id, bytes }),
        }
    }

    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// Tells two secrets under one id apart, and tells nothing of the secret: 32 hex digits.
    pub fn check_value(&self) -> String {
        let tag = self.over([Some(CHECK)].into_iter()).finalize().into_bytes();
        HEXLOWER.encode(&tag[..16])
    }

    /// Each part behind its length, an absent one apart from an empty one: no two rows of parts are fed alike.
    fn over<'a>(&self, parts: impl Iterator<Item = Option<&'a [u8]>>) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        for part in parts {
            match part {
                None => mac.update(&[0]),
                Some(bytes) => {
                    mac.update(&[1]);
                    mac.update(&(bytes.len() as u64).to_be_bytes());
                    mac.update(bytes);
                }
            }
        }
        mac
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.check_value() == other.check_value()
    }
}

/// The first half of what HMAC-SHA256 gives: enough for what carries one per order.
pub type Tag = [u8; 16];

/// Whether a tag is what one of the keys makes of the parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    Genuine,
    Wrong,
    /// No key of this id is there.
    UnknownKey,
}

/// What the seal of a record, or of one of its orders, says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seal {
    Genuine,
    /// It carries none.
    Missing,
    /// It names a key that is not there.
    UnknownKey(String),
    /// It carries one that is not its own; the text says which part is known to be wrong.
    Wrong(&'static str),
}

/// The keys of a process; the first one signs.
#[derive(Clone, Debug, PartialEq)]
pub struct Keyring(Vec<Key>);

impl Keyring {
    pub fn new(keys: Vec<Key>) -> Result<Self, KeyError> {
        for (at, key) in keys.iter().enumerate() {
            if keys[..at].iter().any(|other| other.id == key.id) {
                return Err(KeyError::Twice(key.id.clone()));
            }
        }
        match keys.is_empty() {
            true => Err(KeyError::None),
            false => Ok(Self(keys)),
        }
    }

    pub fn keys(&self) -> &[Key] {
        &self.0
    }

    /// The key that signs.
    pub fn first(&self) -> &Key {
        &self.0[0]
    }

    /// The first key's tag over the parts, 64 hex digits.
    pub fn sign<'a>(&self, parts: impl Iterator<Item = Option<&'a [u8]>>) -> String {
        HEXLOWER.encode(&self.first().over(parts).finalize().into_bytes())
    }

    /// The first key's tag over the parts, cut to half.
    pub fn sign_short<'a>(&self, parts: impl Iterator<Item = Option<&'a [u8]>>) -> Tag {
        let whole = self.first().over(parts).finalize().into_bytes();
        let mut tag = Tag::default();
        tag.copy_from_slice(&whole[..16]);
        tag
    }

    /// Compares in constant time; `tag` is what [`Self::sign_short`] gave.
    pub fn verify_short<'a>(
        &self,
        id: &str,
        parts: impl Iterator<Item = Option<&'a [u8]>>,
        tag: &Tag,
    ) -> Verification {
        let Some(key) = self.0.iter().find(|key| key.id.as_str() == id) else {
            return Verification::UnknownKey;
        };
        match key.over(parts).verify_truncated_left(tag) {
            Ok(()) => Verification::Genuine,
            Err(_) => Verification::Wrong,
        }
    }

    /// Compares in constant time; `tag` is what [`Self::sign`] gave.
    pub fn verify<'a>(
        &self,
        id: &str,
        parts: impl Iterator<Item = Option<&'a [u8]>>,
        tag: &[u8],
    ) -> Verification {
        let Some(key) = self.0.iter().find(|key| key.id.as_str() == id) else {
            return Verification::UnknownKey;
        };
        let genuine = unhex(tag).is_some_and(|tag| key.over(parts).verify_slice(&tag).is_ok());
        if genuine {
            Verification::Genuine
        } else {
            Verification::Wrong
        }
    }
}

/// The 32 bytes of 64 lower-case hex digits.
fn unhex(digits: &[u8]) -> Option<[u8; 32]> {
    let digits: &[u8; 64] = digits.try_into().ok()?;
    let mut bytes = [0; 32];
    HEXLOWER.decode_mut(digits, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, fill: u8) -> Key {
        Key::new(id.parse().expect("an id"), &[fill; 32]).expect("a key")
    }

    fn parts<'a>(texts: &'a [Option<&'a str>]) -> impl Iterator<Item = Option<&'a [u8]>> {
        texts.iter().map(|text| text.map(str::as_bytes))
    }

    #[test]
    fn the_first_key_signs_and_every_key_verifies() {
        let old = Keyring::new(vec![key("old", 1)]).expect("a ring");
        let both = Keyring::new(vec![key("new", 2), key("old", 1)]).expect("a ring");
        let (by_old, by_new) = (old.sign(parts(&[Some("a")])), both.sign(parts(&[Some("a")])));
        let verify = |ring: &Keyring, id, tag: &str| ring.verify(id, parts(&[Some("a")]), tag.as_bytes());
        assert_eq!(verify(&both, "old", &by_old), Verification::Genuine);
        assert_eq!(verify(&both, "new", &by_new), Verification::Genuine);
        assert_eq!(
            verify(&both, "new", &by_old),
            Verification::Wrong,
            "of another key"
        );
        assert_eq!(verify(&old, "new", &by_new), Verification::UnknownKey);
        for tag in [
            "",
            "00",
            &by_old.to_uppercase(),
            &by_old[..62],
            &format!("{by_old}0"),
        ] {
            assert_eq!(verify(&old, "old", tag), Verification::Wrong, "{tag}");
        }
    }

    #[test]
    fn the_tag_is_that_of_rfc_4231() {
        // Its test case 2, whose key is too short for us.
        let mut mac: Hmac<Sha256> = Hmac::new_from_slice(b"Jefe").expect("any length");
        mac.update(b"what do ya want for nothing?");
        assert_eq!(
            HEXLOWER.encode(&mac.finalize().into_bytes()),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn no_two_rows_of_parts_are_fed_alike() {
        let ring = Keyring::new(vec![key("k", 1)]).expect("a ring");
        let rows: [&[Option<&str>]; 7] = [
            &[Some("ab"), Some("c")],
            &[Some("a"), Some("bc")],
            &[Some("abc")],
            &[Some("abc"), None],
            &[Some("abc"), Some("")],
            &[None, Some("abc")],
            &[],
        ];
        let tags: std::collections::BTreeSet<String> = rows.iter().map(|row| ring.sign(parts(row))).collect();
        assert_eq!(tags.len(), rows.len());
    }

    #[test]
    fn keys_are_named_and_never_shown() {
        let error = Key::new("k".parse().expect("an id"), &[0; 31]).expect_err("short");
        assert!(error.to_string().contains("has 31 bytes; at least 32"), "{error}");
        for wrong in ["", "a b", "a:b", "ü", &"a".repeat(33)] {
            assert!(wrong.parse::<KeyId>().is_err(), "{wrong:?}");
        }
        let twice = Keyring::new(vec![key("k", 1), key("k", 2)]).expect_err("twice");
        assert_eq!(twice, KeyError::Twice("k".parse().expect("an id")));
        assert_eq!(Keyring::new(Vec::new()), Err(KeyError::None));
        assert_eq!(format!("{:?}", key("k", 7)), "Key(k)");
        assert_ne!(key("k", 1).check_value(), key("k", 2).check_value());
        assert_eq!(key("k", 1).check_value(), key("other", 1).check_value());
    }
}
