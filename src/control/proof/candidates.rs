//! What random attempts at a plan are drawn from: the values its expressions ask for, the moments at
//! which something changes, and buyers so few that limits bite.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use fastrand::Rng;

use crate::audience::ListKind;
use crate::campaign::Sku;
use crate::order::{QUANTITY_MAX, array};
use crate::plan::{Attribute, CheckedPlan, Expr, Node, Plan, Window};

/// Values of one attribute in one episode, the missing one besides.
const VALUES: usize = 4;
const SKUS: usize = 3;
/// Texts, numbers and moments kept of a plan at most: its tables may be long, an episode is short.
const KEPT_MAX: usize = 256;
/// Values that belong to no table of the plan, some of them hard to quote.
const STRANGERS: [&str; 6] = ["ada", "bob", "1:a", "it's \"q\" ]]\\ {x}", "ü 1", "line\nbreak"];

/// Values of an attribute that is looked up in a list of addresses: some are in the same ranges, and one is written in two ways.
const ADDRESSES: [&str; 7] = [
    "203.0.113.7",
    "203.0.113.8",
    "203.1.0.1",
    "::ffff:203.0.113.7",
    "2001:db8::1",
    "2001:DB8:0:0::1",
    "2001:db8:1::1",
];

/// Everything a plan gives to draw from.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    /// Texts that an attribute is compared with or looked up by.
    texts: BTreeMap<Attribute, BTreeSet<String>>,
    /// Texts compared with something computed: any attribute may have them.
    shared: BTreeSet<String>,
    numbers: BTreeSet<i64>,
    /// Attributes an attempt carries besides user, SKU and quantity.
    attributes: BTreeSet<Attribute>,
    /// Of these, those whose value may be an array.
    arrays: BTreeSet<Attribute>,
    /// (list, attribute) of every membership asked for.
    memberships: BTreeSet<(String, Attribute)>,
    /// What the members of these lists are.
    kinds: BTreeMap<String, ListKind>,
    skus: Vec<Sku>,
    /// For each of them, the texts that the plans name it by, and of which attribute.
    named: Vec<Vec<(Attribute, String)>>,
    /// Sorted.
    moments: Vec<i64>,
    /// How many of them are before the closing.
    closing: usize,
    /// Lengths of windows, milliseconds.
    lengths: BTreeSet<i64>,
}

/// Those who take part in one episode.
#[derive(Debug)]
pub(super) struct Cast {
    pub(super) values: BTreeMap<Attribute, Vec<String>>,
    pub(super) skus: Vec<(String, i64)>,
    pub(super) members: BTreeMap<String, BTreeSet<String>>,
}

impl Candidates {
    /// Of one plan, or of several for the same campaign.
    pub(super) fn of(plans: &[&CheckedPlan]) -> Self {
        let mut all = Self::default();
        for plan in plans {
            all.read(plan);
        }
        let arrays = all.attributes.iter().filter(|attribute| {
            let takes_array = |plan: &&CheckedPlan| plan.reads().takes_array(attribute);
            attribute.may_be_array() && plans.iter().all(takes_array)
        });
        all.arrays = arrays.cloned().collect();
        all.named = all.names();
        for plan in plans {
            all.moments_of(plan);
        }
        all.moments.sort_unstable();
        all.moments.dedup();
        let closes_at = plans.iter().map(|plan| plan.context().schedule.closes_at).max();
        all.closing = all.moments.partition_point(|moment| Some(*moment) < closes_at);
        all
    }

    fn read(&mut self, plan: &CheckedPlan) {
        let nodes = &plan.plan().nodes;
        for expr in nodes {
            match expr {
                Expr::Int(number) | Expr::Div(_, number) | Expr::Mod(_, number) => self.number(*number),
                Expr::OneOf(of, texts) => self.compared(nodes, *of, texts.iter()),
                Expr::StartsWith(of, texts) => {
                    let longer = texts.iter().map(|text| format!("{text}-"));
                    let longer: Vec<String> = longer.collect();
                    self.compared(nodes, *of, texts.iter().chain(&longer));
                }
                Expr::EndsWith(of, texts) => {
                    let longer = texts.iter().map(|text| format!("-{text}"));
                    let longer: Vec<String> = longer.collect();
                    self.compared(nodes, *of, texts.iter().chain(&longer));
                }
                Expr::Number {
                    of,
                    low,
                    high,
                    missing,
                    unreadable,
                } => {
                    for number in [low, high, missing, unreadable] {
                        self.number(*number);
                    }
                    let said = [*low, *high, low.saturating_sub(1), high.saturating_add(1)];
                    let mut said = said.map(|number| number.to_string()).to_vec();
                    said.extend([low.midpoint(*high).to_string(), "-".to_owned()]);
                    self.compared(nodes, *of, said.iter());
                }
                Expr::Lookup { of, entries, .. } => {
                    self.compared(nodes, *of, entries.iter().map(|(text, _)| text));
                    entries.iter().for_each(|(_, number)| self.number(*number));
                }
                Expr::Eq(a, b) => {
                    for (of, with) in [(a, b), (b, a)] {
                        if let Expr::Text(text) = &nodes[*with as usize] {
                            self.compared(nodes, *of, std::iter::once(text));
                        }
                    }
                }
                Expr::Member { audience, of } => {
                    self.memberships.insert((audience.clone(), of.clone()));
                    let kind = plan.context().kind_of(audience).clone();
                    self.kinds.insert(audience.clone(), kind);
                }
                _ => {}
            }
        }
        self.attributes.extend(plan.attributes());
        let known: HashSet<&str> = self.skus.iter().map(|sku| sku.id.as_str()).collect();
        let skus = plan.context().skus.iter();
        let new = skus.filter(|sku| !known.contains(sku.id.as_str()));
        let new: Vec<Sku> = new.cloned().collect();
        self.skus.extend(new);
    }

