//! The checker: turns an untrusted [`Plan`] into a [`CheckedPlan`], or says what is wrong and where.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::calendar::{Periods, periods};
use super::nodes::{Nodes, check_nodes, name};
use super::{
    ATTRIBUTE_NAME_BYTES_MAX, Attribute, Audiences, COST_MAX, COUNTER_KEY_MAX, CalendarUnit, Constraint,
    Counter, EARLY_ACCESS_MS_MAX, EarlyAccess, HOST_REASONS, NAME_BYTES_MAX, NOW_MAX, Node,
    PLAN_ATTRIBUTES_MAX, PLAN_CALENDARS_MAX, PLAN_COMMANDS_MAX, PLAN_CONSTRAINTS_MAX, PLAN_COUNTERS_MAX,
    PLAN_EARLY_ACCESS_MAX, PLAN_NODES_MAX, PLAN_TEXT_BYTES_MAX, PLAN_TEXTS_BYTES_MAX, Plan, TUMBLING_MS_MIN,
    WINDOW_MS_MAX, Window, reach,
};
use crate::campaign::{CAMPAIGN_DAYS_MAX, RETENTION_MS, SKUS_MAX, STOCK_MAX, Schedule, Sku, check_id};
use crate::order::CLIENT_ATTRIBUTES_MAX;

/// What a plan is checked against: the campaign as the revision sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckContext {
    pub campaign: String,
    pub schedule: Schedule,
    pub skus: Vec<Sku>,
    /// Uploaded lists the plan may ask for.
    pub audiences: Audiences,
    /// Hash buckets of the campaign's keys.
    pub buckets: u32,
}

/// Type of a node, with the bounds no run can leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Int { low: i64, high: i64 },
    Bool,
    Text,
}

/// A value the host computes per attempt and hands to the script.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// The text of an attribute an expression reads.
    Attribute(Attribute),
    /// The composed subject of a counter key: [`crate::lua::codec::subject`]. A key of exactly one
    /// attribute has the same text as that attribute but still its own slot.
    Subject(Vec<Attribute>),
    /// The hash bucket of that subject.
    Bucket(Vec<Attribute>),
    /// The bucket of an audience's sets a value would be in.
    MemberBucket { audience: String, of: Attribute },
}

/// Upper bounds of what one attempt costs Redis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanCost {
    /// Commands for one admitted order, the share of the batch's own commands not counted.
    pub commands: u32,
    /// Bytes sent to Redis for one attempt, subjects and attributes at their longest.
    pub bytes: u32,
    /// Nodes of the merged plan.
    pub nodes: u32,
}

/// A plan that is safe to run: references point backwards, types fit, integers stay within
/// ±(2^53−1), cost is within budget. Only [`check`] makes one.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedPlan {
    pub(super) plan: Plan,
    pub(super) context: CheckContext,
    /// One per node.
    pub(super) kinds: Vec<Kind>,
    /// One per counter: the boundaries of a calendar window over the campaign.
    pub(super) periods: Vec<Option<Periods>>,
    pub(super) slots: Vec<Slot>,
    pub(super) attributes: Vec<Attribute>,
    pub(super) cost: PlanCost,
    pub(super) digest: String,
}

impl CheckedPlan {
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub fn context(&self) -> &CheckContext {
        &self.context
    }

    pub fn kind(&self, node: Node) -> Kind {
        self.kinds[node as usize]
    }

    /// Boundaries of a counter's calendar window; `None` for every other window.
    pub fn periods(&self, counter: u32) -> Option<&Periods> {
        self.periods[counter as usize].as_ref()
    }

    /// The values the script receives per attempt, in order.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    pub fn cost(&self) -> PlanCost {
        self.cost
    }

    /// Lower-case hex SHA-256 of the plan's canonical JSON.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Every attribute the plan reads or requires besides user, SKU and quantity, in order.
    pub fn attributes(&self) -> Vec<Attribute> {
        self.attributes.clone()
    }
}

