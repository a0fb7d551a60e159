//! Where a charge is counted.

use super::keys;
use super::repair::CountAt;
use crate::order::Charge;
use crate::plan::CheckedPlan;

/// The place the active plan reads the count in. A counter may have counted by something else when the order was
/// admitted, or the plan may not have it any more. Where plan and subject do not say the same of it, nobody can tell whether it
/// was counted as the buyer's: the count has both places then, so that no revision to come finds nothing used. A
/// place that nothing was written to is left alone by a release. `user` of the order; `None` where all charges are the plan's.
pub(super) fn places(charge: &Charge, user: Option<&str>, plan: &CheckedPlan) -> Vec<CountAt> {
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
