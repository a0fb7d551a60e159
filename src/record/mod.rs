//! Records: one outbox entry with all its orders, as it travels through Kafka. The form is rushgate's own
//! (docs/RECORDS.md).
//!
//! A record is a header, which follows from the stored entry and its revision alone, and the payloads of the admitted
//! orders, byte for byte as their gateway encoded them before the call: whoever publishes an entry makes the same bytes.
//! Whether it may be believed two authenticators say: each order's seal ([`payload`]), by the gateway that asked for it,
//! and the record's MAC (`src/bus/sealed.rs`), by whoever published it.

pub mod fence;
mod gap;
mod payload;
mod payloads;
mod place;
mod slice;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::campaign::{Campaign, IdError, check_id};
use crate::order::{Attempt, EventError, OrderEvent, Ordinal};
use crate::revision::Revision;

pub use gap::Gap;
pub use payload::{Payload, PayloadError, Scope, encode_payload, write_payload};
pub use payloads::Payloads;
pub use place::{At, LetterId, LetterIdError};
pub use slice::{DeadRecord, LandingSlice};

/// What a record begins with. Events of version 1 are JSON, which begins with none of [`VERSIONS`].
pub const VERSION: u8 = 2;
/// First bytes that are versions of records.
const VERSIONS: std::ops::RangeInclusive<u8> = 2..=8;
/// Bytes of a record at most: a lane closes its batch there.
pub const RECORD_BYTES_MAX: usize = 256 * 1024;
/// Bytes that a header takes at most beside its payloads, for whoever decides when a batch is full.
pub const HEADER_BYTES_MAX: usize = 1024;
/// Bytes that a payload's length takes at most.
pub const LENGTH_BYTES_MAX: usize = 4;
/// Bytes of a header's texts: none is near as long.
const TEXT_BYTES_MAX: usize = 256;

/// A stream id of Redis: milliseconds, and a number within them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EntryId {
    pub ms: u64,
    pub seq: u64,
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// The text is no id of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an entry's id is <milliseconds>-<number>")]
pub struct EntryIdError;

impl FromStr for EntryId {
    type Err = EntryIdError;

    fn from_str(text: &str) -> Result<Self, EntryIdError> {
        let (ms, seq) = text.split_once('-').ok_or(EntryIdError)?;
        let number = |digits: &str| digits.parse().map_err(|_| EntryIdError);
        Ok(Self {
            ms: number(ms)?,
            seq: number(seq)?,
        })
    }
}

/// What an outbox entry says besides its payloads: what the script decided in one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryHead {
    pub id: EntryId,
    pub shard: u32,
    /// Those that the script compared.
    pub epoch: u64,
    pub revision: u32,
    /// [`eval::VERSION`](crate::plan::eval::VERSION) of the gateway that asked.
    pub evaluator: u32,
    /// Redis' clock, milliseconds since 1970-01-01 UTC.
    pub at: i64,
    /// Number of the entry's first order in its shard; see [`Ordinal`].
    pub first: u64,
}

/// What all orders of a record share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header<'a> {
    pub campaign: &'a str,
    /// Of the campaign: tells it from another one of its id.
    pub uid: &'a str,
    pub shard: u32,
    pub epoch: u64,
    pub revision: u32,
    /// Lower-case hex SHA-256 of the revision's plan.
    pub plan: &'a str,
    /// See [`EntryHead::evaluator`]: what makes charges of the plan, an attempt and the moment.
    pub evaluator: u32,
    /// See [`EntryHead::at`].
    pub at: i64,
    pub entry: EntryId,
    /// See [`EntryHead::first`].
    pub first: u64,
}

impl<'a> Header<'a> {
    /// The header of an entry that was admitted under this revision.
    pub fn of(campaign: &'a Campaign, revision: &'a Revision, stored: &EntryHead) -> Self {
        Self {
            campaign: &campaign.id,
            uid: &campaign.uid,
            shard: stored.shard,
            epoch: stored.epoch,
            revision: stored.revision,
            plan: &revision.plan_digest,
            evaluator: stored.evaluator,
            at: stored.at,
            entry: stored.id,
            first: stored.first,
        }
    }

    /// What the seals of its orders are over, besides the orders.
    pub fn scope(&self) -> Scope<'a> {
        Scope {
            uid: self.uid,
            shard: self.shard,
            epoch: self.epoch,
            revision: self.revision,
        }
    }

    /// Kafka key: tells people the campaign and the shard. Records are never placed by it.
    pub fn key(&self) -> String {
        format!("{}/{}", self.campaign, self.shard)
    }

    /// The order at a position, without the charges and modules that follow from its revision.
    pub fn event(&self, position: u32, attempt: Attempt) -> OrderEvent {
        let under = (self.revision, self.plan);
        OrderEvent {
            ordinal: Some(Ordinal {
                epoch: self.epoch,
                number: self.first.saturating_add(position.into()),
            }),
            ..OrderEvent::of(attempt, self.campaign, self.shard, under, self.at)
        }
    }

    fn check(&self) -> Result<(), RecordError> {
        check_id(self.campaign).map_err(RecordError::Campaign)?;
        for (field, text) in [("uid", self.uid), ("plan", self.plan)] {
            if text.len() > TEXT_BYTES_MAX {
                return Err(RecordError::Text(field));
            }
        }
        Ok(())
    }
}

