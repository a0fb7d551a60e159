//! Which nodes of a plan a script needs, which of them get a variable, and in which part of the
//! script they are needed.

use crate::plan::{CheckedPlan, Expr, Node};

/// Operators nested deeper than this get a variable: Lua's parser has a limit of its own (200), and
/// a reader has a lower one.
const DEPTH_MAX: u32 = 20;

/// Lua has 200 locals a function; with more variables than this they become fields of one table.
const LOCALS_MAX: usize = 60;

/// A place expressions are used from: an early access, a constraint, or the charges.
pub(super) type Root = u32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    None,
    One(Root),
    Many,
}

impl Owner {
    fn join(self, other: Owner) -> Owner {
        match (self, other) {
            (Owner::None, owner) | (owner, Owner::None) => owner,
            (Owner::One(a), Owner::One(b)) if a == b => self,
            _ => Owner::Many,
        }
    }
}

/// What the emitter knows about every node and counter.
pub(super) struct Usage {
    owners: Vec<Owner>,
    counter_owners: Vec<Owner>,
    variable: Vec<bool>,
    variables: usize,
}

impl Usage {
    /// `roots`: every node an emitted script starts from, with the place it is used in.
    pub(super) fn of(plan: &CheckedPlan, roots: &[(Root, Node)]) -> Self {
        let nodes = &plan.plan().nodes;
        let mut owners = vec![Owner::None; nodes.len()];
        let mut uses = vec![0u32; nodes.len()];
        for (root, node) in roots {
            let node = *node as usize;
            owners[node] = owners[node].join(Owner::One(*root));
            uses[node] += 1;
        }
        let mut alone = vec![false; nodes.len()];
        // Operands have smaller indices, so one pass downwards meets every parent before its operands.
        for (index, expr) in nodes.iter().enumerate().rev() {
            if owners[index] == Owner::None {
                continue;
            }
            for operand in expr.operands() {
                let operand = operand as usize;
                owners[operand] = owners[operand].join(owners[index]);
                uses[operand] += 1;
                alone[operand] |= matches!(
                    expr,
                    Expr::OneOf(..) | Expr::Lookup { .. } | Expr::StartsWith(..) | Expr::EndsWith(..)
                );
            }
        }
        let mut usage = Self {
            counter_owners: vec![Owner::None; plan.plan().counters.len()],
            variable: vec![false; nodes.len()],
            variables: 0,
            owners,
        };
        let mut depths = vec![0u32; nodes.len()];
        for (index, expr) in nodes.iter().enumerate() {
            if let Expr::Counter(counter) = expr {
                let counter = &mut usage.counter_owners[*counter as usize];
                *counter = counter.join(usage.owners[index]);
            }
            let deepest = expr.operands().map(|operand| depths[operand as usize]).max();
            let depth = deepest.map_or(0, |depth| depth + 1);
            let needed = usage.owners[index] != Owner::None && !is_leaf(expr);
            if needed && (uses[index] > 1 || alone[index] || depth >= DEPTH_MAX) {
                usage.variable[index] = true;
                usage.variables += 1;
            } else {
                depths[index] = depth;
            }
        }
        usage
    }

    /// Counts a use of a counter that no node makes: the numbers of a constraint.
    pub(super) fn use_counter(&mut self, root: Root, counter: u32) {
        let owner = &mut self.counter_owners[counter as usize];
        *owner = owner.join(Owner::One(root));
    }

    /// Whether the node's value is kept in a variable.
    pub(super) fn is_variable(&self, node: Node) -> bool {
        self.variable[node as usize]
    }

    /// Whether anything needs the node.
    pub(super) fn is_needed(&self, node: Node) -> bool {
        self.owners[node as usize] != Owner::None
    }

    /// Whether there are so many variables that they are fields of one table.
    pub(super) fn variables_in_table(&self) -> bool {
        self.variables > LOCALS_MAX
    }

    pub(super) fn variables(&self) -> usize {
        self.variables
    }

    /// Whether more than one place needs the node.
    pub(super) fn is_shared(&self, node: Node) -> bool {
        self.owners[node as usize] == Owner::Many
    }

    pub(super) fn is_counter_shared(&self, counter: u32) -> bool {
        self.counter_owners[counter as usize] == Owner::Many
    }
}

/// Leaves cost nothing to write twice.
pub(super) fn is_leaf(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Int(_)
            | Expr::Text(_)
            | Expr::Attribute(_)
            | Expr::Counter(_)
            | Expr::Remaining
            | Expr::Now
            | Expr::OpensAt
            | Expr::ClosesAt
    )
}