/// What is wrong with a plan. `at` names the part: `nodes/7`, `counters/0/cost`, `constraints/2`,
/// `context/skus`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[error("{at}: {message}")]
pub struct PlanError {
    pub at: String,
    /// `index`, `bound`, `type`, `attribute`, `number`, `cost`, `name`, `window`, `audience`.
    pub code: &'static str,
    pub message: String,
}

impl PlanError {
    pub(super) fn new(at: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            at: at.into(),
            code,
            message: message.into(),
        }
    }
}

/// Checks everything; the first problem found is the answer.
pub fn check(plan: Plan, context: CheckContext) -> Result<CheckedPlan, PlanError> {
    check_context(&context)?;
    check_sizes(&plan)?;
    let nodes = check_nodes(&plan, &context)?;
    let periods = check_counters(&plan, &context, &nodes)?;
    let mut text_bytes = nodes.text_bytes;
    for (index, constraint) in plan.constraints.iter().enumerate() {
        check_constraint(&plan, constraint, &nodes).map_err(|error| error.under("constraints", index))?;
        text_bytes += constraint.sentence.len();
    }
    for (index, early) in plan.early_access.iter().enumerate() {
        check_early(early, &nodes).map_err(|error| error.under("early_access", index))?;
        text_bytes += early.sentence.len();
    }
    if text_bytes > PLAN_TEXTS_BYTES_MAX {
        let message =
            format!("the plan's texts take {text_bytes} bytes; at most {PLAN_TEXTS_BYTES_MAX} are allowed");
        return Err(PlanError::new("nodes", "bound", message));
    }
    let reached = reach::reachable(&plan);
    let attributes = check_attributes(&plan, &reached)?;
    let slots = reach::slots(&plan, &reached);
    let cost = reach::cost(&plan, &reached, &slots, attributes.len());
    if cost.commands > PLAN_COMMANDS_MAX {
        let message = format!(
            "one attempt could cause {} Redis commands; at most {PLAN_COMMANDS_MAX} are allowed",
            cost.commands
        );
        return Err(PlanError::new("nodes", "cost", message));
    }
    let digest = digest(&plan, &context);
    Ok(CheckedPlan {
        plan,
        context,
        kinds: nodes.kinds,
        periods,
        slots,
        attributes,
        cost,
        digest,
    })
}

