//! Shares as reserves: units that nobody else gets, until they are released.
//!
//! What the order leaves must be enough for what every other region has not yet had of its share. A region is never
//! refused for its own share, and every region may order what is reserved for nobody.

use alloc::string::String;

use rushgate_rule::{
    Bool, Int, PerOrder, Plan, Window, counter_id, int, now, quantity, remaining, select, sku,
};

use crate::{Params, RESERVED, sentences};

/// Regions that can have a reserve: each has a counter, which every order reads.
pub(crate) const REGIONS_MAX: usize = 16;

pub(crate) fn plan(params: &Params) -> Plan {
    let region = params.region.attribute();
    let mut plan = Plan::new();
    let mut reserved: Option<Int> = None;
    let mut reserve = |id: String, own: Bool<PerOrder>, share: u32| {
        let cost = select(&own, quantity(), int(0));
        let counter = plan.counter(id, [sku()], Window::Campaign, cost);
        let unused = (params.unit.of_stock(int(i64::from(share))) - counter.used()).max(int(0));
        let for_others = select(own, int(0), unused);
        reserved = Some(match reserved.take() {
            None => for_others,
            Some(sum) => sum + for_others,
        });
    };
    let by = params.region.as_str();
    for (name, share) in &params.shares {
        let id = counter_id(&["units-of-region", name, "by", by, "per-sku"]);
        reserve(id, region.equals(name.as_str()), *share);
    }
    if let Some(share) = params.others {
        let named = region.one_of(params.shares.keys().map(String::as_str));
        let id = counter_id(&["units-of-no-region-with-a-reserve-by", by, "per-sku"]);
        reserve(id, !named, share);
    }
    let reserved = reserved.expect("the schema asks for one share at least");
    let enough = quantity().le(remaining() - reserved);
    let constraint = plan.require(enough, &RESERVED, sentences::reserves(params));
    if let Some(release) = &params.release {
        constraint.when(now().lt(release.expr()));
    }
    plan
}
