//! Orders: an attempt, what was decided about it, and the event that carries it to the database.

pub mod array;
mod check;
mod erased;
#[cfg(test)]
pub(crate) mod fixture;
mod landed;
mod life;
mod revoked;
mod sku;
mod terms;
mod told;
pub mod usage;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use crate::wire::VALUE_BYTES_MAX;
pub use check::{TIME_MAX_MS, TIME_MIN_MS, check_client_attribute, check_event};
pub use erased::{is_pseudonym, pseudonym};
pub use landed::LandedOrder;
pub use life::{Holds, OrderState, Release};
pub use revoked::{DISCARDED, LOST, OVER_LIMIT, OVERSOLD, Revoked, UNKNOWN_SKU};
pub use sku::{SKU_BYTES_MAX, SkuError, check_sku, check_sku_attribute, shown_sku};
pub use terms::{
    BUYER, EXPIRED, HOLD_MINUTES_MAX, Hold, OWN_ACTOR, OnExpiry, OrderTerms, REASONS_MAX, check_reason,
};
pub use told::ToldChange;

/// Charges of one order at most: one for each counter of its plan.
pub const CHARGES_MAX: usize = 64;
/// What one order may add to one counter at most.
pub const COST_MAX: i64 = 1_000_000;
/// Units of one order at most.
pub const QUANTITY_MAX: u32 = 1_000_000;
/// Bytes of the name of an attribute: of a claim, of what clients send, of a SKU.
pub const ATTRIBUTE_NAME_BYTES_MAX: usize = 64;
/// Client attributes of one order.
pub const CLIENT_ATTRIBUTES_MAX: usize = 16;

/// Begins the name under which an attempt says of an attribute that its buyer has it and no rule can read it, and why. No
/// attribute's text form begins so.
pub const UNREADABLE: &str = "unreadable:";

/// The name under which an attempt that carried an `Idempotency-Key` keeps [`body_fingerprint`], beside its attributes; no
/// attribute has this text form. The number is the version of what the fingerprint is over, so that another version's says
/// nothing. What version 1 was over every order has: SKU and quantity.
pub const BODY: &str = "body:2";

/// The name under which an attempt keeps the id of the order that was not paid in time, in whose place it comes; no attribute
/// has this text form either. The number is the version of what it says.
pub const REPLACES: &str = "replaces:1";

/// What the attributes of an order say of the one that it replaces.
pub fn replaced_by(attributes: &BTreeMap<String, String>) -> Option<OrderId> {
    attributes.get(REPLACES).and_then(|id| id.parse().ok())
}

/// The name under which an attempt says that an attribute, given by its text form, cannot be read.
pub fn unreadable(attribute: &str) -> String {
    format!("{UNREADABLE}{attribute}")
}

/// 128 bits, written as 32 lower-case hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(uuid::Uuid);

impl OrderId {
    /// The id of an attempt without an `Idempotency-Key`: time-ordered, from the caller's clock and
    /// random bytes.
    pub fn fresh(now_ms: i64, random: [u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(now_ms.max(0) as u64, &random).into_uuid())
    }

    /// The id of an attempt with an `Idempotency-Key`. It follows from campaign, user and key, so
    /// every retry, through whichever gateway, names the same order, and looking the order up is
    /// looking the key up.
    pub fn keyed(campaign: &str, user: &str, key: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [campaign, user, key] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finalize()[..16]);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Uuid::from_bytes(bytes))
    }

    pub fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }

    /// The text form, written into `room`.
    pub fn encode(self, room: &mut [u8; 32]) -> &str {
        self.0.simple().encode_lower(room)
    }
}

impl utoipa::PartialSchema for OrderId {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
        let text = ObjectBuilder::new().schema_type(SchemaType::Type(Type::String));
        let digits = text.pattern(Some("^[0-9a-f]{32}$"));
        digits.description(Some("Id of an order.")).into()
    }
}

impl utoipa::ToSchema for OrderId {}

