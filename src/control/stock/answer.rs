//! What a change of the stock answers.

use serde::Serialize;

use crate::order::shown_sku;
use crate::plan::diff::Change;
use crate::plan::{CheckedPlan, Constraint, Expr, Node};
use crate::store::{StockChange, StockChangeKind};
use crate::wasm::Diagnostic;

/// What became of a change of the stock.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct StockChanged {
    pub campaign: String,
    pub sku: String,
    /// What was done, in sentences.
    pub did: String,
    /// Units in all, before and afterwards.
    pub before: u64,
    pub stock: u64,
    /// By how many it has changed; below 0 where units were taken off.
    pub units: i64,
    /// Units that are left for sale; missing where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remaining: Option<i64>,
    /// The revision that was made for the new stock, and the epoch that it decides from; missing where nothing was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// Constraints that ask for shares of the stock, which are shares of the new one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub follow: Vec<String>,
    /// What the revision changes against the one that decided before.
    pub changes: Vec<Change>,
    /// Warnings of the modules.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<Diagnostic>,
}

/// What a change does or would do, for a sentence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'a> {
    pub(super) sku: &'a str,
    pub(super) kind: StockChangeKind,
    pub(super) asked: u64,
    pub(super) units: u64,
    /// Total afterwards.
    pub(super) total: u64,
    /// Nobody can buy it any more.
    pub(super) is_over: bool,
}

impl<'a> Told<'a> {
    /// Of a change that is committed or dropped.
    pub(super) fn of(change: &'a StockChange, is_over: bool) -> Self {
        Self {
            sku: &change.sku,
            kind: change.kind,
            asked: change.asked,
            units: change.units.unwrap_or(0),
            total: change.total.unwrap_or(0),
            is_over,
        }
    }

    /// By how many units the total has changed.
    pub(super) fn signed(&self) -> i64 {
        let units = i64::try_from(self.units).unwrap_or(i64::MAX);
        match self.kind {
            StockChangeKind::Remove => -units,
            StockChangeKind::Add | StockChangeKind::Sku => units,
        }
    }

    /// Total before it.
    pub(super) fn before(&self) -> u64 {
        match self.kind {
            StockChangeKind::Remove => self.total.saturating_add(self.units),
            StockChangeKind::Add | StockChangeKind::Sku => self.total.saturating_sub(self.units),
        }
    }

    /// What was done.
    pub(super) fn did(&self) -> String {
        self.sentence(["was", "were"], "is on sale with")
    }

    /// What would be done.
    pub(super) fn would(&self) -> String {
        self.sentence(["would be", "would be"], "would be on sale with")
    }

    fn sentence(&self, [one, many]: [&str; 2], on_sale: &str) -> String {
        let (sku, total) = (shown_sku(self.sku), units(self.total));
        let verb = if self.units == 1 { one } else { many };
        let mut said = match self.kind {
            StockChangeKind::Add => {
                format!(
                    "{} of {sku} {verb} added: the stock is {total} in all.",
                    units(self.units)
                )
            }
            StockChangeKind::Sku => format!("{sku} {on_sale} {total}."),
            StockChangeKind::Remove if self.units == 0 => {
                format!(
                    "Nothing {one} taken off {sku}: every unit is sold or on its way to a buyer. The stock is {total} in all."
                )
            }
            StockChangeKind::Remove => {
                let of = match self.units < self.asked {
                    true => format!(
                        " of the {} that were asked for, because no more are left: the others are sold or on their way to a buyer",
                        self.asked
                    ),
                    false => String::new(),
                };
                format!(
                    "{} of {sku} {verb} taken off{of}. The stock is {total} in all.",
                    units(self.units)
                )
            }
        };
        if self.is_over && self.kind != StockChangeKind::Remove {
            said.push_str(" The sale is over: nobody can buy them unless it closes later.");
        }
        said
    }
}

pub(super) fn units(count: u64) -> String {
    match count {
        1 => "1 unit".to_owned(),
        count => format!("{count} units"),
    }
}

/// Names of the constraints that ask how many units a SKU has in all.
pub(super) fn follow(plan: &CheckedPlan) -> Vec<String> {
    let plan = plan.plan();
    let asks = |constraint: &&Constraint| {
        let mut seen = vec![false; plan.nodes.len()];
        let mut open: Vec<Node> = constraint.condition().collect();
        while let Some(node) = open.pop() {
            let expr = &plan.nodes[node as usize];
            if matches!(expr, Expr::Stock) {
                return true;
            }
            if !std::mem::replace(&mut seen[node as usize], true) {
                open.extend(expr.operands());
            }
        }
        false
    };
    let constraints = plan.constraints.iter();
    constraints.filter(asks).map(Constraint::name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(kind: StockChangeKind, asked: u64, units: u64, total: u64) -> Told<'static> {
        Told {
            sku: "mug",
            kind,
            asked,
            units,
            total,
            is_over: false,
        }
    }

    #[test]
    fn a_change_says_what_it_did_and_why_not_all() {
        let add = told(StockChangeKind::Add, 500, 500, 600);
        assert_eq!(
            add.did(),
            "500 units of mug were added: the stock is 600 units in all."
        );
        assert_eq!((add.before(), add.signed()), (100, 500));
        let over = Told {
            is_over: true,
            ..told(StockChangeKind::Add, 1, 1, 2)
        };
        assert_eq!(
            over.did(),
            "1 unit of mug was added: the stock is 2 units in all. The sale is over: nobody can buy them unless it closes later."
        );
        let some = told(StockChangeKind::Remove, 20, 7, 93);
        assert_eq!(
            some.did(),
            "7 units of mug were taken off of the 20 that were asked for, because no more are left: the others are sold or on \
             their way to a buyer. The stock is 93 units in all."
        );
        assert_eq!((some.before(), some.signed()), (100, -7));
        let none = told(StockChangeKind::Remove, 20, 0, 100);
        assert!(
            none.did().starts_with("Nothing was taken off mug"),
            "{}",
            none.did()
        );
        let new = told(StockChangeKind::Sku, 5, 5, 5);
        assert_eq!(
            (new.did().as_str(), new.before()),
            ("mug is on sale with 5 units.", 0)
        );
        assert_eq!(new.would(), "mug would be on sale with 5 units.");
    }
}
