//! What a campaign says of the life of its orders: until when they are paid, who may cancel them, and what comes back.

use std::collections::BTreeMap;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use super::{OrderState, Release};

/// Longest hold: a bank transfer may take days.
pub const HOLD_MINUTES_MAX: u32 = 30 * 24 * 60;
/// Reasons with an entry of their own.
pub const REASONS_MAX: usize = 32;
/// Bytes of a reason.
pub const REASON_BYTES_MAX: usize = 64;

/// Who changes orders where time alone does, and why it does.
pub const OWN_ACTOR: &str = "rushgate";
pub const EXPIRED: &str = "expired";
/// Who cancels an order where its buyer does, and why.
pub const BUYER: &str = "buyer";

/// The time in which an order is to be paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Hold {
    /// From the moment it is confirmed; 1 to [`HOLD_MINUTES_MAX`].
    #[schema(minimum = 1, maximum = 43_200)]
    #[serde(deserialize_with = "minutes")]
    pub minutes: u32,
    #[serde(default)]
    pub on_expiry: OnExpiry,
}

/// Any whole number: one that is none of these minutes is as far off as can be, so that whoever checks the bounds says them.
fn minutes<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    struct Whole;

    impl Visitor<'_> for Whole {
        type Value = u32;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("u32")
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<u32, E> {
            Ok(u32::try_from(number).unwrap_or(u32::MAX))
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<u32, E> {
            Ok(u32::try_from(number.max(0)).unwrap_or(u32::MAX))
        }
    }

    from.deserialize_any(Whole)
}

/// What becomes of an order that is not paid in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnExpiry {
    /// It expires, and gives back what [`OrderTerms::release`] says.
    #[default]
    Release,
}

/// The terms of one campaign's orders.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderTerms {
    /// `None`: an order need not be paid, and never expires.
    pub hold: Option<Hold>,
    /// Whether buyers may cancel what is not paid.
    pub cancel_by_buyer: bool,
    /// What comes back, by reason; a state's name stands for whatever reason leads to it.
    pub releases: BTreeMap<String, Release>,
}

impl OrderTerms {
    /// What comes back of an order that goes to this state for this reason: what is said of the reason, or of the state, and
    /// otherwise everything.
    pub fn release(&self, to: OrderState, reason: &str) -> Release {
        let said = |name: &str| self.releases.get(name).copied();
        said(reason).or_else(|| said(to.as_str())).unwrap_or_default()
    }
}

/// Whether this may be a reason: a word that is counted and compared, and no text.
pub fn check_reason(reason: &str) -> Result<(), String> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_word = reason.bytes().all(fits) && !reason.starts_with('-') && !reason.is_empty();
    match is_word && reason.len() <= REASON_BYTES_MAX {
        true => Ok(()),
        false => Err(format!(
            "is not 1 to {REASON_BYTES_MAX} of a-z, 0-9 and '-', starting with a letter or digit"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_is_said_of_the_reason_or_of_the_state() {
        let terms = OrderTerms {
            releases: [
                ("fraud".to_owned(), Release::Stock),
                ("refunded".to_owned(), Release::None),
            ]
            .into(),
            ..OrderTerms::default()
        };
        assert_eq!(terms.release(OrderState::Cancelled, "fraud"), Release::Stock);
        assert_eq!(terms.release(OrderState::Cancelled, "buyer"), Release::All);
        assert_eq!(terms.release(OrderState::Refunded, "buyer"), Release::None);
        assert_eq!(terms.release(OrderState::Refunded, "fraud"), Release::Stock);
        assert_eq!(terms.release(OrderState::Expired, "expired"), Release::All);
    }

    #[test]
    fn a_reason_is_a_word() {
        for reason in ["fraud", "no-show", "4xx", &"a".repeat(64)] {
            assert_eq!(check_reason(reason), Ok(()));
        }
        for reason in ["", "-", "Fraud", "a b", "größe", &"a".repeat(65)] {
            assert!(check_reason(reason).is_err(), "{reason:?}");
        }
    }

    #[test]
    fn a_hold_is_read_as_merchants_write_it() {
        let read = |text: &str| serde_json::from_str::<Hold>(text);
        let hold = Hold {
            minutes: 15,
            on_expiry: OnExpiry::Release,
        };
        assert_eq!(read(r#"{"minutes":15,"on_expiry":"release"}"#).ok(), Some(hold));
        assert_eq!(read(r#"{"minutes":15}"#).ok(), Some(hold));
        assert!(read(r#"{"minutes":15,"on_expiry":"keep"}"#).is_err());
        assert!(read(r#"{"minute":15}"#).is_err());
    }
}
