//! What is told of an order: how it stands, and whether anything follows; and how it is written (server-sent events).

use std::io::Write;

use bytes::Bytes;
use tokio::time::Instant;

use crate::gateway::answer::OrderAnswer;
use crate::order::{LandedOrder, OrderId, OrderState};
use crate::plan::decision::Placed;

/// What of an event is not its JSON, about.
const AROUND: usize = 80;

/// How an order stands.
#[derive(Debug)]
pub(in crate::gateway) struct Event {
    pub order: OrderId,
    pub state: OrderState,
    /// Of the change among those of its order; 0: it has not landed.
    pub number: u32,
    /// What `GET` of the order answers, in one line.
    pub json: Bytes,
    pub next: Next,
    /// When it came to stand so, milliseconds since 1970-01-01 UTC by the database's clock; `None` where it did before
    /// anybody here looked.
    pub at: Option<i64>,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway) enum Next {
    /// Another change may.
    Change,
    /// One may, and is awaited until then.
    Until(Instant),
    Nothing,
}

impl Next {
    /// `closes`: when the campaign does; `None`: it is over.
    fn of(row: &LandedOrder, closes: Option<Instant>) -> Self {
        match row.state {
            OrderState::Confirmed if row.pay_by.is_none() => Self::Nothing,
            OrderState::Paid => closes.map_or(Self::Nothing, Self::Until),
            state if state.is_final() => Self::Nothing,
            _ => Self::Change,
        }
    }
}

impl Event {
    /// Of an order as the engine has it.
    pub(super) fn placed(campaign: &str, order: OrderId, placed: &Placed, state: OrderState) -> Self {
        let shown = OrderAnswer::placed(campaign, order, placed, state);
        Self::new(&shown, Next::Change, None)
    }

    /// Of an order as the database has it; `closes` as in [`Next`], asked where the order is paid.
    pub(super) fn landed(
        campaign: &str,
        row: &LandedOrder,
        closes: Option<Instant>,
        at: Option<i64>,
    ) -> Self {
        Self::new(&OrderAnswer::landed(campaign, row), Next::of(row, closes), at)
    }

    fn new(shown: &OrderAnswer<'_>, next: Next, at: Option<i64>) -> Self {
        let json = serde_json::to_vec(shown).expect("an order is plain data with text keys");
        Self {
            order: shown.order,
            state: shown.state,
            number: shown.state.number(),
            json: json.into(),
            next,
            at,
        }
    }

    /// Appends it as it goes over the wire. Where a stream tells of several orders, the id names the order too.
    pub(super) fn write(&self, several: bool, to: &mut Vec<u8>) {
        to.reserve(self.json.len() + AROUND);
        let number = self.number;
        let _ = match several {
            true => writeln!(to, "id: {}.{number}", self.order),
            false => writeln!(to, "id: {number}"),
        };
        to.extend_from_slice(b"event: state\ndata: ");
        to.extend_from_slice(&self.json);
        to.extend_from_slice(b"\n\n");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::order::fixture;

    fn row(state: OrderState, pay_by: Option<i64>) -> LandedOrder {
        LandedOrder {
            state,
            pay_by,
            ..LandedOrder::accepted(fixture::event(1))
        }
    }

    #[tokio::test]
    async fn an_order_that_nothing_follows_ends_its_stream() {
        let later = Instant::now() + Duration::from_secs(60);
        for (state, pay_by, closes, next) in [
            (OrderState::Confirmed, None, Some(later), Next::Nothing),
            (OrderState::Confirmed, Some(7), None, Next::Change),
            (OrderState::Paid, None, Some(later), Next::Until(later)),
            (OrderState::Paid, None, None, Next::Nothing),
            (OrderState::Accepted, None, None, Next::Change),
            (OrderState::Revoked, None, Some(later), Next::Nothing),
            (OrderState::Cancelled, None, Some(later), Next::Nothing),
            (OrderState::Expired, None, Some(later), Next::Nothing),
            (OrderState::Refunded, None, Some(later), Next::Nothing),
        ] {
            assert_eq!(Next::of(&row(state, pay_by), closes), next, "{state:?}");
        }
    }

    #[test]
    fn an_event_is_an_id_and_one_line_of_json() {
        let row = row(OrderState::Confirmed, None);
        let event = Event::landed("spring", &row, None, None);
        let mut text = Vec::new();
        event.write(false, &mut text);
        let text = String::from_utf8(text).expect("text");
        let lines: Vec<&str> = text.split('\n').collect();
        assert_eq!(
            (lines[0], lines[1], lines.len()),
            ("id: 1", "event: state", 5),
            "{text}"
        );
        let json: serde_json::Value = serde_json::from_str(&lines[2]["data: ".len()..]).expect("JSON");
        assert_eq!(json["state"], "confirmed");
        let mut text = Vec::new();
        event.write(true, &mut text);
        let id = format!("id: {}.1\n", row.attempt.order);
        assert!(text.starts_with(id.as_bytes()));
    }
}
