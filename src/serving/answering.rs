//! One request after another: counted while it is in flight, charged for what it holds, refused where that is too much.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{AUTHORIZATION, CONNECTION, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use hyper::service::Service;
use hyper::{Request, Response, StatusCode, Version};

use super::budget::Charge;
use super::conn::Conn;
use super::limits::{FIELD_BYTES, REFUSALS_MAX, REQUEST_BYTES};
use super::{Page, Plane};

/// A request is reset, as there is no room to say more.
#[derive(Debug, thiserror::Error)]
#[error("too many requests are in flight on this connection")]
pub(super) struct Overfull;

/// What hyper calls for each request of a connection. What a request holds is counted in the call itself, which comes
/// before anything else is read of the connection.
pub(super) fn service<P: Plane>(
    plane: Arc<P>,
    conn: Arc<Conn>,
) -> impl Service<
    Request<Incoming>,
    Response = Response<Answering<P::Body>>,
    Error = Overfull,
    Future: Send + 'static,
> {
    hyper::service::service_fn(move |request: Request<Incoming>| {
        let (head, body) = request.into_parts();
        let is_h1 = head.version <= Version::HTTP_11;
        conn.vain.asked();
        let page = Page::of(&head);
        let admitted = admit(&*plane, &conn, &head, &body);
        // What is refused holds nothing from here on.
        let asked = admitted.map(|ticket| match ticket.charge {
            Some(_) => (ticket, Some(Request::from_parts(head, body))),
            None => (ticket, None),
        });
        let (plane, address) = (plane.clone(), conn.address);
        // Over h2 each request is a task, and has turns of its own.
        let yields = is_h1 && conn.turn.asked();
        async move {
            let (mut ticket, request) = asked?;
            if yields {
                tokio::task::yield_now().await;
            }
            let mut answer = match request {
                Some(request) => plane.answer(address, request).await,
                None => plane.overloaded(),
            };
            let lasts = plane.lasts(answer.body());
            if let Err(TooMuch) = ticket.hand_over(&answer, lasts) {
                answer = plane.overloaded();
                ticket.conn.in_vain();
            } else if is_in_vain(answer.status()) {
                ticket.conn.in_vain();
            }
            if let Some(page) = page {
                plane.mark(&page, answer.headers_mut());
            }
            if is_h1 && (plane.is_leaving() || ticket.conn.is_last()) {
                let close = HeaderValue::from_static("close");
                answer.headers_mut().insert(CONNECTION, close);
            }
            Ok(answer.map(|body| Answering { body, ticket }))
        }
    })
}

/// Answers for which nothing was done, and which may be had without end.
fn is_in_vain(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::REQUEST_TIMEOUT)
}

/// A ticket without a charge is one to be refused with.
fn admit<P: Plane>(plane: &P, conn: &Arc<Conn>, head: &Parts, body: &Incoming) -> Result<Ticket, Overfull> {
    let limits = &conn.shared.limits;
    let held = match body.is_end_stream() {
        true => 0,
        false => body.size_hint().upper().map_or(limits.body_bytes, |length| {
            usize::try_from(length)
                .unwrap_or(usize::MAX)
                .min(limits.body_bytes)
        }),
    };
    let bytes = REQUEST_BYTES + stored(&head.headers) + head.uri.path().len() + held;
    let fits =
        |bound: super::Bound| conn.passing() < bound.requests && conn.bytes.used() + bytes <= bound.bytes;
    let mut is_known = conn.known.load(Ordering::Relaxed);
    if !is_known {
        let looks = head.headers.contains_key(AUTHORIZATION) && conn.looks();
        let has_to_know = || limits.stranger != limits.known && !fits(limits.stranger);
        is_known = (looks || has_to_know()) && plane.vouches(head);
        if is_known {
            conn.known.store(true, Ordering::Relaxed);
        }
    }
    let bound = match is_known {
        true => limits.known,
        false => limits.stranger,
    };
    let charge = match fits(bound) {
        true => Charge::take(&conn.bytes, bytes, bound.bytes),
        false => None,
    };
    if charge.is_none() {
        conn.shared.figures.refused();
        conn.in_vain();
        if conn.refusals.fetch_add(1, Ordering::Relaxed) >= REFUSALS_MAX {
            conn.refusals.fetch_sub(1, Ordering::Relaxed);
            return Err(Overfull);
        }
    }
    conn.begin();
    Ok(Ticket {
        conn: conn.clone(),
        is_refusal: charge.is_none(),
        charge,
        answer: None,
        lasts: false,
    })
}

/// Bytes of a head as it is stored.
fn stored(headers: &HeaderMap) -> usize {
    let field = |(name, value): (&hyper::header::HeaderName, &HeaderValue)| {
        FIELD_BYTES + name.as_str().len() + value.len()
    };
    headers.iter().map(field).sum()
}

/// A request in flight; it ends when it is dropped.
struct Ticket {
    conn: Arc<Conn>,
    charge: Option<Charge>,
    is_refusal: bool,
    /// The number of the answer, from when there is one.
    answer: Option<u64>,
    /// The answer goes on for as long as there is something to tell.
    lasts: bool,
}

/// The answer holds more than there is room for.
struct TooMuch;

impl Ticket {
    /// The request itself holds nothing any more, and its answer does until the peer has taken it.
    fn hand_over<B: Body>(&mut self, answer: &Response<B>, lasts: bool) -> Result<(), TooMuch> {
        self.answer = Some(self.conn.answer());
        if self.is_refusal {
            return Ok(());
        }
        self.charge = None;
        if lasts {
            self.lasts = true;
            self.conn.lasting.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        let limits = &self.conn.shared.limits;
        let length = usize::try_from(answer.body().size_hint().lower()).unwrap_or(usize::MAX);
        // A single answer is given, however long it is.
        let most = match self.conn.bytes.used() {
            0 => usize::MAX,
            _ => limits.known.bytes,
        };
        self.charge = Charge::take(&self.conn.bytes, REQUEST_BYTES.saturating_add(length), most);
        if self.charge.is_none() {
            self.conn.shared.figures.refused();
            return Err(TooMuch);
        }
        Ok(())
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(number) = self.answer {
            self.conn.answer_ended(number);
        }
        if self.lasts {
            self.conn.lasting.fetch_sub(1, Ordering::Relaxed);
        }
        if self.is_refusal {
            self.conn.refusals.fetch_sub(1, Ordering::Relaxed);
        }
        self.conn.end();
    }
}

/// The body of an answer, and the request that it ends.
pub(super) struct Answering<B> {
    body: B,
    ticket: Ticket,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Answering<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let me = self.get_mut();
        let polled = Pin::new(&mut me.body).poll_frame(cx);
        if let Some(number) = me.ticket.answer {
            me.ticket.conn.answer_moved(number, polled.is_pending());
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
