//! What rules read of an order, and what of that an order has in a form that they cannot read.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::{ANY_NAME, Attribute, Expr, Plan};
use crate::order::{UNREADABLE, array, unreadable};
use crate::rejection::Own;

/// Claims about the token that a module which reads every claim has not asked for: a token for several services has
/// several audiences.
const UNASKED: [&str; 2] = ["claim:aud", "claim:iss"];

/// Attributes that rules read, by their text form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    all: BTreeSet<String>,
    /// Of these, those of which an order must have one value: what it is counted or looked up by, or compared with. Only
    /// where lists and rows of texts are asked whether they have it, an array can be asked for: any of its elements does.
    single: BTreeSet<String>,
}

/// An attribute of an order that its rules cannot read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfit<'a> {
    /// By its text form.
    pub attribute: &'a str,
    pub why: Why<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why<'a> {
    /// No rule can read it; what it is, in words.
    Unreadable(&'a str),
    /// It is an array of so many elements, and a rule reads one value.
    NotSingle(usize),
}

impl Unfit<'_> {
    /// Why an order with it is refused.
    pub fn reason(&self) -> Own {
        match self.why {
            Why::Unreadable(_) => Own::AttributeUnreadable,
            Why::NotSingle(_) => Own::ClaimNotSingle,
        }
    }

    /// The name that an attempt keeps it under.
    pub fn kept_as(&self) -> String {
        match self.why {
            Why::Unreadable(_) => unreadable(self.attribute),
            Why::NotSingle(_) => self.attribute.to_owned(),
        }
    }
}

impl Reads {
    /// What a plan reads, of which `reached` are the nodes that anything is computed from. `attributes` are all of it.
    pub(super) fn of(plan: &Plan, reached: &[bool], attributes: &[Attribute]) -> Self {
        Self {
            all: attributes.iter().map(ToString::to_string).collect(),
            single: single(plan, reached)
                .iter()
                .map(|attribute| attribute.brought().to_string())
                .collect(),
        }
    }

    /// With what is handed to prechecks: each is one text.
    pub fn and_handed<'a>(mut self, attributes: impl IntoIterator<Item = &'a Attribute>) -> Self {
        for attribute in attributes {
            self.all.insert(attribute.to_string());
            self.single.insert(attribute.to_string());
        }
        self
    }

    /// Whether an attribute may have several values: nothing reads it that needs one.
    pub fn takes_array(&self, attribute: &Attribute) -> bool {
        !has(&self.single, &attribute.brought().to_string())
    }

    /// The first attribute of an attempt that is read, is there and cannot be read.
    pub fn unfit<'a>(&self, attributes: &'a BTreeMap<String, String>) -> Option<Unfit<'a>> {
        let unreadable = marks(attributes).find(|(name, _)| has(&self.all, name));
        if let Some((attribute, why)) = unreadable {
            let why = Why::Unreadable(why);
            return Some(Unfit { attribute, why });
        }
        attributes.iter().find_map(|(name, value)| {
            let elements = array::several(value).filter(|_| has(&self.single, name))?;
            Some(Unfit {
                attribute: name,
                why: Why::NotSingle(elements.len()),
            })
        })
    }
}

fn has(names: &BTreeSet<String>, name: &str) -> bool {
    let of_any = |kind: &str| name.starts_with(kind) && names.contains(&format!("{kind}{ANY_NAME}"));
    names.contains(name) || ((of_any("claim:") || of_any("client:")) && !UNASKED.contains(&name))
}

/// Whether some rules could not read something of an attempt: for those who would have to find out first what rules read.
pub fn may_be_unfit(attributes: &BTreeMap<String, String>) -> bool {
    marks(attributes).next().is_some() || attributes.values().any(|value| array::is_array(value))
}

/// Attributes that cannot be read, by their text form, with why.
fn marks(attributes: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    attributes
        .range::<str, _>((Bound::Included(UNREADABLE), Bound::Unbounded))
        .map_while(|(name, why)| Some((name.strip_prefix(UNREADABLE)?, why.as_str())))
}

/// Per node, whether it is a text that may be an array. Operands have smaller indices.
pub(super) fn arrays(plan: &Plan) -> Vec<bool> {
    let mut arrays: Vec<bool> = Vec::with_capacity(plan.nodes.len());
    for expr in &plan.nodes {
        arrays.push(match expr {
            Expr::Attribute(attribute) => attribute.may_be_array(),
            Expr::Select(_, a, b) => arrays[*a as usize] || arrays[*b as usize],
            _ => false,
        });
    }
    arrays
}

