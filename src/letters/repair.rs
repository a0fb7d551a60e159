//! A repaired payload: everything that landing is going to ask of it, asked before it is sent.

use serde_json::value::RawValue;

use crate::order::{OrderEvent, array, check_event};
use crate::store::DeadLetter;

/// The payload byte for byte where it is JSON; without its line breaks, which a line cannot have.
pub(crate) fn as_json(payload: &[u8]) -> Option<Box<RawValue>> {
    let text = std::str::from_utf8(payload).ok()?;
    let one_line = match text.contains(['\n', '\r']) {
        true => serde_json::from_str::<serde_json::Value>(text).ok()?.to_string(),
        false => text.to_owned(),
    };
    RawValue::from_string(one_line).ok()
}

/// The order of a payload that landing would take.
pub(crate) fn order_in(payload: &[u8]) -> Result<OrderEvent, String> {
    let event = OrderEvent::decode(payload).map_err(|error| format!("payload: {error}"))?;
    check_event(&event).map_err(|error| format!("payload: {error}"))?;
    check_attributes(&event).map_err(|error| format!("payload: {error}"))?;
    Ok(event)
}

/// What a person wrote is an attribute as a gateway would have taken it: others count by it.
fn check_attributes(event: &OrderEvent) -> Result<(), String> {
    event.attributes.iter().try_for_each(|(name, value)| {
        array::check_of(name, value).map_err(|wrong| format!("the value of {name:?} {wrong}"))
    })
}

/// A repaired record is the order it was: another one would land without having been admitted, and what the first
/// holds would be held for ever.
pub(crate) fn is_same_order(letter: &DeadLetter, event: &OrderEvent) -> Result<(), String> {
    let key = std::str::from_utf8(&letter.key).ok();
    let of_key = key
        .and_then(|key| key.split_once('/'))
        .map(|(campaign, _)| campaign);
    let campaign = letter.campaign.as_deref().or(of_key);
    if let Some(campaign) = campaign.filter(|campaign| *campaign != event.campaign) {
        return Err(format!(
            "its order is of campaign {:?}, and the record of {campaign:?}: it was admitted there",
            event.campaign
        ));
    }
    let order = event.order.to_string();
    match &letter.order {
        Some(before) if *before != order => Err(format!(
            "its order is {order}, and the record's was {before}: that one holds what was admitted"
        )),
        _ => Ok(()),
    }
}
