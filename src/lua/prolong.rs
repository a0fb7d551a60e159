//! Arguments and reply of `prolong`. `lua/README.md` is the ABI.

use std::ops::RangeInclusive;

use super::Args;
use super::args::text;
use super::reply::{CodecError, Reader, Reply};

/// The family of buckets that is to last longer.
#[derive(Clone, Copy, Debug)]
pub struct Prolong<'a> {
    pub uid: &'a str,
    /// Key up to the bucket, after the prefix.
    pub family: &'a str,
    pub buckets: u32,
    /// Milliseconds since 1970-01-01 UTC.
    pub expires_at: i64,
}

/// What one call came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prolonged {
    /// The family stays as long as it has to.
    Complete,
    /// Not yet. The calls to come carry this fence.
    Incomplete { fence: String },
    /// Nothing was done: this is the fence there, the empty text where the gate is closed.
    Fenced(String),
    /// An open gate lacks this key: its state is not whole.
    Lost(String),
}

impl Prolong<'_> {
    /// `fence` is that of the first reply, the empty text before; without buckets the call only asks.
    pub fn args(&self, fence: &str, buckets: Option<RangeInclusive<u32>>) -> Args {
        let mut args = Args::from([
            text(self.uid),
            text(fence),
            text(self.family),
            text(self.buckets),
            text(self.expires_at),
        ]);
        if let Some(buckets) = buckets {
            args.extend([text(buckets.start()), text(buckets.end())]);
        }
        args
    }
}

pub fn prolong_reply(reply: Reply) -> Result<Prolonged, CodecError> {
    let mut reader = Reader::new("prolong", reply)?;
    let (word, said) = (reader.word()?, reader.word()?);
    match word.as_str() {
        "fence" => Ok(Prolonged::Fenced(said)),
        "lost" => Ok(Prolonged::Lost(said)),
        _ if reader.number::<u32>()? == 1 => Ok(Prolonged::Complete),
        _ => Ok(Prolonged::Incomplete { fence: said }),
    }
}
