//! From the rules of a request to a revision: modules found and pinned, parameters compiled, plans
//! merged, checked and emitted.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Serialize;

use super::audiences::FoldedCopy;
use super::by_address::texts_by_address;
use super::folding::{never_met_problems, unread};
use super::modules::is_seen;
use super::places::places_of;
use super::problem::Problem;
use super::proof::Proof;
use super::zones::wrong_zones;
use super::{Control, ControlError, RuleSpec, ScheduledView};
use crate::campaign::{Campaign, Schedule};
use crate::order::check_client_attribute;
use crate::plan::cost::PlanCost;
use crate::plan::diff::{Change, needs_accept};
use crate::plan::merge::{RulePlan, merge};
use crate::plan::{
    ANY_NAME, Attribute, Audiences, CheckContext, CheckedPlan, Folds, Plan, PlanError, TOKEN_CLAIMS, check,
    explain,
};
use crate::revision::{PinnedRule, Revision, Shadow};
use crate::ruleset::Compiled;
use crate::store::ModuleRow;
use crate::wasm::examples::rule_plan;
use crate::wasm::{Context, Descriptor, Diagnostic, Inspected, ModuleError};

/// What a revision changes against another.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Compared {
    pub against: u32,
    pub changes: Vec<Change>,
}

/// Refuses what re-keys or drops counters, or begins with them anew, where `accept` does not name them.
pub(super) fn check_accepted(changes: &[Change], accept: &[String]) -> Result<(), ControlError> {
    let missing: Vec<Change> = needs_accept(changes)
        .filter(|(id, _)| !accept.iter().any(|accepted| accepted == id))
        .map(|(_, change)| change.clone())
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(ControlError::AcceptMissing(missing)),
    }
}

/// Where rules stand in a request.
const RULES: &str = "/rules";
const SHADOW: &str = "/shadow";

/// What a revision answers.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[schema(as = Revision)]
pub struct RevisionAnswer {
    /// `None` for a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    pub explain: Vec<String>,
    /// The admission script; left out where nobody asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lua: Option<String>,
    pub plan_digest: String,
    pub cost: PlanCost,
    /// Warnings, mostly of the modules; pointers into the request's body.
    pub diagnostics: Vec<Diagnostic>,
    /// Whether the plan could be spread over shards, and by which attribute.
    pub sharding: String,
    pub proof: Proof,
    /// When it is put in force by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheduled: Option<ScheduledView>,
    /// What it changes against the active revision; missing where there is none.
    #[serde(flatten)]
    pub compared: Option<Compared>,
}

impl RevisionAnswer {
    /// The number of one that was stored.
    pub(super) fn stored(&self) -> Result<u32, ControlError> {
        let unnumbered = || ControlError::Internal("a stored revision has no number".to_owned());
        self.revision.ok_or_else(unnumbered)
    }
}

/// A revision that may be stored, compiled under no number yet, with the warnings its modules gave.
pub(super) struct Draft {
    pub(super) compiled: Compiled,
    pub(super) warnings: Vec<Diagnostic>,
    /// Lists that it asks for with their members folded, to be stored first.
    pub(super) copies: Vec<FoldedCopy>,
}

/// The rules that a request asks for.
pub(super) struct RuleSpecs<'a> {
    pub(super) rules: &'a [RuleSpec],
    pub(super) shadow: &'a [RuleSpec],
    /// How both read attributes.
    pub(super) folds: &'a Folds,
    /// Whose lists and modules they may name.
    pub(super) merchant: &'a str,
}

/// A rule whose module has answered its plan.
struct CompiledRule {
    pin: PinnedRule,
    plan: RulePlan,
    warned: Vec<Diagnostic>,
    /// What its precheck declares that it reads; `None` where it has none.
    handed: Option<Vec<Attribute>>,
}

/// A draft in the making.
struct Drafting<'a> {
    campaign: &'a Campaign,
    folds: &'a Folds,
    merchant: &'a str,
    /// Lists are pinned here, rule by rule.
    context: CheckContext,
    problems: Vec<Problem>,
    warnings: Vec<Diagnostic>,
    copies: Vec<FoldedCopy>,
}

impl Draft {
    pub(super) fn answer(
        self,
        number: Option<u32>,
        proof: Proof,
        compared: Option<Compared>,
    ) -> Result<RevisionAnswer, ControlError> {
        let compiled = match number {
            None => self.compiled,
            Some(number) => self.compiled.numbered(number)?,
        };
        Ok(answer(&compiled, number, self.warnings, proof, compared))
    }
}

