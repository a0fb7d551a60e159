//! Types, bounds and purity of expression nodes: one pass over the arena, operands before users.

use std::collections::BTreeSet;

use super::context::CheckContext;
use super::error::{PlanError, Refusal};
use super::kind::Kind;
use super::names::check_attribute;
use super::{
    Attribute, COUNTER_MAX, Expr, INTEGER_MAX, NOW_MAX, Node, PLAN_TABLE_ENTRIES_MAX,
    PLAN_TABLES_ENTRIES_MAX, PLAN_TEXT_BYTES_MAX, Plan,
};
use crate::campaign::STOCK_MAX;
use crate::order::QUANTITY_MAX;

/// What a node reads besides attributes and constants, itself or through its operands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reads {
    pub(super) counters: bool,
    pub(super) stock: bool,
    pub(super) clock: bool,
    pub(super) audiences: bool,
}

impl Reads {
    fn and(self, other: Self) -> Self {
        Self {
            counters: self.counters || other.counters,
            stock: self.stock || other.stock,
            clock: self.clock || other.clock,
            audiences: self.audiences || other.audiences,
        }
    }

    pub(super) fn nothing_that_changes(self) -> bool {
        self == Self::default()
    }
}

/// What is known of every node after the pass.
pub(super) struct Nodes {
    pub(super) kinds: Vec<Kind>,
    pub(super) reads: Vec<Reads>,
    /// Bytes of all constants and table keys.
    pub(super) text_bytes: usize,
}

pub(super) fn check_nodes(plan: &Plan, context: &CheckContext) -> Result<Nodes, PlanError> {
    let mut pass = Pass {
        plan,
        context,
        nodes: Nodes {
            kinds: Vec::with_capacity(plan.nodes.len()),
            reads: Vec::with_capacity(plan.nodes.len()),
            text_bytes: 0,
        },
        table_entries: 0,
    };
    for (index, expr) in plan.nodes.iter().enumerate() {
        let refuse = |(code, message)| PlanError {
            at: format!("nodes/{index}"),
            code,
            message,
        };
        let kind = pass.kind(index, expr).map_err(refuse)?;
        let reads = expr
            .operands()
            .map(|node| pass.nodes.reads[node as usize])
            .fold(own_reads(expr), Reads::and);
        pass.nodes.kinds.push(kind);
        pass.nodes.reads.push(reads);
    }
    Ok(pass.nodes)
}

fn own_reads(expr: &Expr) -> Reads {
    let mut reads = Reads::default();
    match expr {
        Expr::Counter(_) => reads.counters = true,
        Expr::Remaining | Expr::Stock => reads.stock = true,
        Expr::Now | Expr::OpensAt | Expr::ClosesAt => reads.clock = true,
        Expr::Member { .. } => reads.audiences = true,
        _ => {}
    }
    reads
}

struct Pass<'a> {
    plan: &'a Plan,
    context: &'a CheckContext,
    nodes: Nodes,
    table_entries: usize,
}

