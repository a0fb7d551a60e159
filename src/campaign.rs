//! Campaigns, revisions and the names in them; pure data with the checks every edge shares.

mod four_eyes;
mod origins;
mod pause;
mod restock;
mod skus;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use self::four_eyes::FourEyes;
pub use self::origins::{ORIGIN_BYTES_MAX, ORIGINS_MAX, OriginError, Origins};
pub use self::pause::{Pause, Paused};
pub use self::restock::Restock;
pub use self::skus::Skus;
use crate::wire::json::once_each;

/// Units of all SKUs of one campaign together.
pub const STOCK_MAX: u64 = 1_000_000_000;
pub const SKUS_MAX: usize = 1000;
/// Attributes of one SKU.
pub const SKU_ATTRIBUTES_MAX: usize = 16;
/// Rules of one revision.
pub const RULES_MAX: usize = 8;
/// Bytes of a campaign's or a list's id.
pub const ID_BYTES_MAX: usize = 64;
/// Longest campaign: calendar windows are tables of their boundaries.
pub const CAMPAIGN_DAYS_MAX: i64 = 800;
/// Entries a bucketed hash should hold at most (keys stay small: no multi-megabyte value).
pub const BUCKET_ENTRIES: u64 = 2000;
/// Days for which a campaign is kept after it closed, unless it or the configuration says otherwise.
pub const RETENTION_DAYS: u32 = 7;
/// At most so many: Redis holds what a campaign counts for so long.
pub const RETENTION_DAYS_MAX: u32 = 366;
/// [`RETENTION_DAYS`] in milliseconds.
pub const RETENTION_MS: i64 = RETENTION_DAYS as i64 * DAY_MS;
/// A campaign is archived so long before its Redis keys go, so that no gateway takes keys that expired for lost
/// memory: the clocks of gateways and Redis differ by less.
pub const ARCHIVE_LEAD_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 3600 * 1000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Sku {
    /// Up to 128 bytes.
    #[schema(min_length = 1, max_length = 128)]
    pub id: String,
    /// Units for sale.
    #[schema(minimum = 1, maximum = 1_000_000_000)]
    pub stock: u64,
    /// What it is, `colour` and `category`, by name: rules may ask for it. Fixed at creation.
    #[serde(
        default,
        skip_serializing_if = "BTreeMap::is_empty",
        deserialize_with = "once_each"
    )]
    pub attributes: BTreeMap<String, String>,
}

impl Sku {
    /// A SKU without attributes.
    pub fn new(id: impl Into<String>, stock: u64) -> Self {
        Self {
            id: id.into(),
            stock,
            attributes: BTreeMap::new(),
        }
    }
}

/// How a campaign's orders leave its gateways: `docs/RECORDS.md`. It only rises.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum RecordVersion {
    /// Each order alone, as JSON.
    #[default]
    V1,
    /// All orders of an outbox entry together.
    V2,
}

impl RecordVersion {
    /// What this build writes where everybody can read it.
    pub const NEWEST: Self = Self::V2;

    pub fn number(self) -> u8 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }
}

impl From<RecordVersion> for u8 {
    fn from(version: RecordVersion) -> Self {
        version.number()
    }
}

/// A later build has moved the campaign on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its orders travel in records of version {0}, and this build writes up to version {max}: run a later one", max = RecordVersion::NEWEST.number())]
pub struct RecordVersionError(u8);

impl TryFrom<u8> for RecordVersion {
    type Error = RecordVersionError;

    fn try_from(number: u8) -> Result<Self, RecordVersionError> {
        match number {
            1 => Ok(Self::V1),
            2 => Ok(Self::V2),
            other => Err(RecordVersionError(other)),
        }
    }
}

