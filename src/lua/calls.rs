//! Arguments and replies of the hand-written scripts. `lua/README.md` is the ABI.

use std::collections::BTreeMap;

use super::Args;
use super::codec::{CodecError, Fence, LAYOUT, Reply, decode_record};
use super::restore::charge_args;
pub use super::restore::{Restore, restore_args, restore_reply};
use super::{Script, keys};
use crate::campaign::{RecordVersion, Schedule, bucket_of};
use crate::order::{Charge, OrderId};
use crate::plan::CheckedPlan;
use crate::plan::eval::Placed;

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

impl Fence {
    /// `None` for one of an older layout, too: to this build such a state is lost, and is made anew from the database.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (uid, epoch) = std::str::from_utf8(text).ok()?.rsplit_once(':')?;
        // Builds of before wrote no layout, and no version where it was 1.
        let (own, version) = uid.rsplit_once('/')?;
        let (version, layout) = version.split_once('.')?;
        let known = |version: &str| version.parse::<u8>().ok()?.try_into().ok();
        let layout: u8 = layout.parse().unwrap_or(u8::MAX);
        if layout < LAYOUT {
            return None;
        }
        let ours = layout == LAYOUT;
        // What a later build has written is another campaign's, by its uid.
        let later = (uid, RecordVersion::V1);
        let (uid, version) = known(version)
            .filter(|_| ours)
            .map_or(later, |version| (own, version));
        Some(Self {
            uid: uid.to_owned(),
            version,
            epoch: epoch.parse().ok()?,
        })
    }
}

impl std::fmt::Display for Fence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}/{}.{LAYOUT}:{}",
            self.uid,
            self.version.number(),
            self.epoch
        )
    }
}

pub(super) fn text(value: impl ToString) -> Vec<u8> {
    value.to_string().into_bytes()
}

/// Families of buckets that live as long as the campaign: buyers, and counts of other subjects whose window is the
/// whole campaign or rolls.
pub const LASTING_FAMILIES: [&str; 2] = [keys::BUYERS, keys::COUNTS];

/// Every bucket key of these families, and of the one that an older layout may have left.
pub fn lasting_keys(plan: &CheckedPlan) -> Vec<String> {
    let buckets = 0..plan.context().buckets;
    let families = LASTING_FAMILIES.into_iter().chain([keys::OLDER_ORDERS]);
    families
        .flat_map(|family| buckets.clone().map(move |bucket| format!("{family}{bucket}")))
        .collect()
}

pub(super) fn family_args(buckets: u32) -> impl Iterator<Item = Vec<u8>> {
    LASTING_FAMILIES
        .into_iter()
        .flat_map(move |family| [text(family), text(buckets)])
}

/// `fence`, `revision` and times, as `activate` and the last step of `restore` take them.
pub(super) fn state_args(fence: &Fence, revision: u32, schedule: Schedule) -> Args {
    Args::from([
        text(fence),
        text(revision),
        text(schedule.opens_at),
        text(schedule.closes_at),
        text(schedule.expires_at()),
    ])
}

pub fn activate_args(fence: &Fence, revision: u32, plan: &CheckedPlan) -> Args {
    let mut args = state_args(fence, revision, plan.context().schedule);
    args.extend(family_args(plan.context().buckets));
    args
}

/// `Ok(None)` when the fence moved; the shard's own fence (or none) when it did not.
pub fn activate_reply(reply: Reply) -> Result<Option<Option<Fence>>, CodecError> {
    let odd = || CodecError {
        script: "activate",
        what: "not an answer".into(),
    };
    let Reply::Array(parts) = reply else {
        return Err(odd());
    };
    match parts.as_slice() {
        [Reply::Bulk(word), ..] if word == b"ok" => Ok(None),
        [Reply::Bulk(word), Reply::Bulk(fence)] if word == b"fence" => Ok(Some(Fence::parse(fence))),
        _ => Err(odd()),
    }
}

pub fn show_args(fence: &Fence, admit: &Script) -> Args {
    Args::from([text(fence), text(&admit.text)])
}

/// `quantity`: 0 where no stock comes back. `plan`: the active one.
pub fn release_args(
    fence: &Fence,
    (order, user): (OrderId, &str),
    sku: &str,
    quantity: u32,
    charges: &[Charge],
    plan: &CheckedPlan,
) -> Args {
    let bucket = bucket_of(user.as_bytes(), plan.context().buckets);
    let mut args = Args::from([text(fence), text(order), text(bucket), text(sku), text(quantity)]);
    args.extend(
        charges
            .iter()
            .flat_map(|charge| charge_args(charge, Some(user), plan))
            .flatten(),
    );
    args
}

