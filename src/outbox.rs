//! What the outbox carries: the admitted attempts of one batch, and what they become on the bus.
//!
//! Both forms of `docs/RECORDS.md` are made here, from what the entry says and the revision it names alone: the gateway that
//! admitted an entry and a relay that finds it send the same.

use crate::campaign::RecordVersion;
use crate::lua::calls::RawEntry;
use crate::lua::keys::Shard;
use crate::order::{Attempt, OrderEvent, Ordinal};
use crate::plan::eval;
use crate::record::{self, EntryHead, Header, Payload, Payloads, Scope, write_payload};
use crate::ruleset::{Active, Compiled};
use crate::seal::{Keyring, Seal};

/// Room for a payload, about.
const BYTES_EACH: usize = 160;

/// Called once with whether Kafka acknowledged every order of the entry.
pub type Acknowledged = Box<dyn FnOnce(bool) + Send>;

/// One entry of a shard's outbox, ready to be published.
pub struct Entry {
    pub shard: Shard,
    /// Redis stream id.
    pub id: String,
    /// Of its shard: see [`Campaign::partition_of`](crate::campaign::Campaign::partition_of).
    pub partition: Option<i32>,
    pub orders: Orders,
    pub acknowledged: Option<Acknowledged>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("shard", &self.shard)
            .field("id", &self.id)
            .field("orders", &self.orders.len())
            .finish()
    }
}

/// The orders of an entry, as they travel.
#[derive(Clone, Debug, PartialEq)]
pub enum Orders {
    Alone(Vec<OrderEvent>),
    /// One record of version 2.
    Together {
        key: String,
        record: Vec<u8>,
        count: usize,
    },
}

impl Orders {
    /// Those of an entry that was admitted under `compiled`; the error says why there are none.
    pub fn of(compiled: &Compiled, shard: u32, entry: &RawEntry) -> Result<Self, String> {
        if entry.packed.is_none() {
            return events(compiled, shard, entry).map(Self::Alone);
        }
        Self::together(compiled, shard, entry, entry.payloads.iter().map(Vec::as_slice))
    }

    /// The record of an entry, of which `entry` says everything but the payloads.
    pub(crate) fn together<'a>(
        compiled: &Compiled,
        shard: u32,
        entry: &RawEntry,
        payloads: impl ExactSizeIterator<Item = &'a [u8]> + Clone,
    ) -> Result<Self, String> {
        let header = header(compiled, shard, entry)?;
        Ok(Self::Together {
            key: header.key(),
            count: payloads.len(),
            record: record::encode(&header, payloads).map_err(|error| error.to_string())?,
        })
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Alone(events) => events.len(),
            Self::Together { count, .. } => *count,
        }
    }

    #[cfg(feature = "testing")]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What an entry is to carry of attempts that are asked for now: as many of the first as one record takes, at least one.
///
/// `asked_at`: this gateway's clock, milliseconds since 1970-01-01 UTC. Without `keys` payloads carry no seal.
pub fn payloads<'a>(
    active: &Active,
    shard: u32,
    attempts: impl Iterator<Item = &'a Attempt>,
    asked_at: i64,
    keys: Option<&Keyring>,
) -> Payloads {
    let scope = Scope {
        uid: &active.campaign.uid,
        shard,
        epoch: active.activation.epoch,
        revision: active.revision.number,
    };
    let room = record::RECORD_BYTES_MAX - record::HEADER_BYTES_MAX;
    let (orders, _) = attempts.size_hint();
    let mut payloads = Payloads::with_capacity(orders, BYTES_EACH * orders);
    for attempt in attempts {
        match active.campaign.record_version {
            RecordVersion::V1 => payloads.push(&attempt.encode()),
            RecordVersion::V2 => {
                payloads.push_with(|bytes| write_payload(attempt, asked_at, &scope, keys, bytes))
            }
        }
        if payloads.as_bytes().len() > room && payloads.len() > 1 {
            payloads.pop();
            break;
        }
    }
    payloads
}

/// The events of the orders of an entry that can be sent; the error says why it cannot. Of one whose orders travel together
/// those are left out that nobody can read: landing sets them apart.
pub fn events(compiled: &Compiled, shard: u32, entry: &RawEntry) -> Result<Vec<OrderEvent>, String> {
    if entry.packed.is_some() {
        Orders::of(compiled, shard, entry)?;
    }
    let attempt = |payload: &Vec<u8>| match entry.packed {
        None => {
            serde_json::from_slice::<Attempt>(payload).map_err(|_| "its payload is not an attempt".to_owned())
        }
        Some(_) => Payload::read(payload)
            .and_then(|payload| payload.attempt())
            .map_err(|error| error.to_string()),
    };
    let event = |(position, payload): (u64, &Vec<u8>)| {
        let ordinal = entry.packed.map(|packed| Ordinal {
            epoch: packed.epoch,
            number: packed.first.saturating_add(position),
        });
        Ok(OrderEvent {
            ordinal,
            ..event(compiled, shard, &attempt(payload)?, entry.placed_at)
        })
    };
    let events = (0..).zip(&entry.payloads).map(event);
    match entry.packed {
        None => events.collect(),
        Some(_) => Ok(events.filter_map(Result::<_, String>::ok).collect()),
    }
}

/// Positions of orders that no gateway sealed as the entry has them, where `keys` can tell.
pub fn unsealed(compiled: &Compiled, shard: u32, entry: &RawEntry, keys: &Keyring) -> Vec<usize> {
    let Some(header) = entry.packed.and_then(|_| header(compiled, shard, entry).ok()) else {
        return Vec::new();
    };
    let scope = header.scope();
    let is_wrong = |payload: &[u8]| match Payload::read(payload) {
        Ok(payload) => matches!(payload.seal(&scope, Some(keys)), Seal::Wrong(_) | Seal::Missing),
        Err(_) => true,
    };
    let positions = entry.payloads.iter().enumerate();
    positions
        .filter(|(_, payload)| is_wrong(payload))
        .map(|(position, _)| position)
        .collect()
}

fn header<'a>(compiled: &'a Compiled, shard: u32, entry: &RawEntry) -> Result<Header<'a>, String> {
    let packed = entry.packed.ok_or("its orders do not travel together")?;
    // Landing would wait for a build that knows it, with the whole partition; a gateway that does sends its own entries.
    if packed.evaluator != eval::VERSION {
        let (theirs, ours) = (packed.evaluator, eval::VERSION);
        return Err(format!(
            "its charges are made by evaluator {theirs}, and this build has {ours}"
        ));
    }
    let stored = EntryHead {
        id: entry
            .id
            .parse()
            .map_err(|error: record::EntryIdError| error.to_string())?,
        shard,
        epoch: packed.epoch,
        revision: entry.revision,
        evaluator: packed.evaluator,
        at: entry.placed_at,
        first: packed.first,
    };
    Ok(Header::of(&compiled.campaign, &compiled.revision, &stored))
}

/// The event of an attempt that was admitted at `placed_at` under `compiled`. Charges follow from plan,
/// attempt and moment, so whoever finds the entry computes the same event as the gateway that
/// admitted it.
pub fn event(compiled: &Compiled, shard: u32, attempt: &Attempt, placed_at: i64) -> OrderEvent {
    let (campaign, revision) = (&compiled.campaign, &compiled.revision);
    let under = (revision.number, revision.plan_digest.as_str());
    OrderEvent {
        modules: revision.rules.iter().map(|rule| rule.digest.clone()).collect(),
        charges: eval::charges(&compiled.family.plan, attempt, placed_at),
        ..OrderEvent::of(attempt.clone(), &campaign.id, shard, under, placed_at)
    }
}
