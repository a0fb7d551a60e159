//! Arguments and reply of `pulse`. `lua/README.md` is the ABI.

use super::Args;
use super::args::text;
use super::reply::{CodecError, Reader, Reply};

/// What `pulse` answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// Of the memory that answered.
    pub mark: String,
    /// The server's clock, milliseconds since 1970-01-01 UTC.
    pub now: i64,
    /// Campaigns that any gateway had orders for lately.
    pub ordered: Vec<String>,
}

/// `mark` is for a memory that has none; `ordered` are campaigns that this gateway had orders for.
pub fn pulse_args<'a>(mark: &str, window_ms: u64, ordered: impl IntoIterator<Item = &'a str>) -> Args {
    let mut args = Args::from([text(mark), text(window_ms)]);
    args.extend(ordered.into_iter().map(text));
    args
}

pub fn pulse_reply(reply: Reply) -> Result<Pulse, CodecError> {
    let mut reader = Reader::new("pulse", reply)?;
    reader.word()?;
    let mark = reader.word()?;
    let now = reader.number()?;
    let mut ordered = Vec::new();
    while !reader.is_empty() {
        ordered.push(reader.word()?);
    }
    Ok(Pulse { mark, now, ordered })
}
