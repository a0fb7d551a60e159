//! The control plane: merchants' API, health and metrics, on axum.

mod answer;
mod audiences;
mod audit;
mod buyers;
mod caller;
mod campaigns;
mod config;
mod door;
mod eyes;
mod guard;
mod inside;
mod keys;
mod letters;
mod life;
mod lifetime;
mod limits;
mod members;
mod modules;
mod openapi;
mod order_jobs;
mod orders;
mod owners;
mod parameters;
mod query;
mod readiness;
mod reconcile;
mod revisions;
mod routes;
mod running;
mod serve;
mod simulate;
mod stock;
mod table;
mod watched;
mod webhooks;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRef, Path, Request, State};
use axum::http::{Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use percent_encoding::percent_decode_str;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use crate::audit::AskedBy;
use crate::control::simulate::{Given, NewSimulation, Simulation};
use crate::control::{
    self, Asked, AudienceUpload, CampaignFigures, Changed, Compared, Control, ControlError, MemberChange,
    MembersStream, NewCampaign, NewRevision, NewSku, Operation, OrderAct, RevisionAnswer, RevisionHead,
    RevisionView, StockBody, Uploaded, UploadedModule,
};
use crate::letters::Act;
use crate::serving;
use crate::store::{AudienceRow, CampaignRow, ModuleRow};
use crate::wire::problem::{self, MALFORMED, METHOD_NOT_ALLOWED, NOT_FOUND, UNAVAILABLE, explain};
use crate::wire::{self, BindError, Problem, echo};

use answer::Refused;
pub use audit::Trail;
pub use buyers::Buyers;
pub use config::Config;
pub use door::Parameters;
pub use eyes::Eyes;
pub use guard::Address;
pub use inside::{Holder, Inside, KeyDigest, key_digest};
pub use keys::Keys;
pub use letters::Letters;
pub use life::OrderLife;
pub use lifetime::Lifetime;
pub use limits::Limits;
pub use openapi::openapi;
pub use order_jobs::OrderJobs;
pub use orders::LandedOrders;
pub use parameters::query_parameters;
pub use readiness::{Check, Helper, Readiness};
pub use reconcile::{Comparing, Reconciling};
pub use routes::{ROUTES, Reach, Route};
pub use running::Running;
pub use serve::Pages;
pub use webhooks::Webhooks;

/// A read that has no answer by then has none: a database or engine behind it may be silent. Changes are not cut off,
/// because what became of them would be unknown.
const READ_WITHIN: Duration = Duration::from_secs(10);
/// OpenMetrics text, as prometheus-client writes it.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Why the control plane does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "the control plane would listen on {0} without a token: set RUSHGATE_ADMIN_TOKEN, or listen on a \
         loopback address (--admin-listen 127.0.0.1:8081)"
    )]
    Open(SocketAddr),
    #[error(transparent)]
    Bind(#[from] BindError),
}

/// Listens on the control plane's address, if it may: without a token only loopback addresses will do.
pub fn bind(listen: SocketAddr, token: Option<&str>) -> Result<TcpListener, StartError> {
    if token.is_none() && !listen.ip().is_loopback() {
        return Err(StartError::Open(listen));
    }
    Ok(serving::bind(listen, "--admin-listen")?)
}

type Answered<'a, T> = BoxFuture<'a, Result<T, ControlError>>;

