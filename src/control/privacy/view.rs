//! What stands of an erasure, in words.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Control, ControlError};
use crate::record::LetterId;
use crate::store::{BuyerCampaign, BuyerLetter, BuyerName, ErasureRow, Stage, Waits};
use crate::wire::Moment;

/// What an erasure does not touch: docs/PRIVACY.md has how long each is kept.
const ELSEWHERE: [&str; 3] = [
    "Records of orders and events in Kafka go with the retention of their topics.",
    "What endpoints of webhooks and readers of order-events were told is with them.",
    "Backups and logs of the database are yours to look after.",
];

/// A buyer in one campaign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct CampaignErasure {
    pub campaign: String,
    /// Orders that name the buyer.
    pub orders: u64,
    /// Dead letters that do.
    pub letters: u64,
    /// `due`: erased within moments; `kept`: not before `due_at`; `waiting`: for what `what` says.
    pub state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Moment>,
    pub what: String,
}

/// A list that a buyer is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ListedIn {
    pub list: String,
    pub version: u32,
}

/// An erasure, or what one would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = Erasure)]
pub struct ErasureView {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub erasure: Option<String>,
    /// `open`, `done`, or `tried` of a dry run.
    pub state: &'static str,
    /// The merchant whose buyer it is; missing: of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merchant: Option<String>,
    /// All of it in a sentence.
    pub did: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// How many of each kind were erased so far.
    pub erased: BTreeMap<String, u64>,
    /// Where the buyer is named still.
    pub campaigns: Vec<CampaignErasure>,
    /// Lists that the buyer is on: `lists` takes them off.
    pub lists: Vec<ListedIn>,
    /// Whether the buyer is taken off them.
    pub off_lists: bool,
    /// What is not touched.
    pub elsewhere: [&'static str; 3],
}

impl Control {
    pub(super) async fn erasure_tried(
        &self,
        buyer: BuyerName<'_>,
        lists: bool,
    ) -> Result<ErasureView, ControlError> {
        let campaigns = self.named_in(buyer, (self.clock)()).await?;
        let orders: u64 = campaigns.iter().map(|each| each.orders).sum();
        let lists_of = self.listed_in(buyer).await?;
        Ok(ErasureView {
            erasure: None,
            state: "tried",
            merchant: buyer.merchant.map(str::to_owned),
            did: format!(
                "{orders} orders in {} campaigns name the buyer, who is on {} lists. Nothing was changed: this was a dry run.",
                campaigns.len(),
                lists_of.len()
            ),
            asked_at: None,
            done_at: None,
            actor: None,
            note: None,
            erased: BTreeMap::new(),
            campaigns,
            lists: lists_of,
            off_lists: lists,
            elsewhere: ELSEWHERE,
        })
    }

    pub(super) async fn erasure_view(
        &self,
        buyer: BuyerName<'_>,
        row: ErasureRow,
    ) -> Result<ErasureView, ControlError> {
        let (campaigns, lists) = match row.done_at {
            Some(_) => (Vec::new(), Vec::new()),
            None => (
                self.named_in(buyer, row.asked_at).await?,
                self.listed_in(buyer).await?,
            ),
        };
        Ok(ErasureView {
            state: if row.done_at.is_some() { "done" } else { "open" },
            did: did(&row, &campaigns),
            merchant: row.merchant,
            erasure: Some(row.id),
            asked_at: Some(Moment(row.asked_at)),
            done_at: row.done_at.map(Moment),
            actor: Some(row.actor),
            note: row.note,
            erased: row.erased,
            campaigns,
            lists,
            off_lists: row.lists,
            elsewhere: ELSEWHERE,
        })
    }

