//! The body of an order: read within bounds of size and time, then checked value by value.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Body;
use serde::Deserialize;
use serde::de::{self, MapAccess, Visitor};

use crate::order::{
    CLIENT_ATTRIBUTES_MAX, OrderId, QUANTITY_MAX, REPLACES, body_fingerprint, check_client_attribute,
    check_sku,
};
use crate::serving;
use crate::serving::body::{Bounds, Unread};
use crate::wire::problem::{INVALID, MALFORMED, TIMEOUT, TOO_LARGE};
use crate::wire::{Problem, check_text, echo, json};

/// Bytes of an order's body.
pub const BODY_BYTES_MAX: usize = 16 * 1024;
const BOUNDS: Bounds = Bounds {
    most: BODY_BYTES_MAX,
    discarded: 1024 * 1024,
};

/// What a client asks for, checked.
#[derive(Debug, PartialEq, Eq)]
pub struct OrderBody<'a> {
    pub sku: Cow<'a, str>,
    pub quantity: u32,
    /// By name.
    pub attributes: BTreeMap<Cow<'a, str>, Cow<'a, str>>,
    /// An order that was not paid in time.
    pub replaces: Option<OrderId>,
}

impl OrderBody<'_> {
    /// See [`body_fingerprint`].
    pub fn fingerprint(&self) -> String {
        let attributes = self.attributes.iter();
        let attributes = attributes.map(|(name, value)| (&**name, &**value));
        let mut room = [0; 32];
        let replaced = self
            .replaces
            .as_ref()
            .map(|order| (REPLACES, order.encode(&mut room)));
        body_fingerprint(&self.sku, self.quantity, attributes.chain(replaced))
    }
}

/// Reads the whole body of an order.
pub async fn read<B>(body: B, within: Duration) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: fmt::Display,
{
    let read = serving::body::read(body, BOUNDS, within).await;
    read.map_err(|unread| match unread {
        Unread::TooLarge => Problem::new(
            &TOO_LARGE,
            format!("the body of an order may have at most {BODY_BYTES_MAX} bytes"),
        ),
        Unread::CutOff(_) => Problem::new(&MALFORMED, unread.to_string()),
        Unread::Late(_) => Problem::new(&TIMEOUT, unread.to_string()),
    })
}

#[derive(Deserialize, utoipa::ToSchema)]
#[schema(as = NewOrder)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw<'a> {
    /// Up to 128 bytes.
    #[serde(borrow)]
    #[schema(value_type = String, min_length = 1, max_length = 128)]
    sku: Text<'a>,
    /// Units.
    #[schema(value_type = u32, minimum = 1, maximum = 1_000_000)]
    quantity: Quantity,
    /// What rules read as `client:<name>`, up to 16, each a text of up to 256 bytes.
    #[serde(default, borrow)]
    #[schema(value_type = BTreeMap<String, String>)]
    attributes: Attributes<'a>,
    /// An order of this buyer and campaign that was not paid in time.
    #[serde(default, borrow)]
    #[schema(value_type = Option<OrderId>)]
    replaces: Option<Text<'a>>,
}

/// Checks the body of `POST …/orders`.
pub fn parse(body: &[u8]) -> Result<OrderBody<'_>, Problem> {
    let raw: Raw<'_> = json::parse(body)?;
    let sku = raw.sku.0;
    check_sku(&sku)
        .map_err(|error| Problem::new(&INVALID, format!("SKU {} {error}", echo(&sku))).pointer("/sku"))?;
    let attributes = raw.attributes.0;
    if attributes.len() > CLIENT_ATTRIBUTES_MAX {
        let detail = format!(
            "{} attributes; at most {CLIENT_ATTRIBUTES_MAX} are allowed",
            attributes.len()
        );
        return Err(Problem::new(&INVALID, detail).pointer("/attributes"));
    }
    for (name, value) in &attributes {
        let wrong = check_client_attribute(name).and_then(|()| {
            check_text(value).map_err(|wrong| format!("the value of attribute {} {wrong}", echo(name)))
        });
        if let Err(detail) = wrong {
            let pointer = format!("/attributes/{}", json::escape(name));
            return Err(Problem::new(&INVALID, detail).pointer(pointer));
        }
    }
    let replaces = raw.replaces.map(|id| replaced(&id.0)).transpose()?;
    Ok(OrderBody {
        replaces,
        sku,
        quantity: raw.quantity.0,
        attributes,
    })
}

