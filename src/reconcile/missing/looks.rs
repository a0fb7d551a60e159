//! Which campaigns are looked at and when, since when units are missing in each, and when that is long enough. Pure:
//! time comes from the caller, in milliseconds since 1970-01-01 UTC.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::compare::{Difference, Gap, Kind, Outcome, Place};
use crate::store::CampaignRow;

/// Between looks at a campaign that has orders, or misses something.
const EVERY_MS: i64 = 10_000;
/// Between looks at a campaign in which nothing happened from one look to the next.
const IDLE_MS: i64 = 90_000;
/// Between looks at a campaign that misses nothing and from which nobody orders: it has closed, or it is quiet.
const CLOSED_MS: i64 = 600_000;
/// How long units have to be missing before orders are looked for.
const SETTLE_MS: i64 = 60_000;
/// Of it, what is granted after a look that came late because the campaign was idle, so that its orders do not wait
/// longer than those of others.
const IDLE_GRANT_MS: i64 = 45_000;
/// How long a gap that a scan could do nothing about is no reason for another one.
const EXCUSED_MS: i64 = 3_600_000;
/// A sum over a campaign's orders may take one part in so many of the time.
const SHARE: i64 = 20;
/// Between readings of the list of campaigns.
const LIST_EVERY_MS: i64 = 10_000;

/// Counts since the start, and what is missing now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Orders sent again.
    pub sent_again: u64,
    /// Times that the orders of a campaign were read to name those that are missing.
    pub scans: u64,
    /// Looks at a campaign that failed.
    pub failed: u64,
    /// Campaigns that miss something.
    pub campaigns: BTreeMap<String, CampaignFigures>,
}

/// What a campaign misses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CampaignFigures {
    /// Units nobody has, of the newest look.
    pub units: i64,
    /// Orders the newest scan found missing.
    pub orders: u64,
    /// Of these, orders that cannot be sent again by themselves: an operator decides.
    pub for_operator: u64,
}

/// A campaign whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub campaign: String,
    pub uid: String,
}

/// The engine's side of a campaign: where it is the same twice, nothing happened in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub left: BTreeMap<String, i64>,
    pub reopened: String,
}

#[derive(Debug, Default)]
struct Look {
    uid: String,
    closes_at: i64,
    due: i64,
    /// When nothing was missing last; 0 before the first such look.
    clear_at: i64,
    /// Whether that look was followed by a long pause.
    idle: bool,
    /// Whether it was left out because it is quiet: see [`Looks::rest`].
    rests: bool,
    mark: Option<Mark>,
    /// Since when more is missing than is excused.
    since: Option<i64>,
    /// What a scan could do nothing about, and until when that counts.
    excused: Gap,
    excused_until: i64,
    /// When the longer sum may be made again.
    add_up_from: i64,
}

/// What one gateway remembers between rounds. Another one that takes over begins anew.
#[derive(Debug, Default)]
pub struct Looks {
    campaigns: BTreeMap<String, Look>,
    listed_at: Option<i64>,
    pub figures: Figures,
}

impl Looks {
    /// Another gateway looks now: what this one knew is old.
    pub(super) fn forget(&mut self) {
        self.campaigns.clear();
        self.listed_at = None;
        self.figures.campaigns.clear();
    }

    /// Whether the list of campaigns is to be read again.
    pub(super) fn is_old(&self, now: i64) -> bool {
        self.listed_at.is_none_or(|at| now - at >= LIST_EVERY_MS)
    }

    /// These are the campaigns.
    pub(super) fn keep(&mut self, rows: Vec<CampaignRow>, now: i64) {
        let mut before = std::mem::take(&mut self.campaigns);
        for row in rows {
            let look = before.remove(&row.campaign.id);
            // Another campaign of the same name begins anew.
            let mut look = look
                .filter(|look| look.uid == row.campaign.uid)
                .unwrap_or_default();
            if look.closes_at != row.schedule.closes_at {
                look.due = look.due.min(now);
            }
            look.closes_at = row.schedule.closes_at;
            look.uid = row.campaign.uid;
            self.campaigns.insert(row.campaign.id, look);
        }
        let campaigns = &self.campaigns;
        self.figures.campaigns.retain(|id, _| campaigns.contains_key(id));
        self.listed_at = Some(now);
    }

    /// Leaves out, for now, those in which nothing happened from one look to the next and nothing has happened since:
    /// `quiet` says so of a campaign, and costs no question. One that is not quiet any more has its turn at once.
    pub fn rest(&mut self, now: i64, quiet: impl Fn(&str) -> bool) {
        for (campaign, look) in self.campaigns.iter_mut().filter(|(_, look)| look.idle) {
            match quiet(campaign) {
                true if look.due <= now => {
                    look.due = (now + EVERY_MS).min(look.clear_at + CLOSED_MS).max(look.due);
                    look.rests = true;
                }
                false if look.rests => (look.rests, look.idle, look.due) = (false, false, now),
                _ => {}
            }
        }
    }

