//! What one gateway knows of one campaign between looks.

use std::collections::BTreeMap;

use super::super::super::compare::Gap;

/// The engine's side of a campaign: where it is the same twice, nothing happened in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::reconcile::missing) struct Mark {
    pub left: BTreeMap<String, i64>,
    pub reopened: String,
    /// An order and a unit that somebody gave back leave the others as they were.
    pub admitted: String,
}

#[derive(Debug, Default)]
pub(super) struct Look {
    pub(super) uid: String,
    pub(super) buckets: u32,
    pub(super) closes_at: i64,
    pub(super) due: i64,
    /// When the sums were as expected last; 0 before the first such look.
    pub(super) clear_at: i64,
    /// Whether that look was followed by a long pause.
    pub(super) idle: bool,
    /// Whether it was left out because it is quiet: see [`super::Looks::rest`].
    pub(super) rests: bool,
    pub(super) mark: Option<Mark>,
    /// Since when the sums say something else than what is excused.
    pub(super) since: Option<i64>,
    /// What was left of the sums after a scan, and until when that counts.
    pub(super) excused: Gap,
    pub(super) excused_until: i64,
    /// When the longer sum may be made again.
    pub(super) add_up_from: i64,
    /// Whether it is closed, or idle: nothing was on its way, and nothing is expected to be.
    pub(super) at_rest: bool,
    /// The engine's side when its orders were read; `None` where that is not known.
    pub(super) read_mark: Option<Mark>,
    /// Since when it may have orders that were never read.
    pub(super) unread_since: Option<i64>,
    /// Whether orders were seen to come, and it is not just that nothing is known of it.
    pub(super) had_orders: bool,
}

impl Look {
    /// What the engine's side is now; `None` where something is on its way.
    pub(super) fn see(&mut self, mark: Option<Mark>, now: i64) {
        self.had_orders |= mark.is_none() || self.mark.is_some() && self.mark != mark;
        if mark.is_none() || mark != self.read_mark {
            self.unread_since.get_or_insert(now);
        }
        self.mark = mark;
    }

    /// Somebody put right what was excused: that is excused no longer. Says whether.
    pub(super) fn put_right(&mut self, gap: &Gap, now: i64) -> bool {
        if self.excused_until <= now {
            self.excused.clear();
        }
        let before = self.excused.clone();
        // A surplus is no matter of less: with it go as many units that somebody lost.
        self.excused.retain(|sku, units| {
            if *units > 0 {
                *units = gap.get(sku).map_or(0, |there| *there.max(&0)).min(*units);
            }
            *units != 0
        });
        self.excused != before
    }
}
