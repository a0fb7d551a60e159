//! Units that a merchant has added to a campaign, as a shard has to get them.

/// An addition that the database has: it is in the SKU's total. A shard that has the change before it gets the units with its
/// fence, and remembers the number, so that it gets them once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restock {
    /// Of the campaign's changes of stock, from 1.
    pub number: u64,
    /// Under which it was put in force: a shard that a rebuild has brought to a later one has the units.
    pub epoch: u64,
    pub sku: String,
    pub units: u64,
}