    fn number(&mut self, number: i64) {
        if self.numbers.len() < KEPT_MAX {
            self.numbers.insert(number);
        }
    }

    fn compared<'a>(&mut self, nodes: &[Expr], of: Node, texts: impl Iterator<Item = &'a String>) {
        let known = match &nodes[of as usize] {
            Expr::Attribute(attribute) => self.texts.entry(attribute.brought().clone()).or_default(),
            _ => &mut self.shared,
        };
        let is_folded = matches!(&nodes[of as usize], Expr::Attribute(Attribute::Folded { .. }));
        let spelt = texts.flat_map(|text| {
            let otherwise = is_folded.then(|| format!(" {}", text.to_uppercase()));
            std::iter::once(text.clone()).chain(otherwise)
        });
        let room = KEPT_MAX.saturating_sub(known.len());
        known.extend(spelt.take(room));
    }

    /// Opening, closing, early access, the ends of windows, and every moment a number of the plan could
    /// mean: by itself, or counted from the opening or the closing.
    fn moments_of(&mut self, plan: &CheckedPlan) {
        let Plan {
            counters,
            early_access,
            ..
        } = plan.plan();
        let schedule = plan.context().schedule;
        let (opens_at, closes_at) = (schedule.opens_at, schedule.closes_at);
        let leads = early_access.iter().map(|early| opens_at - early.lead_ms);
        let middle = opens_at + (closes_at - opens_at) / 2;
        let mut edges: BTreeSet<i64> = leads.chain([opens_at, middle, closes_at]).collect();
        let first = edges.first().copied().unwrap_or(opens_at) - 1;
        for number in &self.numbers {
            edges.extend([
                *number,
                opens_at.saturating_add(*number),
                opens_at.saturating_sub(*number),
                closes_at.saturating_sub(*number),
            ]);
        }
        for (index, counter) in (0..).zip(counters) {
            match &counter.window {
                Window::Campaign => {}
                Window::Rolling { length_ms } => {
                    self.lengths.insert(*length_ms);
                }
                Window::Tumbling { length_ms, origin_ms } => {
                    self.lengths.insert(*length_ms);
                    let next = opens_at + (origin_ms - opens_at).rem_euclid(*length_ms);
                    edges.extend((0..4).map(|n| next.saturating_add(n * length_ms)));
                }
                Window::Calendar { .. } => {
                    let starts = plan.periods(index).map_or(&[][..], |periods| &periods.starts);
                    edges.extend(starts.iter().take(KEPT_MAX));
                }
            }
        }
        // The state is kept long after the closing, but nothing more happens then.
        let inside = edges
            .into_iter()
            .flat_map(|edge| [edge.saturating_sub(1), edge, edge.saturating_add(1)]);
        self.moments
            .extend(inside.filter(|moment| (first.max(0)..=closes_at + 1).contains(moment)));
    }

    /// Draws those who take part in an episode.
    pub(super) fn cast(&self, rng: &mut Rng) -> Cast {
        let mut values = BTreeMap::new();
        for attribute in self.attributes.iter().chain([&Attribute::User]) {
            values.insert(attribute.clone(), self.values(attribute, rng));
        }
        let mut members: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let skus = self.cast_skus(rng);
        for (audience, of) in &self.memberships {
            let list = members.entry(audience.clone()).or_default();
            let of_skus = skus.iter().filter_map(|(sku, _)| text_of_sku(of, sku));
            let values = values.get(of.brought()).into_iter().flatten();
            let there = of_skus.chain(values.map(String::as_str));
            // A list has one member per line.
            let there = there.filter(|value| !value.is_empty() && !value.contains(['\n', '\r', array::MARK]));
            let there = there.map(|value| match of {
                Attribute::Folded { fold, .. } => fold.text(value),
                _ => value.into(),
            });
            let kind = self.kinds.get(audience).unwrap_or(&ListKind::Texts);
            let there = there.flat_map(|value| kind.members_for(&value));
            list.extend(there.filter(|_| rng.bool()));
        }
        Cast {
            values,
            skus: skus
                .into_iter()
                .map(|(sku, stock)| (sku.id.clone(), stock))
                .collect(),
            members,
        }
    }

    fn values(&self, attribute: &Attribute, rng: &mut Rng) -> Vec<String> {
        let asked = self.texts.get(attribute).into_iter().flatten();
        let asked: Vec<&String> = asked
            .chain(&self.shared)
            .filter(|text| !text.is_empty())
            .collect();
        let mut drawn: BTreeSet<String> = BTreeSet::new();
        let by_address = |(audience, of): &(String, Attribute)| {
            of == attribute
                && self
                    .kinds
                    .get(audience)
                    .is_some_and(|kind| *kind != ListKind::Texts)
        };
        if self.memberships.iter().any(by_address) {
            let drawn_from = (0..VALUES).map(|_| ADDRESSES[rng.usize(..ADDRESSES.len())].to_owned());
            drawn.extend(drawn_from);
        }
        for _ in 0..VALUES {
            let value = match rng.choice(&asked) {
                Some(text) if rng.u8(0..4) > 0 => (*text).clone(),
                _ => STRANGERS[rng.usize(..STRANGERS.len())].to_owned(),
            };
            drawn.insert(value);
        }
        // Where an array can be asked for: some of the texts, in one value.
        if self.arrays.contains(attribute) {
            let some: Vec<String> = drawn.iter().filter(|_| rng.bool()).cloned().collect();
            drawn.insert(array::of(some));
        }
        drawn.into_iter().collect()
    }

    /// Those of an episode, each with the units it starts with: few, so that it sells out, all, or nearly all. SKUs that the
    /// plan names, by id or by an attribute, come first, but not before one that it does not name, where there is one.
    fn cast_skus(&self, rng: &mut Rng) -> Vec<(&Sku, i64)> {
        let mut pool: Vec<usize> = (0..self.skus.len()).collect();
        rng.shuffle(&mut pool);
        let (mut named, unnamed): (Vec<usize>, Vec<usize>) =
            pool.into_iter().partition(|at| !self.named[*at].is_empty());
        // Mostly named by different texts; SKUs that have one in common are counted together by some rules.
        if rng.u8(0..4) > 0 {
            let mut met = HashSet::new();
            let (new, again): (Vec<usize>, _) =
                named.into_iter().partition(|at| met.insert(&self.named[*at]));
            named = [new, again].concat();
        }
        named.truncate(SKUS - usize::from(!unnamed.is_empty()));
        let units = |stock: i64, rng: &mut Rng| match rng.u8(0..8) {
            0 => rng.i64(0..=stock.min(8)),
            1 | 2 => rng.i64(0..=stock.min(80)),
            3 => (stock - rng.i64(0..20)).max(0),
            _ => stock,
        };
        let played = named.into_iter().chain(unnamed).take(SKUS);
        let played = played.map(|at| {
            let sku = &self.skus[at];
            (sku, units(i64::try_from(sku.stock).unwrap_or(i64::MAX), rng))
        });
        played.collect()
    }

    /// What the plans name each SKU by.
    fn names(&self) -> Vec<Vec<(Attribute, String)>> {
        let of_skus: Vec<_> = self.texts.iter().filter(|(of, _)| of.is_of_sku()).collect();
        let names = |sku: &Sku| {
            let named = of_skus.iter().filter_map(|(of, texts)| {
                let text = text_of_sku(of, sku).filter(|text| texts.contains(*text))?;
                Some(((*of).clone(), text.to_owned()))
            });
            named.collect()
        };
        self.skus.iter().map(names).collect()
    }

    /// A moment to begin an episode at: mostly while the sale is open.
    pub(super) fn first_moment(&self, rng: &mut Rng) -> i64 {
        let range = match rng.u8(0..8) {
            0 => self.moments.len(),
            _ => self.closing.max(1),
        };
        self.moments[rng.usize(..range)]
    }

    /// The moment of the next call: mostly the same or milliseconds later, now and then where
    /// something changes; rarely the closing, because nothing comes after it.
    pub(super) fn next_moment(&self, now: i64, rng: &mut Rng) -> i64 {
        let last = self.moments.last().copied().unwrap_or(now);
        let next = match rng.u8(0..16) {
            0..8 => now,
            8..12 => now + rng.i64(1..6),
            12 | 13 => {
                let lengths: Vec<&i64> = self.lengths.iter().collect();
                rng.choice(lengths)
                    .map_or(now, |length| now.saturating_add(length + rng.i64(-1..2)))
            }
            _ => {
                let end = match rng.u8(0..8) {
                    0 => self.moments.len(),
                    _ => self.closing,
                };
                let later = self.moments.partition_point(|moment| *moment <= now);
                match end.saturating_sub(later).min(6) {
                    0 => now,
                    reach => self.moments[later + rng.usize(..reach)],
                }
            }
        };
        let most = if rng.u8(0..8) == 0 {
            last
        } else {
            self.moments[self.closing.max(1) - 1]
        };
        next.min(most).max(now)
    }

    /// Units of an order: mostly few, else around a number of the plan.
    pub(super) fn quantity(&self, rng: &mut Rng) -> u32 {
        let around = |number: i64, rng: &mut Rng| {
            let near = number.saturating_add(rng.i64(-1..2));
            u32::try_from(near)
                .ok()
                .filter(|near| (1..=QUANTITY_MAX).contains(near))
        };
        if rng.u8(0..4) > 0 {
            return rng.u32(1..4);
        }
        let numbers: Vec<&i64> = self.numbers.iter().collect();
        rng.choice(numbers)
            .and_then(|number| around(*number, rng))
            .unwrap_or_else(|| rng.u32(1..13))
    }
}

