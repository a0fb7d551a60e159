//! Records of orders: the text kept in `orders:<bucket>` for status, idempotency and release.

use std::fmt::Display;

use super::codec::CodecError;
use crate::order::Attempt;
use crate::plan::eval::Placed;

/// The entry in the record of an order that never was in this outbox (a restored one).
pub const NO_ENTRY: &str = "0-0";

/// The record of an order as text: `<flag> <entry> <revision> <placed_at> <quantity> <fingerprint>
/// <sku> <user>`; flag `a` for admitted, `r` for released. The user is last: it may contain spaces.
/// An empty entry is written as [`NO_ENTRY`].
pub fn encode_record(placed: &Placed, entry: &str) -> String {
    let Placed {
        placed_at,
        revision,
        quantity,
        fingerprint,
        sku,
        user,
        released,
    } = placed;
    let flag = if *released { 'r' } else { 'a' };
    let entry = if entry.is_empty() { NO_ENTRY } else { entry };
    format!(
        "{flag} {entry} {revision} {placed_at} {}",
        join_tail(quantity, fingerprint, sku, user)
    )
}

/// What of an attempt's record is known before the decision.
pub(super) fn tail(attempt: &Attempt) -> String {
    join_tail(
        attempt.quantity,
        attempt.fingerprint(),
        &attempt.sku,
        &attempt.user,
    )
}

fn join_tail(quantity: impl Display, fingerprint: impl Display, sku: &str, user: &str) -> String {
    format!("{quantity} {fingerprint} {sku} {user}")
}

/// The record and the outbox entry it was written with: [`NO_ENTRY`] where there was none.
pub fn decode_record(bytes: &[u8]) -> Result<(Placed, String), CodecError> {
    let odd = || CodecError::new("record", format!("{:?}", bytes.escape_ascii().to_string()));
    let text = std::str::from_utf8(bytes).map_err(|_| odd())?;
    let parts: Vec<&str> = text.splitn(8, ' ').collect();
    let [flag, entry, revision, placed_at, quantity, fingerprint, sku, user] = parts[..] else {
        return Err(odd());
    };
    let placed = Placed {
        placed_at: placed_at.parse().map_err(|_| odd())?,
        revision: revision.parse().map_err(|_| odd())?,
        quantity: quantity.parse().map_err(|_| odd())?,
        fingerprint: fingerprint.to_owned(),
        sku: sku.to_owned(),
        user: user.to_owned(),
        released: match flag {
            "a" => false,
            "r" => true,
            _ => return Err(odd()),
        },
    };
    Ok((placed, entry.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let placed = Placed {
            placed_at: 1_700_000_000_123,
            revision: 3,
            quantity: 2,
            fingerprint: "00ff00ff00ff00ff".into(),
            sku: "shoe-42".into(),
            user: "ada \"lovelace\"\n{x}  ".into(),
            released: true,
        };
        let text = encode_record(&placed, "1700000000123-0");
        assert!(text.starts_with("r 1700000000123-0 3 1700000000123 2 00ff"));
        assert_eq!(
            decode_record(text.as_bytes()),
            Ok((placed.clone(), "1700000000123-0".into()))
        );
        let restored = encode_record(&placed, "");
        assert_eq!(decode_record(restored.as_bytes()), Ok((placed, NO_ENTRY.into())));
    }

    #[test]
    fn what_is_no_record_is_refused() {
        for text in [
            "",
            "a",
            "x 1-0 1 1 1 f s u",
            "a 1-0 1 1 one f s u",
            "a 1-0 1 1 1 f s",
        ] {
            assert!(decode_record(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