impl Pass<'_> {
    fn kind(&mut self, index: usize, expr: &Expr) -> Result<Kind, Refusal> {
        if let Some(node) = expr.operands().find(|node| *node as usize >= index) {
            return Err((
                "index",
                format!("operand {node} is not before node {index}; operands have smaller indices"),
            ));
        }
        match expr {
            Expr::Int(value) => int(i128::from(*value), i128::from(*value)),
            Expr::Text(text) => self.text(text).map(|()| Kind::Text),
            Expr::Attribute(attribute) => attribute_kind(attribute),
            Expr::Counter(counter) if (*counter as usize) < self.plan.counters.len() => {
                int(0, i128::from(COUNTER_MAX))
            }
            Expr::Counter(counter) => Err(("index", format!("the plan has no counter {counter}"))),
            Expr::Remaining | Expr::Stock => int(0, i128::from(STOCK_MAX)),
            Expr::Now => int(0, i128::from(NOW_MAX)),
            Expr::OpensAt => constant(self.context.schedule.opens_at),
            Expr::ClosesAt => constant(self.context.schedule.closes_at),
            Expr::Add(..) | Expr::Sub(..) | Expr::Mul(..) | Expr::Min(..) | Expr::Max(..) => {
                self.arithmetic(expr)
            }
            Expr::Div(a, divisor) => self.divided(*a, *divisor),
            Expr::Mod(a, divisor) => self.remainder(*a, *divisor),
            Expr::Lt(a, b) | Expr::Le(a, b) => {
                self.int(*a)?;
                self.int(*b)?;
                Ok(Kind::Bool)
            }
            Expr::Eq(a, b) => self.equal(*a, *b),
            Expr::And(a, b) | Expr::Or(a, b) => {
                self.bool(*a)?;
                self.bool(*b)?;
                Ok(Kind::Bool)
            }
            Expr::Not(a) => self.bool(*a).map(|()| Kind::Bool),
            Expr::Select(condition, a, b) => self.select(*condition, *a, *b),
            Expr::OneOf(of, texts) => {
                self.operand_text(*of)?;
                self.table(texts.iter())?;
                Ok(Kind::Bool)
            }
            Expr::Lookup { of, entries, default } => self.lookup(*of, entries, *default),
            Expr::Member { audience, of } => self.member(audience, of),
            Expr::Number {
                of,
                low,
                high,
                missing,
                unreadable,
            } => self.number(*of, (*low, *high), [*missing, *unreadable]),
            Expr::StartsWith(of, texts) | Expr::EndsWith(of, texts) => self.affix(*of, texts),
        }
    }

    fn of(&self, node: Node) -> Kind {
        self.nodes.kinds[node as usize]
    }

    fn int(&self, node: Node) -> Result<(i128, i128), Refusal> {
        match self.of(node) {
            Kind::Int { low, high } => Ok((i128::from(low), i128::from(high))),
            other => Err(mismatch(node, "an integer", other)),
        }
    }

    fn bool(&self, node: Node) -> Result<(), Refusal> {
        match self.of(node) {
            Kind::Bool => Ok(()),
            other => Err(mismatch(node, "a boolean", other)),
        }
    }

    fn operand_text(&self, node: Node) -> Result<(), Refusal> {
        match self.of(node) {
            Kind::Text => Ok(()),
            other => Err(mismatch(node, "a text", other)),
        }
    }

    fn arithmetic(&self, expr: &Expr) -> Result<Kind, Refusal> {
        let (Expr::Add(a, b) | Expr::Sub(a, b) | Expr::Mul(a, b) | Expr::Min(a, b) | Expr::Max(a, b)) = *expr
        else {
            return Err(("type", "is not arithmetic".to_owned()));
        };
        let ((a, aa), (b, bb)) = (self.int(a)?, self.int(b)?);
        match expr {
            Expr::Add(..) => int(a + b, aa + bb),
            Expr::Sub(..) => int(a - bb, aa - b),
            Expr::Min(..) => int(a.min(b), aa.min(bb)),
            Expr::Max(..) => int(a.max(b), aa.max(bb)),
            _ => {
                let corners = [a * b, a * bb, aa * b, aa * bb];
                let low = corners.into_iter().fold(i128::MAX, i128::min);
                int(low, corners.into_iter().fold(i128::MIN, i128::max))
            }
        }
    }

    fn divided(&self, a: Node, divisor: i64) -> Result<Kind, Refusal> {
        let (low, high) = self.int(a)?;
        let divisor = checked_divisor(divisor)?;
        int(low.div_euclid(divisor), high.div_euclid(divisor))
    }

    fn remainder(&self, a: Node, divisor: i64) -> Result<Kind, Refusal> {
        let (low, high) = self.int(a)?;
        let divisor = checked_divisor(divisor)?;
        // Lua computes a - floor(a / m) * m; the product reaches below a negative a by almost m.
        if low < 0 {
            int(low - divisor, high)?;
        }
        if low >= 0 && high < divisor {
            return int(low, high);
        }
        int(0, divisor - 1)
    }

    fn equal(&self, a: Node, b: Node) -> Result<Kind, Refusal> {
        match (self.of(a), self.of(b)) {
            (Kind::Int { .. }, Kind::Int { .. }) | (Kind::Text, Kind::Text) => Ok(Kind::Bool),
            (a, b) => Err((
                "type",
                format!(
                    "compares {} with {}; two integers or two texts are needed",
                    a.name(),
                    b.name()
                ),
            )),
        }
    }

    fn select(&self, condition: Node, a: Node, b: Node) -> Result<Kind, Refusal> {
        self.bool(condition)?;
        match (self.of(a), self.of(b)) {
            (Kind::Int { low: a, high: aa }, Kind::Int { low: b, high: bb }) => Ok(Kind::Int {
                low: a.min(b),
                high: aa.max(bb),
            }),
            (a, b) if a == b => Ok(a),
            (a, b) => Err((
                "type",
                format!(
                    "chooses between {} and {}; both must have one type",
                    a.name(),
                    b.name()
                ),
            )),
        }
    }

    fn lookup(&mut self, of: Node, entries: &[(String, i64)], default: i64) -> Result<Kind, Refusal> {
        self.operand_text(of)?;
        self.table(entries.iter().map(|(key, _)| key))?;
        let values = || entries.iter().map(|(_, value)| *value);
        let low = values().fold(default, i64::min);
        let high = values().fold(default, i64::max);
        int(i128::from(low), i128::from(high))
    }

    /// `others` are the values where the text says no integer within the bounds.
    fn number(&self, of: Node, (low, high): (i64, i64), others: [i64; 2]) -> Result<Kind, Refusal> {
        self.operand_text(of)?;
        if low > high {
            return Err(("bound", format!("no number is within {low} to {high}")));
        }
        let least = others.into_iter().fold(low, i64::min);
        let most = others.into_iter().fold(high, i64::max);
        int(i128::from(least), i128::from(most))
    }

    fn affix(&mut self, of: Node, texts: &[String]) -> Result<Kind, Refusal> {
        self.operand_text(of)?;
        self.table(texts.iter())?;
        match texts.iter().any(String::is_empty) {
            true => Err((
                "bound",
                "every text begins and ends with the empty text; leave it out".to_owned(),
            )),
            false => Ok(Kind::Bool),
        }
    }

    fn member(&self, audience: &str, of: &Attribute) -> Result<Kind, Refusal> {
        if attribute_kind(of)? != Kind::Text {
            return Err((
                "type",
                "members are looked up by a text attribute, not by quantity".to_owned(),
            ));
        }
        if !self.context.audiences.contains_key(audience) {
            return Err(("audience", format!("there is no uploaded list {audience:?}")));
        }
        Ok(Kind::Bool)
    }

    fn text(&mut self, text: &str) -> Result<(), Refusal> {
        if text.len() > PLAN_TEXT_BYTES_MAX {
            let bytes = text.len();
            return Err((
                "bound",
                format!("a text is {bytes} bytes long; at most {PLAN_TEXT_BYTES_MAX} are allowed"),
            ));
        }
        self.nodes.text_bytes += text.len();
        Ok(())
    }

    fn table<'k>(&mut self, keys: impl ExactSizeIterator<Item = &'k String>) -> Result<(), Refusal> {
        let entries = keys.len();
        if entries > PLAN_TABLE_ENTRIES_MAX {
            return Err((
                "bound",
                format!("the table has {entries} entries; at most {PLAN_TABLE_ENTRIES_MAX} are allowed"),
            ));
        }
        self.table_entries += entries;
        if self.table_entries > PLAN_TABLES_ENTRIES_MAX {
            return Err((
                "bound",
                format!("the plan's tables have more than {PLAN_TABLES_ENTRIES_MAX} entries together"),
            ));
        }
        let mut seen = BTreeSet::new();
        for key in keys {
            self.text(key)?;
            if !seen.insert(key) {
                return Err(("bound", format!("the table names {key:?} twice")));
            }
        }
        Ok(())
    }
}