/// What a compiled revision answers.
pub(super) fn answer(
    compiled: &Compiled,
    number: Option<u32>,
    diagnostics: Vec<Diagnostic>,
    proof: Proof,
    compared: Option<Compared>,
) -> RevisionAnswer {
    let plan = &compiled.family.plan;
    let mut sentences = explain::explain(plan);
    sentences.extend(
        compiled
            .family
            .shadow
            .iter()
            .flat_map(|plan| explain::explain_shadow(plan)),
    );
    RevisionAnswer {
        revision: number,
        explain: sentences,
        lua: Some(compiled.family.admit.text.clone()),
        plan_digest: plan.digest().to_owned(),
        cost: compiled.family.cost,
        diagnostics,
        sharding: sharding(plan.plan()),
        proof,
        scheduled: None,
        compared,
    }
}

impl Control {
    /// Compiles rules for a campaign; lists are pinned in their newest version but those that are
    /// `pinned` already. Every problem of every rule is reported, not the first.
    pub(super) async fn draft(
        &self,
        campaign: &Campaign,
        asked: &RuleSpecs<'_>,
        schedule: Schedule,
        pinned: Audiences,
    ) -> Result<Draft, ControlError> {
        let mut drafting = Drafting {
            campaign,
            folds: asked.folds,
            merchant: asked.merchant,
            context: CheckContext {
                audiences: pinned,
                ..context(campaign, schedule)
            },
            problems: Vec::new(),
            warnings: Vec::new(),
            copies: Vec::new(),
        };
        let (pinned, plans) = self.compile_rules(RULES, asked.rules, &mut drafting).await?;
        let (shadow_pinned, shadow_plans) = self.compile_rules(SHADOW, asked.shadow, &mut drafting).await?;
        if !drafting.problems.is_empty() {
            return Err(ControlError::Invalid(drafting.problems));
        }
        let context = drafting.context;
        let checked = check_together(RULES, plans, &context)?;
        let shadow = match shadow_pinned.is_empty() {
            true => None,
            false => Some(Arc::new(check_together(SHADOW, shadow_plans, &context)?)),
        };
        let plans = std::iter::once(&checked).chain(shadow.as_deref());
        let unread = unread(asked.folds, plans.map(CheckedPlan::plan));
        drafting.warnings.extend(unread);
        let revision = Revision {
            campaign: campaign.id.clone(),
            number: 0,
            rules: pinned,
            schedule,
            plan: checked.plan().clone(),
            plan_digest: checked.digest().to_owned(),
            audiences: context.audiences,
            folds: asked.folds.clone(),
            shadow: shadow.as_ref().map(|checked| Shadow {
                rules: shadow_pinned,
                plan: checked.plan().clone(),
            }),
            stock: None,
            created_at: (self.clock)(),
        };
        let compiled = Compiled::emit(campaign.clone(), revision, Arc::new(checked), shadow);
        let compiled = compiled.map_err(|error| {
            let at = if error.at == "shadow" { SHADOW } else { RULES };
            refused_together(at, &error)
        })?;
        Ok(Draft {
            compiled,
            warnings: drafting.warnings,
            copies: drafting.copies,
        })
    }

    /// The rules that stand at `at` in the request.
    async fn compile_rules(
        &self,
        at: &str,
        rules: &[RuleSpec],
        drafting: &mut Drafting<'_>,
    ) -> Result<(Vec<PinnedRule>, Vec<RulePlan>), ControlError> {
        let (mut pinned, mut plans) = (Vec::new(), Vec::new());
        let schedule = drafting.context.schedule;
        for (index, rule) in rules.iter().enumerate() {
            let here = format!("{at}/{index}");
            match self.compile_rule(drafting, rule, schedule, &here).await? {
                Ok(compiled) => {
                    let (pin, plan) = self.take_rule(&here, rule, compiled, drafting).await?;
                    pinned.push(pin);
                    plans.push(plan);
                }
                Err(found) => drafting.problems.extend(found),
            }
        }
        drafting.problems.extend(double_names(at, &pinned));
        Ok((pinned, plans))
    }

