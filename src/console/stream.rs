//! Server-sent events: a part of a page, written anew once a second. The log-in is asked for again each time, and a stream ends with it,
//! and when the gateway is asked to stop.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;

use super::Console;
use super::page::guard_headers;
use super::visitor::Visitor;
use crate::clock::every;

const EVERY: Duration = Duration::from_secs(1);
/// What is sent where there is nothing to show: the connection lives, and what is shown grows old.
const NOTHING: &str = ": nothing\n\n";

/// A part of a page as an event: each of its lines is one of data.
fn event(part: &str) -> String {
    let lines = part.lines().filter(|line| !line.trim().is_empty());
    let mut event: String = lines.flat_map(|line| ["data: ", line, "\n"]).collect();
    event.push('\n');
    event
}

/// Writes the part once a second for as long as the visitor is one. `None`: nothing could be had this time.
pub(super) fn stream<F>(
    console: Arc<Console>,
    visitor: Visitor,
    part: impl Fn(Arc<Console>, Visitor) -> F + Send + Sync + 'static,
) -> Response
where
    F: Future<Output = Option<String>> + Send,
{
    let events = stream::unfold((console, visitor, part, every(EVERY)), |mut state| async move {
        let (console, visitor, part, ticks) = &mut state;
        ticks.tick().await;
        if !console.still(visitor).await {
            return None;
        }
        let written = part(console.clone(), visitor.clone()).await;
        let bytes = written.map_or_else(
            || Bytes::from_static(NOTHING.as_bytes()),
            |part| event(&part).into(),
        );
        Some((Ok::<_, Infallible>(bytes), state))
    });
    let mut answer = Body::from_stream(events).into_response();
    guard_headers(&mut answer);
    answer.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    answer
}

impl Console {
    /// Whether a stream of this visitor goes on.
    async fn still(&self, visitor: &Visitor) -> bool {
        if self.readiness.is_draining() {
            return false;
        }
        match &visitor.session {
            None => true,
            // A database that is away ends nobody's log-in.
            Some(session) => !matches!(self.session(&session.id).await, Ok(None)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_one_event() {
        assert_eq!(
            event("<p>\n  a\n\n</p>\n"),
            "data: <p>\ndata:   a\ndata: </p>\n\n"
        );
    }
}