/// Attributes of which the plan reads one value. Whether there is one is the comparison with the empty text, which an array
/// can be asked, too.
fn single<'a>(plan: &'a Plan, reached: &[bool]) -> BTreeSet<&'a Attribute> {
    let mut found: BTreeSet<&Attribute> = plan.counters.iter().flat_map(|counter| &counter.key).collect();
    let mut is_single = vec![false; plan.nodes.len()];
    let is_empty = |node: u32| matches!(&plan.nodes[node as usize], Expr::Text(text) if text.is_empty());
    for (index, expr) in plan.nodes.iter().enumerate().rev() {
        match expr {
            _ if !reached[index] => {}
            Expr::Lookup { of, .. } | Expr::Number { of, .. } => is_single[*of as usize] = true,
            Expr::StartsWith(of, _) | Expr::EndsWith(of, _) => is_single[*of as usize] = true,
            Expr::Eq(a, b) if !is_empty(*a) && !is_empty(*b) => {
                (is_single[*a as usize], is_single[*b as usize]) = (true, true);
            }
            Expr::Select(_, a, b) if is_single[index] => {
                (is_single[*a as usize], is_single[*b as usize]) = (true, true);
            }
            Expr::Attribute(attribute) if is_single[index] => drop(found.insert(attribute)),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::samples::samples;
    use crate::plan::{CheckContext, CheckedPlan, Constraint, check};

    fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    #[test]
    fn only_what_is_read_counts() {
        let attributes = texts(&[
            ("claim:tier", "gold"),
            ("claim:roles", "\u{1f}a\u{1f}b"),
            ("claim:iss", "\u{1f}a\u{1f}b"),
            ("unreadable:claim:aud", "is an object"),
            ("unreadable:claim:groups", "is an object"),
            ("zone", "7"),
        ]);
        let groups = Some(("claim:groups", Why::Unreadable("is an object")));
        let roles = Some(("claim:roles", Why::NotSingle(2)));
        let unread = texts(&[("claim:roles", "\u{1f}"), ("claim:iss", "\u{1f}a\u{1f}b")]);
        let none = Some(("claim:roles", Why::NotSingle(0)));
        let aud = Some(("claim:aud", Why::Unreadable("is an object")));
        let claim = |name: &str| Attribute::Claim(name.to_owned());
        let reads = |single: &[Attribute]| Reads::default().and_handed(single);
        let found = |reads: &Reads, attributes| {
            let unfit = reads.unfit(attributes).map(|unfit| (unfit.attribute, unfit.why));
            unfit.map(|(name, why)| (name.to_owned(), format!("{why:?}")))
        };
        for (names, attributes, expected) in [
            (&[claim("tier"), Attribute::Ip][..], &attributes, None),
            (&[], &attributes, None),
            (&[claim("groups")], &attributes, groups),
            (&[claim("*")], &attributes, groups),
            (&[claim("*")], &unread, none),
            (&[Attribute::Client("*".to_owned())], &attributes, None),
            (&[claim("aud")], &attributes, aud),
            (&[claim("roles")], &attributes, roles),
        ] {
            let expected = expected.map(|(name, why)| (name.to_owned(), format!("{why:?}")));
            assert_eq!(found(&reads(names), attributes), expected, "{names:?}");
        }
    }

    fn plan(more: impl Fn(u32) -> Vec<Expr>) -> CheckedPlan {
        let all = samples().into_iter();
        let mut sample = all
            .into_iter()
            .find(|sample| sample.name == "orders per user")
            .expect("there");
        let plan = &mut sample.plan;
        plan.nodes.extend(more(plan.nodes.len() as u32));
        let require = plan.nodes.len() as u32 - 1;
        plan.constraints.push(Constraint {
            when: None,
            require,
            ..plan.constraints[0].clone()
        });
        let context: CheckContext = sample.context;
        check(sample.plan, context).expect("passes")
    }

    #[test]
    fn one_value_is_read_where_an_array_would_have_several_answers() {
        let groups = || Expr::Attribute(Attribute::Claim("groups".into()));
        let texts = || vec!["a".to_owned(), "b".to_owned()];
        let text = |text: &str| Expr::Text(text.to_owned());
        let chosen = |n, last: Expr| {
            vec![
                groups(),
                text("x"),
                Expr::Int(1),
                Expr::Eq(n + 2, n + 2),
                Expr::Select(n + 3, n, n + 1),
                last,
            ]
        };
        let lookup = |of| Expr::Lookup {
            of,
            entries: vec![("a".to_owned(), 1)],
            default: 0,
        };
        let attributes = BTreeMap::from([("claim:groups".to_owned(), "\u{1f}a\u{1f}b".to_owned())]);
        let is_single = |plan: CheckedPlan| plan.reads().unfit(&attributes).is_some();
        assert!(!is_single(plan(|n| vec![groups(), Expr::OneOf(n, texts())])));
        assert!(!is_single(plan(|n| chosen(n, Expr::OneOf(n + 4, texts())))));
        assert!(!is_single(plan(|n| vec![groups(), text(""), Expr::Eq(n, n + 1)])));
        assert!(is_single(plan(|n| vec![groups(), text("a"), Expr::Eq(n + 1, n)])));
        assert!(is_single(plan(|n| chosen(n, Expr::Eq(n + 4, n + 1)))));
        assert!(is_single(plan(|n| vec![
            groups(),
            Expr::OneOf(n, texts()),
            lookup(n),
            Expr::Int(1),
            Expr::Lt(n + 2, n + 3),
            Expr::And(n + 1, n + 4)
        ])));
        // What nothing is computed from is not read.
        assert!(!is_single(plan(|n| vec![
            groups(),
            lookup(n),
            Expr::Int(1),
            Expr::Eq(n + 2, n + 2)
        ])));
        let mut counted = plan(|n| vec![groups(), Expr::OneOf(n, texts())]).plan().clone();
        let context = plan(|n| vec![groups(), Expr::OneOf(n, texts())])
            .context()
            .clone();
        counted.counters[0].key = vec![Attribute::User, Attribute::Claim("groups".into())];
        assert!(is_single(check(counted, context).expect("passes")));
    }
}