impl fmt::Display for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.encode(&mut [0; 32]))
    }
}

impl fmt::Debug for OrderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an order id is 32 lower-case hex digits")]
pub struct OrderIdError;

impl FromStr for OrderId {
    type Err = OrderIdError;

    fn from_str(text: &str) -> Result<Self, OrderIdError> {
        let strict = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !strict {
            return Err(OrderIdError);
        }
        uuid::Uuid::try_parse(text).map(Self).map_err(|_| OrderIdError)
    }
}

impl Serialize for OrderId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.encode(&mut [0; 32]))
    }
}

impl<'de> Deserialize<'de> for OrderId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// One order attempt, its edge checks done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    pub order: OrderId,
    pub user: String,
    pub sku: String,
    /// 1 to [`QUANTITY_MAX`].
    pub quantity: u32,
    /// The `ip`, `claim` and `client` attributes the active plan reads, missing ones left out.
    /// Keyed by the text form of `plan::Attribute`; those that cannot be read by [`unreadable`], with why.
    /// A value is a text, or an [`array`] of texts. [`BODY`] and [`REPLACES`] are among them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "array::as_json")]
    pub attributes: BTreeMap<String, String>,
}

impl Attempt {
    /// As an outbox entry of version 1 carries it.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an attempt is plain data with text keys")
    }

    /// 16 hex digits over SKU and quantity.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.sku, self.quantity)
    }

    /// [`body_fingerprint`] of an attempt that carried an `Idempotency-Key`.
    pub fn body(&self) -> Option<&str> {
        self.attributes.get(BODY).map(String::as_str)
    }
}

/// 16 hex digits over the body of an order as it was sent: a retry must send the same. Neither spaces nor the order of
/// `attributes` count, nor what is not in the body: claims change with each token, and the address with each network.
pub fn body_fingerprint<'a>(
    sku: &str,
    quantity: u32,
    attributes: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> String {
    let attributes: BTreeMap<&str, &str> = attributes.into_iter().collect();
    let mut hash = Sha256::new();
    let texts = attributes.into_iter().flat_map(|(name, value)| [name, value]);
    for text in std::iter::once(sku).chain(texts) {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text.as_bytes());
    }
    hash.update(quantity.to_be_bytes());
    short(hash)
}

/// Whether two orders of the same SKU and quantity can have come in the same body. Where one of them does not say, as one
/// from before [`BODY`] was kept, they can.
pub fn may_be_same_body(one: Option<&str>, other: Option<&str>) -> bool {
    one.zip(other).is_none_or(|(one, other)| one == other)
}

/// What [`Attempt::fingerprint`] is of an attempt at so many of this SKU.
pub fn fingerprint(sku: &str, quantity: u32) -> String {
    let mut hash = Sha256::new();
    hash.update((sku.len() as u64).to_be_bytes());
    hash.update(sku.as_bytes());
    hash.update(quantity.to_be_bytes());
    short(hash)
}

/// Its first 64 bits in hex.
fn short(hash: Sha256) -> String {
    let number = u64::from_be_bytes(hash.finalize()[..8].try_into().unwrap_or_default());
    let mut text = String::with_capacity(16);
    let _ = write!(text, "{number:016x}");
    text
}

/// The limit of a charge whose counter the plan leaves without one.
pub const NO_LIMIT: i64 = i64::MAX;

/// What an admitted order consumed of one counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Charge {
    /// Counter id of the merged plan: `<rule>/<id>`.
    pub counter: String,
    /// Start of the window in milliseconds since 1970-01-01 UTC; 0 for the whole campaign; the
    /// moment of the order for a rolling window.
    pub window: i64,
    /// Length of a rolling window in milliseconds; 0 for every other window.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rolling_ms: i64,
    /// The composed key: see `compose_subject` in `src/plan/slots.rs`.
    pub subject: String,
    /// Always above 0: a charge of nothing is left out.
    pub cost: i64,
    /// What the counter may hold with this charge in it, under the limits that admitted the order: the database
    /// refuses more. `None` where no limit follows from the order alone; then whatever limit the database has stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
}

