//! Shares as limits: a region may order its share, and no more.

use alloc::string::String;

use rushgate_rule::{
    Bool, Context, Counter, Int, PerOrder, Plan, Window, counter_id, int, now, quantity, select, sku,
};

use crate::{Params, QUOTA, sentences};

pub(crate) fn plan(context: &Context, params: &Params) -> Plan {
    let region = params.region.attribute();
    let named = || region.one_of(params.shares.keys().map(String::as_str));
    let mut plan = Plan::new();

    // Two counters: one for each region that has a share, one for all others together, so that nobody
    // gets a share of their own by a region nobody named.
    let id = counter_id(&["units-per", params.region.as_str(), "and-sku"]);
    let cost = select(named(), quantity(), int(0));
    let of_region = plan.counter(id, [region.clone(), sku()], Window::Campaign, cost);
    let cost = select(named(), int(0), quantity());
    let id = counter_id(&["units-of-others-than", params.region.as_str(), "per-sku"]);
    let of_others = plan.counter(id, [sku()], Window::Campaign, cost);

    let shares = params
        .shares
        .iter()
        .map(|(region, share)| (region.as_str(), i64::from(*share)));
    let quota = params.unit.of_stock(region.lookup(shares, 0));
    let sentence = sentences::caps(params);
    limit(&mut plan, params, named(), of_region, &quota, sentence);
    let quota = others(context, params);
    let sentence = sentences::cap_of_others(params);
    limit(&mut plan, params, !named(), of_others, &quota, sentence);
    plan
}

fn limit(
    plan: &mut Plan,
    params: &Params,
    whose: Bool<PerOrder>,
    counter: Counter,
    quota: &Int,
    sentence: String,
) {
    let constraint = plan.require((counter.used() + quantity()).le(quota), &QUOTA, sentence);
    match &params.release {
        None => constraint.when(whose),
        Some(release) => constraint.when(whose.and(now().lt(release.expr()))),
    };
    constraint.measure(counter, quota);
}

/// What all other regions have together, in units.
fn others(context: &Context, params: &Params) -> Int {
    if let Some(share) = params.others {
        return params.unit.of_stock(int(i64::from(share)));
    }
    // Every share is rounded down by itself, as above; what that leaves is here.
    let rest = context.skus.iter().map(|on_sale| {
        let shares = params
            .shares
            .values()
            .map(|share| params.unit.of(on_sale.stock, *share));
        let left = on_sale.stock.saturating_sub(shares.sum());
        (on_sale.id.as_str(), i64::try_from(left).unwrap_or(i64::MAX))
    });
    sku().lookup(rest, 0).live()
}