    /// Campaigns that name a buyer in orders placed at `until` or before, or in letters of such.
    async fn named_in(&self, buyer: BuyerName<'_>, until: i64) -> Result<Vec<CampaignErasure>, ControlError> {
        let now = (self.clock)();
        let letters = self.letters_by_campaign(buyer, until).await?;
        let mut found: BTreeMap<String, BuyerCampaign> = BTreeMap::new();
        for each in self.store.buyer_campaigns(buyer, until).await? {
            found.insert(each.campaign.clone(), each);
        }
        for campaign in letters
            .keys()
            .filter(|campaign| !found.contains_key(*campaign))
            .cloned()
            .collect::<Vec<_>>()
        {
            let due_at = self.store.erased_from(&campaign).await?;
            found.insert(
                campaign.clone(),
                BuyerCampaign {
                    campaign,
                    orders: 0,
                    due_at,
                    waits: Vec::new(),
                },
            );
        }
        let view = |each: BuyerCampaign| {
            let (all, open) = letters.get(&each.campaign).copied().unwrap_or_default();
            campaign_view(each, all, open, now)
        };
        Ok(found.into_values().map(view).collect())
    }

    /// By campaign, a buyer's letters, and those of them that are not worked off.
    async fn letters_by_campaign(
        &self,
        buyer: BuyerName<'_>,
        until: i64,
    ) -> Result<BTreeMap<String, (u64, u64)>, ControlError> {
        let mut found: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        let mut after: Option<LetterId> = None;
        loop {
            let (letters, next) = self.store.buyer_letters(buyer, after.as_ref()).await?;
            for each in letters.iter().filter(|each| each.order.placed_at <= until) {
                let (all, open) = found.entry(each.order.campaign.clone()).or_default();
                *all += 1;
                *open += u64::from(is_open(each));
            }
            match next {
                Some(next) => after = Some(next),
                None => return Ok(found),
            }
        }
    }

    async fn listed_in(&self, buyer: BuyerName<'_>) -> Result<Vec<ListedIn>, ControlError> {
        let lists = self.lists_of(buyer).await?.into_iter();
        let listed = lists.map(|row| ListedIn {
            list: row.id,
            version: row.version,
        });
        Ok(listed.collect())
    }
}

/// Whether a letter may land yet.
pub(super) fn is_open(each: &BuyerLetter) -> bool {
    Stage::OPEN.contains(&each.letter.stage)
}

fn campaign_view(each: BuyerCampaign, letters: u64, open: u64, now: i64) -> CampaignErasure {
    let mut waits = each.waits;
    if open > 0 {
        waits.push((Waits::Letter, open));
    }
    let rest: Vec<String> = waits
        .iter()
        .map(|(what, count)| waiting_for(*what, *count))
        .collect();
    let rest = rest.join("; ");
    let (state, what) = match (each.due_at > now, waits.is_empty()) {
        (true, true) => (
            "kept",
            "the campaign's state, and with it its limits, is kept until then; the orders are erased at due_at".to_owned(),
        ),
        (true, false) => (
            "kept",
            format!("the campaign's state, and with it its limits, is kept until due_at; besides: {rest}"),
        ),
        (false, true) => ("due", "erased within moments".to_owned()),
        (false, false) => ("waiting", format!("erased when this is over: {rest}")),
    };
    CampaignErasure {
        campaign: each.campaign,
        orders: each.orders,
        letters,
        state,
        due_at: (each.due_at > now).then_some(Moment(each.due_at)),
        what,
    }
}

fn waiting_for(what: Waits, count: u64) -> String {
    match what {
        Waits::Payment => format!("{count} orders are to be paid yet"),
        Waits::Event => format!("{count} changes of orders were not told as events"),
        Waits::Release => format!("of {count} orders, Redis does not have back what they held"),
        Waits::Job => format!("{count} jobs over the campaign's orders are being worked off"),
        Waits::Delivery => format!("{count} messages wait to be sent to endpoints of webhooks"),
        Waits::Letter => format!("{count} dead letters wait for a retry or for somebody (rushgate dlt list)"),
    }
}

fn did(row: &ErasureRow, campaigns: &[CampaignErasure]) -> String {
    let orders = row.erased.get("orders").copied().unwrap_or(0);
    if row.done_at.is_some() {
        return format!("The buyer is erased: {orders} orders name nobody any more.");
    }
    let left: u64 = campaigns.iter().map(|each| each.orders + each.letters).sum();
    match left {
        0 => format!(
            "{orders} orders are erased, and none names the buyer; what was on its way is looked for until {}.",
            Moment(row.settled_at)
        ),
        left => format!(
            "{orders} orders are erased so far; {left} orders and letters in {} campaigns name the buyer still.",
            campaigns.len()
        ),
    }
}