fn replaced(id: &str) -> Result<OrderId, Problem> {
    id.parse().map_err(|error| {
        Problem::new(&INVALID, format!("replaces is {}: {error}", echo(id))).pointer("/replaces")
    })
}

/// A string, borrowed from the body where it has no escapes.
#[derive(Default)]
struct Text<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: de::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, v: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(v)))
            }

            fn visit_str<E>(self, v: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(v.to_owned())))
            }
        }
        d.deserialize_str(TextVisitor)
    }
}

/// 1 to [`QUANTITY_MAX`]; every other number is named as what it is.
struct Quantity(u32);

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: de::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct QuantityVisitor;
        impl Visitor<'_> for QuantityVisitor {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a whole number from 1 to {QUANTITY_MAX}")
            }

            fn visit_u64<E: de::Error>(self, v: u64) -> Result<Quantity, E> {
                match u32::try_from(v) {
                    Ok(quantity @ 1..=QUANTITY_MAX) => Ok(Quantity(quantity)),
                    _ => Err(E::invalid_value(de::Unexpected::Unsigned(v), &self)),
                }
            }

            fn visit_i64<E: de::Error>(self, v: i64) -> Result<Quantity, E> {
                Err(E::invalid_value(de::Unexpected::Signed(v), &self))
            }

            fn visit_f64<E: de::Error>(self, v: f64) -> Result<Quantity, E> {
                Err(E::invalid_value(de::Unexpected::Float(v), &self))
            }
        }
        d.deserialize_u32(QuantityVisitor)
    }
}