fn is_zero(n: &i64) -> bool {
    *n == 0
}

/// Version of [`OrderEvent`]'s JSON form.
pub const EVENT_VERSION: u32 = 1;

/// An admitted order on its way to the database, with its receipt (charges, revision, digests).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderEvent {
    /// [`EVENT_VERSION`].
    pub v: u32,
    pub order: OrderId,
    pub campaign: String,
    pub shard: u32,
    pub sku: String,
    pub user: String,
    pub quantity: u32,
    pub revision: u32,
    /// Lower-case hex SHA-256 of the plan that admitted it.
    pub plan: String,
    /// Digests of the revision's modules, in the order of its rules.
    pub modules: Vec<String>,
    /// Redis' clock at the decision, milliseconds since 1970-01-01 UTC.
    pub placed_at: i64,
    pub fingerprint: String,
    pub charges: Vec<Charge>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", with = "array::as_json")]
    pub attributes: BTreeMap<String, String>,
    /// `None` where whoever wrote it knew none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordinal: Option<Ordinal>,
}

/// Where an order stands among the orders of its shard. Those of a later epoch come later, whatever their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ordinal {
    pub epoch: u64,
    /// Number of its entry's first order, plus its position in the entry.
    pub number: u64,
}

/// Why the bytes are not an order event. None of these can succeed on a retry.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    #[error("not an order event: {0}")]
    Json(#[from] serde_json::Error),
    #[error("order event of version {0}; this build reads version {EVENT_VERSION}")]
    Version(u64),
}

impl OrderEvent {
    /// An attempt that was admitted at `placed_at` under a revision with this plan, without what else follows from the
    /// revision: modules and charges.
    pub fn of(
        attempt: Attempt,
        campaign: &str,
        shard: u32,
        (revision, plan): (u32, &str),
        placed_at: i64,
    ) -> Self {
        Self {
            v: EVENT_VERSION,
            order: attempt.order,
            campaign: campaign.to_owned(),
            shard,
            fingerprint: attempt.fingerprint(),
            sku: attempt.sku,
            user: attempt.user,
            quantity: attempt.quantity,
            revision,
            plan: plan.to_owned(),
            modules: Vec::new(),
            placed_at,
            charges: Vec::new(),
            attributes: attempt.attributes,
            ordinal: None,
        }
    }

    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an event is plain data with text keys")
    }

    /// A newer event is named as such and not as malformed.
    pub fn decode(bytes: &[u8]) -> Result<Self, EventError> {
        #[derive(Deserialize)]
        struct Version {
            v: u64,
        }
        let read = serde_json::from_slice::<Self>(bytes);
        // One of another version may have another form: then the version alone is to be read. An array is no form of any.
        let is_object = bytes.trim_ascii_start().first() == Some(&b'{');
        let version = match &read {
            Ok(event) if is_object => u64::from(event.v),
            _ => serde_json::from_slice::<Version>(bytes)?.v,
        };
        match version == u64::from(EVENT_VERSION) {
            true => Ok(read?),
            false => Err(EventError::Version(version)),
        }
    }

    /// Kafka key: one buyer's orders of one campaign stay in order.
    pub fn key(&self) -> String {
        format!("{}/{}", self.campaign, self.user)
    }

    /// What makes two records one order.
    pub fn identity(&self) -> (&str, OrderId) {
        (self.campaign.as_str(), self.order)
    }

    /// What makes an order this one and no other under its id: user, SKU, quantity and fingerprint.
    pub fn content(&self) -> (&str, &str, i64, &str) {
        let quantity = i64::from(self.quantity);
        (&self.user, &self.sku, quantity, &self.fingerprint)
    }

    /// Whether two records are one order, that came twice: of the same id and buyer, for the same.
    pub fn is_same(&self, other: &Self) -> bool {
        self.identity() == other.identity() && self.content() == other.content()
    }
}

#[cfg(test)]
mod tests;