/// Why bytes are no record, or none is made of a header and payloads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("no record: it does not begin with a version")]
    None,
    #[error("record of version {0}; this build reads version {VERSION}")]
    Version(u8),
    #[error("record of {0} bytes; at most {RECORD_BYTES_MAX} fit")]
    Size(usize),
    #[error("the record's header cannot be read: {0}")]
    Header(postcard::Error),
    #[error("the record's header names campaign id {0}")]
    Campaign(IdError),
    #[error("the record's {0} is longer than {TEXT_BYTES_MAX} bytes")]
    Text(&'static str),
    #[error("record without an order")]
    Empty,
    #[error("record that ends within its order {0}, counted from 0")]
    Cut(usize),
    #[error("record with {0} bytes behind its last order")]
    Trailing(usize),
}

/// A record that was read: everything of it is lent from its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub header: Header<'a>,
    /// At least one; an order's position is its index.
    pub payloads: Vec<&'a [u8]>,
}

/// Whether bytes are a record of whatever version, and no event of version 1.
pub fn is_record(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| VERSIONS.contains(first))
}

/// The bytes of a record: version, header, number of orders, and each payload behind its length.
pub fn encode<'a>(
    header: &Header<'_>,
    payloads: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
) -> Result<Vec<u8>, RecordError> {
    header.check()?;
    if payloads.len() == 0 {
        return Err(RecordError::Empty);
    }
    let size: usize = payloads
        .clone()
        .map(|payload| payload.len() + LENGTH_BYTES_MAX)
        .sum();
    let mut bytes = Vec::with_capacity(size + HEADER_BYTES_MAX / 4);
    bytes.push(VERSION);
    let plain = "plain data into a vector";
    bytes = postcard::to_extend(header, bytes).expect(plain);
    bytes = postcard::to_extend(&(payloads.len() as u64), bytes).expect(plain);
    for payload in payloads {
        bytes = postcard::to_extend(&(payload.len() as u64), bytes).expect(plain);
        bytes.extend_from_slice(payload);
    }
    match bytes.len() <= RECORD_BYTES_MAX {
        true => Ok(bytes),
        false => Err(RecordError::Size(bytes.len())),
    }
}

/// Reads a record. The payloads are cut out and not looked into: one that is odd is its order's fault.
pub fn decode(bytes: &[u8]) -> Result<Record<'_>, RecordError> {
    match bytes.first() {
        Some(&VERSION) => {}
        Some(&version) if VERSIONS.contains(&version) => return Err(RecordError::Version(version)),
        _ => return Err(RecordError::None),
    }
    if bytes.len() > RECORD_BYTES_MAX {
        return Err(RecordError::Size(bytes.len()));
    }
    let (header, rest) = postcard::take_from_bytes::<Header<'_>>(&bytes[1..]).map_err(RecordError::Header)?;
    header.check()?;
    let (orders, mut rest) = postcard::take_from_bytes::<u64>(rest).map_err(RecordError::Header)?;
    // Whatever number it says, no more are made room for than there are bytes.
    let orders = usize::try_from(orders).unwrap_or(usize::MAX);
    let mut payloads = Vec::with_capacity(orders.min(rest.len()));
    for position in 0..orders {
        let (payload, behind) =
            postcard::take_from_bytes::<&[u8]>(rest).map_err(|_| RecordError::Cut(position))?;
        payloads.push(payload);
        rest = behind;
    }
    if payloads.is_empty() {
        return Err(RecordError::Empty);
    }
    match rest.len() {
        0 => Ok(Record { header, payloads }),
        left => Err(RecordError::Trailing(left)),
    }
}

/// Why bytes hold no orders at all.
#[derive(Debug, thiserror::Error)]
pub enum OrdersError {
    #[error(transparent)]
    Event(#[from] EventError),
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// The orders of a record of whatever form, by position; those of a record of many are without charges, which follow from
/// their revision.
pub fn orders(bytes: &[u8]) -> Result<Vec<Result<OrderEvent, PayloadError>>, OrdersError> {
    if !is_record(bytes) {
        return Ok(vec![Ok(OrderEvent::decode(bytes)?)]);
    }
    let record = decode(bytes)?;
    let all = (0..).zip(&record.payloads);
    Ok(all
        .map(|(position, payload)| record.order(position, payload))
        .collect())
}

/// The first order of a record of whatever form, as [`orders`] has it; `None` where there is none that can be read.
pub fn first_order(bytes: &[u8]) -> Option<OrderEvent> {
    if !is_record(bytes) {
        return OrderEvent::decode(bytes).ok();
    }
    let record = decode(bytes).ok()?;
    record.order(0, record.payloads[0]).ok()
}

impl Record<'_> {
    fn order(&self, position: u32, payload: &[u8]) -> Result<OrderEvent, PayloadError> {
        let attempt = Payload::read(payload)?.attempt()?;
        Ok(self.header.event(position, attempt))
    }

    /// One of its orders as a record of its own, its payload unchanged.
    pub fn alone(&self, position: u32) -> Option<Vec<u8>> {
        let payload = *self.payloads.get(position as usize)?;
        let header = Header {
            first: self.header.first.saturating_add(position.into()),
            ..self.header
        };
        encode(&header, [payload].into_iter()).ok()
    }
}

#[cfg(test)]
mod tests;
