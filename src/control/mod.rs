//! Control: modules, campaigns, revisions and activations; the only writer of rules.

use serde::{Deserialize, Serialize};

use crate::campaign::{Activation, Sku};
use crate::plan::check::PlanCost;
use crate::store::{CampaignRow, ModuleRow};
use crate::wasm::Diagnostic;

/// Body of `POST /admin/v1/campaigns`. Times are RFC 3339.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewCampaign {
    pub id: String,
    #[serde(default)]
    pub title: String,
    pub opens_at: jiff::Timestamp,
    pub closes_at: jiff::Timestamp,
    pub skus: Vec<Sku>,
    pub rules: Vec<RuleSpec>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    /// `id` (newest uploaded), `id@version` or digest.
    pub module: String,
    #[serde(default)]
    pub params: serde_json::Value,
    /// Namespace of the rule's counters; the module's id by default. Needed where one module
    /// stands in a revision twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// Body of `POST /admin/v1/campaigns/{id}/revisions`. Times left out stay as they are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRevision {
    pub rules: Vec<RuleSpec>,
    #[serde(default)]
    pub opens_at: Option<jiff::Timestamp>,
    #[serde(default)]
    pub closes_at: Option<jiff::Timestamp>,
}

/// What a revision answers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RevisionAnswer {
    /// `None` for a dry run.
    pub revision: Option<u32>,
    pub explain: Vec<String>,
    pub lua: String,
    pub plan_digest: String,
    pub cost: PlanCost,
    pub diagnostics: Vec<Diagnostic>,
    /// Whether the plan could be spread over shards, and by which attribute.
    pub sharding: String,
}

/// One thing wrong in a request, with a JSON pointer into its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    pub pointer: String,
    pub detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// 404: module, campaign or revision; the text names it.
    #[error("{0}")]
    Unknown(String),
    /// 409: the id is taken.
    #[error("{0}")]
    Conflict(String),
    /// 422: the body is well-formed and wrong.
    #[error("{} problem(s) in the request", .0.len())]
    Invalid(Vec<Problem>),
    /// 422: a module was refused or misbehaved; code of [`crate::wasm::ModuleError`].
    #[error("{message}")]
    Module { code: &'static str, message: String },
    /// 503: the database or the engine is down; nothing, or all of it, was done.
    #[error("{0}")]
    Unavailable(String),
    #[error("{0}")]
    Internal(String),
}

/// Live figures of a campaign.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CampaignFigures {
    pub skus: Vec<SkuFigures>,
    /// Rejections by reason, over all gateways.
    pub rejected: std::collections::BTreeMap<String, u64>,
    /// Orders admitted and not yet acknowledged by Kafka.
    pub pending: u64,
    /// Orders acknowledged and not yet landed.
    pub lag: u64,
    /// Whether the engine holds the campaign's state under the database's epoch.
    pub gate_open: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SkuFigures {
    pub id: String,
    pub stock: u64,
    pub remaining: i64,
    pub admitted: i64,
    pub landed: i64,
}

/// The stage.
pub struct Control {}

#[allow(unused_variables)]
impl Control {
    /// Stores a module after inspecting it; `true` when it is new. `actor` is for the audit trail.
    pub async fn upload_module(
        &self,
        actor: &str,
        bytes: Vec<u8>,
    ) -> Result<(bool, ModuleRow), ControlError> {
        todo!("control")
    }

    pub async fn modules(&self) -> Result<Vec<ModuleRow>, ControlError> {
        todo!("control")
    }

    pub async fn module(&self, selector: &str) -> Result<ModuleRow, ControlError> {
        todo!("control")
    }

    /// Creates a campaign with revision 1, active; answers the same as a revision does.
    pub async fn create_campaign(
        &self,
        actor: &str,
        new: NewCampaign,
    ) -> Result<RevisionAnswer, ControlError> {
        todo!("control")
    }

    pub async fn create_revision(
        &self,
        actor: &str,
        campaign: &str,
        new: NewRevision,
        dry_run: bool,
    ) -> Result<RevisionAnswer, ControlError> {
        todo!("control")
    }

    /// Answers when no gateway can admit under an older revision any more.
    pub async fn activate(
        &self,
        actor: &str,
        campaign: &str,
        revision: u32,
    ) -> Result<Activation, ControlError> {
        todo!("control")
    }

    pub async fn campaigns(
        &self,
        before: Option<&str>,
        limit: u32,
    ) -> Result<Vec<CampaignRow>, ControlError> {
        todo!("control")
    }

    pub async fn campaign(&self, id: &str) -> Result<(CampaignRow, CampaignFigures), ControlError> {
        todo!("control")
    }
}