    /// Campaigns whose turn it is, those that have waited longest first.
    pub(super) fn due(&self, now: i64, most: usize) -> Vec<Target> {
        let mut due: Vec<(&String, &Look)> = self
            .campaigns
            .iter()
            .filter(|(_, look)| look.due <= now)
            .collect();
        due.sort_by_key(|(_, look)| look.due);
        let targets = due.into_iter().take(most).map(|(campaign, look)| Target {
            campaign: campaign.clone(),
            uid: look.uid.clone(),
        });
        targets.collect()
    }

    /// Nothing could be said of those whose turn it was.
    pub(super) fn postpone(&mut self, now: i64) {
        for look in self.campaigns.values_mut().filter(|look| look.due <= now) {
            look.due = now + EVERY_MS;
        }
    }

    pub(super) fn unknown(&mut self, campaign: &str, now: i64) {
        if let Some(look) = self.campaigns.get_mut(campaign) {
            look.due = now + EVERY_MS;
            (look.mark, look.idle) = (None, false);
        }
    }

    /// Nothing is missing. `mark` where nothing was on its way either.
    pub(super) fn clear(&mut self, campaign: &str, now: i64, mark: Option<Mark>) {
        self.figures.campaigns.remove(campaign);
        let Some(look) = self.campaigns.get_mut(campaign) else {
            return;
        };
        let quiet = mark.is_some();
        look.idle = quiet && look.mark == mark;
        let closed = quiet && now > look.closes_at + SETTLE_MS;
        let pause = match (closed, look.idle) {
            (true, _) => CLOSED_MS,
            (false, true) => IDLE_MS,
            (false, false) => EVERY_MS,
        };
        (look.clear_at, look.since, look.due, look.mark) = (now, None, now + pause, mark);
        look.rests = false;
        look.excused.clear();
    }

    pub(super) fn may_add_up(&self, campaign: &str, now: i64) -> bool {
        self.campaigns
            .get(campaign)
            .is_some_and(|look| look.add_up_from <= now)
    }

    /// The longer sum took so long.
    pub(super) fn added_up(&mut self, campaign: &str, now: i64, took: Duration) {
        if let Some(look) = self.campaigns.get_mut(campaign) {
            let took = i64::try_from(took.as_millis()).unwrap_or(i64::MAX / SHARE);
            // Never the reason that a look leaves out its sum where the sum is cheap.
            look.add_up_from = now + (took * SHARE).saturating_sub(EVERY_MS).max(0);
        }
    }

    /// Units are missing; says whether they have been for so long that their orders are to be looked for.
    pub(super) fn is_missing(&mut self, campaign: &str, now: i64, gap: &Gap) -> bool {
        self.figures
            .campaigns
            .entry(campaign.to_owned())
            .or_default()
            .units = gap.values().sum();
        let Some(look) = self.campaigns.get_mut(campaign) else {
            return false;
        };
        look.mark = None;
        look.due = now + EVERY_MS;
        if look.excused_until <= now {
            look.excused.clear();
        }
        // What somebody put right is excused no longer.
        look.excused.retain(|sku, units| {
            *units = gap.get(sku).copied().unwrap_or(0).min(*units);
            *units > 0
        });
        let excused = |sku: &str| look.excused.get(sku).copied().unwrap_or(0);
        if gap.iter().all(|(sku, units)| *units <= excused(sku)) {
            look.since = None;
            return false;
        }
        let first = match look.idle {
            true => look.clear_at.max(now - IDLE_GRANT_MS),
            false => now,
        };
        let since = *look.since.get_or_insert(first);
        if now - since < SETTLE_MS {
            look.due = look.due.min(since + SETTLE_MS);
            return false;
        }
        true
    }

    /// The orders of a campaign were read, and this was found and done.
    pub(super) fn scanned(&mut self, campaign: &str, now: i64, gap: &Gap, found: &[Difference]) {
        let lost = || found.iter().filter(|each| each.kind == Kind::LostOrder);
        let sent = lost().filter(|each| each.outcome == Outcome::SentAgain).count() as u64;
        let figures = self.figures.campaigns.entry(campaign.to_owned()).or_default();
        figures.orders = lost().count() as u64;
        figures.for_operator = lost().filter(|each| each.needs_operator()).count() as u64;
        self.figures.sent_again += sent;
        let Some(look) = self.campaigns.get_mut(campaign) else {
            return;
        };
        (look.since, look.idle) = (None, false);
        // What was sent again is on its way, and is looked at soon; what is left then is looked for anew.
        look.excused = match sent {
            0 => gap.clone(),
            _ => units_of(lost().filter(|each| each.needs_operator())),
        };
        look.excused_until = now + EXCUSED_MS;
        look.due = now + EVERY_MS;
    }
}

fn units_of<'d>(orders: impl Iterator<Item = &'d Difference>) -> Gap {
    let mut units = Gap::new();
    for order in orders {
        if let Place::Order { sku, quantity, .. } = &order.place {
            *units.entry(sku.clone()).or_default() += i64::from(*quantity);
        }
    }
    units
}

#[cfg(test)]
mod tests;