    /// Folds what the rule at `at` reads, pins the lists it asks for, and checks it by itself.
    async fn take_rule(
        &self,
        at: &str,
        rule: &RuleSpec,
        compiled: CompiledRule,
        drafting: &mut Drafting<'_>,
    ) -> Result<(PinnedRule, RulePlan), ControlError> {
        let CompiledRule {
            pin,
            mut plan,
            warned,
            handed,
        } = compiled;
        plan.plan = drafting.folds.apply(plan.plan);
        if let Some(declared) = handed {
            drafting.folds.note_handed(&mut plan.plan, &declared);
        }
        let unmet = never_met_problems(at, &plan.plan, &pin.params);
        let (pinned, copies) = (&mut drafting.context.audiences, &mut drafting.copies);
        let missing = self
            .pin_audiences(at, rule, &plan.plan, drafting.merchant, (pinned, copies))
            .await?;
        if missing.is_empty() {
            let wrong = wrong_zones(at, &plan.plan, &pin.params);
            let refused = match check_alone(&plan, &drafting.context) {
                Ok(checked) => {
                    unreadable_claim(at, &checked).or_else(|| unsendable(at, &checked, &pin.params))
                }
                Err(_) if !wrong.is_empty() => None,
                Err(error) => Some(refused_plan(at, &pin, &error)),
            };
            drafting.problems.extend(wrong);
            drafting.problems.extend(refused);
        }
        drafting.problems.extend(unmet);
        drafting.problems.extend(missing);
        drafting.warnings.extend(warned);
        let lists = &drafting.context.audiences;
        let by_address = texts_by_address(at, &plan.plan, &pin.params, lists);
        drafting.warnings.extend(by_address);
        Ok((pin, plan))
    }

    /// One rule: its module found, its parameters compiled. The inner error lists what the merchant
    /// can mend.
    async fn compile_rule(
        &self,
        Drafting {
            campaign, merchant, ..
        }: &Drafting<'_>,
        rule: &RuleSpec,
        schedule: Schedule,
        at: &str,
    ) -> Result<Result<CompiledRule, Vec<Problem>>, ControlError> {
        let found = self.find_module(&rule.module).await?;
        let Some(row) = found.filter(|row| is_seen(row, Some(merchant))) else {
            let missing = self.no_module(&rule.module, Some(merchant)).await?;
            let problem = Problem::new(format!("{at}/module"), missing.detail);
            return Ok(Err(vec![problem.hint(missing.hint)]));
        };
        let bytes = self.module_bytes(&row.digest).await?;
        let inspected = inspected(&row)?;
        if at.starts_with(SHADOW)
            && let Err(why) = inspected.descriptor.shadowable()
        {
            return Ok(Err(vec![Problem::new(format!("{at}/module"), why)]));
        }
        let context = Context {
            campaign: campaign.id.clone(),
            opens_at: schedule.opens_at,
            closes_at: schedule.closes_at,
            skus: campaign.skus.to_vec(),
        };
        let compiled = match self.host.compile(&inspected, bytes, &context, &rule.params).await {
            Ok(compiled) => compiled,
            Err(ModuleError::Params(found)) => {
                return Ok(Err(found.into_iter().map(|d| params_problem(at, d)).collect()));
            }
            Err(error) => {
                let detail = format!("module {}@{}: {error}", row.id, row.version);
                return Ok(Err(vec![Problem::new(at, detail)]));
            }
        };
        let pin = PinnedRule {
            name: rule.name.clone().unwrap_or_else(|| row.id.clone()),
            module: row.id,
            version: row.version,
            digest: row.digest,
            params: rule.params.clone(),
        };
        let plan = RulePlan {
            name: pin.name.clone(),
            ..rule_plan(&inspected.descriptor, compiled.plan)
        };
        let warned = compiled
            .warnings
            .into_iter()
            .map(|d| under_params(at, d))
            .collect();
        let attributes = plan.attributes.iter().map(|(attribute, _)| attribute.clone());
        let handed = inspected.descriptor.precheck.then(|| attributes.collect());
        Ok(Ok(CompiledRule {
            pin,
            plan,
            warned,
            handed,
        }))
    }

    pub(super) async fn module_bytes(&self, digest: &str) -> Result<Arc<[u8]>, ControlError> {
        let bytes = self.store.module_bytes(digest).await?;
        let gone = || ControlError::Internal(format!("the bytes of module {digest} are gone"));
        bytes.map(Arc::from).ok_or_else(gone)
    }

    /// A stored module by its digest.
    pub(super) async fn inspected(&self, digest: &str) -> Result<Inspected, ControlError> {
        let row = self.store.module(digest).await?;
        let gone = || ControlError::Internal(format!("the module {digest} is gone"));
        inspected(&row.ok_or_else(gone)?)
    }
}

fn context(campaign: &Campaign, schedule: Schedule) -> CheckContext {
    CheckContext {
        campaign: campaign.id.clone(),
        schedule,
        skus: campaign.skus.clone(),
        audiences: Default::default(),
        buckets: campaign.buckets,
    }
}

