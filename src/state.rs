//! Whether the state that an engine holds of a campaign may be believed: whose it is, whether it is whole, and whether it was
//! declared so for the very server that gave it. Nobody is admitted by any other state, and none counts as an open gate.

use std::fmt;

use crate::campaign::Campaign;
use crate::lua::calls::ShardStatus;
use crate::lua::fence::Fence;
use crate::order::shown_sku;

/// What is left of a campaign that was removed says this instead of a server: `lua/restore.lua` writes it.
const REMOVED: &str = "removed";

/// Whose state a shard holds, by the fence that is read there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose<'a> {
    /// There is none, or its gate is closed.
    Nobodys,
    /// That of another campaign of the same name, be it another deployment's or one that was deleted.
    Foreign,
    /// This campaign's, under this fence.
    Ours(&'a Fence),
}

impl<'a> Whose<'a> {
    /// `uid` is the campaign's.
    pub fn of(fence: Option<&'a Fence>, uid: &str) -> Self {
        match fence {
            None => Self::Nobodys,
            Some(fence) if fence.uid != uid => Self::Foreign,
            Some(fence) => Self::Ours(fence),
        }
    }
}

/// What the state of a shard is worth, as one server gave it. Of several faults it names the one that is looked at first, in
/// the order of these variants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// No gate is open there: nothing, or what a rebuild has written so far.
    Closed,
    /// It is another campaign's.
    Foreign,
    /// It was declared whole for another server, of which this one holds what was saved or copied.
    Unverified,
    /// A part that an open gate always has is not there.
    Lacks(LostPart),
    /// It may be decided by, under this fence.
    Whole(Fence),
}

/// A part of a campaign's state that can be lost by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LostPart {
    Outbox,
    /// The stock of this SKU.
    Stock(String),
}

impl Condition {
    /// `status` is what the server of this `incarnation` answered about a shard of the campaign.
    pub fn of(status: &ShardStatus, campaign: &Campaign, incarnation: &str) -> Self {
        match Whose::of(status.fence.as_ref(), &campaign.uid) {
            Whose::Nobodys => Self::Closed,
            // Another one of the name may begin there.
            Whose::Foreign if status.run == REMOVED => Self::Closed,
            Whose::Foreign => Self::Foreign,
            Whose::Ours(_) if status.run != incarnation => Self::Unverified,
            Whose::Ours(fence) => match lacks(status, campaign) {
                None => Self::Whole(fence.clone()),
                Some(part) => Self::Lacks(part),
            },
        }
    }

    pub fn is_whole(&self) -> bool {
        matches!(self, Self::Whole(_))
    }

    /// Whether the gate is open under an epoch that came after `lost`, whose state somebody found incomplete; 0 where nobody
    /// has.
    pub fn is_open_after(&self, lost: u64) -> bool {
        matches!(self, Self::Whole(fence) if fence.epoch > lost)
    }
}

/// What an open gate of this campaign needs and the shard does not have.
fn lacks(status: &ShardStatus, campaign: &Campaign) -> Option<LostPart> {
    if !status.has_outbox {
        return Some(LostPart::Outbox);
    }
    let mut skus = campaign.skus.iter();
    let lost = skus.find(|sku| !status.stock.contains_key(&sku.id))?;
    Some(LostPart::Stock(lost.id.clone()))
}

