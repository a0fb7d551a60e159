//! Which campaigns are looked at and when, since when the sums of each are wrong, when that is long enough, and when
//! orders are read although the sums are right. Pure: time comes from the caller, in milliseconds since 1970-01-01 UTC.

mod look;
mod metrics;

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::compare::{Difference, Gap, Kind, RepairOutcome};
use crate::store::CampaignRow;
use look::Look;
pub(super) use look::Mark;
use metrics::units_of;
pub use metrics::{Found, Metrics, Missing};

/// Between looks at a campaign that has orders, or misses something.
const EVERY_MS: i64 = 10_000;
/// Between looks at a campaign in which nothing happened from one look to the next.
const IDLE_MS: i64 = 90_000;
/// Between looks at a campaign that misses nothing and from which nobody orders: it has closed, or it is quiet.
const CLOSED_MS: i64 = 600_000;
/// How long sums have to be wrong before orders are looked for.
const SETTLE_MS: i64 = 60_000;
/// Of it, what is granted after a look that came late because the campaign was idle, so that its orders do not wait
/// longer than those of others.
const IDLE_GRANT_MS: i64 = 45_000;
/// How long a gap that a scan could do nothing about is no reason for another one.
const EXCUSED_MS: i64 = 3_600_000;
/// A sum over a campaign's orders may take one part in so many of the time.
const SHARE: i64 = 20;
/// Between readings of the orders of a campaign whose sums are right, while it has orders.
const READ_EVERY_MS: i64 = 3_600_000;
/// Between such readings of any two campaigns, at least.
const READ_PAUSE_MS: i64 = 10_000;
/// And for each bucket that was read: ten calls a second at most, on the average.
const READ_BUCKET_MS: i64 = 50;
/// Between readings of the list of campaigns.
const LIST_EVERY_MS: i64 = 10_000;

/// A campaign whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub campaign: String,
    pub uid: String,
}

/// What one gateway remembers between rounds. Another one that takes over begins anew.
#[derive(Debug, Default)]
pub struct Looks {
    campaigns: BTreeMap<String, Look>,
    listed_at: Option<i64>,
    /// Orders of campaigns whose sums are right are read again from here on.
    read_from: i64,
    pub metrics: Metrics,
    pub found: Found,
}

