//! What a revision says about the orders that can have been admitted under it.
//!
//! An order's receipt follows from its revision, its attempt and its moment, in every build that ever wrote one: its
//! gateway computed the charges from the very attributes that it put into the record, and left nothing out. So the
//! plan makes all charges again, and there is no other that can be right. A record without attributes is one of a
//! buyer who had none.

use std::collections::BTreeSet;
use std::mem::take;

use crate::campaign::{Campaign, Skus};
use crate::order::{Attempt, Charge, NO_LIMIT, OrderEvent, fingerprint};
use crate::plan::possible::{Impossible, impossible};
use crate::plan::{self, CheckContext, CheckedPlan, eval};
use crate::revision::Revision;

/// The script compares the moment it writes, so none is needed; it is for campaigns made by other hands.
pub(super) const SLACK_MS: i64 = 1000;
/// How far the clock of Redis, which orders are placed by, may be from a lander's, and from the one that revisions are
/// made by.
pub(in crate::landing) const CLOCKS_MS: i64 = 5 * 60 * 1000;

#[derive(Debug)]
pub(super) struct Facts {
    number: u32,
    created_at: i64,
    /// Moments at which it admits somebody: from, and up to, not including.
    opens_at: i64,
    closes_at: i64,
    digest: String,
    modules: Vec<String>,
    /// `None` where this build cannot read it.
    plan: Option<CheckedPlan>,
    /// Counters whose limits follow from the units there are.
    by_stock: BTreeSet<String>,
}

impl Facts {
    /// `skus`: those of the campaign.
    pub(super) fn of(campaign: &Campaign, skus: &Skus, number: u32, revision: Revision) -> Self {
        let skus = revision.skus(skus);
        let lead = revision.plan.early_access.iter().map(|early| early.lead_ms).max();
        let context = CheckContext {
            campaign: campaign.id.clone(),
            schedule: revision.schedule,
            skus,
            audiences: revision.audiences,
            buckets: campaign.buckets,
        };
        let plan = plan::check(revision.plan, context).ok();
        Self {
            number,
            created_at: revision.created_at,
            opens_at: revision
                .schedule
                .opens_at
                .saturating_sub(lead.unwrap_or(0).max(0)),
            closes_at: revision.schedule.closes_at,
            digest: revision.plan_digest,
            modules: revision.rules.into_iter().map(|rule| rule.digest).collect(),
            by_stock: plan
                .as_ref()
                .map(CheckedPlan::limited_by_stock)
                .unwrap_or_default(),
            plan,
        }
    }

    /// Of the plan, where there is one.
    #[cfg(test)]
    pub(super) fn skus(&self) -> Option<&Skus> {
        self.plan.as_ref().map(|plan| &plan.context().skus)
    }

    /// What this build needs, to make the charges of an order that comes without them, and does not have.
    pub(super) fn lacks(&self, evaluator: u32) -> Option<String> {
        let number = self.number;
        if evaluator != eval::VERSION {
            return Some(format!(
                "charges under revision {number} are made by evaluator {evaluator}, and this build has {}: land it with a \
                 build that has the other",
                eval::VERSION
            ));
        }
        self.plan.is_none().then(|| {
            format!("this build cannot read the plan of revision {number}, to make charges: land it with a newer build")
        })
    }

    /// Gives an order the receipt that it comes without.
    pub(super) fn complete(&self, event: &mut OrderEvent) {
        if let Some(plan) = &self.plan {
            event.modules.clone_from(&self.modules);
            event.charges = with_attempt(event, |attempt, event| {
                eval::charges(plan, attempt, event.placed_at)
            });
        }
    }

    /// Whether limits are other ones once units are added or taken, which anybody can do in the database.
    pub(super) fn follows_stock(&self) -> bool {
        !self.by_stock.is_empty()
    }

    /// Whether anybody can have been admitted with the order, as far as can be told at `now`, milliseconds since
    /// 1970-01-01 UTC; why not. Its limits are the plan's afterwards. `completed`: its charges are from here.
    pub(super) fn check(
        &self,
        event: &mut OrderEvent,
        sealed: bool,
        completed: bool,
        now: i64,
    ) -> Result<(), String> {
        let number = self.number;
        self.check_moment(event.placed_at, sealed, now)?;
        if event.plan != self.digest {
            return Err(format!("its plan is not the one of revision {number}"));
        }
        if event.modules != self.modules {
            return Err(format!("its modules are not those of revision {number}"));
        }
        if event.fingerprint != fingerprint(&event.sku, event.quantity) {
            return Err("its fingerprint is not that of its SKU and quantity".to_owned());
        }
        match &self.plan {
            Some(plan) => self.check_plan(plan, event, completed),
            // One of ours read the plan: the charges are what it made of it.
            None if sealed => Ok(()),
            None => Err(format!(
                "it carries no seal, and this build cannot read the plan of revision {number} to hold its charges \
                 against: replay it where a lander reads it"
            )),
        }
    }

