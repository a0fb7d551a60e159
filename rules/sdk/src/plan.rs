//! The plan: counters, constraints, early access. Every part is complete in one call, so that none can be
//! begun and forgotten.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::attribute::Attribute;
#[cfg(feature = "rule2")]
use crate::attribute::Key;
use crate::bindings::exports::rushgate::policy::types as wit;
use crate::expr::{Arena, Boolean, Int, Integer, Operand, PerOrder, Tree, Written, used};
use crate::key;
use crate::rule::Reason;

/// The stretch of time a counter counts over.
#[derive(Clone, Debug)]
pub enum Window {
    /// From the first order to the end of the campaign.
    Campaign,
    /// Windows of this length, one after the other, the first starting at a time in milliseconds since
    /// 1970-01-01 UTC.
    Tumbling {
        length: Duration,
        origin_ms: u64,
    },
    /// A calendar day, Monday to Sunday, or a month in an IANA time zone: `Asia/Shanghai`.
    Day {
        zone: String,
    },
    Week {
        zone: String,
    },
    Month {
        zone: String,
    },
    /// The last so much time, to the millisecond.
    Rolling(Duration),
}

/// A counter of a plan.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    index: u32,
}

impl Counter {
    /// What this order's subject has used in the current window, without this order.
    pub fn used(self) -> Int {
        used(self.index)
    }
}

/// What a rule answers: see [`crate::Rule::compile`].
#[derive(Default)]
pub struct Plan {
    counters: Vec<CounterPart>,
    constraints: Vec<Constraint>,
    early_access: Vec<EarlyAccess>,
}

struct CounterPart {
    id: String,
    key: Vec<key::Part>,
    window: Window,
    cost: Rc<Tree>,
}

/// A constraint of a plan, to say more about it.
pub struct Constraint {
    when: Option<Rc<Tree>>,
    require: Rc<Tree>,
    reason: &'static str,
    sentence: String,
    measure: Option<(u32, Rc<Tree>)>,
}

struct EarlyAccess {
    lead: Duration,
    when: Rc<Tree>,
    sentence: String,
}

impl Constraint {
    /// The constraint applies only where this holds.
    pub fn when(&mut self, condition: impl Operand<Boolean>) -> &mut Self {
        self.when = Some(condition.tree().0);
        self
    }

    /// Shows with a rejection how much was used of how much.
    pub fn measure(&mut self, counter: Counter, limit: impl Operand<Integer>) -> &mut Self {
        self.measure = Some((counter.index, limit.tree().0));
        self
    }
}

impl Plan {
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts per distinct combination of the key's values; an empty key counts all orders together. `id`
    /// is stable over revisions: a new id starts a new count. `cost` is what an admitted order adds.
    pub fn counter(
        &mut self,
        id: impl Into<String>,
        key: impl IntoIterator<Item = Attribute>,
        window: Window,
        cost: impl Operand<Integer, Scope = PerOrder>,
    ) -> Counter {
        self.counters.push(CounterPart {
            id: id.into(),
            key: key.into_iter().map(|attribute| key::part(attribute.0)).collect(),
            window,
            cost: cost.tree().0,
        });
        Counter {
            index: self.counters.len() as u32 - 1,
        }
    }

    /// The same by a key in which attributes of the SKU may stand: `[user().into(), sku_attribute("category").into()]`.
    /// Needs a gateway that asks `rule2`.
    #[cfg(feature = "rule2")]
    pub fn counter_by(
        &mut self,
        id: impl Into<String>,
        key: impl IntoIterator<Item = Key>,
        window: Window,
        cost: impl Operand<Integer, Scope = PerOrder>,
    ) -> Counter {
        self.counters.push(CounterPart {
            id: id.into(),
            key: key.into_iter().map(|part| part.0).collect(),
            window,
            cost: cost.tree().0,
        });
        Counter {
            index: self.counters.len() as u32 - 1,
        }
    }

    /// Rejects an order with `reason` unless the condition holds. `sentence` tells the merchant what it means.
    pub fn require(
        &mut self,
        condition: impl Operand<Boolean>,
        reason: &Reason,
        sentence: impl Into<String>,
    ) -> &mut Constraint {
        self.constraints.push(Constraint {
            when: None,
            require: condition.tree().0,
            reason: reason.code,
            sentence: sentence.into(),
            measure: None,
        });
        let last = self.constraints.len() - 1;
        &mut self.constraints[last]
    }

    /// Lets buyers for whom the condition holds order so much earlier.
    pub fn early_access(
        &mut self,
        lead: Duration,
        condition: impl Operand<Boolean>,
        sentence: impl Into<String>,
    ) {
        self.early_access.push(EarlyAccess {
            lead,
            when: condition.tree().0,
            sentence: sentence.into(),
        });
    }