/// One flash sale of a merchant. Its rules live in its revisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Campaign {
    pub id: String,
    pub title: String,
    pub skus: Skus,
    /// Random, made at creation: tells this campaign's Redis state from another deployment's.
    pub uid: String,
    /// Hash buckets of this campaign's keys, fixed at creation, whatever is added later: see [`buckets_for`].
    pub buckets: u32,
    /// Redis shards, fixed at creation.
    pub shards: u32,
    /// Partitions that its shards' orders are spread over, as many as the orders topic had at creation; fixed then, so that
    /// partitions that are added move nothing. `None` for a campaign from before this was kept: its orders go by key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<u32>,
    #[serde(default)]
    pub record_version: RecordVersion,
    pub created_at: i64,
}

impl Campaign {
    /// The partition that all orders of a shard go to; `None` where they go by key.
    pub fn partition_of(&self, shard: u32) -> Option<i32> {
        Some(partition_of(&self.id, shard, self.partitions?))
    }
}

/// What there is of a campaign's orders, wherever they are: it is not removed while there is any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Admitted, as Redis counts since it last was made anew.
    pub admitted: u64,
    /// In the database, revoked ones included; no more are counted than [`Holdings::COUNTED`].
    pub landed: u64,
    /// Dead letters that may be orders, likewise.
    pub letters: u64,
}

impl Holdings {
    /// So many are counted: whoever reads it wants to know whether there is one.
    pub const COUNTED: u64 = 1000;

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl std::fmt::Display for Holdings {
    /// `3 admitted, 2 in the database, 1 dead letter`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let letters = match self.letters {
            1 => "dead letter",
            _ => "dead letters",
        };
        let all = [
            (self.admitted, "admitted"),
            (self.landed, "in the database"),
            (self.letters, letters),
        ];
        let parts =
            all.iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, what)| match *count > Self::COUNTED {
                    true => format!("more than {} {what}", Self::COUNTED),
                    false => format!("{count} {what}"),
                });
        f.write_str(&parts.collect::<Vec<_>>().join(", "))
    }
}

/// Opening and closing time, milliseconds since 1970-01-01 UTC; `opens_at < closes_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    pub opens_at: i64,
    pub closes_at: i64,
    /// For how long the campaign's state is kept after it closed, milliseconds: whole days. Left out where it is the
    /// built-in one: a plan's digest, which orders carry, covers the schedule, and stays what it was before there was
    /// a choice.
    #[serde(default = "built_in_retention", skip_serializing_if = "is_built_in")]
    pub retention_ms: i64,
}

fn built_in_retention() -> i64 {
    RETENTION_MS
}

fn is_built_in(retention_ms: &i64) -> bool {
    *retention_ms == RETENTION_MS
}

impl Schedule {
    /// The state of the campaign as clients see it; `paused` is what holds at `now`, and counts only where it would be open.
    pub fn state(self, now: i64, paused: Option<Paused>) -> &'static str {
        match now {
            _ if now < self.opens_at => "scheduled",
            _ if now < self.closes_at && paused.is_some() => "paused",
            _ if now < self.closes_at => "open",
            _ => "closed",
        }
    }

    /// When the campaign's Redis keys go.
    pub fn expires_at(self) -> i64 {
        self.closes_at.saturating_add(self.retention_ms)
    }

    /// When the campaign becomes archived: nobody restores its state by himself any more, and what there is to say
    /// of it the database says. Activating a revision that closes later brings it back.
    pub fn archived_at(self) -> i64 {
        self.expires_at().saturating_sub(ARCHIVE_LEAD_MS)
    }

    pub fn is_archived(self, now: i64) -> bool {
        now >= self.archived_at()
    }

    pub fn is_over(self, now: i64) -> bool {
        now >= self.closes_at
    }

    /// Whether the sale is open to everybody.
    pub fn is_open(self, now: i64) -> bool {
        self.opens_at <= now && !self.is_over(now)
    }

    /// The same, kept until `at` at least.
    pub fn kept_until(self, at: i64) -> Self {
        Self {
            retention_ms: self.retention_ms.max(at.saturating_sub(self.closes_at)),
            ..self
        }
    }

    /// The retention in whole days, begun ones included.
    pub fn retention_days(self) -> u32 {
        u32::try_from((self.retention_ms.max(0) + DAY_MS - 1) / DAY_MS).unwrap_or(u32::MAX)
    }
}

