//! Arguments and replies of the hand-written scripts. `lua/README.md` is the ABI.

use std::collections::BTreeMap;
use std::ops::Range;

use super::args::text;
use super::fence::Fence;
use super::pause::parse_pause;
use super::places::charge_args;
use super::record::decode_record;
use super::reply::{CodecError, Reader, Reply};
use super::{Args, Script, keys};
use crate::campaign::{Pause, bucket_of};
use crate::order::{Charge, OrderId};
use crate::plan::CheckedPlan;
use crate::plan::decision::Placed;

/// What `watch` answers about a shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardStatus {
    /// `None` where there is no state, or behind a closed gate.
    pub fence: Option<Fence>,
    /// Rises with every release: sold-out SKUs may have units again.
    pub reopened: i64,
    pub admitted: i64,
    pub settled: i64,
    /// The incarnation of the server for which the state was declared whole; empty where none was.
    pub run: String,
    /// Whether the sale is paused.
    pub pause: Pause,
    /// Entries in the outbox.
    pub outbox: i64,
    /// Whether there is an outbox, be it an empty one.
    pub has_outbox: bool,
    /// When the oldest entry of the outbox was written, milliseconds since 1970-01-01 UTC; 0 where there is none.
    pub oldest: i64,
    /// The engine's clock, milliseconds since 1970-01-01 UTC.
    pub now: i64,
    pub stock: BTreeMap<String, i64>,
    pub rejected: BTreeMap<String, u64>,
    /// Attempts by their outcome under a revision's rules and under its shadow.
    pub shadow: BTreeMap<ShadowPair, u64>,
}

impl ShardStatus {
    /// Orders that wait in the outbox. Where it has no entry none does, whatever the counts say: one that was removed
    /// by hand was never settled.
    pub fn pending(&self) -> u64 {
        match self.outbox {
            0 => 0,
            _ => u64::try_from(self.admitted - self.settled).unwrap_or(0),
        }
    }
}

/// What rules and shadow of one revision made of the same attempts: see [`crate::plan::outcome`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ShadowPair {
    pub revision: u32,
    pub live: String,
    pub shadow: String,
}

impl ShadowPair {
    /// Reads `<revision>:<outcome>:<outcome>`.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let pair = Self {
            revision: parts.next()?.parse().ok()?,
            live: parts.next()?.to_owned(),
            shadow: parts.next()?.to_owned(),
        };
        parts.next().is_none().then_some(pair)
    }
}

/// One outbox entry as `outbox` answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEntry {
    pub id: String,
    /// 0 where its fields are not those of an entry.
    pub revision: u32,
    /// The moment of the decision, milliseconds since 1970-01-01 UTC.
    pub placed_at: i64,
    /// How its orders travel together; `None` of an entry of version 1.
    pub packed: Option<Packed>,
    pub payloads: Vec<Vec<u8>>,
}

/// What an entry whose orders travel together says of itself: `<epoch> <evaluator> <first>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Those that the script compared.
    pub epoch: u64,
    /// [`eval::VERSION`](crate::plan::eval::VERSION) of the gateway that asked.
    pub evaluator: u32,
    /// Ordinal of the first order in its shard.
    pub first: u64,
}

impl Packed {
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.splitn(3, ' ');
        Some(Self {
            epoch: numbers.next()?.parse().ok()?,
            evaluator: numbers.next()?.parse().ok()?,
            first: numbers.next()?.parse().ok()?,
        })
    }
}

pub fn show_args(fence: &Fence, admit: &Script) -> Args {
    Args::from([text(fence), text(&admit.text)])
}

/// What comes back of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned<'a> {
    pub order: OrderId,
    pub user: &'a str,
    pub sku: &'a str,
    /// Units; 0 where no stock comes back.
    pub units: u32,
    pub charges: Vec<Charge>,
}

/// `plan`: the active one.
pub fn release_args(fence: &Fence, orders: &[Returned<'_>], plan: &CheckedPlan) -> Args {
    let mut args = Args::from([text(fence)]);
    for each in orders {
        let bucket = bucket_of(each.user.as_bytes(), plan.context().buckets);
        let charges = each.charges.iter();
        let places: Vec<_> = charges
            .flat_map(|charge| charge_args(charge, Some(each.user), plan))
            .collect();
        let (sku, units) = (text(each.sku), text(each.units));
        args.extend([text(each.order), text(bucket), sku, units, text(places.len())]);
        args.extend(places.into_iter().flatten());
    }
    args
}

/// Per order, whether this call released it: otherwise it held nothing any more. `None` when the caller's fence is not the
/// shard's.
pub fn release_reply(reply: Reply) -> Result<Option<Vec<bool>>, CodecError> {
    let mut reader = Reader::new("release", reply)?;
    match reader.word()?.as_str() {
        "ok" => {}
        "fence" => return Ok(None),
        other => return Err(CodecError::new("release", format!("{other:?}"))),
    }
    let mut released = Vec::new();
    while !reader.is_empty() {
        released.push(reader.number::<i64>()? == 1);
    }
    Ok(Some(released))
}

pub fn settle_args(entries: &[(String, usize)]) -> Args {
    entries
        .iter()
        .flat_map(|(id, orders)| [text(id), text(orders)])
        .collect()
}

/// One order whose user is not known, in each of these buckets.
pub fn lookup_in_args(order: OrderId, buckets: Range<u32>) -> Args {
    buckets.flat_map(|bucket| [text(bucket), text(order)]).collect()
}

/// Orders with their users.
pub fn lookup_args<'a>(orders: impl IntoIterator<Item = (OrderId, &'a str)>, buckets: u32) -> Args {
    let args = |(order, user): (OrderId, &str)| [text(bucket_of(user.as_bytes(), buckets)), text(order)];
    orders.into_iter().flat_map(args).collect()
}

