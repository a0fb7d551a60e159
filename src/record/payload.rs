//! The payload of one order: what was asked for, when, and the seal of the gateway that asked.
//!
//! A gateway makes it before the call that decides the order; the script and every publisher pass it on unchanged. The
//! seal is over the order and over what it was asked for under (campaign, shard, epoch, revision), so a payload is worth
//! nothing in another record. When the entry was decided nobody knows beforehand: landing holds that against `asked_at`.

use serde::{Deserialize, Serialize};

use crate::order::{Attempt, OrderId, array};
use crate::seal::{ID_BYTES_MAX, KeyId, Keyring, Seal, Tag, Verification};

/// What a seal is computed over begins with this: the keys are good for nothing else.
const PURPOSE: &[u8] = b"rushgate order 1";
/// Kind of an attribute's value that is its text. Others may come: texts that were folded into fewer bytes.
const KIND_TEXT: u8 = 0;
/// Kind of one that is an [`array`] of texts. A build that does not know it takes no such order for one without.
const KIND_ARRAY: u8 = 1;
/// Bytes that stand before the order's at most.
const FRONT_BYTES_MAX: usize = 32 + ID_BYTES_MAX;

/// What an order is asked for under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope<'a> {
    /// Of the campaign.
    pub uid: &'a str,
    pub shard: u32,
    pub epoch: u64,
    pub revision: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Tagged<'a> {
    key: &'a str,
    tag: Tag,
}

/// What stands before the order's bytes, which go on to the payload's end.
#[derive(Serialize, Deserialize)]
struct Front<'a> {
    asked_at: i64,
    #[serde(borrow)]
    seal: Option<Tagged<'a>>,
}

#[derive(Serialize, Deserialize)]
struct Body<'a> {
    order: [u8; 16],
    user: &'a str,
    sku: &'a str,
    quantity: u32,
    #[serde(borrow)]
    attributes: Vec<Value<'a>>,
}

/// An attribute. Whatever its kind, its end is known, so an unknown kind can be told from nonsense.
#[derive(Serialize, Deserialize)]
struct Value<'a> {
    name: &'a str,
    kind: u8,
    #[serde(borrow)]
    bytes: Bytes<'a>,
}

/// Written in one piece; a slice would be written byte by byte.
#[derive(Deserialize)]
struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// Why an order's payload cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    #[error("the payload's seal cannot be read: {0}")]
    Front(postcard::Error),
    #[error("the payload's order cannot be read: {0}")]
    Body(postcard::Error),
    #[error("attribute {name:?} is of kind {kind}, which this build does not read")]
    Kind { name: String, kind: u8 },
    #[error("attribute {0:?} is not UTF-8")]
    Text(String),
    #[error("attribute {0:?} is an array and a text at once")]
    Array(String),
    #[error("attribute {0:?} is given twice")]
    Twice(String),
    #[error("payload with {0} bytes behind its order")]
    Trailing(usize),
}

/// The payload of an attempt: see [`write_payload`].
pub fn encode_payload(
    attempt: &Attempt,
    asked_at: i64,
    scope: &Scope<'_>,
    keys: Option<&Keyring>,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_payload(attempt, asked_at, scope, keys, &mut bytes);
    bytes
}

/// Appends the payload of an attempt. `asked_at`: the gateway's clock, milliseconds since 1970-01-01 UTC. Without `keys` it
/// carries no seal.
pub fn write_payload(
    attempt: &Attempt,
    asked_at: i64,
    scope: &Scope<'_>,
    keys: Option<&Keyring>,
    bytes: &mut Vec<u8>,
) {
    let begin = bytes.len();
    let value = |(name, text): (&'_ String, &'_ String)| (name.len(), text.len());
    let texts: usize = attempt.attributes.iter().map(value).map(|(a, b)| a + b + 4).sum();
    bytes.reserve(96 + attempt.user.len() + attempt.sku.len() + texts);
    let body = Body {
        order: attempt.order.to_bytes(),
        user: &attempt.user,
        sku: &attempt.sku,
        quantity: attempt.quantity,
        attributes: attempt
            .attributes
            .iter()
            .map(|(name, text)| Value {
                name,
                kind: kind_of(text),
                bytes: Bytes(text.as_bytes()),
            })
            .collect(),
    };
    let plain = "plain data into a vector";
    *bytes = postcard::to_extend(&body, std::mem::take(bytes)).expect(plain);
    let body = &bytes[begin..];
    let seal = keys.map(|keys| {
        let key = keys.first().id().as_str();
        let tag = with_parts(scope, key, asked_at, body, |parts| keys.sign_short(parts));
        Tagged { key, tag }
    });
    // The seal is over the body, and stands before it.
    let mut room = [0; FRONT_BYTES_MAX];
    let front = postcard::to_slice(&Front { asked_at, seal }, &mut room).expect("a key's id is short");
    bytes.splice(begin..begin, front.iter().copied());
}