fn inspected(row: &ModuleRow) -> Result<Inspected, ControlError> {
    let descriptor: Descriptor = serde_json::from_value(row.descriptor.clone())
        .map_err(|error| ControlError::Internal(format!("descriptor of module {}: {error}", row.digest)))?;
    Ok(Inspected {
        digest: row.digest.clone(),
        descriptor,
    })
}

/// Merges the plans of the rules that stand at `at` in the request, and checks the whole.
fn check_together(
    at: &str,
    plans: Vec<RulePlan>,
    context: &CheckContext,
) -> Result<CheckedPlan, ControlError> {
    let checked = merge(plans).and_then(|plan| check(plan, context.clone()));
    checked.map_err(|error| refused_together(at, &error))
}

fn refused_together(at: &str, error: &PlanError) -> ControlError {
    let detail = format!("the rules together make a plan that is refused: {error}");
    ControlError::Invalid(vec![Problem::new(at, detail)])
}

/// Checks one rule's plan by itself, so that a module's fault is told from a fault of the combination.
fn check_alone(plan: &RulePlan, context: &CheckContext) -> Result<CheckedPlan, PlanError> {
    check(merge(vec![plan.clone()])?, context.clone())
}

fn refused_plan(at: &str, rule: &PinnedRule, error: &PlanError) -> Problem {
    let detail = format!(
        "module {}@{} answered a plan that is refused: {error}",
        rule.module, rule.version
    );
    Problem::new(at, detail).hint("this is a defect of the module, not of the parameters")
}

/// A claim that no rule is handed would be missing from every order.
fn unreadable_claim(at: &str, plan: &CheckedPlan) -> Option<Problem> {
    let claims = plan
        .attributes()
        .into_iter()
        .find_map(|attribute| match attribute {
            Attribute::Claim(name) if TOKEN_CLAIMS.contains(&name.as_str()) => Some(name),
            _ => None,
        });
    claims.map(|name| {
        let detail =
            format!("the rule reads claim:{name}, which is about the token itself and is handed to no rule");
        Problem::new(at, detail).hint("who orders is the attribute \"user\"")
    })
}

/// A client attribute that no order can carry would be missing from every one.
fn unsendable(at: &str, plan: &CheckedPlan, params: &serde_json::Value) -> Option<Problem> {
    plan.attributes()
        .into_iter()
        .find_map(|attribute| match &attribute {
            Attribute::Client(name) if name != ANY_NAME => {
                let why = check_client_attribute(name).err()?;
                let read = attribute.to_string();
                let mut places = places_of(params, &read, &format!("{at}/params")).into_iter();
                let place = places.next().unwrap_or_else(|| at.to_owned());
                Some(Problem::new(
                    place,
                    format!("the rule reads {read}, which no order can carry: {why}"),
                ))
            }
            _ => None,
        })
}

fn under_params(at: &str, diagnostic: Diagnostic) -> Diagnostic {
    Diagnostic {
        pointer: format!("{at}/params{}", diagnostic.pointer),
        ..diagnostic
    }
}

fn params_problem(at: &str, diagnostic: Diagnostic) -> Problem {
    let Diagnostic {
        pointer,
        message,
        hint,
        ..
    } = under_params(at, diagnostic);
    Problem {
        pointer,
        detail: message,
        hint,
    }
}

fn double_names(at: &str, pinned: &[PinnedRule]) -> Vec<Problem> {
    let mut seen = HashSet::new();
    let doubled = pinned
        .iter()
        .enumerate()
        .filter(|(_, rule)| !seen.insert(&rule.name));
    doubled
        .map(|(index, rule)| {
            Problem::new(
                format!("{at}/{index}"),
                format!("a rule named {:?} is there already", rule.name),
            )
            .hint("give one of them another \"name\"")
        })
        .collect()
}

/// A campaign can be spread over shards by an attribute that every counter is keyed by.
fn sharding(plan: &Plan) -> String {
    let Some((first, others)) = plan.counters.split_first() else {
        return "could be spread over shards by any attribute: no counter spans orders".into();
    };
    let of_buyers = first.key.iter().filter(|attribute| !attribute.is_of_sku());
    let common = of_buyers
        .into_iter()
        .find(|a| others.iter().all(|counter| counter.key.contains(a)));
    match common {
        None => "stays on one shard: its counters share no attribute of the buyer".to_owned(),
        Some(attribute) => format!("could be spread over shards by {attribute}"),
    }
}
