//! An answer that lasts ends with the key that it was given to: the key is looked at again each second, for as long as somebody reads.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::body::{Frame, SizeHint};

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
#[error("the key that this was given to is no longer good")]
struct Ended;

/// A body that is cut off when its key ends.
pub(super) struct Watched {
    body: Body,
    /// Ends when the key does; nothing is asked before the body is read.
    ends: BoxFuture<'static, ()>,
}

impl Watched {
    /// `still` says whether the key is good: it is asked each second. A database that does not answer ends nobody's download: it says
    /// nothing of the key.
    pub(super) fn new<F>(body: Body, still: impl Fn() -> F + Send + 'static) -> Self
    where
        F: Future<Output = bool> + Send,
    {
        let ends = async move {
            loop {
                tokio::time::sleep(EVERY).await;
                if !still().await {
                    return;
                }
            }
        };
        Self {
            body,
            ends: ends.boxed(),
        }
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let me = self.get_mut();
        if me.ends.as_mut().poll(cx).is_ready() {
            tracing::info!("an answer is cut off: its key is no longer good");
            (me.body, me.ends) = (Body::empty(), std::future::pending().boxed());
            return Poll::Ready(Some(Err(axum::Error::new(Ended))));
        }
        Pin::new(&mut me.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
