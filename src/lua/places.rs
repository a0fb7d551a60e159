//! Where a charge is counted.

use super::args::text;
use super::keys;
use crate::campaign::bucket_of;
use crate::order::Charge;
use crate::plan::CheckedPlan;

/// Where a count is: key after the prefix, and field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountAt {
    pub key: String,
    pub field: String,
}

impl CountAt {
    /// How often something was given back: read with counts, it says whether they only grew in between.
    pub fn reopened() -> Self {
        Self::of_state("reopened")
    }

    /// Number of the last change of the stock that the shard has, and how many units it took off.
    pub fn stock_change() -> Self {
        Self::of_state("stock_change")
    }

    pub fn stock_taken() -> Self {
        Self::of_state("stock_taken")
    }

    fn of_state(field: &str) -> Self {
        Self {
            key: keys::STATE.to_owned(),
            field: field.to_owned(),
        }
    }

    /// The place of a subject's count; `window` is the start of its window, `None` where the count lives as long
    /// as the campaign; `of_buyer` as [`Counter::is_of_buyer`](crate::plan::Counter::is_of_buyer) says.
    pub fn new(counter: &str, of_buyer: bool, window: Option<i64>, subject: &str, buckets: u32) -> Self {
        let bucket = bucket_of(subject.as_bytes(), buckets);
        match window {
            None => Self {
                key: keys::counts(counter, of_buyer, bucket),
                field: keys::count_field(counter, subject),
            },
            Some(start) => Self {
                key: keys::counter(counter, start, bucket),
                field: subject.to_owned(),
            },
        }
    }
}

/// The place the active plan reads the count in. A counter may have counted by something else when the order was
/// admitted, or the plan may not have it any more. Where plan and subject do not say the same of it, nobody can tell whether it
/// was counted as the buyer's: the count has both places then, so that no revision to come finds nothing used. A
/// place that nothing was written to is left alone by a release. `user` of the order; `None` where all charges are the plan's.
fn places(charge: &Charge, user: Option<&str>, plan: &CheckedPlan) -> Vec<CountAt> {
    let buckets = plan.context().buckets;
    let at = |of_buyer, window| CountAt::new(&charge.counter, of_buyer, window, &charge.subject, buckets);
    if charge.rolling_ms == 0 && charge.window != 0 {
        return vec![at(false, Some(charge.window))];
    }
    let mut counters = plan.plan().counters.iter();
    let by_plan = counters
        .find(|counter| counter.id == charge.counter)
        .is_some_and(|counter| counter.is_of_buyer());
    let by_subject = user.map_or(by_plan, |user| charge.subject == user);
    match (by_subject, by_plan) {
        _ if keys::is_of_shadow(&charge.counter) => vec![at(false, None)],
        (false, false) => vec![at(false, None)],
        (true, true) => vec![at(true, None)],
        _ => vec![at(true, None), at(false, None)],
    }
}

/// Kind, key, field, cost, moment; twice where a charge is counted in two places.
pub(super) fn charge_args(
    charge: &Charge,
    user: Option<&str>,
    plan: &CheckedPlan,
) -> impl Iterator<Item = [Vec<u8>; 5]> {
    let kind = if charge.rolling_ms == 0 {
        "counter"
    } else {
        "rolling"
    };
    let (cost, window) = (charge.cost, charge.window);
    places(charge, user, plan)
        .into_iter()
        .map(move |at| [text(kind), text(at.key), text(at.field), text(cost), text(window)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::check;
    use crate::plan::samples::samples;
    use crate::plan::{Attribute, Window};

    fn keys_of(key: &[Attribute], counter: &str, user: Option<&str>) -> Vec<String> {
        let mut sample = samples()
            .into_iter()
            .find(|each| each.name == "orders per user")
            .expect("it is there");
        sample.plan.counters[0].key = key.to_vec();
        let id = sample.plan.counters[0].id.clone();
        let plan = check(sample.plan, sample.context).expect("passes");
        assert_eq!(plan.plan().counters[0].window, Window::Campaign);
        let charge = Charge {
            counter: if counter.is_empty() { id } else { counter.into() },
            window: 0,
            rolling_ms: 0,
            subject: "ada".into(),
            cost: 1,
            limit: None,
        };
        let places = places(&charge, user, &plan).into_iter();
        let family = |at: CountAt| at.key.rsplit_once(':').expect("a bucket").0.to_owned();
        places.map(family).collect()
    }

    #[test]
    fn a_charge_is_counted_where_the_plan_reads_it_and_where_it_may_have_been_before() {
        let (user, device) = ([Attribute::User], [Attribute::Client("device".into())]);
        assert_eq!(keys_of(&user, "", Some("ada")), ["buyers"]);
        assert_eq!(keys_of(&user, "", None), ["buyers"]);
        assert_eq!(
            keys_of(&user, "", Some("bob")),
            ["buyers", "counts"],
            "by a device, before"
        );
        assert_eq!(keys_of(&device, "", Some("bob")), ["counts"]);
        assert_eq!(keys_of(&device, "", None), ["counts"]);
        assert_eq!(keys_of(&device, "", Some("ada")), ["buyers", "counts"]);
        assert_eq!(keys_of(&user, "gone/counter", Some("ada")), ["buyers", "counts"]);
        assert_eq!(keys_of(&user, "gone/counter", Some("bob")), ["counts"]);
        assert_eq!(keys_of(&user, "shadow/2/a/b", Some("ada")), ["counts:shadow/2"]);
    }
}