/// What `lookup` answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// `None` where state is missing: then an order that was not found may have been admitted all the same.
    pub fence: Option<Fence>,
    /// Per order asked for.
    pub orders: Vec<Option<Found>>,
}

/// An order that `lookup` found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub placed: Placed,
    /// Id of the outbox entry it was written with.
    pub entry: String,
    /// Whether that entry is still there.
    pub waiting: bool,
}

pub fn lookup_reply(reply: Reply) -> Result<Lookup, CodecError> {
    let mut reader = Reader::new("lookup", reply)?;
    reader.word()?;
    let fence = Fence::parse(&reader.bytes()?);
    let mut orders = Vec::new();
    while !reader.is_empty() {
        let record = reader.bytes()?;
        let waiting: i64 = reader.number()?;
        let found = (!record.is_empty()).then(|| decode_record(&record)).transpose()?;
        orders.push(found.map(|(placed, entry)| Found {
            placed,
            entry,
            waiting: waiting == 1,
        }));
    }
    Ok(Lookup { fence, orders })
}

pub fn outbox_args(owner: &str, lease_ms: u64, age_ms: u64, after: &str, most: usize) -> Args {
    Args::from([text(owner), text(lease_ms), text(age_ms), text(after), text(most)])
}

/// `None` when another gateway holds the lease.
pub fn outbox_reply(reply: Reply) -> Result<Option<Vec<RawEntry>>, CodecError> {
    let mut reader = Reader::new("outbox", reply)?;
    if reader.word()? == "held" {
        return Ok(None);
    }
    let mut entries = Vec::new();
    while !reader.is_empty() {
        entries.push(entry(&mut reader)?);
    }
    Ok(Some(entries))
}

pub fn watch_args(rejected: &BTreeMap<String, u64>) -> Args {
    rejected
        .iter()
        .flat_map(|(reason, count)| [text(reason), text(count)])
        .collect()
}

pub fn watch_reply(reply: Reply) -> Result<ShardStatus, CodecError> {
    let mut reader = Reader::new("watch", reply)?;
    reader.word()?;
    let fence = Fence::parse(&reader.bytes()?);
    for _ in ["revision", "opens_at", "closes_at"] {
        reader.bytes()?;
    }
    let (reopened, admitted, settled) = (reader.number()?, reader.number()?, reader.number()?);
    let (run, paused, outbox) = (reader.word()?, reader.word()?, reader.word()?);
    let odd = |what: String| CodecError {
        script: "watch",
        what,
    };
    let entries = match outbox.as_str() {
        "" => 0,
        entries => entries
            .parse()
            .map_err(|_| odd(format!("{entries:?} entries in the outbox")))?,
    };
    let mut status = ShardStatus {
        fence,
        reopened,
        admitted,
        settled,
        run,
        pause: parse_pause(&paused).ok_or_else(|| odd(format!("{paused:?} for a pause")))?,
        outbox: entries,
        has_outbox: !outbox.is_empty(),
        oldest: reader.number()?,
        now: reader.number()?,
        ..ShardStatus::default()
    };
    for _ in 0..reader.number::<usize>()? {
        let sku = reader.word()?;
        status.stock.insert(sku, reader.number()?);
    }
    while !reader.is_empty() {
        let (figure, count) = (reader.word()?, reader.number()?);
        let Some(pair) = figure.strip_prefix(keys::SHADOW_FIGURES) else {
            status.rejected.insert(figure, count);
            continue;
        };
        let pair = ShadowPair::parse(pair).ok_or_else(|| odd(format!("the figure {figure:?}")))?;
        status.shadow.insert(pair, count);
    }
    Ok(status)
}

/// One outbox entry.
pub(super) fn entry(reader: &mut Reader) -> Result<RawEntry, CodecError> {
    let (id, revision) = (reader.word()?, reader.number()?);
    let placed_at = reader.number()?;
    let made = reader.word()?;
    let count = reader.number::<usize>()?;
    let payloads = (0..count).map(|_| reader.bytes()).collect::<Result<_, _>>()?;
    let packed = Packed::parse(&made);
    Ok(match made.is_empty() || packed.is_some() {
        true => RawEntry {
            id,
            revision,
            placed_at,
            packed,
            payloads,
        },
        // Numbers that are too large: none of ours, as what the script itself takes for none.
        false => RawEntry {
            id,
            revision: 0,
            placed_at: 0,
            packed: None,
            payloads: Vec::new(),
        },
    })
}
