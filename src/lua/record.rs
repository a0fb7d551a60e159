//! Records of orders: the text kept in `buyers:<bucket>` for status, idempotency and release.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;

use super::reply::CodecError;
use crate::order::{Attempt, BODY, OrderId, REPLACES, replaced_by};
use crate::plan::CheckedPlan;
use crate::plan::decision::Placed;

/// The entry in the record of an order that never was in this outbox (a restored one).
pub const NO_ENTRY: &str = "0-0";

/// Between the quantity and the length of the user's text, where attributes follow the user.
const KEPT: char = '+';
/// Between what stands of the quantity and the length of the SKU's text, where that has a space.
const SPACED: char = '/';

/// By the text form of [`crate::plan::Attribute`]. An array is kept as the one text that it is in an attempt, so that a
/// gateway of a release that knew none can read the record all the same.
pub type Attributes = BTreeMap<String, String>;

/// What is kept of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub placed: Placed,
    /// Id of the outbox entry it was written with: [`NO_ENTRY`] where there was none.
    pub entry: String,
    /// What its plan reads of the attempt besides user, SKU and quantity, [`BODY`] and [`REPLACES`]. `None` where there is none
    /// of them, and in records that were written before attributes were kept.
    pub attributes: Option<Attributes>,
}

impl Record {
    /// `<flag> <entry> <revision> <placed_at> <quantity> <sku> <user>`; flag `a` for admitted, `r` for released. The user is
    /// last: it may contain spaces. An entry of the millisecond of `placed_at` is its number behind that, `-0`. With
    /// attributes, `+<bytes of the user>` follows the quantity, and their JSON, where there are any, the user. A SKU that
    /// contains spaces has its length there, too, `/<bytes of the SKU>`: builds that knew none take no such record for
    /// that of another SKU and user.
    pub fn encode(&self) -> String {
        let Placed {
            placed_at,
            revision,
            released,
            ..
        } = &self.placed;
        let flag = if *released { 'r' } else { 'a' };
        let entry = match self.entry.as_str() {
            "" => NO_ENTRY,
            entry => entry,
        };
        let moment = placed_at.to_string();
        let number = entry.strip_prefix(&moment).filter(|rest| rest.starts_with('-'));
        let entry = number.unwrap_or(entry);
        let tail = Tail {
            quantity: self.placed.quantity,
            sku: &self.placed.sku,
            user: &self.placed.user,
            attributes: self.attributes.as_ref(),
        };
        format!("{flag} {entry} {revision} {placed_at} {tail}")
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let odd = || CodecError::new("record", format!("{:?}", bytes.escape_ascii().to_string()));
        let text = std::str::from_utf8(bytes).map_err(|_| odd())?;
        let parts: Vec<&str> = text.splitn(6, ' ').collect();
        let [flag, entry, revision, placed_at, quantity, rest] = parts[..] else {
            return Err(odd());
        };
        let (quantity, sku, rest) = sku_of(quantity, rest).ok_or_else(odd)?;
        let (quantity, user, attributes) = match quantity.split_once(KEPT) {
            None => (quantity, rest, None),
            Some((quantity, length)) => {
                let length = length.parse().map_err(|_| odd())?;
                let (user, json) = rest.split_at_checked(length).ok_or_else(odd)?;
                let attributes = match json {
                    "" => Attributes::new(),
                    json => serde_json::from_str(json).map_err(|_| odd())?,
                };
                (quantity, user, Some(attributes))
            }
        };
        let body = attributes
            .as_ref()
            .and_then(|attributes: &Attributes| attributes.get(BODY));
        let placed = Placed {
            body: body.cloned(),
            replaces: attributes.as_ref().and_then(replaced_by),
            placed_at: placed_at.parse().map_err(|_| odd())?,
            revision: revision.parse().map_err(|_| odd())?,
            quantity: quantity.parse().map_err(|_| odd())?,
            sku: sku.to_owned(),
            user: user.to_owned(),
            released: match flag {
                "a" => false,
                "r" => true,
                _ => return Err(odd()),
            },
        };
        Ok(Self {
            placed,
            entry: match entry.starts_with('-') {
                true => format!("{placed_at}{entry}"),
                false => entry.to_owned(),
            },
            attributes,
        })
    }

    /// The attempt that was admitted; `None` where `plan`, under which it was, reads what the record does not have.
    pub fn attempt(&self, order: OrderId, plan: &CheckedPlan) -> Option<Attempt> {
        let attributes = match &self.attributes {
            Some(attributes) => attributes.clone(),
            None if plan.attributes().is_empty() => Attributes::new(),
            None => return None,
        };
        Some(Attempt {
            order,
            user: self.placed.user.clone(),
            sku: self.placed.sku.clone(),
            quantity: self.placed.quantity,
            attributes,
        })
    }
}

