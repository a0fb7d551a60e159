//! `Last-Event-ID`: what a client was told last before its stream broke.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use crate::order::OrderId;
use crate::wire::problem::MALFORMED;
use crate::wire::{Problem, echo};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The number that a stream of one order ended with; `None` where the header is missing or empty.
pub(super) fn of_order(headers: &HeaderMap) -> Result<Option<u32>, Problem> {
    let Some(text) = given(headers)? else {
        return Ok(None);
    };
    match text.parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(refused(text, "the id of an event of this stream: a number")),
    }
}

/// The order and number that a stream of several orders ended with.
pub(super) fn of_several(headers: &HeaderMap) -> Result<Option<(OrderId, u32)>, Problem> {
    let Some(text) = given(headers)? else {
        return Ok(None);
    };
    let read = || {
        let (order, number) = text.rsplit_once('.')?;
        Some((order.parse().ok()?, number.parse().ok()?))
    };
    match read() {
        Some(id) => Ok(Some(id)),
        None => Err(refused(
            text,
            "the id of an event of this stream: an order, a dot and a number",
        )),
    }
}

fn given(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(LAST_EVENT_ID).iter().map(HeaderValue::to_str);
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(Ok(text)), None) => Ok(Some(text.trim()).filter(|text| !text.is_empty())),
        _ => Err(Problem::new(
            &MALFORMED,
            "the header Last-Event-ID has more than one value, or no text; send the id of the last event, once",
        )),
    }
}

fn refused(text: &str, what: &str) -> Problem {
    let detail = format!("the header Last-Event-ID is {}, and not {what}", echo(text));
    Problem::new(&MALFORMED, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        let each = values
            .iter()
            .map(|value| (LAST_EVENT_ID, HeaderValue::from_static(value)));
        each.collect()
    }

    #[test]
    fn ids_are_read_back_and_others_refused() {
        let order = OrderId::keyed("spring", "ada", "k");
        assert_eq!(of_order(&headers(&[])).expect("none"), None);
        assert_eq!(of_order(&headers(&[""])).expect("none"), None);
        assert_eq!(of_order(&headers(&["2"])).expect("a number"), Some(2));
        let text: &'static str = Box::leak(format!("{order}.3").into_boxed_str());
        assert_eq!(of_several(&headers(&[text])).expect("an id"), Some((order, 3)));
        for wrong in [&["x"][..], &["-1"], &["1.5"], &["1", "2"]] {
            let problem = of_order(&headers(wrong)).expect_err("no number");
            assert_eq!(problem.reason_code(), "malformed");
        }
        for wrong in ["1", "x.1", "."] {
            assert!(of_several(&headers(&[wrong])).is_err(), "{wrong}");
        }
    }
}
