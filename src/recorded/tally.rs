//! What a replay found: outcomes counted on every side, and the attempts that two sides answer differently.

use std::collections::BTreeMap;

use super::Recorded;

/// Examples kept of one kind of difference.
pub const EXAMPLES_MAX: usize = 10;

/// How often one outcome was answered on each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sides {
    /// As it was recorded, where the record says so.
    pub recorded: u64,
    pub old: u64,
    pub new: u64,
}

/// Attempts that were answered one way on one side and another way on the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flip {
    pub from: String,
    pub to: String,
    pub count: u64,
    /// The first [`EXAMPLES_MAX`].
    pub examples: Vec<Recorded>,
}

/// Differences between two sides, by (outcome of one, outcome of the other).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flips(BTreeMap<(String, String), Flip>);

impl Flips {
    pub(super) fn add(&mut self, from: &str, to: &str, recorded: &Recorded) {
        let key = (from.to_owned(), to.to_owned());
        let flip = self.0.entry(key).or_insert_with(|| Flip {
            from: from.to_owned(),
            to: to.to_owned(),
            count: 0,
            examples: Vec::new(),
        });
        flip.count += 1;
        if flip.examples.len() < EXAMPLES_MAX {
            flip.examples.push(recorded.clone());
        }
    }

    /// Attempts with another outcome.
    pub fn count(&self) -> u64 {
        self.0.values().map(|flip| flip.count).sum()
    }

    /// The most frequent first.
    pub fn into_sorted(self) -> Vec<Flip> {
        let mut flips: Vec<Flip> = self.0.into_values().collect();
        flips.sort_by_key(|flip| std::cmp::Reverse(flip.count));
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
    /// Recorded against old.
    pub unlike_recorded: Flips,
    /// Attempts whose recorded outcome is known.
    pub with_record: u64,
    /// By attribute that the new rules read: attempts that carry it.
    pub carried: BTreeMap<String, u64>,
}

impl Tally {
    pub(super) fn add(&mut self, recorded: &Recorded, old: &str, new: &str) {
        self.attempts += 1;
        self.span = match self.span {
            None => Some((recorded.at, recorded.at)),
            Some((first, last)) => Some((first.min(recorded.at), last.max(recorded.at))),
        };
        if let Some(revision) = recorded.revision {
            *self.revisions.entry(revision).or_default() += 1;
        }
        self.sides(old).old += 1;
        self.sides(new).new += 1;
        if old != new {
            self.flips.add(old, new, recorded);
        }
        if let Some(was) = &recorded.outcome {
            self.with_record += 1;
            self.sides(was).recorded += 1;
            if was != old {
                self.unlike_recorded.add(was, old, recorded);
            }
        }
        for (name, count) in &mut self.carried {
            *count += u64::from(recorded.attempt.attributes.contains_key(name));
        }
    }

    fn sides(&mut self, outcome: &str) -> &mut Sides {
        if !self.outcomes.contains_key(outcome) {
            self.outcomes.insert(outcome.to_owned(), Sides::default());
        }
        self.outcomes.get_mut(outcome).expect("just inserted")
    }
}
