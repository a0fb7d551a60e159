//! What a replay found: outcomes counted on every side, and the attempts that two sides answer differently.

use std::collections::BTreeMap;

use super::DecidedAttempt;
use super::share::GROUPS;
use crate::order::unreadable;

/// Examples kept of one kind of difference.
pub const EXAMPLES_MAX: usize = 10;

/// Of 100 estimates, 95 are less than so many standard errors from what they estimate.
const ERRORS_OF_95: f64 = 1.96;
/// Where nothing at all was found, there may still be so many of it, in 95 of 100 cases.
const UNSEEN: f64 = 3.0;

/// Attempts, counted by groups of buyers, so that a share of the buyers also says how sure it is of the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count([u32; GROUPS]);

impl Default for Count {
    fn default() -> Self {
        Self([0; GROUPS])
    }
}

impl Count {
    fn add(&mut self, group: usize) {
        self.0[group] += 1;
    }

    pub fn total(&self) -> u64 {
        self.0.iter().map(|count| u64::from(*count)).sum()
    }

    /// What all buyers would have, where those counted are a random `share` of them (above 0, at most 1).
    ///
    /// Each buyer is in the sample by chance, and its attempts with it, so the variance of the sum is that of the sum of
    /// squares of what each buyer has. Buyers lie in groups by chance too: how far the groups lie apart estimates it,
    /// without a word on single buyers.
    pub fn of_all(&self, share: f64) -> Estimate {
        let (total, groups) = (self.total() as f64, GROUPS as f64);
        let apart = |count: &u32| (f64::from(*count) - total / groups).powi(2);
        let squares = self.0.iter().map(apart).sum::<f64>() * groups / (groups - 1.0);
        let error = ERRORS_OF_95 * (squares * (1.0 - share)).sqrt();
        Estimate {
            count: (total / share).round() as u64,
            margin: (error.max(UNSEEN * (1.0 - share)) / share).ceil() as u64,
        }
    }
}

impl std::ops::AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        for (sum, more) in self.0.iter_mut().zip(other.0) {
            *sum += more;
        }
    }
}

/// A number that was not counted: in 95 of 100 cases it is less than `margin` off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    pub count: u64,
    pub margin: u64,
}

/// How often one outcome was answered on each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sides {
    /// As it was recorded, where the record says so.
    pub recorded: Count,
    pub old: Count,
    pub new: Count,
}

/// Attempts that were answered one way on one side and another way on the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flip {
    pub from: String,
    pub to: String,
    pub count: Count,
    /// The first [`EXAMPLES_MAX`].
    pub examples: Vec<DecidedAttempt>,
}

/// Differences between two sides, by (outcome of one, outcome of the other).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flips(BTreeMap<(String, String), Flip>);

impl Flips {
    fn add(&mut self, from: &str, to: &str, recorded: &DecidedAttempt, group: usize) {
        let key = (from.to_owned(), to.to_owned());
        let flip = self.0.entry(key).or_insert_with(|| Flip {
            from: from.to_owned(),
            to: to.to_owned(),
            count: Count::default(),
            examples: Vec::new(),
        });
        flip.count.add(group);
        if flip.examples.len() < EXAMPLES_MAX {
            flip.examples.push(recorded.clone());
        }
    }

    /// Attempts with another outcome.
    pub fn count(&self) -> Count {
        let mut all = Count::default();
        self.0.values().for_each(|flip| all += flip.count);
        all
    }

    /// The most frequent first.
    pub fn into_sorted(self) -> Vec<Flip> {
        let mut flips: Vec<Flip> = self.0.into_values().collect();
        flips.sort_by_key(|flip| std::cmp::Reverse(flip.count.total()));
        flips
    }
}

/// Everything a replay counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub attempts: u64,
    /// Moments of the first and the last attempt.
    pub span: Option<(i64, i64)>,
    pub outcomes: BTreeMap<String, Sides>,
    /// Attempts by the revision they were recorded under.
    pub revisions: BTreeMap<u32, u64>,
    /// Old against new.
    pub flips: Flips,
    /// DecidedAttempt against old.
    pub unlike_recorded: Flips,
    /// Attempts whose recorded outcome is known.
    pub with_record: u64,
    /// By attribute that the new rules read: attempts that carry it.
    pub carried: BTreeMap<String, u64>,
}

impl Tally {
    /// `group`: that of the buyer.
    pub(super) fn add(&mut self, recorded: &DecidedAttempt, group: usize, old: &str, new: &str) {
        self.attempts += 1;
        self.span = match self.span {
            None => Some((recorded.at, recorded.at)),
            Some((first, last)) => Some((first.min(recorded.at), last.max(recorded.at))),
        };
        if let Some(revision) = recorded.revision {
            *self.revisions.entry(revision).or_default() += 1;
        }
        self.sides(old).old.add(group);
        self.sides(new).new.add(group);
        if old != new {
            self.flips.add(old, new, recorded, group);
        }
        if let Some(was) = &recorded.outcome {
            self.with_record += 1;
            self.sides(was).recorded.add(group);
            if was != old {
                self.unlike_recorded.add(was, old, recorded, group);
            }
        }
        for (name, count) in &mut self.carried {
            let carried = &recorded.attempt.attributes;
            *count += u64::from(carried.contains_key(name) || carried.contains_key(&unreadable(name)));
        }
    }

    fn sides(&mut self, outcome: &str) -> &mut Sides {
        if !self.outcomes.contains_key(outcome) {
            self.outcomes.insert(outcome.to_owned(), Sides::default());
        }
        self.outcomes.get_mut(outcome).expect("just inserted")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempts::share::{Share, lot};

    /// Buyers with one to many attempts each: the truth lies within the margin in about 95 of 100 samples.
    #[test]
    fn the_margin_holds_the_truth_as_often_as_it_says() {
        let share = Share {
            halvings: 3,
            before: 0,
        };
        let (campaigns, mut within, mut margins) = (400, 0, 0.0);
        for campaign in 0..campaigns {
            let campaign = format!("campaign-{campaign}");
            let (mut count, mut all) = (Count::default(), 0);
            for buyer in 0..3000_u32 {
                let (user, attempts) = (buyer.to_string(), 1 + buyer % 7 + 40 * u32::from(buyer % 50 == 0));
                all += u64::from(attempts);
                if share.holds(&campaign, &user) {
                    (0..attempts).for_each(|_| count.add(lot(&campaign, &user).group));
                }
            }
            let found = count.of_all(share.part());
            within += u32::from(found.count.abs_diff(all) <= found.margin);
            margins += found.margin as f64 / all as f64;
        }
        assert!(
            (f64::from(campaigns) * 0.91..=f64::from(campaigns) * 0.99).contains(&f64::from(within)),
            "{within}"
        );
        let margin = margins / f64::from(campaigns);
        assert!((0.1..0.2).contains(&margin), "{margin}");
    }

    #[test]
    fn everybody_is_sure_and_nothing_found_is_not() {
        let mut count = Count::default();
        (0..100).for_each(|n| count.add(n % 9));
        assert_eq!(
            count.of_all(1.0),
            Estimate {
                count: 100,
                margin: 0
            }
        );
        assert_eq!(Count::default().of_all(0.25), Estimate { count: 0, margin: 9 });
    }
}