/// What the control plane asks of [`Control`].
pub trait Rules:
    Buyers + Eyes + Keys + LandedOrders + Lifetime + OrderJobs + OrderLife + Running + Trail
{
    fn upload_module<'a>(
        &'a self,
        by: AskedBy<'a>,
        merchant: Option<&'a str>,
        bytes: Vec<u8>,
        replace_builtin: bool,
    ) -> Answered<'a, UploadedModule>;
    fn delete_module<'a>(&'a self, by: AskedBy<'a>, selector: &'a str) -> Answered<'a, ()>;
    /// As one merchant sees them, where it is named.
    fn modules<'a>(&'a self, merchant: Option<&'a str>) -> Answered<'a, Vec<ModuleRow>>;
    fn module<'a>(&'a self, selector: &'a str) -> Answered<'a, ModuleRow>;
    fn upload_audience<'a>(&'a self, by: AskedBy<'a>, upload: AudienceUpload) -> Answered<'a, Uploaded>;
    /// The newest version of each list, the one that changed last first; of one merchant where it is named.
    fn audiences<'a>(&'a self, merchant: Option<&'a str>) -> Answered<'a, Vec<AudienceRow>>;
    fn audience<'a>(&'a self, id: &'a str, before: Option<u32>, limit: u32)
    -> Answered<'a, Vec<AudienceRow>>;
    fn delete_audience<'a>(&'a self, by: AskedBy<'a>, id: &'a str, version: u32) -> Answered<'a, ()>;
    /// Of the newest version where none is named.
    fn is_member<'a>(&'a self, id: &'a str, version: Option<u32>, member: &'a str) -> Answered<'a, Asked>;
    fn members<'a>(&'a self, id: &'a str, version: u32) -> Answered<'a, MembersStream>;
    fn change_member<'a>(&'a self, by: AskedBy<'a>, change: MemberChange) -> Answered<'a, Changed>;
    /// `lua`: the answer holds the script.
    fn create_campaign<'a>(
        &'a self,
        operation: Operation<'a>,
        new: NewCampaign,
        lua: bool,
    ) -> Answered<'a, control::Answered>;
    fn try_campaign(&self, new: NewCampaign) -> Answered<'_, RevisionAnswer>;
    /// `how`: a dry run, and whether the answer holds the script.
    fn create_revision<'a>(
        &'a self,
        operation: Operation<'a>,
        new: NewRevision,
        how: (bool, bool),
    ) -> Answered<'a, control::Answered>;
    fn activate<'a>(
        &'a self,
        operation: Operation<'a>,
        revision: u32,
        accept: &'a [String],
    ) -> Answered<'a, control::Answered>;
    /// `sku` is the one that the path names.
    fn change_stock<'a>(
        &'a self,
        operation: Operation<'a>,
        sku: Option<&'a str>,
        body: &'a StockBody,
        dry_run: bool,
    ) -> Answered<'a, control::Answered>;
    fn add_sku<'a>(
        &'a self,
        operation: Operation<'a>,
        new: &'a NewSku,
        dry_run: bool,
    ) -> Answered<'a, control::Answered>;
    fn revisions<'a>(
        &'a self,
        campaign: &'a str,
        before: Option<u32>,
        limit: u32,
    ) -> Answered<'a, Vec<RevisionHead>>;
    fn revision<'a>(&'a self, campaign: &'a str, number: u32) -> Answered<'a, RevisionView>;
    fn compare_revisions<'a>(
        &'a self,
        campaign: &'a str,
        number: u32,
        against: Option<u32>,
    ) -> Answered<'a, Compared>;
    fn simulate<'a>(
        &'a self,
        campaign: &'a str,
        new: NewSimulation,
        given: Option<Given<'a>>,
    ) -> Answered<'a, Simulation>;
    /// Of one merchant where it is named.
    fn campaigns<'a>(
        &'a self,
        merchant: Option<&'a str>,
        before: Option<&'a str>,
        limit: u32,
    ) -> Answered<'a, Vec<CampaignRow>>;
    fn campaign<'a>(&'a self, id: &'a str) -> Answered<'a, (CampaignRow, CampaignFigures)>;
}