impl Looks {
    /// Another gateway looks now: what this one knew is old.
    pub(super) fn forget(&mut self) {
        self.campaigns.clear();
        self.listed_at = None;
        self.found.clear();
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
            look.buckets = row.campaign.buckets;
            self.campaigns.insert(row.campaign.id, look);
        }
        let campaigns = &self.campaigns;
        self.found.retain(|id| campaigns.contains_key(id));
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
            look.see(None, now);
            (look.idle, look.at_rest) = (false, false);
        }
    }

    /// Whether the sums say what is known already, or nothing.
    pub(super) fn expects(&self, campaign: &str, now: i64, gap: &Gap) -> bool {
        let Some(look) = self.campaigns.get(campaign) else {
            return gap.is_empty();
        };
        match look.excused_until <= now {
            true => gap.is_empty() && look.excused.is_empty(),
            false => *gap == look.excused,
        }
    }

    /// The sums say what is expected. `mark` where nothing was on its way either.
    pub(super) fn calm(&mut self, campaign: &str, now: i64, gap: &Gap, mark: Option<Mark>) {
        self.found.show(campaign, gap);
        if gap.is_empty() {
            self.found.drop_settled(campaign);
        }
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
        look.see(mark, now);
        (look.clear_at, look.since, look.due) = (now, None, now + pause);
        (look.at_rest, look.rests) = (closed || look.idle, false);
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

    /// The sums were made while something may have been on its way. Says whether they are wrong, and have been for so
    /// long, that orders are to be looked for.
    pub(super) fn is_news(&mut self, campaign: &str, now: i64, gap: &Gap) -> bool {
        self.found.show(campaign, gap);
        let Some(look) = self.campaigns.get_mut(campaign) else {
            return false;
        };
        let put_right = look.put_right(gap, now);
        if *gap == look.excused {
            // What an operator was to decide about may be done, or hidden by something else.
            let ask_again = put_right && self.found.for_operator(campaign) > 0;
            if !ask_again {
                self.calm(campaign, now, gap, None);
            }
            return ask_again;
        }
        look.see(None, now);
        (look.due, look.at_rest) = (now + EVERY_MS, false);
        let first = match look.idle {
            true => look.clear_at.max(now - IDLE_GRANT_MS),
            false => now,
        };
        let since = *look.since.get_or_insert(first);
        // Where a surplus is gone, whoever took it away may be an order that is lost: sums that are right do not wait.
        if !gap.is_empty() && now - since < SETTLE_MS {
            look.due = look.due.min(since + SETTLE_MS);
            return false;
        }
        true
    }

    /// The orders of a campaign were read because of its sums, and this was found and done. `mark`: the engine's side
    /// before, where nothing was on its way.
    pub(super) fn scanned(
        &mut self,
        campaign: &str,
        now: i64,
        gap: &Gap,
        found: &[Difference],
        mark: Option<Mark>,
    ) {
        let lost = || found.iter().filter(|each| each.kind == Kind::LostOrder);
        let sent = || lost().filter(|each| each.outcome == RepairOutcome::SentAgain);
        let for_operator = lost().filter(|each| each.needs_operator()).count();
        self.found.note(campaign, lost().count(), for_operator);
        self.metrics.sent_again.inc_by(sent().count() as u64);
        let Some(look) = self.campaigns.get_mut(campaign) else {
            return;
        };
        (look.since, look.idle) = (None, false);
        // What was sent again is on its way. The rest no order explains, or an operator decides about it.
        look.excused = gap.clone();
        for (sku, units) in units_of(sent()) {
            *look.excused.entry(sku).or_default() -= units;
        }
        look.excused.retain(|_, units| *units != 0);
        look.excused_until = now + EXCUSED_MS;
        look.due = now + EVERY_MS;
        (look.read_mark, look.had_orders) = (mark, false);
        // Where orders came meanwhile, the next look finds out.
        look.unread_since = None;
    }

    /// The campaign whose orders are to be read although its sums are right: it rests after it had orders, or has had
    /// them for long.
    pub(super) fn to_read(&self, now: i64) -> Option<String> {
        if now < self.read_from {
            return None;
        }
        let ready = |look: &Look| {
            look.unread_since
                .is_some_and(|since| look.at_rest || since + READ_EVERY_MS <= now)
        };
        let unread = self.campaigns.iter().filter(|(_, look)| ready(look));
        let next = unread.min_by_key(|(_, look)| (!look.had_orders, look.unread_since));
        next.map(|(campaign, _)| campaign.clone())
    }

    /// The orders of a campaign were read, though its sums were as expected, and this was found and done.
    pub(super) fn read(&mut self, campaign: &str, now: i64, found: &[Difference]) {
        let Some(look) = self.campaigns.get(campaign) else {
            return;
        };
        let (expected, mark) = (look.excused.clone(), look.mark.clone());
        self.scanned(campaign, now, &expected, found, mark);
    }

    /// Reading took so long, with or without success.
    pub(super) fn pause_reading(&mut self, campaign: &str, now: i64, took: Duration) {
        let took = i64::try_from(took.as_millis()).unwrap_or(i64::MAX / SHARE);
        let buckets = self.campaigns.get(campaign).map_or(0, |look| look.buckets);
        let pause = READ_PAUSE_MS
            .max(took * SHARE)
            .max(READ_BUCKET_MS * i64::from(buckets));
        self.read_from = now + pause;
        // One that could not be read lets the others go first.
        if let Some(look) = self.campaigns.get_mut(campaign) {
            look.unread_since = look.unread_since.map(|_| now);
        }
    }
}

#[cfg(test)]
mod tests;