/// SHA-256 over what decides: the plan, the schedule and the versions of the uploaded lists.
fn digest(plan: &Plan, context: &CheckContext) -> String {
    let json = serde_json::to_vec(&(plan, context.schedule, &context.audiences))
        .expect("a plan is plain data with text keys");
    Sha256::digest(json)
        .iter()
        .fold(String::with_capacity(64), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

impl PlanError {
    /// The same error inside `<part>/<index>`.
    fn under(self, part: &str, index: usize) -> Self {
        let at = match self.at.as_str() {
            "" => format!("{part}/{index}"),
            inner => format!("{part}/{index}/{inner}"),
        };
        Self { at, ..self }
    }
}

fn check_context(context: &CheckContext) -> Result<(), PlanError> {
    let bound = |at: &str, message: String| Err(PlanError::new(format!("context/{at}"), "bound", message));
    let Schedule { opens_at, closes_at } = context.schedule;
    if !(0 <= opens_at && opens_at < closes_at && closes_at <= NOW_MAX) {
        let message = format!("opens at {opens_at} and closes at {closes_at}; it must open before it closes");
        return bound("schedule", message);
    }
    if closes_at - opens_at > CAMPAIGN_DAYS_MAX * 86_400_000 {
        return bound(
            "schedule",
            format!("a campaign lasts at most {CAMPAIGN_DAYS_MAX} days"),
        );
    }
    if let Err(error) = check_id(&context.campaign) {
        return Err(PlanError::new(
            "context/campaign",
            "name",
            format!("the id {error}"),
        ));
    }
    if !(1..=SKUS_MAX).contains(&context.skus.len()) {
        let count = context.skus.len();
        return bound("skus", format!("{count} SKUs; 1 to {SKUS_MAX} are allowed"));
    }
    let mut ids = BTreeSet::new();
    let mut units: u64 = 0;
    for (index, sku) in context.skus.iter().enumerate() {
        let at = format!("context/skus/{index}/id");
        check_id(&sku.id).map_err(|error| PlanError::new(&at, "name", format!("the id {error}")))?;
        if !ids.insert(&sku.id) {
            return Err(PlanError::new(
                at,
                "name",
                format!("the SKU {:?} is there twice", sku.id),
            ));
        }
        units = units.saturating_add(sku.stock);
    }
    if units > STOCK_MAX {
        return bound("skus", format!("{units} units; at most {STOCK_MAX} are allowed"));
    }
    if !(1..=65_536).contains(&context.buckets) {
        return bound(
            "buckets",
            format!("{} buckets; 1 to 65536 are allowed", context.buckets),
        );
    }
    for (id, audience) in &context.audiences {
        let at = format!("context/audiences/{id}");
        check_id(id).map_err(|error| PlanError::new(&at, "audience", format!("the id {error}")))?;
        if !(1..=65_536).contains(&audience.buckets) {
            let message = format!("{} buckets; 1 to 65536 are allowed", audience.buckets);
            return Err(PlanError::new(at, "audience", message));
        }
    }
    Ok(())
}

fn check_sizes(plan: &Plan) -> Result<(), PlanError> {
    for (at, count, most) in [
        ("nodes", plan.nodes.len(), PLAN_NODES_MAX),
        ("counters", plan.counters.len(), PLAN_COUNTERS_MAX),
        ("constraints", plan.constraints.len(), PLAN_CONSTRAINTS_MAX),
        ("early_access", plan.early_access.len(), PLAN_EARLY_ACCESS_MAX),
        ("required", plan.required.len(), PLAN_ATTRIBUTES_MAX),
    ] {
        if count > most {
            return Err(PlanError::new(
                at,
                "bound",
                format!("{count} {at}; at most {most} are allowed"),
            ));
        }
    }
    Ok(())
}

fn check_counters(
    plan: &Plan,
    context: &CheckContext,
    nodes: &Nodes,
) -> Result<Vec<Option<Periods>>, PlanError> {
    let lead = plan
        .early_access
        .iter()
        .map(|early| early.lead_ms)
        .fold(0, i64::max);
    let from = context.schedule.opens_at - lead.min(EARLY_ACCESS_MS_MAX);
    let to = context.schedule.closes_at + RETENTION_MS;
    let mut calendars: BTreeMap<(CalendarUnit, &str), Periods> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    let mut all = Vec::with_capacity(plan.counters.len());
    for (index, counter) in plan.counters.iter().enumerate() {
        let here = |error: PlanError| error.under("counters", index);
        check_counter(counter, nodes).map_err(here)?;
        if !ids.insert(&counter.id) {
            let message = format!("the counter {:?} is there twice", counter.id);
            return Err(here(PlanError::new("id", "name", message)));
        }
        let Window::Calendar { unit, zone } = &counter.window else {
            all.push(None);
            continue;
        };
        let key = (*unit, zone.as_str());
        if !calendars.contains_key(&key) {
            if calendars.len() == PLAN_CALENDARS_MAX {
                let message = format!("more than {PLAN_CALENDARS_MAX} different calendars in one plan");
                return Err(here(PlanError::new("window", "window", message)));
            }
            let table = periods(*unit, zone, from, to)
                .map_err(|error| here(PlanError::new("window", "window", error.to_string())))?;
            calendars.insert(key, table);
        }
        all.push(calendars.get(&key).cloned());
    }
    Ok(all)
}

fn check_counter(counter: &Counter, nodes: &Nodes) -> Result<(), PlanError> {
    let parts: Vec<&str> = counter.id.split('/').collect();
    if parts.len() > 2 || !parts.iter().all(|part| is_name(part)) {
        let message = format!(
            "the id {:?} is not of lower-case letters, digits and hyphens, with at most one '/'",
            counter.id
        );
        return Err(PlanError::new("id", "name", message));
    }
    if counter.key.len() > COUNTER_KEY_MAX {
        let message = format!(
            "{} attributes; at most {COUNTER_KEY_MAX} are allowed",
            counter.key.len()
        );
        return Err(PlanError::new("key", "bound", message));
    }
    let mut seen = BTreeSet::new();
    for attribute in &counter.key {
        check_attribute(attribute).map_err(|(code, message)| PlanError::new("key", code, message))?;
        if *attribute == Attribute::Quantity {
            return Err(PlanError::new(
                "key",
                "attribute",
                "quantity cannot be part of a key",
            ));
        }
        if !seen.insert(attribute) {
            return Err(PlanError::new(
                "key",
                "attribute",
                format!("{attribute} is there twice"),
            ));
        }
    }
    check_window(&counter.window).map_err(|message| PlanError::new("window", "window", message))?;
    check_cost(counter.cost, nodes)
}

fn check_window(window: &Window) -> Result<(), String> {
    let within = |what: &str, value: i64, low: i64, high: i64| match value {
        value if (low..=high).contains(&value) => Ok(()),
        value => Err(format!(
            "the {what} of {value} ms is not within {low} to {high} ms"
        )),
    };
    match window {
        // The zone of a calendar is looked up when its table is made.
        Window::Campaign | Window::Calendar { .. } => Ok(()),
        Window::Tumbling { length_ms, origin_ms } => {
            within("length", *length_ms, TUMBLING_MS_MIN, WINDOW_MS_MAX)?;
            within("origin", *origin_ms, 0, NOW_MAX)
        }
        Window::Rolling { length_ms } => within("length", *length_ms, 1, WINDOW_MS_MAX),
    }
}

fn check_cost(cost: Node, nodes: &Nodes) -> Result<(), PlanError> {
    let (low, high) = match node_kind(cost, nodes).map_err(|error| PlanError {
        at: "cost".into(),
        ..error
    })? {
        Kind::Int { low, high } => (low, high),
        other => {
            let message = format!("is {}; an integer is needed", name(other));
            return Err(PlanError::new("cost", "type", message));
        }
    };
    if low < 0 || high > COST_MAX {
        let message = format!("could reach {low} to {high}; 0 to {COST_MAX} is allowed");
        return Err(PlanError::new("cost", "bound", message));
    }
    if !nodes.reads[cost as usize].nothing_that_changes() {
        let message = "reads more than attributes and constants, so it could not be computed again";
        return Err(PlanError::new("cost", "type", message));
    }
    Ok(())
}

fn check_constraint(plan: &Plan, constraint: &Constraint, nodes: &Nodes) -> Result<(), PlanError> {
    if let Some(when) = constraint.when {
        check_bool("when", when, nodes)?;
    }
    check_bool("require", constraint.require, nodes)?;
    if !is_reason(&constraint.reason) {
        let message = format!(
            "the reason {:?} is not of lower-case words joined by hyphens, at most {NAME_BYTES_MAX} bytes",
            constraint.reason
        );
        return Err(PlanError::new("reason", "name", message));
    }
    if HOST_REASONS.contains(&constraint.reason.as_str()) {
        let message = format!("the reason {:?} is the gateway's own", constraint.reason);
        return Err(PlanError::new("reason", "name", message));
    }
    if !(constraint.rule.is_empty() || is_name(&constraint.rule)) {
        let message = format!("the rule name {:?} is not allowed", constraint.rule);
        return Err(PlanError::new("rule", "name", message));
    }
    check_sentence(&constraint.sentence)?;
    let Some(measure) = constraint.measure else {
        return Ok(());
    };
    if measure.counter as usize >= plan.counters.len() {
        let message = format!("the plan has no counter {}", measure.counter);
        return Err(PlanError::new("measure/counter", "index", message));
    }
    match node_kind(measure.limit, nodes) {
        Ok(Kind::Int { .. }) => Ok(()),
        Ok(other) => {
            let message = format!("is {}; an integer is needed", name(other));
            Err(PlanError::new("measure/limit", "type", message))
        }
        Err(error) => Err(PlanError {
            at: "measure/limit".into(),
            ..error
        }),
    }
}

fn check_early(early: &EarlyAccess, nodes: &Nodes) -> Result<(), PlanError> {
    if !(0..=EARLY_ACCESS_MS_MAX).contains(&early.lead_ms) {
        let message = format!("{} ms is not within 0 to {EARLY_ACCESS_MS_MAX} ms", early.lead_ms);
        return Err(PlanError::new("lead_ms", "window", message));
    }
    check_bool("when", early.when, nodes)?;
    let reads = nodes.reads[early.when as usize];
    if reads.counters || reads.stock {
        return Err(PlanError::new(
            "when",
            "type",
            "early access cannot depend on counters or stock",
        ));
    }
    check_sentence(&early.sentence)
}

fn check_bool(at: &str, node: Node, nodes: &Nodes) -> Result<(), PlanError> {
    match node_kind(node, nodes) {
        Ok(Kind::Bool) => Ok(()),
        Ok(other) => {
            let message = format!("is {}; a boolean is needed", name(other));
            Err(PlanError::new(at, "type", message))
        }
        Err(error) => Err(PlanError {
            at: at.to_owned(),
            ..error
        }),
    }
}

fn node_kind(node: Node, nodes: &Nodes) -> Result<Kind, PlanError> {
    nodes
        .kinds
        .get(node as usize)
        .copied()
        .ok_or_else(|| PlanError::new("", "index", format!("the plan has no node {node}")))
}

/// Sentences become comments of the script and lines of the explanation.
fn check_sentence(sentence: &str) -> Result<(), PlanError> {
    if sentence.trim().is_empty() || sentence.len() > PLAN_TEXT_BYTES_MAX {
        let message = format!("a sentence has 1 to {PLAN_TEXT_BYTES_MAX} bytes");
        return Err(PlanError::new("sentence", "bound", message));
    }
    if sentence.chars().any(char::is_control) {
        return Err(PlanError::new(
            "sentence",
            "bound",
            "a sentence is one line without control characters",
        ));
    }
    Ok(())
}

/// Code and message where the name of a claim or client attribute is not allowed.
pub(super) fn check_attribute(attribute: &Attribute) -> Result<(), (&'static str, String)> {
    let (Attribute::Claim(name) | Attribute::Client(name)) = attribute else {
        return Ok(());
    };
    if name.is_empty() || name.len() > ATTRIBUTE_NAME_BYTES_MAX || name.chars().any(char::is_control) {
        let message = format!(
            "the attribute name {name:?} is not of 1 to {ATTRIBUTE_NAME_BYTES_MAX} bytes without control characters"
        );
        return Err(("attribute", message));
    }
    Ok(())
}

fn check_attributes(plan: &Plan, reached: &[bool]) -> Result<Vec<Attribute>, PlanError> {
    for (index, attribute) in plan.required.iter().enumerate() {
        check_attribute(attribute)
            .map_err(|(code, message)| PlanError::new(format!("required/{index}"), code, message))?;
    }
    let attributes = reach::attributes(plan, reached);
    let clients = attributes
        .iter()
        .filter(|attribute| matches!(attribute, Attribute::Client(_)))
        .count();
    if attributes.len() > PLAN_ATTRIBUTES_MAX || clients > CLIENT_ATTRIBUTES_MAX {
        let message = format!(
            "reads {} attributes, {clients} of them sent by the client; at most {PLAN_ATTRIBUTES_MAX} and \
             {CLIENT_ATTRIBUTES_MAX} are allowed",
            attributes.len()
        );
        return Err(PlanError::new("nodes", "attribute", message));
    }
    Ok(attributes.into_iter().collect())
}

/// `[a-z0-9][a-z0-9-]*`, at most [`NAME_BYTES_MAX`] bytes: rule names and the parts of a counter id.
pub(super) fn is_name(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.starts_with('-') && (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

/// Lower-case words joined by single hyphens.
fn is_reason(text: &str) -> bool {
    is_name(text) && !text.ends_with('-') && !text.contains("--")
}
