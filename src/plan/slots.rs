//! What the host computes for each attempt and hands to a script: the slots a plan needs, the attributes that a gateway
//! must collect for them, and the subject of a counter.

use std::collections::BTreeSet;

use super::reach::needed;
use super::{Attribute, Counter, Expr, Plan, SkuTexts};
use crate::order::Attempt;

/// A value the host computes per attempt and hands to the script.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// The value of an attribute an expression reads: its text, or the elements of an array, a mark before each.
    Attribute(Attribute),
    /// The composed subject of a counter key: [`compose_subject`]. A key of exactly one
    /// attribute has the same text as that attribute but still its own slot.
    Subject(Vec<Attribute>),
    /// The hash bucket of that subject.
    Bucket(Vec<Attribute>),
    /// The bucket of an audience that a value would be in: in which version, and which; of an array, that of each element in
    /// its place. Of a list of addresses, each with the range that would be in it.
    MemberBucket { audience: String, of: Attribute },
    /// Whether the rules in shadow can read what the attempt has: the empty text, or the code of why they cannot. Where the
    /// rules that decide cannot, the gateway refuses the order, and no script is asked.
    ShadowUnfit,
}

/// Slots in the order the script receives them: attributes, then subject and bucket of each
/// counter key in the order of the counters, then member buckets.
pub(super) fn slots(plan: &Plan, reached: &[bool]) -> Vec<Slot> {
    let mut attributes = BTreeSet::new();
    let mut members = BTreeSet::new();
    for expr in needed(plan, reached) {
        match expr {
            Expr::Attribute(attribute) => {
                attributes.insert(attribute.clone());
            }
            Expr::Member { audience, of } => {
                attributes.insert(of.clone());
                members.insert((audience.clone(), of.clone()));
            }
            _ => {}
        }
    }
    // SKU and quantity are arguments of every attempt.
    attributes.remove(&Attribute::Sku);
    attributes.remove(&Attribute::Quantity);

    let mut slots: Vec<Slot> = attributes.into_iter().map(Slot::Attribute).collect();
    let mut keys = BTreeSet::new();
    for Counter { key, .. } in &plan.counters {
        if keys.insert(key) {
            slots.push(Slot::Subject(key.clone()));
            slots.push(Slot::Bucket(key.clone()));
        }
    }
    slots.extend(
        members
            .into_iter()
            .map(|(audience, of)| Slot::MemberBucket { audience, of }),
    );
    slots
}

/// Attributes that an attempt must bring along, because it alone has them.
pub(super) fn attributes(plan: &Plan, reached: &[bool]) -> BTreeSet<Attribute> {
    let brought = read(plan, reached).map(Attribute::brought);
    brought
        .filter(|attribute| !attribute.is_given())
        .cloned()
        .collect()
}

/// Every attribute of an order that the plan reads or requires.
pub(super) fn read<'a>(plan: &'a Plan, reached: &'a [bool]) -> impl Iterator<Item = &'a Attribute> {
    let read = needed(plan, reached).filter_map(|expr| match expr {
        Expr::Attribute(attribute) | Expr::Member { of: attribute, .. } => Some(attribute),
        _ => None,
    });
    let keys = plan.counters.iter().flat_map(|counter| &counter.key);
    read.chain(keys).chain(&plan.required)
}

/// The composed subject of a counter key. One attribute: its text. Several: each text preceded by
/// its length in bytes and a colon, so that different combinations never meet. None: empty.
pub fn compose_subject(key: &[Attribute], attempt: &Attempt, skus: &SkuTexts) -> String {
    match key {
        [] => String::new(),
        [one] => one.text_of(attempt, skus).into_owned(),
        several => several.iter().fold(String::new(), |subject, attribute| {
            let text = attribute.text_of(attempt, skus);
            subject + &text.len().to_string() + ":" + &text
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::order::OrderId;

    fn subject(key: &[Attribute], user: &str, sku: &str) -> String {
        let attempt = Attempt {
            order: OrderId::keyed("spring", user, ""),
            user: user.to_owned(),
            sku: sku.to_owned(),
            quantity: 1,
            attributes: Default::default(),
        };
        compose_subject(key, &attempt, &SkuTexts::default())
    }

    proptest! {
        #[test]
        fn no_two_buyers_and_skus_share_a_subject(
            one in ("[ -~ä]{0,6}", "[0-9:/ ax]{1,6}"),
            other in ("[ -~ä]{0,6}", "[0-9:/ ax]{1,6}"),
        ) {
            let both = [Attribute::User, Attribute::Sku];
            let of = |(user, sku): &(String, String)| subject(&both, user, sku);
            prop_assert_eq!(of(&one) == of(&other), one == other);
            // Whatever moves from one text to the other shows.
            let (user, sku) = &one;
            let joined = user.clone() + sku;
            for at in (0..=joined.len()).filter(|at| joined.is_char_boundary(*at) && *at != user.len()) {
                prop_assert_ne!(subject(&both, &joined[..at], &joined[at..]), of(&one));
            }
            prop_assert_eq!(subject(&[Attribute::Sku], user, sku), sku.clone());
        }
    }
}
