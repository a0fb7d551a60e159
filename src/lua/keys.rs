//! The one place that spells Redis keys. Everything of a campaign shard shares one hash tag.

/// One shard of one campaign.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shard {
    pub campaign: String,
    pub number: u32,
}

impl Shard {
    pub fn new(campaign: &str, number: u32) -> Self {
        Self {
            campaign: campaign.to_owned(),
            number,
        }
    }

    /// `rg:{<campaign>.<shard>}:`; every other key starts with it.
    pub fn prefix(&self) -> String {
        format!("rg:{{{}.{}}}:", self.campaign, self.number)
    }

    /// KEYS[1] of every script. Scripts derive the other keys from its prefix.
    pub fn state(&self) -> String {
        self.prefix() + STATE
    }
}

// Names after the prefix.
pub const STATE: &str = "state";
pub const STOCK: &str = "stock";
pub const OUTBOX: &str = "outbox";
/// Rejections counted by gateways, by reason.
pub const FIGURES: &str = "figures";
/// Start of the fields of [`FIGURES`] that are no reason.
pub const SHADOW_FIGURES: &str = "shadow:";
pub const RELAY_LEASE: &str = "relay";

// Families of buckets: the key up to the bucket.

/// Order records.
pub const ORDERS: &str = "orders:";

/// Buckets of every uploaded list.
pub const AUDIENCE: &str = "audience:";

/// A counter in one window. `window` is its start, 0 for the whole campaign.
pub fn counter_family(id: &str, window: i64) -> String {
    format!("{}{window}:", counter_windows(id))
}

/// A counter in all its windows.
pub fn counter_windows(id: &str) -> String {
    format!("counter:{id}:")
}

/// The id a counter of a revision's shadow is kept under. The id of every other counter has one `/` at
/// most, so the two never meet.
pub fn shadow_id(revision: u32, id: &str) -> String {
    format!("shadow/{revision}/{id}")
}

/// Fields of [`FIGURES`] that compare a revision's rules with its shadow, up to `<outcome>:<outcome>`.
pub fn shadow_figures(revision: u32) -> String {
    format!("{SHADOW_FIGURES}{revision}:")
}

pub fn rolling_family(id: &str) -> String {
    format!("rolling:{id}:")
}

/// Bucket of order records.
pub fn orders(bucket: u32) -> String {
    format!("{ORDERS}{bucket}")
}

/// Bucket of a counter. `window` is the start of its window, 0 for the whole campaign.
pub fn counter(id: &str, window: i64, bucket: u32) -> String {
    format!("{}{bucket}", counter_family(id, window))
}

/// Bucket of a rolling counter.
pub fn rolling(id: &str, bucket: u32) -> String {
    format!("{}{bucket}", rolling_family(id))
}

/// The buckets of one version of an uploaded list.
pub fn audience_family(id: &str, version: u32) -> String {
    format!("{AUDIENCE}{id}:{version}:")
}