impl Rules for Control {
    fn upload_module<'a>(
        &'a self,
        by: AskedBy<'a>,
        merchant: Option<&'a str>,
        bytes: Vec<u8>,
        replace_builtin: bool,
    ) -> Answered<'a, UploadedModule> {
        self.upload_module(by, merchant, bytes, replace_builtin).boxed()
    }

    fn delete_module<'a>(&'a self, by: AskedBy<'a>, selector: &'a str) -> Answered<'a, ()> {
        self.delete_module(by, selector).boxed()
    }

    fn modules<'a>(&'a self, merchant: Option<&'a str>) -> Answered<'a, Vec<ModuleRow>> {
        self.modules(merchant).boxed()
    }

    fn module<'a>(&'a self, selector: &'a str) -> Answered<'a, ModuleRow> {
        self.module(selector).boxed()
    }

    fn upload_audience<'a>(&'a self, by: AskedBy<'a>, upload: AudienceUpload) -> Answered<'a, Uploaded> {
        self.upload_audience(by, upload).boxed()
    }

    fn audiences<'a>(&'a self, merchant: Option<&'a str>) -> Answered<'a, Vec<AudienceRow>> {
        self.audiences(merchant).boxed()
    }

    fn audience<'a>(
        &'a self,
        id: &'a str,
        before: Option<u32>,
        limit: u32,
    ) -> Answered<'a, Vec<AudienceRow>> {
        self.audience(id, before, limit).boxed()
    }

    fn delete_audience<'a>(&'a self, by: AskedBy<'a>, id: &'a str, version: u32) -> Answered<'a, ()> {
        self.delete_audience(by, id, version).boxed()
    }

    fn is_member<'a>(&'a self, id: &'a str, version: Option<u32>, member: &'a str) -> Answered<'a, Asked> {
        self.is_member(id, version, member).boxed()
    }

    fn members<'a>(&'a self, id: &'a str, version: u32) -> Answered<'a, MembersStream> {
        self.members(id, version).boxed()
    }

    fn change_member<'a>(&'a self, by: AskedBy<'a>, change: MemberChange) -> Answered<'a, Changed> {
        self.change_member(by, change).boxed()
    }

    fn create_campaign<'a>(
        &'a self,
        operation: Operation<'a>,
        new: NewCampaign,
        lua: bool,
    ) -> Answered<'a, control::Answered> {
        self.create_campaign_once(operation, new, lua).boxed()
    }

    fn try_campaign(&self, new: NewCampaign) -> Answered<'_, RevisionAnswer> {
        self.try_campaign(new).boxed()
    }

    fn create_revision<'a>(
        &'a self,
        operation: Operation<'a>,
        new: NewRevision,
        how: (bool, bool),
    ) -> Answered<'a, control::Answered> {
        self.create_revision_once(operation, new, how).boxed()
    }

    fn activate<'a>(
        &'a self,
        operation: Operation<'a>,
        revision: u32,
        accept: &'a [String],
    ) -> Answered<'a, control::Answered> {
        self.activate(operation, revision, accept).boxed()
    }

    fn change_stock<'a>(
        &'a self,
        operation: Operation<'a>,
        sku: Option<&'a str>,
        body: &'a StockBody,
        dry_run: bool,
    ) -> Answered<'a, control::Answered> {
        self.change_stock(operation, sku, body, dry_run).boxed()
    }

    fn add_sku<'a>(
        &'a self,
        operation: Operation<'a>,
        new: &'a NewSku,
        dry_run: bool,
    ) -> Answered<'a, control::Answered> {
        self.add_sku(operation, new, dry_run).boxed()
    }

    fn revisions<'a>(
        &'a self,
        campaign: &'a str,
        before: Option<u32>,
        limit: u32,
    ) -> Answered<'a, Vec<RevisionHead>> {
        self.revisions(campaign, before, limit).boxed()
    }

    fn revision<'a>(&'a self, campaign: &'a str, number: u32) -> Answered<'a, RevisionView> {
        self.revision(campaign, number).boxed()
    }

    fn compare_revisions<'a>(
        &'a self,
        campaign: &'a str,
        number: u32,
        against: Option<u32>,
    ) -> Answered<'a, Compared> {
        self.compare_revisions(campaign, number, against).boxed()
    }

    fn simulate<'a>(
        &'a self,
        campaign: &'a str,
        new: NewSimulation,
        given: Option<Given<'a>>,
    ) -> Answered<'a, Simulation> {
        self.simulate(campaign, new, given).boxed()
    }

    fn campaigns<'a>(
        &'a self,
        merchant: Option<&'a str>,
        before: Option<&'a str>,
        limit: u32,
    ) -> Answered<'a, Vec<CampaignRow>> {
        self.campaigns(merchant, before, limit).boxed()
    }

    fn campaign<'a>(&'a self, id: &'a str) -> Answered<'a, (CampaignRow, CampaignFigures)> {
        self.campaign(id).boxed()
    }
}

/// Health and metrics: what every role serves.
#[derive(Clone)]
pub struct Health {
    pub readiness: Arc<Readiness>,
    pub registry: Arc<Registry>,
    /// Whether the process has a token; without one, only programs of this machine are answered.
    pub has_token: bool,
}

/// Health, metrics and the texts of problems say nothing that needs a token, and those who ask for
/// them rarely carry one.
fn health_routes<S>() -> Router<S>
where
    S: Clone + Send + Sync + 'static,
    Health: FromRef<S>,
{
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readiness::readyz))
        .route("/metrics", get(metrics))
        .route(problem::LIST_PATH, get(problem_list))
        .route("/problems/{*slug}", get(problem_text))
        .method_not_allowed_fallback(method_not_allowed)
}

/// The control plane.
#[derive(Clone)]
pub struct Admin {
    pub rules: Arc<dyn Rules>,
    pub webhooks: Arc<dyn Webhooks>,
    pub letters: Arc<dyn Letters>,
    pub reconciling: Reconciling,
    /// The engine's clock, as a campaign's last answer said it.
    pub clock: Arc<dyn Fn(&str) -> i64 + Send + Sync>,
    pub health: Health,
    /// The bearer token that is asked for; `None` on a loopback address.
    pub token: Option<String>,
    /// That of a payment system, which may do no more than its part of the life of orders.
    pub payment_token: Option<String>,
    /// How often whom may ask.
    pub limits: Arc<Limits>,
}

