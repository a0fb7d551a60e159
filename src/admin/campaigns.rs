//! Campaigns: created, listed, and their figures.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::Admin;
use super::answer::{Refused, changed, idempotency_key, read_json, tagged};
use super::caller::Caller;
use super::owners::own;
use super::query::{parameters, query};
use crate::access::Actor;
use crate::campaign::{Origins, Sku};
use crate::control::{CREATE, CampaignFigures, NewCampaign, Operation, PausedView, RevisionAnswer};
use crate::store::{CampaignRow, place_of};
use crate::wire::problem::MALFORMED;
use crate::wire::{Moment, Problem, paged};

/// Campaigns of one page unless `limit` says otherwise.
const PAGE: u32 = 50;
const PAGE_MAX: u32 = 100;

parameters! {
    /// Whether a revision's answer holds its script, which is many times as long as all the rest.
    struct ScriptQuery {
        /// The answer holds the script.
        #[serde(default)]
        pub(super) lua: bool,
    }
}

impl ScriptQuery {
    pub(super) fn cut(&self, answer: RevisionAnswer) -> RevisionAnswer {
        RevisionAnswer {
            lua: answer.lua.filter(|_| self.lua),
            ..answer
        }
    }
}

parameters! {
    struct CreateQuery {
        /// Creates nothing, and is refused whatever creating it would be refused for.
        #[serde(default)]
        dry_run: bool,
        /// The answer holds the script.
        #[serde(default)]
        lua: bool,
    }
}

parameters! {
    struct PageQuery {
        /// Entries of the page at most.
        #[param(minimum = 1, maximum = 100, default = 50)]
        limit: Option<u32>,
        /// Id of the last campaign of the page before.
        before: Option<String>,
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Campaigns)]
pub(super) struct Page {
    campaigns: Vec<Listed>,
    /// Value of `before` for the next page; missing on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What both the list and the single view show.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = CampaignHead)]
struct Head {
    id: String,
    title: String,
    /// Whose it is.
    merchant: String,
    revision: u32,
    state: &'static str,
    /// Whether what decides in it needs the approval of another person.
    four_eyes: bool,
    /// Also before it opens, and after it closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<PausedView>,
    opens_at: Moment,
    closes_at: Moment,
    /// Missing where they are those that the configuration names.
    #[serde(skip_serializing_if = "Option::is_none")]
    origins: Option<Arc<Origins>>,
    retention_days: u32,
    /// From here on the state is `archived`.
    archived_at: Moment,
    created_at: Moment,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ListedCampaign)]
struct Listed {
    #[serde(flatten)]
    head: Head,
    skus: Vec<Stocked>,
}

/// A SKU in a list of campaigns: with all attributes a page could be as long as all of its campaigns' bodies.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ListedSku)]
struct Stocked {
    id: String,
    stock: u64,
}

impl Stocked {
    fn of(sku: &Sku) -> Self {
        Self {
            id: sku.id.clone(),
            stock: sku.stock,
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Campaign)]
pub(super) struct Shown {
    #[serde(flatten)]
    head: Head,
    /// The partition of each shard's orders; missing where they go by key.
    #[serde(skip_serializing_if = "Option::is_none")]
    partitions: Option<Vec<i32>>,
    #[serde(flatten)]
    figures: CampaignFigures,
}

/// `now` is the engine's clock: buyers are told the state by it.
fn head(row: &CampaignRow, now: i64) -> Head {
    Head {
        id: row.campaign.id.clone(),
        title: row.campaign.title.clone(),
        merchant: row.merchant.clone(),
        revision: row.activation.revision,
        state: match row.schedule.is_archived(now) {
            true => "archived",
            false => row.schedule.state(now, row.pause.pause.at(now)),
        },
        four_eyes: row.four_eyes.is_on(),
        paused: PausedView::of(&row.pause, now),
        opens_at: Moment(row.schedule.opens_at),
        closes_at: Moment(row.schedule.closes_at),
        origins: row.origins.clone(),
        retention_days: row.schedule.retention_days(),
        archived_at: Moment(row.schedule.archived_at()),
        created_at: Moment(row.campaign.created_at),
    }
}

/// How many are asked for of a list in pages.
pub(super) fn limit(asked: Option<u32>, page: u32) -> Result<u32, Refused> {
    let limit = asked.unwrap_or(page);
    match (1..=PAGE_MAX).contains(&limit) {
        true => Ok(limit),
        false => {
            let detail = format!("limit is {limit}; use 1 to {PAGE_MAX}");
            Err(Problem::new(&MALFORMED, detail).into())
        }
    }
}

/// 201 with the campaign's first revision, or 200 for a dry run.
pub(super) async fn create(
    State(admin): State<Admin>,
    caller: Caller,
    asked: Result<Query<CreateQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let CreateQuery { dry_run, lua } = query(asked)?;
    let mut new: NewCampaign = read_json(&headers, body).await?;
    new.merchant = own(caller.actor(), new.merchant)?;
    let location = [(header::LOCATION, format!("/admin/v1/campaigns/{}", new.id))];
    let script = ScriptQuery { lua };
    if dry_run {
        let tried = admin.rules.try_campaign(new).await?;
        return Ok(Json(script.cut(tried)).into_response());
    }
    let (key, place) = (idempotency_key(&headers)?, place_of(Some(new.owner())));
    let operation = Operation::by(caller.by(), &place, CREATE).asked(key.as_deref(), None);
    let answered = admin.rules.create_campaign(operation, new, lua).await?;
    Ok((StatusCode::CREATED, location, changed(answered)).into_response())
}

/// Newest first.
pub(super) async fn list(
    State(admin): State<Admin>,
    Extension(actor): Extension<Actor>,
    page: Result<Query<PageQuery>, QueryRejection>,
) -> Result<Response, Refused> {
    let page = query(page)?;
    let limit = limit(page.limit, PAGE)?;
    let before = page.before.as_deref();
    let rows = admin.rules.campaigns(actor.merchant(), before, limit + 1).await?;
    let (rows, next) = paged(rows, limit, |row| row.campaign.id.clone());
    let listed = |row: CampaignRow| Listed {
        head: head(&row, (admin.clock)(&row.campaign.id)),
        skus: row.campaign.skus.iter().map(Stocked::of).collect(),
    };
    let campaigns = rows.into_iter().map(listed).collect();
    Ok(Json(Page { campaigns, next }).into_response())
}

pub(super) async fn show(
    State(admin): State<Admin>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let (row, figures) = admin.rules.campaign(&id).await?;
    let campaign = &row.campaign;
    let shown = Shown {
        head: head(&row, (admin.clock)(&campaign.id)),
        partitions: (0..campaign.shards)
            .map(|shard| campaign.partition_of(shard))
            .collect(),
        figures,
    };
    tagged(&headers, &row.tag, Json(shown))
}