fn kind_of(value: &str) -> u8 {
    match array::is_array(value) {
        true => KIND_ARRAY,
        false => KIND_TEXT,
    }
}

/// What a seal is computed over.
fn with_parts<T>(
    scope: &Scope<'_>,
    key: &str,
    asked_at: i64,
    body: &[u8],
    tag: impl FnOnce(std::array::IntoIter<Option<&[u8]>, 8>) -> T,
) -> T {
    let (shard, epoch) = (scope.shard.to_be_bytes(), scope.epoch.to_be_bytes());
    let (revision, asked_at) = (scope.revision.to_be_bytes(), asked_at.to_be_bytes());
    let parts: [&[u8]; 8] = [
        PURPOSE,
        key.as_bytes(),
        scope.uid.as_bytes(),
        &shard,
        &epoch,
        &revision,
        &asked_at,
        body,
    ];
    tag(parts.map(Some).into_iter())
}

/// A payload that was read, its order not looked into yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<'a> {
    /// See [`encode_payload`].
    pub asked_at: i64,
    seal: Option<Tagged<'a>>,
    body: &'a [u8],
}

impl<'a> Payload<'a> {
    pub fn read(bytes: &'a [u8]) -> Result<Self, PayloadError> {
        let (front, body) = postcard::take_from_bytes::<Front<'a>>(bytes).map_err(PayloadError::Front)?;
        Ok(Self {
            asked_at: front.asked_at,
            seal: front.seal,
            body,
        })
    }

    /// What the seal says. Without `keys`, every key is an unknown one.
    pub fn seal(&self, scope: &Scope<'_>, keys: Option<&Keyring>) -> Seal {
        let Some(Tagged { key, tag }) = self.seal else {
            return Seal::Missing;
        };
        let verification = keys.map_or(Verification::UnknownKey, |keys| {
            with_parts(scope, key, self.asked_at, self.body, |parts| {
                keys.verify_short(key, parts, &tag)
            })
        });
        match verification {
            Verification::Genuine => Seal::Genuine,
            Verification::Wrong => Seal::Wrong("its seal is not what its key makes of it"),
            Verification::UnknownKey => match key.parse::<KeyId>() {
                Ok(id) => Seal::UnknownKey(id.to_string()),
                Err(_) => Seal::Wrong("its seal names no key"),
            },
        }
    }

    /// The order that was asked for.
    pub fn attempt(&self) -> Result<Attempt, PayloadError> {
        let (body, rest) = postcard::take_from_bytes::<Body<'a>>(self.body).map_err(PayloadError::Body)?;
        if !rest.is_empty() {
            return Err(PayloadError::Trailing(rest.len()));
        }
        let mut attempt = Attempt {
            order: OrderId::from_bytes(body.order),
            user: body.user.to_owned(),
            sku: body.sku.to_owned(),
            quantity: body.quantity,
            attributes: Default::default(),
        };
        for Value { name, kind, bytes } in body.attributes {
            let name = name.to_owned();
            if !matches!(kind, KIND_TEXT | KIND_ARRAY) {
                return Err(PayloadError::Kind { name, kind });
            }
            let Ok(text) = std::str::from_utf8(bytes.0) else {
                return Err(PayloadError::Text(name));
            };
            if kind != kind_of(text) {
                return Err(PayloadError::Array(name));
            }
            if attempt.attributes.contains_key(&name) {
                return Err(PayloadError::Twice(name));
            }
            attempt.attributes.insert(name, text.to_owned());
        }
        Ok(attempt)
    }
}