impl Admin {
    fn guard(&self) -> Arc<guard::Guard> {
        let (token, payment_token) = (self.token.as_deref(), self.payment_token.as_deref());
        let (rules, limits) = (self.rules.clone(), self.limits.clone());
        Arc::new(guard::Guard::new(token, payment_token, rules, limits))
    }

    fn router(self) -> Router {
        let guard = self.guard();
        let admin = Router::new()
            .route("/modules", post(modules::upload).get(modules::list))
            .route("/modules/{selector}", get(modules::show).delete(modules::delete))
            .route("/audiences", get(audiences::list))
            .route("/audiences/{id}", get(audiences::show).put(audiences::upload))
            .route("/audiences/{id}/{version}", delete(audiences::delete))
            .route("/audiences/{id}/{version}/members", get(members::download))
            .route(
                "/audiences/{id}/members/{member}",
                get(members::ask).put(members::put).delete(members::remove),
            )
            .route("/campaigns", post(campaigns::create).get(campaigns::list))
            .route(
                "/campaigns/{id}",
                get(campaigns::show)
                    .patch(running::change)
                    .delete(lifetime::delete),
            )
            .route("/campaigns/{id}/pause", post(running::pause))
            .route("/campaigns/{id}/resume", post(running::resume))
            .route("/campaigns/{id}/end", post(running::end))
            .route("/campaigns/{id}/scheduled/{change}", delete(running::unschedule))
            .route("/campaigns/{id}/clone", post(lifetime::clone))
            .route(
                "/campaigns/{id}/revisions",
                post(revisions::create).get(revisions::list),
            )
            .route("/campaigns/{id}/revisions/{revision}", get(revisions::show))
            .route("/campaigns/{id}/revisions/{revision}/diff", get(revisions::diff))
            .route(
                "/campaigns/{id}/revisions/{revision}/approve",
                post(eyes::approve).delete(eyes::withdraw),
            )
            .route("/campaigns/{id}/proposals", get(eyes::proposals))
            .route(
                "/campaigns/{id}/proposals/{proposal}",
                delete(eyes::withdraw_proposal),
            )
            .route(
                "/campaigns/{id}/proposals/{proposal}/approve",
                post(eyes::approve_proposal),
            )
            .route("/campaigns/{id}/activate", post(revisions::activate))
            .route("/campaigns/{id}/reconcile", post(reconcile::reconcile))
            .route("/campaigns/{id}/simulate", post(simulate::simulate))
            .route("/campaigns/{id}/orders", get(orders::list))
            .route("/campaigns/{id}/orders/cancel", order_jobs::of(OrderAct::Cancel))
            .route("/campaigns/{id}/orders/refund", order_jobs::of(OrderAct::Refund))
            .route("/campaigns/{id}/orders/jobs", get(order_jobs::list))
            .route(
                "/campaigns/{id}/orders/jobs/{job}",
                get(order_jobs::show).delete(order_jobs::stop),
            )
            .route("/campaigns/{id}/orders/{order}", get(orders::show))
            .route("/campaigns/{id}/orders/{order}/pay", life::of(OrderAct::Pay))
            .route(
                "/campaigns/{id}/orders/{order}/cancel",
                life::of(OrderAct::Cancel),
            )
            .route(
                "/campaigns/{id}/orders/{order}/refund",
                life::of(OrderAct::Refund),
            )
            .route("/campaigns/{id}/skus", post(stock::create))
            .route("/campaigns/{id}/skus/{sku}/stock", post(stock::change))
            .route("/campaigns/{id}/stock", post(stock::change_named))
            .route("/buyers/{user}/data", get(buyers::export))
            .route("/buyers/{user}/erase", post(buyers::erase))
            .route("/buyers/{user}/erasure", get(buyers::erasure))
            .route("/audit", get(audit::list))
            .route("/audit/head", get(audit::heads))
            .route("/webhooks", post(webhooks::create).get(webhooks::list))
            .route(
                "/webhooks/{id}",
                get(webhooks::show)
                    .patch(webhooks::change)
                    .delete(webhooks::remove),
            )
            .route("/webhooks/{id}/secret", post(webhooks::rotate))
            .route("/webhooks/{id}/deliveries", get(webhooks::deliveries))
            .route("/webhooks/{id}/replay", post(webhooks::replay))
            .route("/webhooks/{id}/test", post(webhooks::test))
            .route("/letters", get(letters::list))
            .route("/letters/replay", letters::of(Act::Replay))
            .route("/letters/cancel", letters::of(Act::Cancel))
            .route("/letters/unpark", letters::of(Act::Unpark))
            .route("/letters/discard", letters::of(Act::Discard))
            .route("/letters/{topic}/{partition}/{offset}", get(letters::show))
            .route(
                "/letters/{topic}/{partition}/{offset}/repair",
                post(letters::repair),
            )
            .route("/keys", post(keys::create).get(keys::list))
            .route("/keys/{id}", delete(keys::revoke))
            .route("/merchants", post(keys::create_merchant).get(keys::merchants))
            .route("/merchants/{id}", patch(keys::change_merchant))
            .method_not_allowed_fallback(method_not_allowed)
            .layer(axum::middleware::from_fn(in_time))
            .layer(axum::middleware::from_fn(readable))
            .layer(axum::middleware::from_fn_with_state(guard, guard::check));
        health_routes()
            .route(wire::openapi::PATH, get(openapi::document))
            .route(wire::openapi::PAGE_PATH, get(openapi::page))
            .nest("/admin/v1", admin)
            .fallback(not_found)
            .method_not_allowed_fallback(method_not_allowed)
            .with_state(self)
    }
}

