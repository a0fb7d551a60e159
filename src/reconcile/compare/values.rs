//! What a counter says of one subject, as units by window; read from the engine's text and written as such. Pure.

use std::collections::BTreeMap;

use crate::order::Charge;
use crate::plan::{CheckedPlan, Window};
use crate::store::UsageRow;

/// Units by start of the window: 0 for the whole campaign, the moment of the order for a rolling window.
pub(super) type Units = BTreeMap<i64, i64>;

/// A counter of the active plan, in the window that counts now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Live {
    pub(super) counter: String,
    /// Whether its counts lie beside the records of orders.
    pub(super) of_buyer: bool,
    pub(super) span: Span,
}

/// Which window of a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    Campaign,
    /// The current one, and when it ends, if it does.
    Window {
        start: i64,
        end: Option<i64>,
    },
    /// Entries after this moment.
    Rolling {
        after: i64,
    },
}

impl Live {
    /// Every counter of a plan at `now`; windows that have ended count nothing any more.
    pub(super) fn of_plan(plan: &CheckedPlan, now: i64) -> Vec<Self> {
        let counters = (0..).zip(&plan.plan().counters);
        counters
            .map(|(index, counter)| Self {
                counter: counter.id.clone(),
                of_buyer: counter.is_of_buyer(),
                span: match counter.window {
                    Window::Campaign => Span::Campaign,
                    Window::Rolling { length_ms } => Span::Rolling {
                        after: now - length_ms,
                    },
                    Window::Tumbling { length_ms, origin_ms } => {
                        let start = now - (now - origin_ms).rem_euclid(length_ms);
                        Span::Window {
                            start,
                            end: Some(start + length_ms),
                        }
                    }
                    Window::Calendar { .. } => {
                        let periods = plan.periods(index);
                        Span::Window {
                            start: periods.map_or(0, |periods| periods.start_of(now)),
                            end: periods.and_then(|periods| periods.end_of(now)),
                        }
                    }
                },
            })
            .collect()
    }

    /// Earliest start of a window that counts.
    pub(super) fn from(&self) -> i64 {
        match self.span {
            Span::Campaign => 0,
            Span::Window { start, .. } => start,
            Span::Rolling { after } => after + 1,
        }
    }

    /// Start of the window where its counts lie apart from those of the campaign.
    pub(super) fn window(&self) -> Option<i64> {
        match self.span {
            Span::Window { start, .. } => Some(start),
            _ => None,
        }
    }

    fn counts(&self, window: i64) -> bool {
        match self.span {
            Span::Campaign => window == 0,
            Span::Window { start, .. } => window == start,
            Span::Rolling { after } => window > after,
        }
    }

    /// Most units that the database allows each subject of these rows, in windows that count now; `None`: any number.
    pub(super) fn allowed(&self, rows: &[UsageRow]) -> BTreeMap<String, Option<i64>> {
        let mut subjects: BTreeMap<String, Option<i64>> = BTreeMap::new();
        for row in rows.iter().filter(|row| self.counts(row.window)) {
            let most = subjects.entry(row.subject.clone()).or_insert(row.allowed);
            *most = most.zip(row.allowed).map(|(one, other)| one.max(other));
        }
        subjects
    }

    /// Adds what counts now.
    pub(super) fn add(&self, units: &mut Units, window: i64, cost: i64) {
        if cost != 0 && self.counts(window) {
            *units.entry(window).or_default() += cost;
        }
    }

    pub(super) fn charge<'c>(
        &self,
        charges: impl Iterator<Item = &'c Charge>,
        subject: &str,
        units: &mut Units,
    ) {
        for charge in charges.filter(|charge| charge.counter == self.counter && charge.subject == subject) {
            self.add(units, charge.window, charge.cost);
        }
    }

    /// Adds the charges of orders on their way, as far as landing is going to accept them: an order that would pass what
    /// the counter may hold is revoked, and its charge stands for one that the engine forgot. `there` is what the
    /// database allows already: `None` where it has no row, `Some(None)` where it allows any number.
    pub(super) fn expect(
        &self,
        charges: &[Charge],
        subject: &str,
        there: Option<Option<i64>>,
        units: &mut Units,
    ) {
        let ours = |charge: &&Charge| {
            charge.counter == self.counter && charge.subject == subject && self.counts(charge.window)
        };
        let limits = charges.iter().filter(ours).map(|charge| charge.limit);
        // Whichever lands first, the largest limit holds in the end.
        let allowed = limits.chain(there).reduce(|one, other| Some(one?.max(other?)));
        for charge in charges.iter().filter(ours) {
            let with = units.values().sum::<i64>() + charge.cost;
            if allowed.flatten().is_none_or(|allowed| with <= allowed) {
                self.add(units, charge.window, charge.cost);
            }
        }
    }

    /// Reads the engine's text; what is no count of this kind reads as nothing.
    pub(super) fn read(&self, text: &str) -> Units {
        let mut units = Units::new();
        match self.span {
            Span::Rolling { .. } => {
                for (moment, cost) in entries(text) {
                    self.add(&mut units, moment, cost);
                }
            }
            _ => self.add(&mut units, self.from(), text.parse().unwrap_or(0)),
        }
        units
    }

    /// The text that makes the engine count `right`. Entries of a rolling window that are right stay as they are: two
    /// orders of one moment are two entries, and each can be released.
    pub(super) fn write(&self, there: &str, right: &Units) -> String {
        if !matches!(self.span, Span::Rolling { .. }) {
            return right.values().next().map_or(String::new(), i64::to_string);
        }
        let now = self.read(there);
        let mut kept: Vec<(i64, i64)> = entries(there)
            .filter(|(moment, _)| right.contains_key(moment) && now.get(moment) == right.get(moment))
            .collect();
        let missing = right
            .iter()
            .filter(|(moment, cost)| now.get(moment) != Some(cost));
        kept.extend(missing.map(|(moment, cost)| (*moment, *cost)));
        kept.sort_by_key(|(moment, _)| *moment);
        let texts: Vec<String> = kept
            .iter()
            .map(|(moment, cost)| format!("{moment}:{cost}"))
            .collect();
        texts.join(",")
    }
}