/// Names and values as they came; a name that comes twice is refused, since the buyer could not know
/// which one counts.
#[derive(Default)]
struct Attributes<'a>(BTreeMap<Cow<'a, str>, Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Attributes<'a> {
    fn deserialize<D: de::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct AttributesVisitor;
        impl<'de> Visitor<'de> for AttributesVisitor {
            type Value = Attributes<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut attributes = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<Text<'de>, Text<'de>>()? {
                    if attributes.contains_key(&name.0) {
                        return Err(de::Error::custom(format!("attribute {} twice", echo(&name.0))));
                    }
                    attributes.insert(name.0, value.0);
                }
                Ok(Attributes(attributes))
            }
        }
        d.deserialize_map(AttributesVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_body() {
        let body = br#" {"quantity":2,"sku":"phone-\u0031","attributes":{"device":"d 1","b_2":"\u00fc"}} "#;
        assert_eq!(
            parse(body).expect("valid"),
            OrderBody {
                sku: "phone-1".into(),
                quantity: 2,
                attributes: [("b_2".into(), "ü".into()), ("device".into(), "d 1".into())].into(),
                replaces: None,
            }
        );
    }

    #[test]
    fn what_an_order_replaces_is_a_part_of_its_body() {
        let id = "0123456789abcdef0123456789abcdef";
        let body = |more: &str| format!(r#"{{"sku":"a","quantity":1{more}}}"#);
        let (without, with) = (body(""), body(&format!(r#","replaces":"{id}""#)));
        let (without, with) = (
            parse(without.as_bytes()).expect("valid"),
            parse(with.as_bytes()).expect("valid"),
        );
        assert_eq!(with.replaces.map(|order| order.to_string()).as_deref(), Some(id));
        assert_ne!(with.fingerprint(), without.fingerprint());
    }

    #[test]
    fn wrong_values_have_pointers() {
        let long = "x".repeat(10_240);
        let many: Vec<_> = (0..17).map(|n| format!("\"a{n}\":\"\"")).collect();
        let with = |attributes: &str| format!(r#"{{"sku":"a","quantity":1,"attributes":{attributes}}}"#);
        for (body, pointer) in [
            (r#"{"sku":"a","quantity":0}"#.to_owned(), "/quantity"),
            (r#"{"sku":"a","quantity":-1}"#.into(), "/quantity"),
            (r#"{"sku":"a","quantity":1.5}"#.into(), "/quantity"),
            (r#"{"sku":"a","quantity":1e0}"#.into(), "/quantity"),
            (r#"{"sku":"a","quantity":1000001}"#.into(), "/quantity"),
            (r#"{"sku":"a","quantity":4294967297}"#.into(), "/quantity"),
            (r#"{"sku":"a","quantity":9007199254740992}"#.into(), "/quantity"),
            (
                r#"{"sku":"a","quantity":99999999999999999999999}"#.into(),
                "/quantity",
            ),
            (r#"{"sku":"a","quantity":"1"}"#.into(), "/quantity"),
            (r#"{"sku":"a","quantity":null}"#.into(), "/quantity"),
            (r#"{"sku":"a"}"#.into(), "/quantity"),
            (r#"{"quantity":1}"#.into(), "/sku"),
            (r#"{"sku":7,"quantity":1}"#.into(), "/sku"),
            (r#"{"sku":"","quantity":1}"#.into(), "/sku"),
            (r#"{"sku":"a\u0000","quantity":1}"#.into(), "/sku"),
            (r#"{"sku":"a\nb","quantity":1}"#.into(), "/sku"),
            (r#"{"sku":" a","quantity":1}"#.into(), "/sku"),
            (r#"{"sku":"a ","quantity":1}"#.into(), "/sku"),
            (r#"{"sku":"a\u202eb","quantity":1}"#.into(), "/sku"),
            (format!(r#"{{"sku":"{}","quantity":1}}"#, "a".repeat(129)), "/sku"),
            (format!(r#"{{"sku":"{long}","quantity":1}}"#), "/sku"),
            (r#"{"sku":"a","quantity":1,"price":1}"#.into(), "/price"),
            (r#"{"sku":"a","sku":"b","quantity":1}"#.into(), "/sku"),
            (with("[]"), "/attributes"),
            (with("null"), "/attributes"),
            (with(&format!("{{{}}}", many.join(","))), "/attributes"),
            (with(r#"{"device":7}"#), "/attributes/device"),
            (with(r#"{"device":{"a":1}}"#), "/attributes/device"),
            (with(r#"{"device":["a"]}"#), "/attributes/device"),
            (with(r#"{"device":["a","b"]}"#), "/attributes/device"),
            (with(r#"{"device":[]}"#), "/attributes/device"),
            (with(r#"{"device":null}"#), "/attributes/device"),
            (with(r#"{"device":true}"#), "/attributes/device"),
            (with(r#"{"device":"\u001fa\u001fb"}"#), "/attributes/device"),
            (with(r#"{"device":"a\u0000"}"#), "/attributes/device"),
            (with(&format!(r#"{{"device":"{long}"}}"#)), "/attributes/device"),
            (with(r#"{"De/vice":"a"}"#), "/attributes/De~1vice"),
            (with(r#"{"":"a"}"#), "/attributes/"),
            (with(r#"{"a":"1","a":"2"}"#), "/attributes"),
            (
                r#"{"sku":"a","quantity":1,"replaces":"cart-1"}"#.into(),
                "/replaces",
            ),
            (r#"{"sku":"a","quantity":1,"replaces":7}"#.into(), "/replaces"),
        ] {
            let problem = parse(body.as_bytes()).expect_err(&body);
            let shown = String::from_utf8(problem.to_json()).expect("UTF-8");
            let json: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
            assert_eq!(
                (problem.status(), json["pointer"].as_str()),
                (422, Some(pointer)),
                "{shown}"
            );
            assert!(
                shown.len() < 700,
                "long text is not sent back whole: {}",
                shown.len()
            );
        }
    }
}
