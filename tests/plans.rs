//! Plans: random ones through the checker and the interpreter.

mod strategies;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rushgate::plan::check::check;
use rushgate::plan::eval::{Decision, State, charges, decide, release};

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// What a rejected attempt leaves is what it found; what all admitted orders took comes back
    /// when all of them are released.
    #[test]
    fn random_plans_never_take_from_the_rejected(
        (plan, context) in strategies::valid_plan(),
        attempts in strategies::attempts(),
    ) {
        let opens_at = context.schedule.opens_at;
        let stock: BTreeMap<String, i64> =
            context.skus.iter().map(|sku| (sku.id.clone(), sku.stock as i64)).collect();
        let plan = check(plan, context).expect("the strategy makes valid plans");
        let mut state = State { stock: stock.clone(), audiences: strategies::audiences(), ..State::default() };
        let mut admitted = BTreeSet::new();
        let mut taken = Vec::new();
        for (at, attempt) in attempts {
            let now = opens_at + at;
            let before = state.clone();
            let order = attempt.order.to_string();
            match decide(&plan, 1, &mut state, &attempt, now) {
                Decision::Admitted => {
                    prop_assert!(admitted.insert(order.clone()));
                    taken.push((order, charges(&plan, &attempt, now)));
                }
                Decision::Existing(_) => {
                    prop_assert!(admitted.contains(&order));
                    prop_assert_eq!(&before, &state);
                }
                Decision::Rejected(_) => prop_assert_eq!(&before, &state),
            }
            prop_assert!(state.stock.values().all(|units| *units >= 0));
        }
        for (order, charges) in &taken {
            prop_assert!(release(&mut state, order, charges));
            prop_assert!(!release(&mut state, order, charges));
        }
        prop_assert_eq!(&state.stock, &stock);
        prop_assert!(state.counters.is_empty() && state.rolling.is_empty());
    }
}
