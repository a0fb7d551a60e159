//! What orders use of counters and of stock, summed up, and which of them fit: what the last guards of the database compare.

use std::collections::BTreeMap;

use super::{Charge, NO_LIMIT, OVER_LIMIT, OVERSOLD, OrderEvent, Revoked};

/// Campaign, counter and subject.
pub type Subject<'a> = (&'a str, &'a str, &'a str);
/// By subject and window: in the order of the table's key, which is the order of its locks.
pub type Usage<'a> = BTreeMap<(Subject<'a>, i64), Used>;
/// Windows of one subject from the first, exclusive, to the last.
pub type Range<'a> = (Subject<'a>, (i64, i64));

/// Units used, and how many are allowed; `None`: nobody has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    pub used: i64,
    pub allowed: Option<i64>,
}

impl Used {
    fn of(charge: &Charge) -> Self {
        Self {
            used: charge.cost,
            allowed: charge.limit,
        }
    }

    fn add(&mut self, other: Self) {
        self.used += other.used;
        self.allowed = self.allowed.max(other.allowed);
    }

    fn fits(self) -> bool {
        self.allowed.is_none_or(|allowed| self.used <= allowed)
    }
}

fn charges<'a>(order: &'a OrderEvent) -> impl Iterator<Item = (Subject<'a>, &'a Charge)> {
    let campaign = order.campaign.as_str();
    order
        .charges
        .iter()
        .map(move |charge| (subject(campaign, charge), charge))
}

fn subject<'a>(campaign: &'a str, charge: &'a Charge) -> Subject<'a> {
    (campaign, charge.counter.as_str(), charge.subject.as_str())
}

/// What the orders use together.
pub fn sums<'a>(orders: &[&'a OrderEvent]) -> Usage<'a> {
    let mut sums = Usage::new();
    for (subject, charge) in orders.iter().flat_map(|order| charges(order)) {
        add(&mut sums, subject, charge);
    }
    sums
}

/// What charges use together, each with its campaign.
pub fn sums_of<'a>(charges: impl Iterator<Item = (&'a str, &'a Charge)>) -> Usage<'a> {
    let mut sums = Usage::new();
    for (campaign, charge) in charges {
        add(&mut sums, subject(campaign, charge), charge);
    }
    sums
}

fn add<'a>(usage: &mut Usage<'a>, subject: Subject<'a>, charge: &Charge) {
    usage
        .entry((subject, charge.window))
        .and_modify(|used| used.add(Used::of(charge)))
        .or_insert_with(|| Used::of(charge));
}

/// What the charges look at: one stretch of windows per subject.
pub fn ranges<'a>(orders: &[&'a OrderEvent], wanted: impl Fn(&Charge) -> bool) -> Vec<Range<'a>> {
    let mut ranges: BTreeMap<Subject<'a>, (i64, i64)> = BTreeMap::new();
    for (subject, charge) in orders.iter().flat_map(|order| charges(order)) {
        if wanted(charge) {
            let (after, last) = looks_at(charge);
            let range = ranges.entry(subject).or_insert((after, last));
            *range = (range.0.min(after), range.1.max(last));
        }
    }
    ranges.into_iter().collect()
}

/// The windows whose rows a charge's limit is about: the first, exclusive, and the last.
fn looks_at(charge: &Charge) -> (i64, i64) {
    let length = charge.rolling_ms.max(1);
    (charge.window.saturating_sub(length), charge.window)
}

/// Whether a charge is of a rolling window with a limit: no row's own condition can hold for its entries together.
pub fn is_rolling(charge: &Charge) -> bool {
    charge.rolling_ms > 0 && charge.limit != Some(NO_LIMIT)
}

/// Whether the rolling windows of the orders, whose charges are in `there`, hold no more than is allowed.
pub fn rolling_fits(orders: &[&OrderEvent], there: &Usage<'_>) -> bool {
    let all = orders.iter().flat_map(|order| charges(order));
    let mut limited = all.filter(|(_, charge)| is_rolling(charge));
    limited.all(|(subject, charge)| seen(there, subject, charge).is_none_or(Used::fits))
}

/// What the rows that a charge's limit is about hold together.
fn seen(there: &Usage<'_>, subject: Subject<'_>, charge: &Charge) -> Option<Used> {
    let (after, last) = looks_at(charge);
    let rows = there.range((subject, after.saturating_add(1))..=(subject, last));
    rows.map(|(_, used)| *used).reduce(|mut sum, used| {
        sum.add(used);
        sum
    })
}

/// Lets orders in, in their order, as long as each fits with all of its charges: those that do, and those that do not.
pub fn judge<'a>(orders: &[&'a OrderEvent], mut there: Usage<'a>) -> (Vec<&'a OrderEvent>, Vec<Revoked<'a>>) {
    let (mut fitting, mut revoked) = (Vec::new(), Vec::new());
    for order in orders {
        let full: Vec<&str> = charges(order)
            .filter(|(subject, charge)| {
                let mut used = Used::of(charge);
                seen(&there, *subject, charge)
                    .into_iter()
                    .for_each(|seen| used.add(seen));
                !used.fits()
            })
            .map(|((_, counter, _), _)| counter)
            .collect();
        if !full.is_empty() {
            revoked.push(Revoked {
                order,
                reason: OVER_LIMIT,
                counters: full,
            });
            continue;
        }
        for (subject, charge) in charges(order) {
            add(&mut there, subject, charge);
        }
        fitting.push(*order);
    }
    (fitting, revoked)
}

/// Lets orders of one SKU in, in their order, as long as there is room: the units that are sold, and the orders that do not
/// fit.
pub fn sell<'a>(orders: &[&'a OrderEvent], room: i64) -> (i64, Vec<Revoked<'a>>) {
    let mut left = room;
    let mut revoked = Vec::new();
    for order in orders {
        let units = i64::from(order.quantity);
        if units <= left {
            left -= units;
        } else {
            revoked.push(Revoked::new(order, OVERSOLD));
        }
    }
    (room - left, revoked)
}