/// What a SKU decides of its orders: its id, or the text of an attribute.
fn text_of_sku<'a>(of: &Attribute, sku: &'a Sku) -> Option<&'a str> {
    match of {
        Attribute::Sku => Some(&sku.id),
        Attribute::OfSku(name) => Some(sku.attributes.get(name).map_or("", String::as_str)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::samples::samples;
    use crate::plan::{Expr, check};

    /// Candidates of a plan that names these categories, over SKUs of these ids and categories.
    fn candidates(categories: &[&str], skus: impl Iterator<Item = (String, &'static str)>) -> Candidates {
        let all = samples();
        let sample = all.iter().find(|sample| sample.name == "orders per user");
        let sample = sample.expect("is a sample");
        let (mut plan, mut context) = (sample.plan.clone(), sample.context.clone());
        let of = Expr::Attribute(Attribute::OfSku("category".to_owned()));
        let first = plan.nodes.len() as Node;
        let named = categories.iter().map(|text| (*text).to_owned()).collect();
        plan.nodes.extend([of, Expr::OneOf(first, named)]);
        plan.constraints[0].when = Some(first + 1);
        let sku = |(id, category): (String, &str)| {
            let mut sku = Sku::new(id, 1000);
            let said = ("category".to_owned(), category.to_owned());
            sku.attributes.extend(Some(said).filter(|_| !category.is_empty()));
            sku
        };
        context.skus = skus.map(sku).collect();
        Candidates::of(&[&check(plan, context).expect("a plan")])
    }

    fn categories(candidates: &Candidates, seed: u64) -> Vec<&str> {
        let of = Attribute::OfSku("category".to_owned());
        let cast = candidates.cast_skus(&mut Rng::with_seed(seed));
        cast.iter().filter_map(|(sku, _)| text_of_sku(&of, sku)).collect()
    }

    #[test]
    fn one_place_is_of_a_sku_that_the_plan_does_not_name() {
        let skus = || (0..40).map(|n| (format!("sku-{n}"), ["mugs", "mugs", "prints", "caps"][n % 4]));
        let all = candidates(&["mugs", "prints"], skus());
        let played: Vec<Vec<&str>> = (0..200).map(|seed| categories(&all, seed)).collect();
        for played in &played {
            let named = played.iter().filter(|text| **text != "caps").count();
            assert_eq!((played.len(), named), (SKUS, 2), "{played:?}");
        }
        let differing = played.iter().filter(|played| played[0] != played[1]).count();
        assert!((150..200).contains(&differing), "{differing} of 200");

        // The missing one is a category like any other.
        let lacking = || (0..9).map(|n| (format!("sku-{n}"), ["", "mugs"][usize::from(n > 0)]));
        let all = candidates(&[""], lacking());
        assert!((0..50).all(|seed| categories(&all, seed).contains(&"")));
    }

    #[test]
    fn every_place_is_taken() {
        let all_named = candidates(&["mugs"], (0..9).map(|n| (format!("sku-{n}"), "mugs")));
        let none_named = candidates(&["prints"], (0..9).map(|n| (format!("sku-{n}"), "mugs")));
        let few = candidates(&["mugs"], (0..2).map(|n| (format!("sku-{n}"), "mugs")));
        for seed in 0..50 {
            let places = [&all_named, &none_named, &few].map(|all| categories(all, seed).len());
            assert_eq!(places, [SKUS, SKUS, 2]);
        }
    }
}