/// Whether the order holds nothing any more; `false` when the caller's fence is not the shard's.
pub fn release_reply(reply: Reply) -> Result<bool, CodecError> {
    match reply {
        Reply::Array(parts) if parts.first() == Some(&Reply::Bulk(b"ok".to_vec())) => Ok(true),
        Reply::Array(parts) if parts.first() == Some(&Reply::Bulk(b"fence".to_vec())) => Ok(false),
        other => Err(CodecError {
            script: "release",
            what: format!("{other:?}"),
        }),
    }
}

pub fn settle_args(entries: &[(String, usize)]) -> Args {
    entries
        .iter()
        .flat_map(|(id, orders)| [text(id), text(orders)])
        .collect()
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
        entries.push(reader.entry()?);
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
    let (run, outbox) = (reader.word()?, reader.word()?);
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

/// Takes a flat reply apart, one value at a time.
pub(super) struct Reader {
    script: &'static str,
    parts: std::vec::IntoIter<Reply>,
}

impl Reader {
    pub(super) fn new(script: &'static str, reply: Reply) -> Result<Self, CodecError> {
        match reply {
            Reply::Array(parts) => Ok(Self {
                script,
                parts: parts.into_iter(),
            }),
            other => Err(CodecError {
                script,
                what: format!("{other:?}"),
            }),
        }
    }

    /// One outbox entry.
    pub(super) fn entry(&mut self) -> Result<RawEntry, CodecError> {
        let (id, revision) = (self.word()?, self.number()?);
        let placed_at = self.number()?;
        let made = self.word()?;
        let count = self.number::<usize>()?;
        let payloads = (0..count).map(|_| self.bytes()).collect::<Result<_, _>>()?;
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

    pub(super) fn is_empty(&self) -> bool {
        self.parts.len() == 0
    }

    /// Integers are given as their text; nothing as the empty text.
    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, CodecError> {
        match self.parts.next() {
            Some(Reply::Bulk(bytes)) => Ok(bytes),
            Some(Reply::Int(n)) => Ok(text(n)),
            Some(Reply::Nil) => Ok(Vec::new()),
            other => Err(CodecError {
                script: self.script,
                what: format!("{other:?} for a value"),
            }),
        }
    }

    pub(super) fn word(&mut self) -> Result<String, CodecError> {
        String::from_utf8(self.bytes()?).map_err(|_| CodecError {
            script: self.script,
            what: "not UTF-8".into(),
        })
    }

    /// The empty text counts as 0: a field that was never written.
    pub(super) fn number<T: std::str::FromStr + Default>(&mut self) -> Result<T, CodecError> {
        let word = self.word()?;
        if word.is_empty() {
            return Ok(T::default());
        }
        word.parse().map_err(|_| CodecError {
            script: self.script,
            what: format!("{word:?} for a number"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_says_how_the_shard_is_laid_out() {
        let fence = |uid: &str, version| Fence {
            uid: uid.to_owned(),
            version,
            epoch: 7,
        };
        for version in [RecordVersion::V1, RecordVersion::V2] {
            let text = fence("u", version).to_string();
            assert_eq!(text, format!("u/{}.{LAYOUT}:7", version.number()));
            assert_eq!(Fence::parse(text.as_bytes()), Some(fence("u", version)));
        }
        // What a release of before wrote stands for a state that is lost to this one.
        for older in ["", "u", "u:7", "u/1:7", "u/2:7", "u/1.2:7", "u/2.2:7"] {
            assert_eq!(Fence::parse(older.as_bytes()), None, "{older}");
        }
        // A later one's is another campaign's.
        for later in ["u/3.3:7", "u/2.4:7", "u/2.256:7"] {
            let there = Fence::parse(later.as_bytes()).expect("a fence");
            assert_ne!(there.uid, "u", "{later}");
            assert_eq!(Fence::parse(there.to_string().as_bytes()), Some(there));
        }
    }

    #[test]
    fn the_scripts_read_fences_of_this_layout() {
        let read = include_str!("../../lua/parts/fence.lua");
        assert!(
            read.contains(&format!("'^([^/]*)/(%d+)%.{LAYOUT}:(%d+)$'")),
            "{read}"
        );
    }
}
