//! The codec between Rust and the scripts: arguments out, replies in. `lua/README.md` is the ABI.

use super::Family;
use crate::order::Attempt;
use crate::plan::Attribute;
use crate::plan::eval::{Decision, Placed};

/// A script's reply, whichever engine ran it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Nil,
    Int(i64),
    Bulk(Vec<u8>),
    Array(Vec<Reply>),
}

/// The reply is not of the shape the ABI promises.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{script}: unexpected reply: {what}")]
pub struct CodecError {
    pub script: &'static str,
    pub what: String,
}

/// `<uid>:<epoch>`: which state of which campaign a caller decides against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    pub uid: String,
    pub epoch: u64,
}

/// What `admit` answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdmitReply {
    /// Nothing was decided: the shard's fence is another one; `None` where there is no state.
    Fenced(Option<Fence>),
    Decided {
        /// Redis' clock, milliseconds since 1970-01-01 UTC.
        now: i64,
        /// Id of the outbox entry that carries the admitted orders; empty where none was admitted.
        entry: String,
        /// One per attempt, in order.
        decisions: Vec<Decision>,
    },
}

/// The composed subject of a counter key. One attribute: its text. Several: each text preceded by
/// its length and a colon, so that different combinations never meet. None: empty.
pub fn subject(_key: &[Attribute], _attempt: &Attempt) -> String {
    todo!("lua::codec")
}

/// ARGV of `admit` for a batch.
pub fn admit_args<'a>(
    _family: &Family,
    _fence: &Fence,
    _attempts: impl ExactSizeIterator<Item = &'a Attempt>,
) -> Vec<Vec<u8>> {
    todo!("lua::codec")
}

pub fn admit_reply(_family: &Family, _attempts: usize, _reply: Reply) -> Result<AdmitReply, CodecError> {
    todo!("lua::codec")
}

/// The record of an order as text: `<flag> <entry> <revision> <placed_at> <quantity> <fingerprint>
/// <sku> <user>`; flag `a` for admitted, `r` for released. The user is last: it may contain spaces.
pub fn encode_record(_placed: &Placed, _entry: &str) -> String {
    todo!("lua::codec")
}

/// The record and the outbox entry it was written with.
pub fn decode_record(_text: &[u8]) -> Result<(Placed, String), CodecError> {
    todo!("lua::codec")
}
