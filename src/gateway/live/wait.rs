//! `Prefer: wait=5` (RFC 7240): an order is answered when it is confirmed, or after so long as it stands then.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

use super::event::Event;
use super::inbox::Taken;
use super::watch::Of;
use crate::gateway::answer::Answer;
use crate::gateway::{Gateway, Orders};
use crate::order::{OrderId, OrderState};

const PREFER: HeaderName = HeaderName::from_static("prefer");
pub(in crate::gateway) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// Whoever wants to wait for longer reads the stream.
const SECONDS_MAX: u64 = 30;

/// For how long the buyer would wait, seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway) struct Wait(u64);

impl Wait {
    /// The first `wait` that the headers have counts. One that cannot be read is none: a preference may be ignored.
    pub(in crate::gateway) fn of(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(PREFER).iter();
        let mut preferences = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        let wait = preferences.find_map(|preference| {
            let preference = preference.split(';').next().unwrap_or_default();
            let (name, value) = preference.split_once('=')?;
            name.trim().eq_ignore_ascii_case("wait").then(|| value.trim())
        })?;
        let wait = wait.trim_matches('"');
        let is_number = !wait.is_empty() && wait.bytes().all(|byte| byte.is_ascii_digit());
        // A number that is too large to be read is more than there may be.
        let seconds: u64 = is_number.then(|| wait.parse().unwrap_or(u64::MAX))?;
        (seconds > 0).then(|| Self(seconds.min(SECONDS_MAX)))
    }

    fn applied(self) -> HeaderValue {
        let text = format!("wait={}", self.0);
        HeaderValue::try_from(text).expect("a number is visible text")
    }
}

impl<O: Orders> Gateway<O> {
    /// Holds the answer to an order that was admitted: 201 when it is confirmed, and else 202 with how it stands.
    pub(in crate::gateway) async fn hold(
        &self,
        campaign: &str,
        order: OrderId,
        wait: Wait,
        mut answer: Answer,
    ) -> Answer {
        // Where too many wait, nobody else does: a preference may be ignored.
        if self.live.watch.waits() >= self.config.load().streams {
            return answer;
        }
        let landed = self
            .landed_within(campaign, order, Duration::from_secs(wait.0))
            .await;
        if let Some(event) = landed {
            if matches!(event.state, OrderState::Confirmed | OrderState::Paid) {
                *answer.status_mut() = StatusCode::CREATED;
            }
            *answer.body_mut() = event.json.clone().into();
        }
        let headers = answer.headers_mut();
        headers.insert(PREFERENCE_APPLIED, wait.applied());
        answer
    }

    /// How the order stands as soon as it landed; `None` where it has not in time, or the gateway closes.
    async fn landed_within(&self, campaign: &str, order: OrderId, within: Duration) -> Option<Arc<Event>> {
        let subscription = self
            .live
            .subscribe((&self.orders, &self.told), campaign, Of::Awaited(order));
        let taken = poll_fn(|cx| subscription.inbox.poll(cx));
        match tokio::time::timeout(within, taken).await {
            Ok(Taken::Events(events)) => events.into_iter().find(|event| event.order == order),
            Ok(Taken::Closed) | Err(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_read_as_rfc_7240_has_it() {
        for (values, wait) in [
            (&["wait=5"][..], Some(5)),
            (&["respond-async, wait = 10"], Some(10)),
            (&["Wait=\"7\"; of=mine"], Some(7)),
            (&["return=minimal", "wait=3"], Some(3)),
            (&["wait=3, wait=9"], Some(3)),
            (&["wait=3600"], Some(30)),
            (&["wait=0"], None),
            (&["wait=soon"], None),
            (&["wait"], None),
            (&["respond-async"], None),
            (&[], None),
        ] {
            let headers = values
                .iter()
                .map(|value| (PREFER, HeaderValue::from_static(value)));
            let headers: HeaderMap = headers.collect();
            assert_eq!(Wait::of(&headers), wait.map(Wait), "{values:?}");
        }
    }
}
