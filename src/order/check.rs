//! Whether a database of rushgate can hold an order at all: asked before anything is written, so that one order that does
//! not fit holds up no others.

use super::{
    ATTRIBUTE_NAME_BYTES_MAX, CHARGES_MAX, COST_MAX, OrderEvent, QUANTITY_MAX, VALUE_BYTES_MAX, check_sku,
};
use crate::campaign::{RULES_MAX, check_id};
use crate::wire::echo;

/// First and last moment a `DATETIME` column holds: 1000-01-01 and 9999-12-30, in milliseconds.
pub const TIME_MIN_MS: i64 = -30_610_224_000_000;
pub const TIME_MAX_MS: i64 = 253_402_128_000_000;
// Widths of columns, in bytes.
const COUNTER_BYTES_MAX: usize = 160;
const SUBJECT_BYTES_MAX: usize = 2080;
const DIGEST_BYTES_MAX: usize = 64;
const FINGERPRINT_BYTES_MAX: usize = 32;
/// Windows begin within this many milliseconds of 1970, so that sums of them do not overflow.
const WINDOW_MAX_MS: i64 = 1 << 60;

/// Whether a client may send an attribute of this name; `Err` says what one is like.
pub fn check_client_attribute(name: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    match (1..=ATTRIBUTE_NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(allowed) {
        true => Ok(()),
        false => Err(format!(
            "attribute name {}: use 1 to {ATTRIBUTE_NAME_BYTES_MAX} of a-z, 0-9, '_' and '-'",
            echo(name)
        )),
    }
}

/// Whether the database can hold the order at all; what is wrong where it cannot.
pub fn check_event(event: &OrderEvent) -> Result<(), String> {
    let fits = |what: &str, bytes: usize, limit: usize| match bytes <= limit {
        true => Ok(()),
        false => Err(format!("{what} is {bytes} bytes long; at most {limit} fit")),
    };
    let within = |what: &str, value: i64, low: i64, high: i64| match (low..=high).contains(&value) {
        true => Ok(()),
        false => Err(format!("{what} {value} is not within {low} to {high}")),
    };
    check_id(&event.campaign).map_err(|error| format!("campaign id {error}"))?;
    check_sku(&event.sku).map_err(|error| format!("SKU id {error}"))?;
    if event.user.is_empty() {
        return Err("user is empty".to_owned());
    }
    fits("user", event.user.len(), VALUE_BYTES_MAX)?;
    fits("plan digest", event.plan.len(), DIGEST_BYTES_MAX)?;
    fits("fingerprint", event.fingerprint.len(), FINGERPRINT_BYTES_MAX)?;
    within("revision", event.revision.into(), 1, u32::MAX.into())?;
    within("quantity", event.quantity.into(), 1, QUANTITY_MAX.into())?;
    within("placed_at", event.placed_at, TIME_MIN_MS, TIME_MAX_MS)?;
    within(
        "number of charges",
        event.charges.len() as i64,
        0,
        CHARGES_MAX as i64,
    )?;
    within(
        "number of modules",
        event.modules.len() as i64,
        0,
        RULES_MAX as i64,
    )?;
    for charge in &event.charges {
        fits("counter", charge.counter.len(), COUNTER_BYTES_MAX)?;
        fits("subject", charge.subject.len(), SUBJECT_BYTES_MAX)?;
        within("cost", charge.cost, 1, COST_MAX)?;
        within("window", charge.window, -WINDOW_MAX_MS, WINDOW_MAX_MS)?;
        within("length of a rolling window", charge.rolling_ms, 0, WINDOW_MAX_MS)?;
    }
    Ok(())
}
