//! A body read whole, within bounds of size and time.

use std::fmt;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;

/// Bytes of a body.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Those that it may have.
    pub most: usize,
    /// Closing on a client that is still sending would reset the connection, and the client might never see the answer: what is
    /// somewhat too large is read up to here and dropped, so that its sender can be told.
    pub discarded: usize,
}

/// Why there is no whole body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    #[error("the body is too large")]
    TooLarge,
    #[error("the body was cut off or badly framed: {0}")]
    CutOff(String),
    #[error("the body did not arrive within {} s", .0.as_secs_f32())]
    Late(Duration),
}

/// Reads a whole body. The declared length is only believed when it is hopeless; what arrives is counted.
pub async fn read<B>(mut body: B, bounds: Bounds, within: Duration) -> Result<Bytes, Unread>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: fmt::Display,
{
    if body.size_hint().lower() > bounds.discarded as u64 {
        return Err(Unread::TooLarge);
    }
    // Frames that are there already are taken without starting a timer.
    let mut length = 0;
    let collected = tokio::time::timeout(within, collect(&mut body, bounds, &mut length)).await;
    match collected {
        _ if length > bounds.most => Err(Unread::TooLarge),
        Ok(collected) => collected,
        Err(_) => Err(Unread::Late(within)),
    }
}

/// Counts what arrives in `length`; above the limit, what is returned is not the whole body.
async fn collect<B>(body: &mut B, bounds: Bounds, length: &mut usize) -> Result<Bytes, Unread>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: fmt::Display,
{
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Unread::CutOff(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        *length += data.len();
        if *length > bounds.discarded {
            break;
        }
        if *length > bounds.most {
            continue;
        }
        if first.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() { first } else { rest.freeze() })
}
