//! What is written in the place of a buyer: pure.

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::order::{OrderEvent, REPLACES};
use crate::plan::{Attribute, Counter};

/// Hex digits that tell subjects of one buyer apart.
const DIGITS: usize = 16;
/// Members of stored JSON that name a buyer.
const NAMING: [&str; 2] = ["user", "member"];

/// Whom a subject of a counter names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// The buyer, or a device or an address of theirs.
    Buyer,
    /// Claims: a group such as a region, or, where nobody else is counted under it, maybe the buyer.
    Maybe,
    /// All buyers, or those of a SKU.
    Nobody,
}

impl Names {
    /// What the key of a counter says; `None` where no plan has the counter any more.
    pub(super) fn of(counter: Option<&Counter>, subject: &str, user: &str) -> Self {
        let Some(counter) = counter else {
            return match subject {
                "" => Self::Nobody,
                subject if subject == user => Self::Buyer,
                _ => Self::Maybe,
            };
        };
        let each = counter.key.iter().map(of_attribute);
        each.fold(Self::Nobody, |all, one| match (all, one) {
            (Self::Buyer, _) | (_, Self::Buyer) => Self::Buyer,
            (Self::Maybe, _) | (_, Self::Maybe) => Self::Maybe,
            _ => Self::Nobody,
        })
    }
}

fn of_attribute(attribute: &Attribute) -> Names {
    match attribute {
        Attribute::User | Attribute::Ip | Attribute::IpNetwork | Attribute::Client(_) => Names::Buyer,
        Attribute::Claim(_) => Names::Maybe,
        Attribute::Sku | Attribute::Quantity | Attribute::OfSku(_) => Names::Nobody,
        Attribute::Folded { of, .. } => of_attribute(of),
    }
}

/// A buyer, and what stands in their place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mask<'a> {
    pub(super) user: &'a str,
    pub(super) pseudonym: &'a str,
    /// Forgotten with the erasure: nobody finds a subject by trying.
    pub(super) secret: &'a [u8],
}

impl Mask<'_> {
    /// A subject's pseudonym: that of the buyer where the subject is the buyer, as counters of buyers have it; otherwise one of
    /// its own, the same for the same subject, so that no two counts become one.
    pub(super) fn subject(&self, counter: &str, subject: &str) -> String {
        if subject == self.user {
            return self.pseudonym.to_owned();
        }
        let digest = keyed(self.secret, &[counter.as_bytes(), subject.as_bytes()]);
        format!("{}.{}", self.pseudonym, &digest[..DIGITS])
    }

    /// Puts the pseudonym where stored JSON names the buyer; whether it did anywhere.
    pub(super) fn json(&self, value: &mut Value) -> bool {
        match value {
            Value::Object(members) => {
                let each = members.iter_mut().map(|(name, value)| {
                    if NAMING.contains(&name.as_str()) && value.as_str() == Some(self.user) {
                        *value = self.pseudonym.into();
                        return true;
                    }
                    self.json(value)
                });
                each.fold(false, |any, one| any | one)
            }
            Value::Array(values) => {
                let each = values.iter_mut().map(|value| self.json(value));
                each.fold(false, |any, one| any | one)
            }
            _ => false,
        }
    }

    /// The order without anything of a person: subjects as the counters' keys have them stand with the pseudonym.
    pub(super) fn event(&self, mut event: OrderEvent) -> OrderEvent {
        for charge in event
            .charges
            .iter_mut()
            .filter(|charge| !charge.subject.is_empty())
        {
            charge.subject = self.subject(&charge.counter, &charge.subject);
        }
        event.attributes.retain(|name, _| name == REPLACES);
        self.pseudonym.clone_into(&mut event.user);
        event
    }

    /// A text that may quote the buyer.
    pub(super) fn text(&self, text: &str) -> String {
        text.replace(self.user, self.pseudonym)
    }
}

/// Whether stored JSON names this buyer.
pub(super) fn names(value: &Value, user: &str) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(name, value)| {
            (NAMING.contains(&name.as_str()) && value.as_str() == Some(user)) || names(value, user)
        }),
        Value::Array(values) => values.iter().any(|value| names(value, user)),
        _ => false,
    }
}

/// HMAC-SHA256 over the parts, each with its length, in hex.
pub(super) fn keyed(secret: &[u8], parts: &[&[u8]]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a secret of any length will do");
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::{Fold, Window};

    const MASK: Mask<'static> = Mask {
        user: "ada",
        pseudonym: "erased-0123456789abcdef",
        secret: b"s",
    };

    fn counter(key: Vec<Attribute>) -> Counter {
        Counter {
            id: "limit/c".into(),
            key,
            window: Window::Campaign,
            cost: 0,
        }
    }

    #[test]
    fn the_key_of_a_counter_says_whom_it_names() {
        let folded = Attribute::Folded {
            of: Box::new(Attribute::User),
            fold: "lowercase".parse::<Fold>().expect("a fold"),
        };
        let (claim, device) = (
            Attribute::Claim("region".into()),
            Attribute::Client("device".into()),
        );
        for (key, expected) in [
            (vec![], Names::Nobody),
            (vec![Attribute::Sku], Names::Nobody),
            (vec![Attribute::User], Names::Buyer),
            (vec![folded], Names::Buyer),
            (vec![Attribute::Sku, device], Names::Buyer),
            (vec![Attribute::Sku, claim.clone()], Names::Maybe),
            (vec![claim, Attribute::Ip], Names::Buyer),
        ] {
            assert_eq!(
                Names::of(Some(&counter(key.clone())), "x", "ada"),
                expected,
                "{key:?}"
            );
        }
        for (subject, expected) in [("", Names::Nobody), ("ada", Names::Buyer), ("eu", Names::Maybe)] {
            assert_eq!(Names::of(None, subject, "ada"), expected, "{subject}");
        }
    }

    #[test]
    fn subjects_stay_apart_and_stay_the_same() {
        assert_eq!(MASK.subject("c", "ada"), MASK.pseudonym);
        let device = MASK.subject("c", "d-1");
        assert!(
            device.starts_with("erased-0123456789abcdef.") && device.len() == 40,
            "{device}"
        );
        assert_eq!(device, MASK.subject("c", "d-1"));
        assert_ne!(device, MASK.subject("c", "d-2"));
        assert_ne!(device, Mask { secret: b"t", ..MASK }.subject("c", "d-1"));
    }

    #[test]
    fn json_names_a_buyer_only_where_it_says_user_or_member() {
        let mut value =
            json!({"filter": {"user": "ada", "sku": "ada"}, "all": [{"member": "ada"}, {"user": "bob"}]});
        assert!(names(&value, "ada") && !names(&value, "eve"));
        assert!(MASK.json(&mut value));
        let name = MASK.pseudonym;
        assert_eq!(
            value,
            json!({"filter": {"user": name, "sku": "ada"}, "all": [{"member": name}, {"user": "bob"}]})
        );
        assert!(!MASK.json(&mut value) && !names(&value, "ada"));
    }
}
