//! What an answer consists of: bytes that are there, or what is told of orders as long as there is something to tell.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};

/// What goes on for as long as there is something to tell.
pub trait Going: Send {
    /// The next bytes; `None` at the end.
    fn poll_told(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>>;

    /// Whether nothing comes any more.
    fn has_ended(&self) -> bool;
}

/// The body of an answer. Only what goes on is boxed: orders are answered without.
pub enum Content {
    Whole(Full<Bytes>),
    Live(Box<dyn Going>),
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self::Whole(Full::new(bytes))
    }
}

impl Content {
    pub(super) fn is_live(&self) -> bool {
        matches!(self, Self::Live(_))
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(whole) => Pin::new(whole).poll_frame(cx),
            Self::Live(stream) => stream
                .poll_told(cx)
                .map(|told| told.map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::Live(stream) => stream.has_ended(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Live(_) => SizeHint::default(),
        }
    }
}