    /// The order's moment is within the revision, and has come.
    ///
    /// An order of later than now is not waited for, or one record that anybody wrote would hold its partition up
    /// for as long as it says. Nor does a wrong clock of a lander throw a sale's orders out: where all of them are of
    /// later than now the guard stops landing before they move. A sealed one has its moment from Redis; there the
    /// other clocks are the ones to doubt, and the schedule bounds it all the same.
    fn check_moment(&self, at: i64, sealed: bool, now: i64) -> Result<(), String> {
        let number = self.number;
        if at < self.opens_at - SLACK_MS {
            return Err(format!(
                "placed_at {at} is before revision {number} admits anybody"
            ));
        }
        if at >= self.closes_at + SLACK_MS {
            return Err(format!("placed_at {at} is after revision {number} has closed"));
        }
        if sealed {
            return Ok(());
        }
        if at < self.created_at - CLOCKS_MS {
            return Err(format!("placed_at {at} is before revision {number} was created"));
        }
        let ahead = at.saturating_sub(now);
        if ahead > CLOCKS_MS {
            return Err(format!(
                "placed_at {at} is {ahead} ms ahead of this lander's clock, and it carries no seal: if a clock is \
                 wrong, set it and replay the order"
            ));
        }
        Ok(())
    }

    /// Holds an order against the plan it names, and takes over the plan's limits.
    fn check_plan(&self, plan: &CheckedPlan, event: &mut OrderEvent, completed: bool) -> Result<(), String> {
        with_attempt(event, |attempt, event| {
            match impossible(plan, attempt, event.placed_at, SLACK_MS) {
                Some(why) => Err(refusal(plan, self.number, why)),
                None if completed => self.limit(&mut event.charges),
                None => {
                    let due = eval::charges(plan, attempt, event.placed_at);
                    self.check_charges(plan, due, &mut event.charges)
                }
            }
        })
    }

    /// The charges are those the plan makes, each once, and their limits are the plan's: whatever the record says.
    fn check_charges(
        &self,
        plan: &CheckedPlan,
        mut due: Vec<Charge>,
        said: &mut Vec<Charge>,
    ) -> Result<(), String> {
        let number = self.number;
        // Counters of a plan are different ones, so as many charges that all find theirs are the same charges.
        let is_said = |due: &Charge| said.iter().any(|said| difference(said, due).is_none());
        if said.len() != due.len() || !due.iter().all(is_said) {
            return Err(odd_charge(plan, number, &due, said));
        }
        self.limit(&mut due)?;
        *said = due;
        Ok(())
    }

    /// Gives charges that the plan makes their limits.
    fn limit(&self, due: &mut [Charge]) -> Result<(), String> {
        let number = self.number;
        for charge in due {
            // Where there were more units once, it may have been admitted then; what was counted decides.
            let certain = !self.by_stock.contains(&charge.counter);
            let passed = charge.limit.filter(|limit| certain && *limit < charge.cost);
            if let Some(limit) = passed {
                return Err(format!(
                    "counter {} may hold {limit} under revision {number}, and the order alone is charged {}",
                    charge.counter, charge.cost
                ));
            }
            charge.limit = charge.limit.or(Some(NO_LIMIT));
        }
        Ok(())
    }
}

/// Lends an order's texts to an attempt: every order passes here, and nothing of it has to be copied.
fn with_attempt<T>(event: &mut OrderEvent, doing: impl FnOnce(&Attempt, &mut OrderEvent) -> T) -> T {
    let attempt = Attempt {
        order: event.order,
        user: take(&mut event.user),
        sku: take(&mut event.sku),
        quantity: event.quantity,
        attributes: take(&mut event.attributes),
    };
    let done = doing(&attempt, event);
    (event.user, event.sku, event.attributes) = (attempt.user, attempt.sku, attempt.attributes);
    done
}

fn refusal(plan: &CheckedPlan, number: u32, why: Impossible) -> String {
    match why {
        Impossible::Unfit(attribute) => {
            format!("revision {number} reads one value of {attribute}, of which it has none or several")
        }
        Impossible::Missing(attribute) => {
            format!("it lacks {attribute}, which revision {number} requires")
        }
        Impossible::NotOpen => {
            format!(
                "it was placed before revision {number} opened, and has no early access by its attributes"
            )
        }
        Impossible::Constraint(index) => {
            let name = plan.plan().constraints[index as usize].name();
            format!("constraint {name} of revision {number} refuses it, whatever has been counted")
        }
    }
}

/// What about a charge is not the plan's; the limit does not count.
fn difference(said: &Charge, due: &Charge) -> Option<&'static str> {
    let fields = [
        (said.counter == due.counter, "counter"),
        (said.subject == due.subject, "subject"),
        (said.window == due.window, "window"),
        (said.rolling_ms == due.rolling_ms, "length of the rolling window"),
        (said.cost == due.cost, "cost"),
    ];
    fields
        .into_iter()
        .find_map(|(same, what)| (!same).then_some(what))
}

/// What is wrong with charges that are not those the plan makes.
fn odd_charge(plan: &CheckedPlan, number: u32, due: &[Charge], said: &[Charge]) -> String {
    for (at, charge) in said.iter().enumerate() {
        let counter = &charge.counter;
        if plan.plan().counters.iter().all(|own| own.id != *counter) {
            return format!("it is charged to counter {counter:?}, which revision {number} does not have");
        }
        if said[..at].iter().any(|before| before.counter == *counter) {
            return format!("counter {counter} is charged twice");
        }
        match due.iter().find(|due| due.counter == *counter) {
            None => {
                return format!(
                    "its charge of counter {counter} is not the plan's, which takes nothing there from this order"
                );
            }
            Some(due) => {
                if let Some(what) = difference(charge, due) {
                    return format!("its charge of counter {counter} is not the plan's: another {what}");
                }
            }
        }
    }
    let missing = due
        .iter()
        .find(|due| said.iter().all(|said| said.counter != due.counter));
    let counter = missing.map_or("", |due| due.counter.as_str());
    format!("counter {counter} is not charged")
}
