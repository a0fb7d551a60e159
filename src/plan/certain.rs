//! The parts of a plan that are certain: computed from nothing but the order and the clock.

use super::nodes::{Nodes, Reads};
use super::reach::conjuncts;
use super::{Node, Plan};

/// The parts of a plan that are computed from nothing but the order and the clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Certain {
    pub(super) parts: Vec<Part>,
    /// One per early access: whether its condition is such a part.
    pub(super) early: Vec<bool>,
}

/// Something that must hold, wherever `when` does, for its constraint to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) constraint: u32,
    pub(super) when: Option<Node>,
    pub(super) require: Node,
}

impl Certain {
    pub(super) fn of(plan: &Plan, nodes: &Nodes) -> Self {
        let is_certain = |node: &Node| {
            let Reads {
                counters,
                stock,
                clock: _,
                audiences,
            } = nodes.reads[*node as usize];
            !counters && !stock && !audiences
        };
        let constraints = (0..).zip(&plan.constraints);
        let parts = constraints
            .filter(|(_, constraint)| constraint.when.as_ref().is_none_or(is_certain))
            .flat_map(|(index, constraint)| {
                let parts = conjuncts(plan, constraint.require).into_iter().filter(is_certain);
                parts.map(move |require| Part {
                    constraint: index,
                    when: constraint.when,
                    require,
                })
            });
        Self {
            parts: parts.collect(),
            early: plan
                .early_access
                .iter()
                .map(|early| is_certain(&early.when))
                .collect(),
        }
    }
}