impl FromRef<Admin> for Health {
    fn from_ref(admin: &Admin) -> Self {
        admin.health.clone()
    }
}

/// Refuses a path whose percent-encoding makes no UTF-8.
async fn readable(request: Request, next: Next) -> Result<Response, Refused> {
    match percent_decode_str(request.uri().path()).decode_utf8() {
        Ok(_) => Ok(next.run(request).await),
        Err(_) => Err(Problem::new(&MALFORMED, "the path is no UTF-8 once its %-signs are decoded").into()),
    }
}

async fn in_time(request: Request, next: Next) -> Result<Response, Refused> {
    if request.method() != Method::GET {
        return Ok(next.run(request).await);
    }
    let answer = tokio::time::timeout(READ_WITHIN, next.run(request)).await;
    answer.map_err(|_| {
        let detail = format!(
            "no answer within {} s: /readyz says which service behind is silent",
            READ_WITHIN.as_secs()
        );
        Problem::new(&UNAVAILABLE, detail).into()
    })
}

async fn metrics(State(health): State<Health>) -> Response {
    let mut text = String::new();
    // Writing into a String cannot fail.
    let _ = prometheus_client::encoding::text::encode(&mut text, &health.registry);
    ([(header::CONTENT_TYPE, METRICS_TYPE)], text).into_response()
}

async fn problem_list() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], problem::list()).into_response()
}

async fn problem_text(Path(slug): Path<String>) -> Result<String, Refused> {
    if slug.ends_with('/') {
        return Err(wire::not_found(&format!("{}{slug}", problem::PATH)).into());
    }
    explain(&slug)
        .ok_or_else(|| Problem::new(&NOT_FOUND, format!("there is no problem {}", echo(&slug))).into())
}

async fn not_found(uri: axum::http::Uri) -> Refused {
    wire::not_found(uri.path()).into()
}

async fn not_yet() -> Refused {
    Problem::new(
        &UNAVAILABLE,
        "the gateway is not up yet; /readyz says for what it waits",
    )
    .into()
}

/// The router adds the header `Allow`.
async fn method_not_allowed(method: axum::http::Method) -> Refused {
    Problem::new(
        &METHOD_NOT_ALLOWED,
        format!("this path does not take {method}; see the header Allow"),
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_token_only_loopback_will_do() {
        let bind = |listen: &str, token| bind(listen.parse().expect("address"), token);
        for open in ["0.0.0.0:0", "[::]:0", "10.0.0.1:0"] {
            let error = bind(open, None).expect_err(open).to_string();
            assert!(error.contains("RUSHGATE_ADMIN_TOKEN"), "{error}");
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let _entered = runtime.as_ref().expect("a runtime").enter();
        assert!(bind("127.0.0.1:0", None).is_ok());
        let taken = bind("0.0.0.0:0", Some("t")).expect("with a token");
        let address = taken.local_addr().expect("bound").to_string();
        let error = bind(&address, Some("t")).expect_err("taken").to_string();
        assert!(error.contains(&address) && error.contains("--admin-listen") && error.contains("ss -ltnp"));
    }
}
