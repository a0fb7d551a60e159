//! The one place that spells Redis keys. Everything of a campaign shard shares one hash tag.

use crate::plan::{AudienceRef, CheckedPlan, Home};

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
/// Rejections counted by gateways, by reason.
pub const FIGURES: &str = "figures";
/// Start of the fields of [`FIGURES`] that are no reason.
pub const SHADOW_FIGURES: &str = "shadow:";

/// What the gateways of one server tell each other. It belongs to no campaign: no prefix of one looks like it.
pub const PULSE: &str = "rg:pulse";

// Families of buckets: the key up to the bucket.

/// Buyers, in buckets of the user: records of their orders, and their counts that live as long as the campaign.
pub const BUYERS: &str = "buyers:";
/// Counts of other subjects that live as long as the campaign.
pub const COUNTS: &str = "counts:";
/// Order records by order id, in states of the layout before buyers had buckets. Nobody reads them.
pub const OLDER_ORDERS: &str = "orders:";
/// Start of the ids of a shadow's counters.
const SHADOW: &str = "shadow/";

/// Buckets of every uploaded list.
pub const AUDIENCE: &str = "audience:";

/// Families of buckets that live as long as the campaign: buyers, and counts of other subjects whose window is the
/// whole campaign or rolls.
pub const LASTING_FAMILIES: [&str; 2] = [BUYERS, COUNTS];

/// Every bucket key of these families, and of the one that an older layout may have left.
pub fn lasting_keys(plan: &CheckedPlan) -> Vec<String> {
    let buckets = 0..plan.context().buckets;
    let families = LASTING_FAMILIES.into_iter().chain([OLDER_ORDERS]);
    families
        .flat_map(|family| buckets.clone().map(move |bucket| format!("{family}{bucket}")))
        .collect()
}

/// A counter in all its windows.
pub fn counter_windows(id: &str) -> String {
    format!("counter:{id}:")
}

/// The id a counter of a revision's shadow is kept under. The id of every other counter has one `/` at
/// most, so the two never meet.
pub fn shadow_id(revision: u32, id: &str) -> String {
    format!("{SHADOW}{revision}/{id}")
}

/// Fields of [`FIGURES`] that compare a revision's rules with its shadow, up to `<outcome>:<outcome>`.
pub fn shadow_figures(revision: u32) -> String {
    format!("{SHADOW_FIGURES}{revision}:")
}

/// Counts that live as long as the campaign: those of a shadow apart from all others, those of a buyer beside the
/// records of his orders ([`Counter::is_of_buyer`](crate::plan::Counter::is_of_buyer)).
pub fn counts_family(id: &str, of_buyer: bool) -> String {
    match shadow_of(id) {
        Some((revision, _)) => format!("{COUNTS}{SHADOW}{revision}:"),
        None if of_buyer => BUYERS.to_owned(),
        None => COUNTS.to_owned(),
    }
}

/// The field of a subject's count that lives as long as the campaign. No id has a space, and neither has an order's:
/// the field of a count is never that of a record.
pub fn count_field(id: &str, subject: &str) -> String {
    count_parts(id, subject).concat()
}

/// Adds [`count_field`] to `bytes`.
pub(super) fn write_count_field(id: &str, subject: &str, bytes: &mut Vec<u8>) {
    for part in count_parts(id, subject) {
        bytes.extend_from_slice(part.as_bytes());
    }
}

fn count_parts<'a>(id: &'a str, subject: &'a str) -> [&'a str; 3] {
    let id = shadow_of(id).map_or(id, |(_, id)| id);
    [id, " ", subject]
}

/// Revision and id of a shadow's counter.
fn shadow_of(id: &str) -> Option<(&str, &str)> {
    id.strip_prefix(SHADOW)?
        .split_once('/')
        .filter(|(_, id)| id.contains('/'))
}

/// Bucket of buyers.
pub fn buyers(bucket: u32) -> String {
    format!("{BUYERS}{bucket}")
}

/// Bucket of a counter in one window, which starts at `window`.
pub fn counter(id: &str, window: i64, bucket: u32) -> String {
    format!("{}{window}:{bucket}", counter_windows(id))
}

/// Bucket of counts that live as long as the campaign.
pub fn counts(id: &str, of_buyer: bool, bucket: u32) -> String {
    format!("{}{bucket}", counts_family(id, of_buyer))
}

/// Whether a counter is one of a revision's shadow.
pub fn is_of_shadow(id: &str) -> bool {
    shadow_of(id).is_some()
}

/// The buckets of a version of a list that was uploaded whole.
pub fn audience_family(id: &str, version: u32) -> String {
    format!("{}{version}:", audience_versions(id))
}

/// The one bucket that changed with a version of a list: a family of its own.
pub fn audience_changed_family(id: &str, version: u32, bucket: u32) -> String {
    format!("{}{bucket}:", audience_family(id, version))
}

/// What the buckets of all versions of a list begin with.
pub fn audience_versions(id: &str) -> String {
    format!("{AUDIENCE}{id}:")
}

/// A bucket of a list, behind [`audience_versions`].
pub fn audience_bucket(list: &AudienceRef, bucket: u32) -> String {
    match list.home(bucket) {
        Home::Whole(version) => format!("{version}:{bucket}"),
        Home::Changed(version) => format!("{version}:{bucket}:0"),
    }
}