/// So many days in milliseconds.
pub fn days_ms(days: u32) -> i64 {
    i64::from(days) * DAY_MS
}

/// Which revision decides, since which epoch. The epoch only grows, over all activations and
/// rebuilds of a campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activation {
    pub epoch: u64,
    pub revision: u32,
}

/// Number of hash buckets for a campaign with so much stock: only admitted orders write, so there
/// are never more entries than units.
pub fn buckets_for(skus: &[Sku]) -> u32 {
    let units = skus
        .iter()
        .fold(0, |units: u64, sku| units.saturating_add(sku.stock));
    (units / BUCKET_ENTRIES + 1).next_power_of_two().min(65_536) as u32
}

/// The bucket a value falls into.
pub fn bucket_of(value: &[u8], buckets: u32) -> u32 {
    crc32fast::hash(value) % buckets.max(1)
}

/// The partition, of so many, that the orders of a campaign's shard go to: the first eight bytes of the SHA-256 of the
/// campaign's id, as a big-endian number, plus the shard, modulo the partitions. So campaigns are spread evenly whatever
/// their ids look like, and the shards of one campaign meet only where there are more of them than partitions.
///
/// Orders are on their way by it, and other programs may compute it: it never changes.
pub fn partition_of(campaign: &str, shard: u32, partitions: u32) -> i32 {
    let digest = Sha256::digest(campaign.as_bytes());
    let number = digest[..8]
        .iter()
        .fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
    // Kafka's partitions are numbered by an i32.
    let partitions = u64::from(partitions.clamp(1, i32::MAX as u32));
    ((number % partitions + u64::from(shard)) % partitions) as i32
}

/// Why an id is refused; the text says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("is empty")]
    Empty,
    #[error("is {0} bytes long; at most {ID_BYTES_MAX} are allowed")]
    TooLong(usize),
    #[error(
        "contains {0:?}; use letters a-z A-Z, digits, '.', '_' and '-', and start with a letter or digit"
    )]
    Character(char),
    #[error(
        "begins with {0:?}; use letters a-z A-Z, digits, '.', '_' and '-', and start with a letter or digit"
    )]
    Beginning(char),
}