/// The SKU at the start of `rest`, with what stands before its length and behind it.
fn sku_of<'a>(quantity: &'a str, rest: &'a str) -> Option<(&'a str, &'a str, &'a str)> {
    let Some((quantity, length)) = quantity.split_once(SPACED) else {
        let (sku, rest) = rest.split_once(' ')?;
        return Some((quantity, sku, rest));
    };
    let (sku, rest) = rest.split_at_checked(length.parse().ok()?)?;
    Some((quantity, sku, rest.strip_prefix(' ')?))
}

/// Of these attributes, those that the plan reads, [`BODY`] and [`REPLACES`]; `None` where it reads none and those are not there,
/// so that records stay short.
pub fn kept(plan: &CheckedPlan, attributes: &Attributes) -> Option<Attributes> {
    let reads = plan.attributes();
    let beside = [BODY, REPLACES].map(|name| attributes.get_key_value(name));
    if reads.is_empty() && beside == [None; 2] {
        return None;
    }
    let names = reads.iter().map(ToString::to_string);
    let found = names
        .filter_map(|name| attributes.get_key_value(&name))
        .chain(beside.into_iter().flatten());
    Some(found.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// Like [`Record::decode`], for those who do not need the attributes.
pub fn decode_record(bytes: &[u8]) -> Result<(Placed, String), CodecError> {
    let record = Record::decode(bytes)?;
    Ok((record.placed, record.entry))
}

/// Adds what of an attempt's record is known before the decision to `bytes`.
pub(super) fn write_tail(plan: &CheckedPlan, attempt: &Attempt, bytes: &mut Vec<u8>) {
    let attributes = kept(plan, &attempt.attributes);
    let tail = Tail {
        quantity: attempt.quantity,
        sku: &attempt.sku,
        user: &attempt.user,
        attributes: attributes.as_ref(),
    };
    write!(bytes, "{tail}").expect("a vector takes everything");
}

struct Tail<'a> {
    quantity: u32,
    sku: &'a str,
    user: &'a str,
    attributes: Option<&'a Attributes>,
}

impl fmt::Display for Tail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            quantity,
            sku,
            user,
            attributes,
        } = self;
        write!(f, "{quantity}")?;
        if attributes.is_some() {
            write!(f, "{KEPT}{}", user.len())?;
        }
        if sku.contains(' ') {
            write!(f, "{SPACED}{}", sku.len())?;
        }
        write!(f, " {sku} {user}")?;
        match attributes {
            Some(attributes) if !attributes.is_empty() => {
                f.write_str(&serde_json::to_string(attributes).expect("texts by text"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The record of an order of which no attributes are kept.
    fn encode_record(placed: &Placed, entry: &str) -> String {
        let record = Record {
            placed: placed.clone(),
            entry: entry.to_owned(),
            attributes: None,
        };
        record.encode()
    }

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let placed = Placed {
            placed_at: 1_700_000_000_123,
            revision: 3,
            quantity: 2,
            sku: "shoe-42".into(),
            user: "ada \"lovelace\"\n{x}  ".into(),
            released: true,
            body: None,
            replaces: None,
        };
        let text = encode_record(&placed, "1700000000123-0");
        assert!(text.starts_with("r -0 3 1700000000123 2 shoe-42 ada"), "{text}");
        for entry in ["1700000000123-0", "1700000000124-7", "17000000001239-0"] {
            let text = encode_record(&placed, entry);
            let read = decode_record(text.as_bytes());
            assert_eq!(read, Ok((placed.clone(), entry.into())), "{text}");
        }
        let restored = encode_record(&placed, "");
        assert_eq!(decode_record(restored.as_bytes()), Ok((placed, NO_ENTRY.into())));
    }

    #[test]
    fn attributes_follow_the_user_whatever_its_text_is() {
        let placed = Placed {
            placed_at: 1_700_000_000_123,
            revision: 3,
            quantity: 2,
            sku: "shoe-42".into(),
            user: "ä {\"ip\":\"1\"}".into(),
            released: false,
            body: None,
            replaces: None,
        };
        let record = |attributes: &[(&str, &str)]| Record {
            placed: placed.clone(),
            entry: "1700000000123-0".into(),
            attributes: Some(
                attributes
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
            ),
        };
        let full = record(&[("claim:tier", "gold \"}"), ("ip", "10.0.0.1")]);
        let text = full.encode();
        assert_eq!(
            text,
            "a -0 3 1700000000123 2+13 shoe-42 ä {\"ip\":\"1\"}\
             {\"claim:tier\":\"gold \\\"}\",\"ip\":\"10.0.0.1\"}"
        );
        let several = record(&[("claim:groups", "\u{1f}a\u{1f}b"), ("claim:roles", "\u{1f}")]);
        for record in [full, several, record(&[])] {
            assert_eq!(Record::decode(record.encode().as_bytes()), Ok(record.clone()));
            let (read, entry) = decode_record(record.encode().as_bytes()).expect("a record");
            assert_eq!((read, entry), (placed.clone(), record.entry));
        }
        // Old records, and those of plans that read nothing, say so.
        let plain = encode_record(&placed, "1-0");
        assert_eq!(
            Record::decode(plain.as_bytes()).expect("a record").attributes,
            None
        );
    }

    #[test]
    fn what_the_body_was_is_kept_and_records_of_before_do_not_say() {
        let text = r#"a -0 3 1700000000123 1+3 mug ada{"body:2":"00ff","client:device":"d"}"#;
        let record = Record::decode(text.as_bytes()).expect("a record");
        assert_eq!(record.placed.body.as_deref(), Some("00ff"));
        assert_eq!(record.encode(), text);
        for before in ["1 mug ada", "1+3 mug ada", r#"1+3 mug ada{"client:device":"d"}"#] {
            let text = format!("a -0 3 1700000000123 {before}");
            let record = Record::decode(text.as_bytes()).expect("a record");
            assert_eq!(record.placed.body, None, "{before}");
        }
    }

    #[test]
    fn a_sku_with_spaces_leaves_the_user_where_it_is() {
        let text = "a -0 3 1700000000123 2/7 RED/M x ada lovelace";
        let read = Record::decode(text.as_bytes()).expect("a record");
        assert_eq!(
            (read.placed.sku.as_str(), read.placed.user.as_str()),
            ("RED/M x", "ada lovelace")
        );
        assert_eq!(read.encode(), text);
        let text = r#"r 0-0 3 7 2+8/7 RED/M x ada 1/2+{"ip":"::1"}"#;
        let read = Record::decode(text.as_bytes()).expect("a record");
        assert_eq!(
            (read.placed.sku.as_str(), read.placed.user.as_str()),
            ("RED/M x", "ada 1/2+")
        );
        assert_eq!(read.encode(), text);
        // Without a space a record is what it always was.
        for before in [
            "a -0 3 7 2 gid://shopify/ProductVariant/1 ada",
            "a -0 3 7 2+3 gid://shopify/ProductVariant/1 ada",
        ] {
            let read = Record::decode(before.as_bytes()).expect("a record");
            assert_eq!(read.placed.sku, "gid://shopify/ProductVariant/1");
            assert_eq!(read.encode(), before);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_printable_reads_back(
            sku in "[ -~äÄ茶\u{301}\u{1f680}+/{}\"]{1,40}",
            user in "\\PC{1,40}",
            quantity in 1..=u32::MAX,
            released: bool,
            kept in proptest::option::of(proptest::collection::btree_map("[a-z:2]{1,8}", "\\PC{0,12}", 0..3)),
        ) {
            let record = Record {
                placed: Placed {
                    placed_at: 1_700_000_000_123,
                    revision: 3,
                    quantity,
                    sku,
                    user,
                    released,
                    body: kept.as_ref().and_then(|kept| kept.get(BODY)).cloned(),
                    replaces: None,
                },
                entry: "1700000000123-7".into(),
                attributes: kept,
            };
            prop_assert_eq!(Record::decode(record.encode().as_bytes()), Ok(record));
        }
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for text in [
            "",
            "a",
            "x 1-0 1 1 1 s u",
            "a 1-0 1 1 one s u",
            "a 1-0 1 1 1 s",
            "a 1-0 1 1 1+ s u",
            "a 1-0 1 1 1+x s u",
            "a 1-0 1 1 1+2 s u",
            "a 1-0 1 1 1+1 s ä",
            "a 1-0 1 1 1+1 s u{",
            "a 1-0 1 1 1+1 s u{\"ip\":1}",
            "a 1-0 1 1 1/ a b u",
            "a 1-0 1 1 1/x a b u",
            "a 1-0 1 1 1/2 a b u",
            "a 1-0 1 1 1/9 a b u",
            "a 1-0 1 1 1/1 ä u",
            "a 1-0 1 1 1/3+1 a b u",
            "a 1-0 1 1 /3 a b u",
        ] {
            assert!(decode_record(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
