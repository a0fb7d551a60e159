//! The replay: recorded attempts decided a second time, in order, by two sides. Each side has a world of its
//! own (stock, counters, admitted orders), which nothing but its own decisions changes; both are decided by
//! the interpreter.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::share::{self, Share};
use super::tally::Tally;
use super::{DecidedAttempt, Outcome};
use crate::campaign::Sku;
use crate::order::{Attempt, OrderId};
use crate::plan::CheckedPlan;
use crate::plan::decision::Decision;
use crate::plan::eval;
use crate::plan::state::State;
use crate::plan::unfit::may_be_unfit;
use crate::rejection::Own;
use crate::ruleset::{Asked, Precheck, Verdict, reads_of};

/// The stock of a world in which a share of all buyers buys: each SKU times the share, rounded up, so that nothing is sold
/// out before it is sold.
pub fn scaled(skus: &[Sku], share: Share) -> Vec<Sku> {
    let part = |stock: u64| stock.div_ceil(1_u64.checked_shl(share.total()).unwrap_or(u64::MAX));
    skus.iter()
        .map(|sku| Sku {
            stock: part(sku.stock),
            ..sku.clone()
        })
        .collect()
}

/// Members of uploaded lists, by the id of the list.
pub type AudienceMembers = BTreeMap<String, BTreeSet<String>>;

/// What one side has sold and counted so far.
pub struct World {
    state: State,
    /// Admitted orders: position of the SKU and quantity, which a retry must ask for again.
    admitted: HashMap<OrderId, (Option<usize>, u32)>,
    skus: Vec<String>,
    prechecks: Vec<Arc<dyn Precheck>>,
}

impl World {
    /// With all of the stock, these lists, and the prechecks of its revision.
    pub fn new(skus: &[Sku], audiences: AudienceMembers, prechecks: Vec<Arc<dyn Precheck>>) -> Self {
        let stock = skus
            .iter()
            .map(|sku| (sku.id.clone(), i64::try_from(sku.stock).unwrap_or(i64::MAX)));
        Self {
            state: State {
                stock: stock.collect(),
                audiences,
                ..State::default()
            },
            admitted: HashMap::new(),
            skus: skus.iter().map(|sku| sku.id.clone()).collect(),
            prechecks,
        }
    }

    /// Decides as a gateway does: a retry of an admitted order gets that order, what lacks an attribute or has one that
    /// cannot be read is refused before anything is asked, and prechecks come before the plan. Blocks while they run.
    pub fn decide(&mut self, plan: &CheckedPlan, attempt: &Attempt, at: i64) -> Outcome {
        let asked = (
            self.skus.iter().position(|sku| *sku == attempt.sku),
            attempt.quantity,
        );
        if let Some(before) = self.admitted.get(&attempt.order) {
            return match *before == asked {
                true => Outcome::Admitted,
                false => Outcome::Own(Own::KeyReused),
            };
        }
        if may_be_unfit(&attempt.attributes)
            && let Some(unfit) = reads_of(plan, &self.prechecks).unfit(&attempt.attributes)
        {
            return Outcome::Own(unfit.reason());
        }
        if plan.missing(attempt).is_some() {
            return Outcome::Own(Own::AttributeMissing);
        }
        if let Some(objection) = self
            .prechecks
            .iter()
            .find_map(|precheck| object(&**precheck, attempt))
        {
            return objection;
        }
        let decision = eval::decide(plan, 0, &mut self.state, attempt, at);
        if decision == Decision::Admitted {
            self.admitted.insert(attempt.order, asked);
            // The interpreter's own record is far larger.
            self.state.orders.clear();
        }
        Outcome::of(&decision).unwrap_or(Outcome::Admitted)
    }
}

fn object(precheck: &dyn Precheck, attempt: &Attempt) -> Option<Outcome> {
    let unread = BTreeMap::new();
    let asked = Asked {
        attempt,
        unread: &unread,
    };
    let reason = match precheck.check(&asked) {
        Verdict::Pass => return None,
        Verdict::Reject(objection) => objection.code,
        Verdict::Failed => Own::PrecheckFailed.name().to_owned(),
    };
    Some(Outcome::Named(format!("{}/{reason}", precheck.rule())))
}

/// Two worlds that meet the same attempts.
pub struct Replay {
    campaign: String,
    pub old: World,
    pub new: World,
    new_plan: Arc<CheckedPlan>,
    pub tally: Tally,
}

impl Replay {
    pub fn new(campaign: &str, old: World, new: World, new_plan: Arc<CheckedPlan>) -> Self {
        let carried = new_plan.attributes().iter().map(|a| (a.to_string(), 0)).collect();
        Self {
            campaign: campaign.to_owned(),
            old,
            new,
            new_plan,
            tally: Tally {
                carried,
                ..Tally::default()
            },
        }
    }

    /// Lets both sides decide an attempt; `old_plan` is what the old side decides it with.
    pub fn play(&mut self, old_plan: &CheckedPlan, recorded: &DecidedAttempt) {
        let old = self.old.decide(old_plan, &recorded.attempt, recorded.at);
        let new = self.new.decide(&self.new_plan, &recorded.attempt, recorded.at);
        let group = share::lot(&self.campaign, &recorded.attempt.user).group;
        self.tally
            .add(recorded, group, &old.name(old_plan), &new.name(&self.new_plan));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::check;
    use crate::plan::samples::samples;

    fn attempt(key: &str, quantity: u32) -> Attempt {
        Attempt {
            order: OrderId::keyed("sample", "ann", key),
            user: "ann".into(),
            sku: "shirt".into(),
            quantity,
            attributes: BTreeMap::new(),
        }
    }

    #[test]
    fn a_world_decides_as_a_gateway_does() {
        let sample = samples()
            .into_iter()
            .find(|sample| sample.name == "orders per user")
            .expect("there");
        let opens_at = sample.context.schedule.opens_at;
        let mut required = sample.plan.clone();
        required.required = vec![crate::plan::Attribute::Client("device".into())];
        let plan = check(sample.plan, sample.context.clone()).expect("a plan");
        let required = check(required, sample.context.clone()).expect("a plan");
        let mut world = World::new(&sample.context.skus, AudienceMembers::new(), Vec::new());
        let mut decide = |plan: &CheckedPlan, key: &str, quantity: u32| {
            let outcome = world.decide(plan, &attempt(key, quantity), opens_at);
            outcome.name(plan).into_owned()
        };
        assert_eq!(decide(&required, "a", 1), "attribute-missing");
        assert_eq!(decide(&plan, "a", 1), "admitted");
        assert_eq!(decide(&plan, "a", 1), "admitted", "a retry is the same order");
        assert_eq!(decide(&plan, "a", 2), "key-reused");
        assert_eq!(decide(&plan, "b", 1), "admitted");
        let refused = decide(&plan, "c", 1);
        assert_eq!(refused, "sample/limit");
    }

    #[test]
    fn a_share_of_the_stock_is_rounded_up() {
        let sku = |stock| Sku::new("mug", stock);
        let shares: Vec<u64> = [8, 9, 1]
            .iter()
            .map(|stock| {
                let quarter = Share {
                    halvings: 1,
                    before: 1,
                };
                scaled(&[sku(*stock)], quarter)[0].stock
            })
            .collect();
        assert_eq!(shares, [2, 3, 1]);
    }
}
