//! The active revision once more, compiled for another stock.

use serde_json::{Value, json};

use super::super::audiences::FoldedCopy;
use super::super::compile::{Compared, Draft, RuleSpecs, check_accepted};
use super::super::operations::{ACTIVATE, Operation};
use super::super::problem::Problem;
use super::super::revise::like;
use super::{Control, ControlError, StockChanged, follow};
use crate::audit::AuditLine;
use crate::campaign::{Campaign, Sku};
use crate::order::shown_sku;
use crate::revision::Revision;
use crate::ruleset::Compiled;
use crate::store::CampaignRow;
use crate::wasm::Diagnostic;

/// What a change puts in force, and what there is to say of it.
#[derive(Default)]
pub(super) struct Prepared {
    /// `None` of a change that was made by somebody else.
    pub(super) compiled: Option<Compiled>,
    pub(super) compared: Option<Compared>,
    warnings: Vec<Diagnostic>,
    /// Lists that it asks for with their members folded, to be stored first.
    copies: Vec<FoldedCopy>,
}

impl Prepared {
    /// Without what was done.
    pub(super) fn answer(self, campaign: &str, sku: &str) -> StockChanged {
        let plan = self.compiled.as_ref().map(|compiled| &compiled.family.plan);
        StockChanged {
            campaign: campaign.to_owned(),
            sku: sku.to_owned(),
            did: String::new(),
            before: 0,
            stock: 0,
            units: 0,
            remaining: None,
            revision: None,
            epoch: None,
            follow: plan.map(|plan| follow(plan)).unwrap_or_default(),
            changes: self.compared.map_or_else(Vec::new, |compared| compared.changes),
            diagnostics: self.warnings,
        }
    }

    /// Refuses what loses counts that nobody has named.
    pub(super) fn check(&self, accept: &[String]) -> Result<(), ControlError> {
        match &self.compared {
            Some(compared) => check_accepted(&compared.changes, accept),
            None => Ok(()),
        }
    }

    pub(super) fn revision(&self) -> Result<&Revision, ControlError> {
        let compiled = self.compiled.as_ref().map(|compiled| &compiled.revision);
        compiled.ok_or_else(|| ControlError::Internal("nothing was compiled".to_owned()))
    }
}

impl Control {
    /// Compiles, proves and compares the active revision for a campaign whose SKU is as `sku` says. `pointer`: where the units stand
    /// in the request, which is what the rules may refuse.
    pub(super) async fn prepare(
        &self,
        row: &CampaignRow,
        sku: &Sku,
        pointer: &str,
    ) -> Result<Prepared, ControlError> {
        let active = self
            .stored_revision(&row.campaign.id, row.activation.revision)
            .await?;
        let like = like(active.revision.clone())?;
        let folds = like.new.fold.clone().unwrap_or_default();
        let rules = RuleSpecs {
            rules: &like.new.rules,
            shadow: &like.new.shadow,
            folds: &folds,
            merchant: &row.merchant,
        };
        let campaign = with(&row.campaign, sku);
        let schedule = active.revision.schedule;
        let drafted = self.draft(&campaign, &rules, schedule, like.lists).await;
        let Draft {
            compiled,
            warnings,
            copies,
        } = drafted.map_err(|error| refused(error, pointer, active.revision.number))?;
        self.prove(&compiled).await?;
        let compared = self.compare(row, &compiled).await?;
        Ok(Prepared {
            compiled: Some(compiled),
            compared: Some(compared),
            warnings,
            copies,
        })
    }

    /// Sees to it that what was prepared can be served before anybody may learn of it.
    pub(super) async fn can_put_in_force(&self, prepared: &mut Prepared) -> Result<(), ControlError> {
        self.store_copies(std::mem::take(&mut prepared.copies)).await?;
        let Some(compiled) = &prepared.compiled else {
            return Ok(());
        };
        let servable = self.loader.can_serve(&compiled.revision).await;
        servable.map_err(ControlError::Unavailable)?;
        let provided = self.gate.provide(&compiled.campaign, &compiled.revision).await;
        provided.map_err(|why| {
            ControlError::Unavailable(format!("the lists of the revision are not loaded: {why}"))
        })
    }
}

impl Control {
    /// Has the orders so far counted by counters that are new in rules which decide already.
    pub(super) async fn fill_for(&self, prepared: &Prepared, accept: &[String]) -> Result<(), ControlError> {
        match prepared.compiled.as_ref().zip(prepared.compared.as_ref()) {
            Some((compiled, compared)) => self.fill(compiled, compared, accept).await,
            None => Ok(()),
        }
    }
}

/// Lines of the audit trail: of the change, and of its activation.
pub(super) fn audit<'a>(
    operation: Operation<'a>,
    at: i64,
    detail: Value,
    accept: &[String],
) -> Vec<AuditLine<'a>> {
    let activation = operation.of_kind(ACTIVATE);
    vec![
        operation.line(at, detail),
        activation.line(at, json!({ "accept": accept })),
    ]
}

/// That a revision was made for another stock than its campaign has by now; `None` where that is the same to it.
pub(in super::super) fn older_stock(revision: &Revision, campaign: &Campaign) -> Option<String> {
    let stock = revision.stock.as_ref().filter(|_| revision.follows_stock())?;
    let mut skus = campaign.skus.iter();
    let (sku, was) = skus.find_map(|sku| {
        let was = stock.get(&sku.id).copied()?;
        (was != sku.stock).then_some((sku, was))
    })?;
    Some(format!(
        "Its shares of the stock are those of when it was made: of {was} units of {}, which has {} by now. A revision that is made \
         now takes what there is.",
        shown_sku(&sku.id),
        sku.stock
    ))
}

/// The campaign with this SKU in place of its own of that name, or behind all others.
fn with(campaign: &Campaign, sku: &Sku) -> Campaign {
    let mut campaign = campaign.clone();
    let there = campaign.skus.iter().position(|there| there.id == sku.id);
    match there {
        Some(at) => campaign.skus[at] = sku.clone(),
        None => campaign.skus.push(sku.clone()),
    }
    campaign
}

/// What the rules refuse stands in no body of this request: the units do.
fn refused(error: ControlError, pointer: &str, revision: u32) -> ControlError {
    let ControlError::Invalid(problems) = error else {
        return error;
    };
    let at_units = |problem: Problem| Problem {
        pointer: pointer.to_owned(),
        detail: format!(
            "the rules of revision {revision}, which is active, refuse this stock ({}): {}",
            problem.pointer, problem.detail
        ),
        hint: problem.hint.or_else(|| {
            Some("activate a revision first whose rules take it, then change the stock".to_owned())
        }),
    };
    ControlError::Invalid(problems.into_iter().map(at_units).collect())
}