fn entries(text: &str) -> impl Iterator<Item = (i64, i64)> {
    text.split(',').filter_map(|entry| {
        let (moment, cost) = entry.split_once(':')?;
        Some((moment.parse().ok()?, cost.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(span: Span) -> Live {
        Live {
            of_buyer: false,
            counter: "r/c".into(),
            span,
        }
    }

    #[test]
    fn texts_read_and_write_what_counts() {
        let whole = live(Span::Campaign);
        assert_eq!(whole.read("3"), Units::from([(0, 3)]));
        assert_eq!((whole.read(""), whole.read("0")), (Units::new(), Units::new()));
        assert_eq!(whole.write("3", &Units::from([(0, 5)])), "5");
        assert_eq!(whole.write("3", &Units::new()), "");
        let day = live(Span::Window {
            start: 100,
            end: None,
        });
        assert_eq!(day.read("2"), Units::from([(100, 2)]));
        assert_eq!((day.from(), day.window(), whole.window()), (100, Some(100), None));
    }

    #[test]
    fn entries_of_a_rolling_window_stay_where_they_are_right() {
        let rolling = live(Span::Rolling { after: 10 });
        assert_eq!(
            rolling.read("9:1,11:1,11:2,15:1"),
            Units::from([(11, 3), (15, 1)])
        );
        let right = Units::from([(11, 3), (13, 2)]);
        assert_eq!(rolling.write("9:1,11:1,11:2,15:1", &right), "11:1,11:2,13:2");
        assert_eq!(rolling.write("15:1", &Units::new()), "");
    }

    #[test]
    fn charges_on_their_way_count_as_far_as_landing_accepts_them() {
        let charge = |limit| Charge {
            counter: "r/c".into(),
            window: 0,
            rolling_ms: 0,
            subject: "ada".into(),
            cost: 1,
            limit,
        };
        let expected = |used: i64, there: Option<Option<i64>>, charges: &[Charge]| {
            let mut units = Units::from([(0, used)]);
            live(Span::Campaign).expect(charges, "ada", there, &mut units);
            units[&0]
        };
        assert_eq!(expected(1, Some(Some(2)), &[charge(Some(2))]), 2);
        assert_eq!(
            expected(2, Some(Some(2)), &[charge(Some(2))]),
            2,
            "it is going to be revoked"
        );
        assert_eq!(
            expected(2, Some(Some(3)), &[charge(Some(2))]),
            3,
            "the database allows more"
        );
        assert_eq!(expected(2, Some(None), &[charge(Some(2))]), 3);
        assert_eq!(expected(2, None, &[charge(None)]), 3);
        assert_eq!(
            expected(0, None, &[charge(Some(1)), charge(Some(2)), charge(Some(2))]),
            2
        );
        assert_eq!(
            expected(
                5,
                None,
                &[Charge {
                    subject: "bob".into(),
                    ..charge(None)
                }]
            ),
            5
        );
    }

    #[test]
    fn only_charges_of_the_counter_the_subject_and_the_window_count() {
        let charge = |counter: &str, subject: &str, window| Charge {
            counter: counter.into(),
            window,
            rolling_ms: 0,
            subject: subject.into(),
            cost: 2,
            limit: None,
        };
        let charges = [
            charge("r/c", "ada", 100),
            charge("r/c", "ada", 0),
            charge("r/c", "bob", 100),
            charge("r/d", "ada", 100),
        ];
        let mut units = Units::new();
        live(Span::Window {
            start: 100,
            end: None,
        })
        .charge(charges.iter(), "ada", &mut units);
        assert_eq!(units, Units::from([(100, 2)]));
    }
}
