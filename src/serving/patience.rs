//! A body that must go on arriving.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Bytes a second that a long body brings at least.
const BYTES_A_SECOND: u64 = 1024;

/// The body came too slowly.
#[derive(Debug, thiserror::Error)]
#[error("nothing more of the body arrived within {} s, or less than {BYTES_A_SECOND} bytes a second", .0.as_secs_f32())]
pub struct TooSlow(Duration);

/// Ends in [`TooSlow`] when nothing arrives for the given time, or too little over a longer one.
pub struct Timely<B> {
    body: B,
    within: Duration,
    begun: Instant,
    bytes: u64,
    late: Pin<Box<Sleep>>,
}

impl<B> Timely<B> {
    pub fn new(body: B, within: Duration) -> Self {
        Self {
            body,
            within,
            begun: Instant::now(),
            bytes: 0,
            late: Box::pin(tokio::time::sleep(within)),
        }
    }
}

impl<B> Body for Timely<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let me = self.get_mut();
        match Pin::new(&mut me.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
                me.bytes += data.map_or(0, |data| data.len() as u64);
                let soon = Instant::now() + me.within;
                let in_all = me.begun + me.within + Duration::from_secs(me.bytes / BYTES_A_SECOND);
                me.late.as_mut().reset(soon.min(in_all));
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending if me.late.as_mut().poll(cx).is_ready() => {
                Poll::Ready(Some(Err(TooSlow(me.within).into())))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
