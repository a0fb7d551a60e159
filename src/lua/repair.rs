//! Arguments and replies of the scripts that compare a shard with the database and put it right.

use std::collections::BTreeMap;

use super::Args;
use super::args::text;
use super::calls::{RawEntry, entry};
use super::fence::Fence;
use super::places::CountAt;
use super::reply::{CodecError, Reader, Reply};
use crate::campaign::bucket_of;
use crate::order::OrderId;

/// What `ledger` answers: a shard at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// `None` where there is no state, or behind a closed gate.
    pub fence: Option<Fence>,
    /// The engine's clock, milliseconds since 1970-01-01 UTC.
    pub now: i64,
    /// When the campaign's keys go.
    pub expires_at: i64,
    /// As text: what a repair of the stock compares.
    pub reopened: String,
    /// Orders ever admitted in this memory, as text: while it is the same, none came.
    pub admitted: String,
    pub stock: BTreeMap<String, i64>,
    /// `None` where more orders wait than were asked for.
    pub outbox: Option<Vec<RawEntry>>,
}

pub fn ledger_args(most_orders: usize) -> Args {
    Args::from([text(most_orders)])
}

pub fn ledger_reply(reply: Reply) -> Result<Ledger, CodecError> {
    let mut reader = Reader::new("ledger", reply)?;
    reader.word()?;
    let mut ledger = Ledger {
        fence: Fence::parse(&reader.bytes()?),
        now: reader.number()?,
        expires_at: reader.number()?,
        reopened: reader.word()?,
        admitted: reader.word()?,
        stock: BTreeMap::new(),
        outbox: None,
    };
    for _ in 0..reader.number::<usize>()? {
        let sku = reader.word()?;
        ledger.stock.insert(sku, reader.number()?);
    }
    if reader.number::<u8>()? == 1 {
        let mut entries = Vec::new();
        while !reader.is_empty() {
            entries.push(entry(&mut reader)?);
        }
        ledger.outbox = Some(entries);
    }
    Ok(ledger)
}

/// One bucket: field and value.
pub type Bucket = Vec<(Vec<u8>, Vec<u8>)>;

/// What `buckets` answers: the fence, and per key its bucket; `None` for one without its mark.
pub fn buckets_reply(reply: Reply) -> Result<(Option<Fence>, Vec<Option<Bucket>>), CodecError> {
    let mut reader = Reader::new("buckets", reply)?;
    reader.word()?;
    let fence = Fence::parse(&reader.bytes()?);
    let mut buckets = Vec::new();
    while !reader.is_empty() {
        let marked = reader.number::<u8>()? == 1;
        let count = reader.number::<usize>()?;
        let fields = (0..count).map(|_| Ok((reader.bytes()?, reader.bytes()?)));
        let bucket = fields.collect::<Result<Bucket, CodecError>>()?;
        buckets.push(marked.then_some(bucket));
    }
    Ok((fence, buckets))
}

pub fn counts_args<'a>(places: impl IntoIterator<Item = &'a CountAt>) -> Args {
    let places = places.into_iter();
    places.flat_map(|at| [text(&at.key), text(&at.field)]).collect()
}

/// The fence, and the value per place as text; the empty text for none.
pub fn counts_reply(reply: Reply) -> Result<(Option<Fence>, Vec<String>), CodecError> {
    let mut reader = Reader::new("counts", reply)?;
    reader.word()?;
    let fence = Fence::parse(&reader.bytes()?);
    let mut values = Vec::new();
    while !reader.is_empty() {
        values.push(reader.word()?);
    }
    Ok((fence, values))
}

/// What `repair` is to put right.
#[derive(Clone, Debug)]
pub enum Repair<'a> {
    Stock {
        sku: &'a str,
        /// As the ledger had it.
        reopened: &'a str,
        /// Above 0: given back; below: taken off.
        units: i64,
    },
    Order {
        order: OrderId,
        user: &'a str,
        buckets: u32,
        record: &'a str,
    },
    Count {
        at: &'a CountAt,
        there: &'a str,
        to_be: &'a str,
        /// Of the key, where it does not live as long as the campaign.
        expires_at: Option<i64>,
        /// As it was when the count was read.
        reopened: &'a str,
    },
}

pub fn repair_args(fence: &Fence, repair: &Repair<'_>) -> Args {
    let mut args = Args::from([text(fence)]);
    match repair {
        Repair::Stock { sku, reopened, units } => {
            args.extend([text("stock"), text(sku), text(reopened), text(units)]);
        }
        Repair::Order {
            order,
            user,
            buckets,
            record,
        } => {
            let bucket = bucket_of(user.as_bytes(), *buckets);
            args.extend([text("order"), text(bucket), text(order), text(record)]);
        }
        Repair::Count {
            at,
            there,
            to_be,
            expires_at,
            reopened,
        } => {
            let expiry = expires_at.map_or_else(Vec::new, text);
            args.extend([
                text("count"),
                text(&at.key),
                text(&at.field),
                text(there),
                text(to_be),
            ]);
            args.extend([expiry, text(reopened)]);
        }
    }
    args
}

/// What became of a repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repaired {
    Done {
        before: String,
        after: String,
    },
    /// It is not as it was compared; nothing was done.
    Moved,
    /// Another revision is in force; nothing was done.
    Fenced,
}

pub fn repair_reply(reply: Reply) -> Result<Repaired, CodecError> {
    let mut reader = Reader::new("repair", reply)?;
    match reader.word()?.as_str() {
        "ok" => Ok(Repaired::Done {
            before: reader.word()?,
            after: reader.word()?,
        }),
        "moved" => Ok(Repaired::Moved),
        "fence" => Ok(Repaired::Fenced),
        other => Err(CodecError::new("repair", format!("it starts with {other:?}"))),
    }
}