/// Checks the id of a campaign or a list: it becomes part of Redis keys, paths and SQL keys, so it is kept
/// to `[A-Za-z0-9][A-Za-z0-9._-]*`.
pub fn check_id(id: &str) -> Result<(), IdError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match id.chars().next() {
        None => return Err(IdError::Empty),
        Some(c) if allowed(c) && !c.is_ascii_alphanumeric() => return Err(IdError::Beginning(c)),
        Some(_) => {}
    }
    if id.len() > ID_BYTES_MAX {
        return Err(IdError::TooLong(id.len()));
    }
    match id.chars().find(|c| !allowed(*c)) {
        Some(c) => Err(IdError::Character(c)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_to_the_safe_alphabet() {
        assert_eq!(check_id("spring-sale_2026.v1"), Ok(()));
        assert_eq!(check_id(""), Err(IdError::Empty));
        assert_eq!(check_id("-x"), Err(IdError::Beginning('-')));
        for bad in ["a{b}", "a'b", "a\nb", "a\0b", "a b", "ü"] {
            assert!(matches!(check_id(bad), Err(IdError::Character(_))), "{bad:?}");
        }
        assert_eq!(check_id(&"a".repeat(10_240)), Err(IdError::TooLong(10_240)));
    }

    #[test]
    fn a_campaign_is_archived_a_little_before_its_keys_go() {
        let schedule = Schedule {
            opens_at: 0,
            closes_at: 1000,
            retention_ms: days_ms(2),
        };
        assert_eq!(schedule.expires_at(), 1000 + 2 * DAY_MS);
        assert_eq!(schedule.retention_days(), 2);
        assert!(!schedule.is_over(999) && schedule.is_over(1000));
        let at = schedule.archived_at();
        assert_eq!(at, schedule.expires_at() - ARCHIVE_LEAD_MS);
        assert!(!schedule.is_archived(at - 1) && schedule.is_archived(at));
        let older: Schedule = serde_json::from_str(r#"{"opens_at":0,"closes_at":1}"#).expect("as it was");
        assert_eq!(older.retention_ms, RETENTION_MS);
    }

    #[test]
    fn the_partition_of_a_lane_is_what_it_always_was() {
        for (campaign, shard, partitions, partition) in [
            ("spring", 0, 12, 2),
            ("spring", 1, 12, 3),
            ("spring", 0, 24, 2),
            ("spring", 0, 1, 0),
            ("demo", 0, 12, 8),
            ("autumn-sale_2026.v1", 0, 12, 11),
            ("autumn-sale_2026.v1", 7, 256, 106),
            ("a", 11, 12, 9),
        ] {
            let found = partition_of(campaign, shard, partitions);
            assert_eq!(found, partition, "{campaign}, shard {shard} of {partitions}");
        }
        assert_eq!(partition_of("spring", 0, 0), 0, "never more than a topic has");
        assert_eq!(partition_of("spring", u32::MAX, 1), 0);
    }

    /// How many of these lanes each partition gets.
    fn spread(lanes: impl Iterator<Item = i32>, partitions: u32) -> Vec<u32> {
        let mut of = vec![0; partitions as usize];
        lanes.for_each(|partition| of[partition as usize] += 1);
        of
    }

    #[test]
    fn lanes_are_spread_evenly_over_the_partitions() {
        const CAMPAIGNS: u32 = 12_000;
        let names: [fn(u32) -> String; 4] = [
            |n| format!("sale-{n}"),
            |n| format!("{n:06}"),
            |n| format!("merchant.{}_{}", n / 100, n % 100),
            |n| format!("{n:x}-spring-2026"),
        ];
        for partitions in [1, 2, 7, 12, 48, 256] {
            let fair = f64::from(CAMPAIGNS) / f64::from(partitions);
            for name in names {
                let lanes = (0..CAMPAIGNS).map(|n| partition_of(&name(n), 0, partitions));
                for (partition, got) in spread(lanes, partitions).into_iter().enumerate() {
                    // Six times what chance makes of it.
                    let off = (f64::from(got) - fair).abs() / fair.sqrt();
                    assert!(off < 6.0, "{}: {partition} of {partitions} has {got}", name(0));
                }
            }
        }
    }

    #[test]
    fn shards_of_one_campaign_share_a_partition_only_where_there_are_too_few() {
        for (shards, partitions, most) in [
            (1, 12, 1),
            (5, 12, 1),
            (12, 12, 1),
            (13, 12, 2),
            (24, 12, 2),
            (4, 1, 4),
        ] {
            let lanes = (0..shards).map(|shard| partition_of("spring", shard, partitions));
            let of = spread(lanes, partitions);
            assert_eq!(
                of.iter().max(),
                Some(&most),
                "{shards} shards, {partitions} partitions"
            );
        }
    }

    #[test]
    fn a_campaign_from_before_goes_by_key() {
        let mut campaign = Campaign {
            id: "spring".into(),
            title: "Spring".into(),
            skus: Skus::default(),
            uid: "u".into(),
            buckets: 1,
            shards: 2,
            partitions: None,
            record_version: RecordVersion::V1,
            created_at: 0,
        };
        assert_eq!(campaign.partition_of(0), None);
        campaign.partitions = Some(12);
        assert_eq!(campaign.partition_of(1), Some(partition_of("spring", 1, 12)));
    }

    #[test]
    fn buckets_grow_with_the_stock() {
        let skus = |stock| vec![Sku::new("a", stock)];
        assert_eq!(buckets_for(&skus(10)), 1);
        assert_eq!(buckets_for(&skus(50_000)), 32);
        assert_eq!(buckets_for(&skus(STOCK_MAX)), 65_536);
        assert_eq!(buckets_for(&[skus(u64::MAX), skus(u64::MAX)].concat()), 65_536);
    }
}