    pub(crate) fn finish(self) -> Finished {
        let mut arena = Arena::default();
        let counters = self
            .counters
            .into_iter()
            .map(|part| key::Keyed {
                id: part.id,
                key: part.key,
                window: window(part.window),
                cost: arena.place(&part.cost),
            })
            .collect();
        let constraints = self
            .constraints
            .into_iter()
            .map(|part| wit::Constraint {
                when: part.when.map(|tree| arena.place(&tree)),
                require: arena.place(&part.require),
                reason: part.reason.into(),
                sentence: part.sentence,
                measure: part.measure.map(|(counter, limit)| wit::Measure {
                    counter,
                    limit: arena.place(&limit),
                }),
            })
            .collect();
        let early_access = self
            .early_access
            .into_iter()
            .map(|part| wit::EarlyAccess {
                lead_ms: milliseconds(part.lead),
                when: arena.place(&part.when),
                sentence: part.sentence,
            })
            .collect();
        Finished {
            nodes: arena.nodes,
            counters,
            constraints,
            early_access,
        }
    }
}

/// A plan whose nodes have their indices.
pub(crate) struct Finished {
    pub(crate) nodes: Vec<Written>,
    pub(crate) counters: Vec<key::Keyed>,
    pub(crate) constraints: Vec<wit::Constraint>,
    pub(crate) early_access: Vec<wit::EarlyAccess>,
}

impl Finished {
    /// As `rule` can say it; `None` where only `rule2` can.
    pub(crate) fn plain(self) -> Option<wit::Plan> {
        let plain = |node| match node {
            Written::Plain(node) => Some(node),
            Written::Beyond(_) => None,
        };
        Some(wit::Plan {
            nodes: self.nodes.into_iter().map(plain).collect::<Option<_>>()?,
            #[cfg(not(feature = "rule2"))]
            counters: self.counters,
            #[cfg(feature = "rule2")]
            counters: key::plain(self.counters)?,
            constraints: self.constraints,
            early_access: self.early_access,
        })
    }
}

fn window(window: Window) -> wit::Window {
    let calendar = |unit, zone| wit::Window::Calendar(wit::Calendar { unit, zone });
    match window {
        Window::Campaign => wit::Window::Campaign,
        Window::Tumbling { length, origin_ms } => wit::Window::Tumbling(wit::Tumbling {
            length_ms: milliseconds(length),
            origin_ms,
        }),
        Window::Day { zone } => calendar(wit::CalendarUnit::Day, zone),
        Window::Week { zone } => calendar(wit::CalendarUnit::Week, zone),
        Window::Month { zone } => calendar(wit::CalendarUnit::Month, zone),
        Window::Rolling(length) => wit::Window::Rolling(milliseconds(length)),
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{claim, quantity, sku, user};

    const LIMIT: Reason = Reason::new("limit", "Limit reached");

    #[test]
    fn operands_come_before_the_nodes_that_use_them() {
        let mut plan = Plan::new();
        let used = plan.counter("units", [user(), sku()], Window::Campaign, quantity());
        let limit = claim("tier").lookup([("gold", 5)], 2);
        plan.require((used.used() + quantity()).le(&limit), &LIMIT, "Within the limit.")
            .when(!user().equals("staff"))
            .measure(used, &limit);
        let plan = plan.finish().plain().expect("nothing beyond");

        assert_eq!(plan.counters[0].key.len(), 2);
        assert!(matches!(
            plan.nodes[plan.counters[0].cost as usize],
            wit::Expr::Attribute(_)
        ));
        for (index, node) in plan.nodes.iter().enumerate() {
            for operand in operands(node) {
                assert!((operand as usize) < index, "node {index} uses node {operand}");
            }
        }
        let constraint = &plan.constraints[0];
        assert!(matches!(
            plan.nodes[constraint.require as usize],
            wit::Expr::Le(_)
        ));
        assert_eq!(constraint.reason, "limit");
        assert!(constraint.when.is_some());
    }

    #[test]
    fn a_shared_expression_is_written_once() {
        let mut plan = Plan::new();
        let limit = claim("tier").lookup([("gold", 5)], 2);
        plan.require(quantity().le(&limit), &LIMIT, "Once.");
        plan.require(quantity().lt(limit), &LIMIT, "Twice.");
        let plan = plan.finish().plain().expect("nothing beyond");
        let tables = plan
            .nodes
            .iter()
            .filter(|node| matches!(node, wit::Expr::Lookup(_)))
            .count();
        assert_eq!(tables, 1);
    }

    #[test]
    fn windows_are_milliseconds() {
        let seconds = |n| milliseconds(Duration::from_secs(n));
        assert_eq!(seconds(2), 2000);
        assert_eq!(milliseconds(Duration::MAX), u64::MAX);
        assert!(matches!(
            window(Window::Rolling(Duration::from_secs(60))),
            wit::Window::Rolling(60_000)
        ));
    }

    fn operands(node: &wit::Expr) -> Vec<wit::Node> {
        match node {
            wit::Expr::Add((a, b)) | wit::Expr::Le((a, b)) | wit::Expr::Eq((a, b)) => [*a, *b].into(),
            wit::Expr::Not(a) => [*a].into(),
            wit::Expr::Lookup(table) => [table.of].into(),
            _ => Vec::new(),
        }
    }
}