impl fmt::Display for LostPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Outbox => f.write_str("its outbox"),
            Self::Stock(sku) => write!(f, "the stock of {}", shown_sku(sku)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::{RecordVersion, Sku};

    const EPOCH: u64 = 7;
    const SKUS: [&str; 2] = ["mug", "shirt"];

    fn campaign() -> Campaign {
        let sku = |id: &str| Sku::new(id, 10);
        Campaign {
            id: "spring".to_owned(),
            title: String::new(),
            skus: SKUS.map(sku).into_iter().collect(),
            uid: "ours".to_owned(),
            shards: 1,
            partitions: None,
            buckets: 1,
            record_version: RecordVersion::V2,
            created_at: 0,
        }
    }

    fn fence(uid: &str) -> Fence {
        Fence {
            uid: uid.to_owned(),
            version: RecordVersion::V2,
            epoch: EPOCH,
        }
    }

    /// One state that a server may hold.
    #[derive(Clone, Copy, Debug)]
    struct Case {
        uid: Option<&'static str>,
        /// The server it was declared whole for.
        run: &'static str,
        has_outbox: bool,
        /// Which SKUs have a stock.
        stocked: [bool; 2],
    }

    impl Case {
        /// Every one there is.
        fn all() -> Vec<Self> {
            let mut all = Vec::new();
            for uid in [None, Some("ours"), Some("theirs")] {
                for run in ["", "this server", "another server"] {
                    for has_outbox in [true, false] {
                        for stocked in [[true, true], [true, false], [false, true], [false, false]] {
                            all.push(Self {
                                uid,
                                run,
                                has_outbox,
                                stocked,
                            });
                        }
                    }
                }
            }
            all
        }

        fn status(self) -> ShardStatus {
            let skus = SKUS.into_iter().zip(self.stocked);
            // Sold out is not lost.
            let stock = skus
                .filter(|(_, stocked)| *stocked)
                .map(|(sku, _)| (sku.to_owned(), 0));
            ShardStatus {
                fence: self.uid.map(fence),
                run: self.run.to_owned(),
                has_outbox: self.has_outbox,
                stock: stock.collect(),
                ..ShardStatus::default()
            }
        }

        /// Every fault by itself, in the order in which they count.
        fn faults(self) -> [(bool, Condition); 6] {
            let stock = |sku: &str| Condition::Lacks(LostPart::Stock(sku.to_owned()));
            [
                (self.uid.is_none(), Condition::Closed),
                (self.uid == Some("theirs"), Condition::Foreign),
                (self.run != "this server", Condition::Unverified),
                (!self.has_outbox, Condition::Lacks(LostPart::Outbox)),
                (!self.stocked[0], stock("mug")),
                (!self.stocked[1], stock("shirt")),
            ]
        }
    }

    #[test]
    fn a_state_is_whole_where_nothing_is_wrong_with_it_and_otherwise_its_first_fault_is_named() {
        let campaign = campaign();
        let mut whole = 0;
        for case in Case::all() {
            let first = case.faults().into_iter().find(|(is_so, _)| *is_so);
            let expected = first.map_or(Condition::Whole(fence("ours")), |(_, fault)| fault);
            let found = Condition::of(&case.status(), &campaign, "this server");
            assert_eq!(found, expected, "{case:?}");
            assert_eq!(
                found.is_whole(),
                case.faults().iter().all(|(is_so, _)| !is_so),
                "{case:?}"
            );
            whole += usize::from(found.is_whole());
        }
        assert_eq!((Case::all().len(), whole), (72, 1));
    }

    #[test]
    fn only_a_whole_state_is_open_and_only_after_the_epoch_that_was_lost() {
        let campaign = campaign();
        for case in Case::all() {
            let condition = Condition::of(&case.status(), &campaign, "this server");
            for (lost, later) in [(0, true), (EPOCH - 1, true), (EPOCH, false), (EPOCH + 1, false)] {
                let expected = later && condition.is_whole();
                assert_eq!(condition.is_open_after(lost), expected, "{case:?}, lost {lost}");
            }
        }
    }

    #[test]
    fn what_is_left_of_a_removed_campaign_is_in_nobodys_way() {
        assert!(include_str!("../lua/restore.lua").contains(&format!("REMOVED = '{REMOVED}'")));
        let of = |uid: &str| {
            let left = ShardStatus {
                fence: Some(fence(uid)),
                run: REMOVED.to_owned(),
                ..ShardStatus::default()
            };
            Condition::of(&left, &campaign(), "this server")
        };
        assert_eq!(of("theirs"), Condition::Closed);
        assert_eq!(of("ours"), Condition::Unverified, "who has not heard of it asks");
    }

    #[test]
    fn a_fence_says_whose_the_state_is() {
        let (ours, theirs) = (fence("ours"), fence("theirs"));
        for (there, whose) in [
            (None, Whose::Nobodys),
            (Some(&ours), Whose::Ours(&ours)),
            (Some(&theirs), Whose::Foreign),
        ] {
            assert_eq!(Whose::of(there, "ours"), whose);
        }
    }

    #[test]
    fn what_is_lost_has_a_name() {
        assert_eq!(LostPart::Outbox.to_string(), "its outbox");
        assert_eq!(LostPart::Stock("mug".to_owned()).to_string(), "the stock of mug");
    }
}
