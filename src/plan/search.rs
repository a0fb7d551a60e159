//! The first moment at which something holds that time alone can change.
//!
//! Between two moments at which something changes, every counter is constant and every integer a
//! straight line of the clock. So the search goes from change to change: the end of a window, an order
//! leaving a rolling window, a comparison turning over, a quotient stepping up. What is no straight
//! line (`now * now`) changes at every millisecond. The answer is exact; a search that takes too many
//! steps does not know.

use super::decision::Wait;
use super::facts::Facts;
use super::kind::Kind;
use super::reach::reachable_from;
use super::run::{Run, Source};
use super::window::falls_at;
use super::{CheckedPlan, Expr, Node};
use crate::order::Attempt;

/// Nodes computed for one answer at most: some milliseconds. Far above what any window needs:
/// [`super::ROLLING_ORDERS_MAX`] orders leave a window in as many steps of a handful of nodes.
const NODES_MAX: usize = 1 << 16;
/// Slopes steeper than this are cut off, so that products stay within their integers.
const SLOPE_MAX: i128 = 1 << 90;

/// Goes from change to change.
pub(super) struct Search<'a> {
    plan: &'a CheckedPlan,
    facts: &'a Facts,
    attempt: &'a Attempt,
    /// The nodes the answer is computed from, operands first.
    nodes: Vec<Node>,
}

impl<'a> Search<'a> {
    pub(super) fn new(
        plan: &'a CheckedPlan,
        facts: &'a Facts,
        attempt: &'a Attempt,
        roots: impl Iterator<Item = Node>,
    ) -> Self {
        let reached = reachable_from(plan.plan(), roots);
        let nodes = (0..)
            .zip(reached)
            .filter_map(|(node, reached)| reached.then_some(node));
        Self {
            plan,
            facts,
            attempt,
            nodes: nodes.collect(),
        }
    }

    /// The first moment before closing, not before `from`, at which it holds; `moments` are looked at besides those at which a
    /// node changes.
    pub(super) fn first(&self, from: i64, moments: &[i64], holds: impl Fn(&mut Run<'a>) -> bool) -> Wait {
        let closes_at = self.plan.context().schedule.closes_at;
        let mut slopes = vec![0; self.plan.plan().nodes.len()];
        let mut now = from;
        for _ in 0..=NODES_MAX / (self.nodes.len() + 1) {
            let mut run = Run::new(self.plan, Source::Facts(self.facts), self.attempt, now);
            if holds(&mut run) {
                return Wait::Until(now);
            }
            let mut look = Look {
                search: self,
                run: &mut run,
                slopes: &mut slopes,
                now,
                next: moments.iter().copied().filter(|at| *at > now).min(),
            };
            look.every_node();
            match look.next.filter(|next| *next < closes_at) {
                Some(next) => now = next,
                None => return Wait::Forever,
            }
        }
        Wait::Unknown
    }
}

/// One look at every node: how it moves, and when something next turns over.
struct Look<'s, 'a> {
    search: &'s Search<'a>,
    run: &'s mut Run<'a>,
    /// By node: how much an integer grows in a millisecond from now on.
    slopes: &'s mut [i128],
    now: i64,
    next: Option<i64>,
}

impl Look<'_, '_> {
    fn every_node(&mut self) {
        let search = self.search;
        for node in &search.nodes {
            self.run.evaluate(*node);
            let slope = self.slope(&search.plan.plan().nodes[*node as usize]);
            self.slopes[*node as usize] = slope.clamp(-SLOPE_MAX, SLOPE_MAX);
        }
    }

    fn at(&mut self, moment: i64) {
        if moment > self.now {
            self.next = Some(self.next.map_or(moment, |next| next.min(moment)));
        }
    }

    fn after(&mut self, ms: i128) {
        if ms > 0 {
            self.at(self.now.saturating_add(i64::try_from(ms).unwrap_or(i64::MAX)));
        }
    }

    fn slope_of(&self, node: Node) -> i128 {
        self.slopes[node as usize]
    }

    fn int(&mut self, node: Node) -> i128 {
        i128::from(self.run.int(node))
    }

    fn slope(&mut self, expr: &Expr) -> i128 {
        match *expr {
            Expr::Now => 1,
            Expr::Counter(counter) => {
                let falls = falls_at(self.search.plan, self.search.facts, counter, self.now);
                if let Some(moment) = falls {
                    self.at(moment);
                }
                0
            }
            Expr::Add(a, b) => self.slope_of(a) + self.slope_of(b),
            Expr::Sub(a, b) => self.slope_of(a) - self.slope_of(b),
            Expr::Mul(a, b) => self.product(a, b),
            Expr::Div(a, divisor) => {
                self.steps(a, divisor);
                0
            }
            Expr::Mod(a, divisor) => {
                self.steps(a, divisor);
                self.slope_of(a)
            }
            Expr::Min(a, b) => self.smaller(a, b).0,
            Expr::Max(a, b) => self.smaller(a, b).1,
            Expr::Select(condition, a, b) => {
                let chosen = if self.run.bool(condition) { a } else { b };
                self.slope_of(chosen)
            }
            Expr::Lt(a, b) | Expr::Le(a, b) | Expr::Eq(a, b) => {
                if matches!(self.search.plan.kind(a), Kind::Int { .. }) {
                    self.meet(a, b);
                }
                0
            }
            _ => 0,
        }
    }

    fn product(&mut self, a: Node, b: Node) -> i128 {
        match (self.slope_of(a), self.slope_of(b)) {
            (0, 0) => 0,
            (slope, 0) => slope.saturating_mul(self.int(b)),
            (0, slope) => slope.saturating_mul(self.int(a)),
            // No straight line: looked at again in a millisecond.
            _ => {
                self.after(1);
                0
            }
        }
    }

    /// Slopes of the smaller and of the larger one from now on.
    fn smaller(&mut self, a: Node, b: Node) -> (i128, i128) {
        self.meet(a, b);
        let (slope_a, slope_b) = (self.slope_of(a), self.slope_of(b));
        let first = (self.int(a), slope_a) <= (self.int(b), slope_b);
        if first {
            (slope_a, slope_b)
        } else {
            (slope_b, slope_a)
        }
    }

    /// The next moment at which the order of two integers can be another one.
    fn meet(&mut self, a: Node, b: Node) {
        let slope = self.slope_of(a) - self.slope_of(b);
        if slope == 0 {
            return;
        }
        let apart = self.int(a) - self.int(b);
        let (apart, slope) = if slope > 0 {
            (-apart, slope)
        } else {
            (apart, -slope)
        };
        // They are equal `apart / slope` milliseconds from now: that moment, if it is a whole one, and
        // the next whole one after it.
        let floor = apart.div_euclid(slope);
        if apart.rem_euclid(slope) == 0 {
            self.after(floor);
        }
        self.after(floor + 1);
    }

    /// The next moment at which the quotient is another one.
    fn steps(&mut self, a: Node, divisor: i64) {
        let slope = self.slope_of(a);
        let divisor = i128::from(divisor.max(1));
        let rest = self.int(a).rem_euclid(divisor);
        match slope {
            0 => {}
            1.. => self.after((divisor - rest + slope - 1).div_euclid(slope)),
            _ => self.after((rest + 1 - slope - 1).div_euclid(-slope)),
        }
    }
}