fn attribute_kind(attribute: &Attribute) -> Result<Kind, Refusal> {
    check_attribute(attribute)?;
    Ok(match attribute {
        Attribute::Quantity => Kind::Int {
            low: 1,
            high: i64::from(QUANTITY_MAX),
        },
        _ => Kind::Text,
    })
}

fn constant(value: i64) -> Result<Kind, Refusal> {
    int(i128::from(value), i128::from(value))
}

fn int(low: i128, high: i128) -> Result<Kind, Refusal> {
    let exact = -i128::from(INTEGER_MAX)..=i128::from(INTEGER_MAX);
    match (i64::try_from(low), i64::try_from(high)) {
        (Ok(lo), Ok(hi)) if exact.contains(&low) && exact.contains(&high) => {
            Ok(Kind::Int { low: lo, high: hi })
        }
        _ => Err((
            "number",
            format!("could reach {low} to {high}; integers stay within ±{INTEGER_MAX}"),
        )),
    }
}

fn checked_divisor(divisor: i64) -> Result<i128, Refusal> {
    match divisor {
        1..=INTEGER_MAX => Ok(i128::from(divisor)),
        _ => Err((
            "bound",
            format!("the divisor {divisor} is not within 1 to {INTEGER_MAX}"),
        )),
    }
}

fn mismatch(node: Node, wanted: &str, found: Kind) -> Refusal {
    (
        "type",
        format!("operand {node} is {}; {wanted} is needed", found.name()),
    )
}
