//! The control plane over scripted rules.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use rushgate::access::Actor;
use rushgate::admin::{self, Admin, Check, Health, Helper, Readiness, Reconciling, Rules};
use rushgate::audit::AskedBy;
use rushgate::campaign::{Activation, Campaign, RecordVersion, Schedule, Sku};
use rushgate::control::proof::{Counterexample, Differential, ExamplesPlayed, Proof};
use rushgate::control::simulate::{self, Given, NewSimulation, SideAnswer, Simulation};
use rushgate::control::{
    self, Activated, ActivatedAt, Approved, Asked, AudienceUpload, CampaignChange, CampaignFigures, Carried,
    Changed, Compared, ControlError, KeyView, MemberChange, MembersStream, MerchantChange, MerchantView,
    Named, NewCampaign, NewKey, NewMerchant, NewRevision, NewSku, Operation, Problem, ProposalView,
    RevisionAnswer, RevisionHead, RevisionView, SkuFigures, StandingView, StockBody, Uploaded,
    UploadedModule,
};
use rushgate::plan::cost::PlanCost;
use rushgate::plan::diff::{Change, Class, CounterChange, Counts, Part};
use rushgate::record::LetterId;
use rushgate::serving::{Door, Limits};
use rushgate::store::{ApiKeyRow, AudienceRow, CampaignRow, ModuleRow, Owned, Owner};
use rushgate::wire::Moment;
use serde_json::{Value, json};

use crate::fronts::letters::{NoLetters, NothingToCompare};
use crate::fronts::stage::PLACED_AT;
use crate::fronts::webhooks::NoWebhooks;
use crate::fronts::wire::{Reply, call, request, send};

type Answered<'a, T> = BoxFuture<'a, Result<T, ControlError>>;

fn answered<'a, T: Send + 'a>(result: Result<T, ControlError>) -> Answered<'a, T> {
    std::future::ready(result).boxed()
}

#[derive(Default)]
pub struct Scripted;

fn module(id: &str) -> ModuleRow {
    ModuleRow {
        digest: "d".repeat(64),
        merchant: None,
        id: id.into(),
        version: "1.0.0".into(),
        descriptor: json!({"id": id}),
        uploaded_at: PLACED_AT,
    }
}

/// As a control plane hands on what it answers.
fn as_answered(answer: RevisionAnswer, lua: bool) -> control::Answered {
    let answer = RevisionAnswer {
        lua: answer.lua.filter(|_| lua),
        ..answer
    };
    control::Answered {
        body: serde_json::to_string(&answer).expect("JSON"),
        is_replay: false,
        is_proposed: false,
    }
}

fn row(id: &str) -> CampaignRow {
    CampaignRow {
        campaign: Campaign {
            id: id.into(),
            title: "Spring".into(),
            skus: vec![Sku::new("mug", 10)].into(),
            uid: "u".into(),
            buckets: 1,
            shards: 1,
            partitions: Some(12),
            record_version: RecordVersion::V2,
            created_at: PLACED_AT,
        },
        activation: Activation {
            epoch: 4,
            revision: 2,
        },
        schedule: Schedule {
            opens_at: 0,
            closes_at: 1,
            retention_ms: rushgate::campaign::RETENTION_MS,
        },
        pause: Default::default(),
        restock: None,
        stock_change: 0,
        origins: None,
        merchant: "default".into(),
        issuer_changes: 0,
        four_eyes: Default::default(),
        tag: String::new(),
    }
}

fn revision(number: Option<u32>) -> RevisionAnswer {
    RevisionAnswer {
        revision: number,
        explain: vec!["Each user may place at most 2 orders.".into()],
        lua: Some("-- admit".into()),
        plan_digest: "p".repeat(64),
        cost: PlanCost::default(),
        diagnostics: Vec::new(),
        sharding: "by user".into(),
        scheduled: None,
        proof: Proof {
            examples: ExamplesPlayed::default(),
            differential: Arc::new(Differential {
                attempts: 2000,
                seed: "0".repeat(16),
                admitted: 1,
                rejected: [("sold-out".to_owned(), 1999)].into(),
                shadow: Default::default(),
                disagreements: 0,
                counterexample: None,
            }),
        },
        compared: number.map(|_| Compared {
            against: 1,
            changes: vec![dropped()],
        }),
    }
}

/// A change that must be accepted.
fn dropped() -> Change {
    Change {
        rule: "n-per-user".into(),
        part: Part::Counter,
        class: Class::Dropped,
        sentence: "n-per-user/orders: dropped.".into(),
        counter: Some(CounterChange {
            id: "n-per-user/orders".into(),
            counts: Counts::Unread,
            needs_accept: true,
        }),
        indices: None,
    }
}

fn head(number: u32) -> RevisionHead {
    RevisionHead {
        revision: number,
        active: number == 2,
        created_at: PLACED_AT,
        created_by: Some("admin".into()),
        activations: vec![ActivatedAt {
            epoch: 4,
            at: PLACED_AT,
            by: None,
        }],
        schedule: Schedule {
            opens_at: 0,
            closes_at: 1,
            retention_ms: rushgate::campaign::RETENTION_MS,
        },
        rules: Vec::new(),
        folds: Default::default(),
        shadow: Vec::new(),
        lists: Default::default(),
        plan_digest: "p".repeat(64),
        changed: vec!["Everything.".into()],
    }
}

impl admin::Trail for Scripted {
    fn audit_page<'a>(
        &'a self,
        _: &'a rushgate::store::AuditFilter,
        _: Option<i64>,
        _: u32,
    ) -> Answered<'a, Vec<rushgate::audit::AuditEntry>> {
        answered(Ok(Vec::new()))
    }

    fn audit_heads(&self) -> Answered<'_, Vec<rushgate::audit::Head>> {
        answered(Ok(Vec::new()))
    }
}

impl admin::Running for Scripted {
    fn pause<'a>(
        &'a self,
        _: Operation<'a>,
        _: Option<jiff::Timestamp>,
    ) -> Answered<'a, rushgate::control::Answered> {
        answered(Ok(done()))
    }

    fn pause_later<'a>(
        &'a self,
        _: Operation<'a>,
        _: jiff::Timestamp,
        _: Option<jiff::Timestamp>,
    ) -> Answered<'a, rushgate::control::Answered> {
        answered(Ok(done()))
    }

    fn unschedule<'a>(&'a self, _: Operation<'a>, _: &'a str) -> Answered<'a, rushgate::control::Answered> {
        answered(Ok(done()))
    }

    fn resume<'a>(&'a self, _: Operation<'a>) -> Answered<'a, rushgate::control::Answered> {
        answered(Ok(done()))
    }

    fn end<'a>(&'a self, _: Operation<'a>) -> Answered<'a, rushgate::control::Answered> {
        answered(Ok(done()))
    }

    fn change_campaign<'a>(
        &'a self,
        _: Operation<'a>,
        _: CampaignChange,
        _: bool,
    ) -> Answered<'a, rushgate::control::Answered> {
        answered(Ok(done()))
    }
}

fn done() -> rushgate::control::Answered {
    rushgate::control::Answered {
        body: "{}".into(),
        is_replay: false,
        is_proposed: false,
    }
}

/// Keys that somebody has here, by the hash of their text; `None`: the database does not answer.
pub static HELD: Mutex<BTreeMap<String, Option<ApiKeyRow>>> = Mutex::new(BTreeMap::new());

impl admin::Keys for Scripted {
    fn key_by_digest<'a>(&'a self, digest: &'a str) -> Answered<'a, Option<ApiKeyRow>> {
        let held = HELD.lock().expect("not poisoned").get(digest).cloned();
        answered(match held {
            Some(None) => Err(ControlError::Unavailable("the database does not answer".into())),
            known => Ok(known.flatten()),
        })
    }

    fn key_used<'a>(&'a self, _: &'a ApiKeyRow) -> Answered<'a, ()> {
        answered(Ok(()))
    }

    fn owner<'a>(&'a self, _: Owned, _: &'a str) -> Answered<'a, Owner> {
        answered(Ok(Owner::Missing))
    }

    fn letter_owner<'a>(&'a self, _: &'a LetterId) -> Answered<'a, Owner> {
        answered(Ok(Owner::Missing))
    }

    fn claim_list<'a>(&'a self, _: &'a str, _: Option<&'a str>) -> Answered<'a, ()> {
        answered(Ok(()))
    }

    fn create_key<'a>(
        &'a self,
        _: Operation<'a>,
        _: &'a Actor,
        _: NewKey,
    ) -> Answered<'a, control::Answered> {
        answered(Err(ControlError::Unavailable("no keys here".into())))
    }

    fn keys<'a>(&'a self, _: Option<&'a str>, _: Option<&'a str>, _: u32) -> Answered<'a, Vec<KeyView>> {
        answered(Ok(Vec::new()))
    }

    fn revoke_key<'a>(&'a self, _: AskedBy<'a>, id: &'a str) -> Answered<'a, ()> {
        answered(Err(ControlError::Unknown(format!("no key {id:?}"))))
    }

    fn create_merchant<'a>(&'a self, _: Operation<'a>, _: NewMerchant) -> Answered<'a, control::Answered> {
        answered(Err(ControlError::Unavailable("no merchants here".into())))
    }

    fn change_merchant<'a>(
        &'a self,
        _: AskedBy<'a>,
        _: &'a str,
        _: MerchantChange,
    ) -> Answered<'a, MerchantView> {
        answered(Err(ControlError::Unavailable("no merchants here".into())))
    }

    fn merchants<'a>(
        &'a self,
        _: Option<&'a str>,
        _: Option<&'a str>,
        _: u32,
    ) -> Answered<'a, Vec<MerchantView>> {
        answered(Ok(Vec::new()))
    }
}

fn standing() -> StandingView {
    StandingView {
        digest: "d".repeat(64),
        made_by: None,
        approvals: Vec::new(),
        approved: false,
        may_activate: true,
        lacks: None,
    }
}

fn proposal(id: &str) -> ProposalView {
    ProposalView {
        id: id.to_owned(),
        kind: "stock.change".into(),
        body: json!({"add": 1}),
        against: 1,
        digest: "d".repeat(64),
        proposed_by: Named {
            person: "ada".into(),
            key: None,
        },
        at: Moment(0),
        note: None,
        state: "waiting",
        decided_by: None,
        outcome: None,
    }
}

impl admin::Eyes for Scripted {
    fn approve<'a>(
        &'a self,
        operation: Operation<'a>,
        revision: u32,
        digest: &'a str,
    ) -> Answered<'a, Approved> {
        self.withdraw(operation, revision + u32::from(digest.is_empty()))
    }

    fn withdraw<'a>(&'a self, operation: Operation<'a>, revision: u32) -> Answered<'a, Approved> {
        answered(Ok(Approved {
            campaign: operation.campaign.to_owned(),
            revision,
            did: "Done.".into(),
            standing: standing(),
        }))
    }

    fn proposals<'a>(&'a self, _: &'a str) -> Answered<'a, Vec<ProposalView>> {
        answered(Ok(vec![proposal("p")]))
    }

    fn approve_proposal<'a>(
        &'a self,
        operation: Operation<'a>,
        id: &'a str,
        _: &'a str,
    ) -> Answered<'a, Carried> {
        answered(Ok(Carried {
            campaign: operation.campaign.to_owned(),
            did: "Done.".into(),
            proposal: proposal(id),
            answer: json!({}),
        }))
    }

    fn withdraw_proposal<'a>(&'a self, _: Operation<'a>, id: &'a str) -> Answered<'a, ProposalView> {
        answered(Ok(proposal(id)))
    }
}

impl Rules for Scripted {
    fn upload_module<'a>(
        &'a self,
        by: AskedBy<'a>,
        _: Option<&'a str>,
        bytes: Vec<u8>,
        replace_builtin: bool,
    ) -> Answered<'a, UploadedModule> {
        let uploaded = |new| UploadedModule {
            new,
            row: module(by.actor),
            replaces_builtin: replace_builtin,
            highest: "1.2.0".into(),
        };
        answered(match bytes.as_slice() {
            b"new" => Ok(uploaded(true)),
            b"old" => Ok(uploaded(false)),
            _ => Err(ControlError::Module {
                code: "not-wasm",
                message: "these bytes are no WebAssembly".into(),
            }),
        })
    }

    fn delete_module<'a>(&'a self, _: AskedBy<'a>, selector: &'a str) -> Answered<'a, ()> {
        answered(match selector {
            "tiers@1.0.0" => Ok(()),
            "pinned@1.0.0" => Err(ControlError::Conflict("pinned by revision 3".into())),
            other => Err(ControlError::Unknown(format!("no module {other:?}"))),
        })
    }

    fn modules<'a>(&'a self, _: Option<&'a str>) -> Answered<'a, Vec<ModuleRow>> {
        answered(Ok(vec![module("n-per-user")]))
    }

    fn module<'a>(&'a self, selector: &'a str) -> Answered<'a, ModuleRow> {
        answered(match selector {
            "n-per-user" | "n-per-user@1.0.0" => Ok(module("n-per-user")),
            other => Err(ControlError::Unknown(format!("no module {other:?}"))),
        })
    }

    fn upload_audience<'a>(&'a self, by: AskedBy<'a>, upload: AudienceUpload) -> Answered<'a, Uploaded> {
        crate::fronts::audiences::upload(by, upload).boxed()
    }

    fn audiences<'a>(&'a self, _: Option<&'a str>) -> Answered<'a, Vec<AudienceRow>> {
        answered(Ok([("vip", 2), ("staff", 1)]
            .map(|(id, version)| crate::fronts::audiences::row(id, version, "d"))
            .into()))
    }

    fn audience<'a>(
        &'a self,
        id: &'a str,
        before: Option<u32>,
        limit: u32,
    ) -> Answered<'a, Vec<AudienceRow>> {
        let versions = [2, 1]
            .into_iter()
            .filter(move |version| before.is_none_or(|before| *version < before));
        answered(match id {
            "vip" => Ok(versions
                .take(limit as usize)
                .map(|version| crate::fronts::audiences::row(id, version, "d"))
                .collect()),
            _ => Err(ControlError::Unknown(format!("no list {id:?}"))),
        })
    }

    fn is_member<'a>(&'a self, id: &'a str, version: Option<u32>, member: &'a str) -> Answered<'a, Asked> {
        crate::fronts::audiences::is_member(id, version, member).boxed()
    }

    fn change_member<'a>(&'a self, by: AskedBy<'a>, change: MemberChange) -> Answered<'a, Changed> {
        answered(crate::fronts::audiences::change_member(by, change))
    }

    fn members<'a>(&'a self, id: &'a str, version: u32) -> Answered<'a, MembersStream> {
        crate::fronts::audiences::members(id, version).boxed()
    }

    fn delete_audience<'a>(&'a self, _: AskedBy<'a>, _: &'a str, version: u32) -> Answered<'a, ()> {
        answered(match version {
            1 => Ok(()),
            _ => Err(ControlError::Conflict(format!("version {version} is the newest"))),
        })
    }

    fn create_campaign<'a>(
        &'a self,
        _: Operation<'a>,
        new: NewCampaign,
        lua: bool,
    ) -> Answered<'a, control::Answered> {
        answered(match new.id.as_str() {
            "taken" => Err(ControlError::Conflict(
                "there is a campaign \"taken\" already".into(),
            )),
            _ => Ok(as_answered(revision(Some(1)), lua)),
        })
    }

    fn try_campaign(&self, new: NewCampaign) -> Answered<'_, RevisionAnswer> {
        answered(match new.id.as_str() {
            "taken" => Err(ControlError::Conflict(
                "there is a campaign \"taken\" already".into(),
            )),
            _ => Ok(revision(None)),
        })
    }

    fn create_revision<'a>(
        &'a self,
        operation: Operation<'a>,
        _: NewRevision,
        (dry_run, lua): (bool, bool),
    ) -> Answered<'a, control::Answered> {
        let problem = |pointer: &str| Problem {
            pointer: pointer.into(),
            detail: "is less than 1".into(),
            hint: Some("use 1".into()),
        };
        answered(match operation.campaign {
            "invalid" => Err(ControlError::Invalid(vec![
                problem("/rules/0/params/limit"),
                problem("/opens_at"),
            ])),
            "down" => Err(ControlError::Unavailable("the database does not answer".into())),
            "broken" => Err(ControlError::Internal("secret".into())),
            _ => Ok(as_answered(revision((!dry_run).then_some(2)), lua)),
        })
    }

    fn activate<'a>(
        &'a self,
        operation: Operation<'a>,
        revision: u32,
        accept: &'a [String],
    ) -> Answered<'a, rushgate::control::Answered> {
        let proof = Counterexample {
            stock: [("mug".to_owned(), 1)].into(),
            used: Vec::new(),
            audiences: Default::default(),
            attempts: Vec::new(),
            interpreter: "Admitted".into(),
            script: "Rejected(Closed)".into(),
        };
        answered(match revision {
            2 => Ok(Activated {
                campaign: operation.campaign.into(),
                revision,
                epoch: 5,
                replaced: 1,
                rollback: false,
                meaning: vec!["Revision 2 decides.".into()],
                changes: Vec::new(),
            })
            .map(|activated| rushgate::control::Answered {
                body: serde_json::to_string(&activated).expect("JSON"),
                is_replay: operation.key == Some("again"),
                is_proposed: false,
            }),
            3 if accept.is_empty() => Err(ControlError::AcceptMissing(vec![dropped()])),
            4 => Err(ControlError::Proof(Box::new(proof))),
            _ => Err(ControlError::Unknown(format!("no revision {revision}"))),
        })
    }

    fn change_stock<'a>(
        &'a self,
        operation: Operation<'a>,
        sku: Option<&'a str>,
        _: &'a StockBody,
        dry_run: bool,
    ) -> Answered<'a, rushgate::control::Answered> {
        answered(Ok(rushgate::control::Answered {
            body: serde_json::json!({"campaign": operation.campaign, "sku": sku, "dry_run": dry_run})
                .to_string(),
            is_replay: operation.key == Some("again"),
            is_proposed: false,
        }))
    }

    fn add_sku<'a>(
        &'a self,
        operation: Operation<'a>,
        new: &'a NewSku,
        dry_run: bool,
    ) -> Answered<'a, rushgate::control::Answered> {
        answered(Ok(rushgate::control::Answered {
            body: serde_json::json!({"campaign": operation.campaign, "sku": new.id, "dry_run": dry_run})
                .to_string(),
            is_replay: operation.key == Some("again"),
            is_proposed: false,
        }))
    }

    fn revisions<'a>(
        &'a self,
        _: &'a str,
        before: Option<u32>,
        limit: u32,
    ) -> Answered<'a, Vec<RevisionHead>> {
        let numbers = (1..before.unwrap_or(4)).rev().take(limit as usize);
        answered(Ok(numbers.map(head).collect()))
    }

    fn revision<'a>(&'a self, _: &'a str, number: u32) -> Answered<'a, RevisionView> {
        answered(Ok(RevisionView {
            head: head(number),
            answer: revision(Some(number)),
            standing: standing(),
        }))
    }

    fn compare_revisions<'a>(&'a self, _: &'a str, _: u32, against: Option<u32>) -> Answered<'a, Compared> {
        answered(Ok(Compared {
            against: against.unwrap_or(2),
            changes: vec![dropped()],
        }))
    }

    /// Counts what comes along.
    fn simulate<'a>(
        &'a self,
        campaign: &'a str,
        new: NewSimulation,
        given: Option<Given<'a>>,
    ) -> Answered<'a, Simulation> {
        async move {
            let mut given = given.unwrap_or_else(|| futures_util::stream::empty().boxed());
            let mut attempts = 0;
            while let Some(page) = given.next().await {
                attempts += page?.len() as u64;
            }
            let side = SideAnswer {
                revision: None,
                explain: Vec::new(),
                plan_digest: String::new(),
            };
            Ok(Simulation {
                campaign: campaign.to_owned(),
                from: new.from.unwrap_or_default(),
                attempts,
                first_at: None,
                last_at: None,
                sample: None,
                old: side.clone(),
                new: side,
                outcomes: Vec::new(),
                flipped: 0,
                flipped_all: None,
                flips: Vec::new(),
                recorded: simulate::Compared {
                    attempts: 0,
                    differ: 0,
                    kinds: Vec::new(),
                },
                notes: Vec::new(),
            })
        }
        .boxed()
    }

    fn campaigns<'a>(
        &'a self,
        _: Option<&'a str>,
        before: Option<&'a str>,
        limit: u32,
    ) -> Answered<'a, Vec<CampaignRow>> {
        let all = ["c", "b", "a"];
        let start = before.map_or(0, |before| {
            all.iter().position(|id| *id == before).map_or(3, |at| at + 1)
        });
        answered(Ok(all
            .iter()
            .skip(start)
            .take(limit as usize)
            .map(|id| row(id))
            .collect()))
    }

    fn campaign<'a>(&'a self, id: &'a str) -> Answered<'a, (CampaignRow, CampaignFigures)> {
        let sku = SkuFigures {
            id: "mug".into(),
            stock: 10,
            attributes: [].into(),
            remaining: 7,
            admitted: 3,
            landed: 2,
        };
        let figures = CampaignFigures {
            shadow: None,
            skus: vec![sku],
            rejected: [("sold-out".to_owned(), 5)].into(),
            orders_to_kafka: 1,
            units_to_database: 1,
            scheduled: Vec::new(),
            redis_whole: true,
            terms: Default::default(),
        };
        answered(Ok((row(id), figures)))
    }
}

pub struct Running {
    pub address: SocketAddr,
    store_down: Arc<AtomicBool>,
    bus_down: Arc<AtomicBool>,
    readiness: Arc<Readiness>,
}

pub fn start(token: Option<&str>) -> Running {
    with(token, Limits::for_few(admin::Config::default().connections))
}

/// What a payment system shows where there are tokens.
pub const PAYMENT_TOKEN: &str = "payments-t0ken";

/// A control plane to be served.
pub fn plane(token: Option<&str>) -> Admin {
    Admin {
        rules: Arc::new(Scripted),
        webhooks: Arc::new(NoWebhooks),
        letters: Arc::new(NoLetters),
        reconciling: Reconciling::new(Arc::new(NothingToCompare)),
        clock: Arc::new(|_| jiff::Timestamp::now().as_millisecond()),
        health: Health {
            readiness: Arc::new(Readiness::new(Vec::new())),
            registry: Arc::new(rushgate::telemetry::registry()),
            has_token: token.is_some(),
        },
        token: token.map(Into::into),
        payment_token: token.map(|_| PAYMENT_TOKEN.to_owned()),
        limits: Arc::new(admin::Config::default().limits()),
    }
}

pub fn with(token: Option<&str>, limits: Limits) -> Running {
    let listener = admin::bind(([127, 0, 0, 1], 0).into(), token).expect("a free port");
    let address = listener.local_addr().expect("bound");
    let store_down = Arc::new(AtomicBool::new(false));
    let down = store_down.clone();
    let store = Check {
        name: "store",
        ask: Box::new(move || {
            let down = down.load(Ordering::SeqCst);
            async move {
                if down {
                    Err("connection refused".to_owned())
                } else {
                    Ok(())
                }
            }
            .boxed()
        }),
    };
    let engine = Check {
        name: "engine",
        ask: Box::new(|| std::future::ready(Ok(())).boxed()),
    };
    let bus_down = Arc::new(AtomicBool::new(false));
    let down = bus_down.clone();
    let bus = Helper {
        check: Check {
            name: "bus",
            ask: Box::new(move || {
                match down.load(Ordering::SeqCst) {
                    // As silent as a broker that is not there.
                    true => std::future::pending().boxed(),
                    false => std::future::ready(Ok(())).boxed(),
                }
            }),
        },
        without: "orders wait in the outbox",
    };
    let readiness = Arc::new(Readiness::new(vec![engine, store]).helped_by(vec![bus]));
    let mut admin = plane(token);
    admin.health.readiness = readiness.clone();
    tokio::spawn(admin.serve(Door::new(listener, limits), std::future::pending()));
    Running {
        address,
        store_down,
        bus_down,
        readiness,
    }
}

impl Running {
    pub async fn get(&self, path: &str) -> Reply {
        call(self.address, "GET", path, &[], b"").await
    }

    async fn post(&self, path: &str, body: &Value) -> Reply {
        let json = [("content-type", "application/json")];
        call(self.address, "POST", path, &json, body.to_string().as_bytes()).await
    }
}

fn campaign() -> Value {
    json!({
        "id": "spring", "title": "Spring", "opens_at": "2026-11-21T10:00:00Z", "closes_at": "2026-11-22T10:00:00Z",
        "skus": [{"id": "mug", "stock": 10}], "rules": [{"module": "n-per-user", "params": {"limit": 2}}],
    })
}

#[tokio::test]
async fn modules_are_uploaded_once_and_found_by_name() {
    let running = start(None);
    let wasm = [("content-type", "application/wasm")];
    let upload = async |bytes: &[u8]| call(running.address, "POST", "/admin/v1/modules", &wasm, bytes).await;
    let new = upload(b"new").await;
    assert_eq!(new.status, 201);
    assert_eq!(
        new.header("location"),
        Some(format!("/admin/v1/modules/{}", "d".repeat(64)).as_str())
    );
    assert_eq!(
        new.json()["descriptor"]["id"],
        "local",
        "the actor without a token"
    );
    assert_eq!(new.json()["replaces_builtin"], false);
    assert_eq!(new.json()["highest"], "1.2.0");
    assert_eq!(upload(b"old").await.status, 200);
    let path = "/admin/v1/modules?replace_builtin=true";
    let replacing = call(running.address, "POST", path, &wasm, b"new").await;
    assert_eq!(replacing.json()["replaces_builtin"], true);
    for wrong in ["?replace_builtin=perhaps", "?replace=true"] {
        let path = format!("/admin/v1/modules{wrong}");
        let reply = call(running.address, "POST", &path, &wasm, b"new").await;
        reply.problem(400, "malformed");
    }
    upload(b"MZ").await.problem(422, "not-wasm");
    let huge = request(
        "POST",
        "/admin/v1/modules",
        &[wasm[0], ("content-length", "99999999999")],
        b"",
    );
    let huge = String::from_utf8(huge)
        .expect("text")
        .replace("content-length: 0\r\n", "");
    send(running.address, huge.as_bytes())
        .await
        .problem(413, "too-large");
    running
        .post("/admin/v1/modules", &json!({}))
        .await
        .problem(415, "unsupported-media-type");
    assert_eq!(
        running.get("/admin/v1/modules").await.json()["modules"][0]["id"],
        "n-per-user"
    );
    assert_eq!(
        running.get("/admin/v1/modules/n-per-user@1.0.0").await.json()["version"],
        "1.0.0"
    );
    running
        .get("/admin/v1/modules/none")
        .await
        .problem(404, "unknown");
}

#[tokio::test]
async fn modules_are_deleted_by_a_name_that_stands_for_one() {
    let running = start(None);
    let delete = async |selector: &str| {
        let path = format!("/admin/v1/modules/{selector}");
        call(running.address, "DELETE", &path, &[], b"").await
    };
    assert_eq!(delete("tiers@1.0.0").await.status, 204);
    delete("pinned@1.0.0").await.problem(409, "conflict");
    delete("none@1.0.0").await.problem(404, "unknown");
}

#[tokio::test]
async fn campaigns_are_created_listed_and_shown() {
    let running = start(None);
    let created = running.post("/admin/v1/campaigns", &campaign()).await;
    assert_eq!((created.status, &created.json()["revision"]), (201, &1.into()));
    assert_eq!(created.header("location"), Some("/admin/v1/campaigns/spring"));
    let mut taken = campaign();
    taken["id"] = "taken".into();
    running
        .post("/admin/v1/campaigns", &taken)
        .await
        .problem(409, "conflict");

    let page = running.get("/admin/v1/campaigns?limit=2").await.json();
    assert_eq!(
        (&page["campaigns"][0]["id"], &page["next"]),
        (&"c".into(), &"b".into()),
        "{page}"
    );
    let page = running.get("/admin/v1/campaigns?limit=2&before=b").await.json();
    assert_eq!(
        (&page["campaigns"][0]["id"], page.get("next")),
        (&"a".into(), None),
        "{page}"
    );
    let page = running.get("/admin/v1/campaigns?limit=3").await.json();
    assert_eq!(page.get("next"), None, "full, and the last one: {page}");
    for query in ["limit=0", "limit=101", "limit=x", "after=b"] {
        running
            .get(&format!("/admin/v1/campaigns?{query}"))
            .await
            .problem(400, "malformed");
    }

    let expected = json!({
        "id": "spring", "title": "Spring", "merchant": "default", "revision": 2, "state": "archived",
        "opens_at": "1970-01-01T00:00:00.000Z", "closes_at": "1970-01-01T00:00:00.001Z",
        "retention_days": 7, "archived_at": "1970-01-07T23:59:00.001Z",
        "created_at": "2026-11-21T10:00:00.000Z", "partitions": [2],
        "skus": [{"id": "mug", "stock": 10, "remaining": 7, "admitted": 3, "landed": 2}],
        "rejected": {"sold-out": 5}, "orders_to_kafka": 1, "units_to_database": 1, "redis_whole": true,
        "cancel_by_buyer": false, "four_eyes": false,
    });
    assert_eq!(running.get("/admin/v1/campaigns/spring").await.json(), expected);
}

#[tokio::test]
async fn revisions_are_tried_stored_and_activated() {
    let running = start(None);
    let rules = json!({"rules": [{"module": "n-per-user", "params": {"limit": 2}}]});
    let stored = running.post("/admin/v1/campaigns/spring/revisions", &rules).await;
    assert_eq!((stored.status, &stored.json()["revision"]), (201, &2.into()));
    assert_eq!(stored.json().get("lua"), None, "long, and not asked for");
    for path in ["/revisions?lua=true", "/revisions?dry_run=true&lua=true"] {
        let path = format!("/admin/v1/campaigns/spring{path}");
        assert_eq!(
            running.post(&path, &rules).await.json()["lua"],
            "-- admit",
            "{path}"
        );
    }
    let dry = running
        .post("/admin/v1/campaigns/spring/revisions?dry_run=true", &rules)
        .await;
    assert_eq!((dry.status, dry.json().get("revision")), (200, None));
    running
        .post("/admin/v1/campaigns/spring/revisions?dry_run=maybe", &rules)
        .await
        .problem(400, "malformed");

    let invalid = running
        .post("/admin/v1/campaigns/invalid/revisions", &rules)
        .await
        .problem(422, "invalid");
    assert_eq!(invalid["pointer"], "/rules/0/params/limit");
    assert_eq!(
        invalid["errors"][1],
        json!({"pointer": "/opens_at", "detail": "is less than 1", "hint": "use 1"})
    );
    let down = running.post("/admin/v1/campaigns/down/revisions", &rules).await;
    down.problem(503, "unavailable");
    assert_eq!(down.header("retry-after"), Some("1"));
    let broken = running.post("/admin/v1/campaigns/broken/revisions", &rules).await;
    broken.problem(500, "internal");
    assert!(!broken.body.contains("secret"));

    let activated = running
        .post("/admin/v1/campaigns/spring/activate", &json!({"revision": 2}))
        .await;
    assert_eq!(activated.status, 200);
    assert_eq!(
        activated.json(),
        json!({"campaign": "spring", "revision": 2, "epoch": 5, "replaced": 1, "rollback": false,
            "meaning": ["Revision 2 decides."], "changes": []})
    );
    running
        .post("/admin/v1/campaigns/spring/activate", &json!({"revision": 9}))
        .await
        .problem(404, "unknown");
}

#[tokio::test]
async fn wrong_bodies_name_the_place() {
    let running = start(None);
    let but = |pointer: &str, value: Value| {
        let mut body = campaign();
        *body.pointer_mut(pointer).expect("a member") = value;
        body
    };
    let mut unknown = campaign();
    unknown["colour"] = "red".into();
    let mut missing = campaign();
    missing.as_object_mut().expect("an object").remove("skus");
    for (body, pointer) in [
        (unknown, "/colour"),
        (missing, "/skus"),
        (but("/opens_at", "tomorrow".into()), "/opens_at"),
        (but("/skus/0/stock", (-1).into()), "/skus/0/stock"),
        (but("/skus/0/stock", json!(1.5)), "/skus/0/stock"),
        (but("/rules/0/module", 7.into()), "/rules/0/module"),
        (
            but("/rules/0", json!({"module": "a", "parms": {}})),
            "/rules/0/parms",
        ),
        (json!([]), ""),
    ] {
        let problem = running
            .post("/admin/v1/campaigns", &body)
            .await
            .problem(422, "invalid");
        assert_eq!(problem["pointer"], pointer, "{problem}");
    }
    let activate = "/admin/v1/campaigns/spring/activate";
    for (body, pointer) in [(json!({"revision": -1}), "/revision"), (json!({}), "/revision")] {
        let problem = running.post(activate, &body).await.problem(422, "invalid");
        assert_eq!(problem["pointer"], pointer, "{problem}");
    }
    let json = [("content-type", "application/json")];
    call(running.address, "POST", activate, &json, b"{\"revision\":")
        .await
        .problem(400, "malformed");
    call(running.address, "POST", activate, &[], b"{}")
        .await
        .problem(415, "unsupported-media-type");
}

#[tokio::test]
async fn other_paths_and_methods_are_problems_too() {
    let running = start(None);
    for path in [
        "/",
        "/admin/v1/nothing",
        "/admin/v1/campaigns/a/b",
        "/problems/nope",
    ] {
        running.get(path).await.problem(404, "not-found");
    }
    for (method, path, allow) in [
        ("DELETE", "/admin/v1/campaigns", "POST"),
        ("POST", "/admin/v1/campaigns/spring", "GET"),
        ("POST", "/livez", "GET"),
    ] {
        let reply = call(running.address, method, path, &[], b"").await;
        reply.problem(405, "method-not-allowed");
        assert!(
            reply
                .header("allow")
                .is_some_and(|allowed| allowed.contains(allow)),
            "{reply:?}"
        );
    }
    let text = running.get("/problems/sold-out").await;
    assert!(text.status == 200 && text.body.starts_with("Sold out"));
    assert_eq!(running.get("/problems/rule/limit-per-user").await.status, 200);
}

#[tokio::test]
async fn with_a_token_nobody_else_gets_in() {
    let running = start(Some("s3cret"));
    let with = async |value: &str| {
        let headers = [("authorization", value)];
        call(running.address, "GET", "/admin/v1/modules", &headers, b"").await
    };
    assert_eq!(with("Bearer s3cret").await.status, 200);
    for wrong in ["Bearer s3cre", "Bearer s3cret1", "Bearer S3CRET"] {
        with(wrong).await.problem(401, "token-invalid");
    }
    let none = running.get("/admin/v1/modules").await;
    none.problem(401, "token-missing");
    assert!(none.header("www-authenticate").is_some());
    running
        .post("/admin/v1/campaigns", &json!({}))
        .await
        .problem(401, "token-missing");
    for open in ["/livez", "/readyz", "/metrics"] {
        assert_eq!(running.get(open).await.status, 200, "{open}");
    }
}

#[tokio::test]
async fn without_a_token_pages_in_a_browser_are_kept_out() {
    let running = start(None);
    let raw = |host: &str, more: &str| {
        format!("GET /admin/v1/modules HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{more}\r\n")
    };
    for (host, more, status) in [
        ("localhost:8081", "", 200),
        ("127.0.0.1", "origin: http://localhost:3000\r\n", 200),
        ("evil.example", "", 403),
        ("localhost", "origin: https://evil.example\r\n", 403),
        ("localhost", "origin: null\r\n", 403),
    ] {
        let reply = send(running.address, raw(host, more).as_bytes()).await;
        assert_eq!(reply.status, status, "{host} {more}");
    }
}

#[tokio::test]
async fn readiness_names_what_is_missing() {
    let running = start(None);
    let ready = running.get("/readyz").await;
    assert_eq!((ready.status, ready.body.as_str()), (200, "ready\n"));
    let verbose = running.get("/readyz?verbose").await;
    assert_eq!(
        verbose.body,
        "[+]engine ok\n[+]store ok\n[+]bus ok\n[+]draining ok\nready\n"
    );
    running.bus_down.store(true, Ordering::SeqCst);
    let degraded = running.get("/readyz").await;
    assert_eq!(
        (degraded.status, degraded.body.as_str()),
        (
            200,
            "[~]bus degraded: no answer within 500 ms; orders wait in the outbox\nready\n"
        )
    );
    running.bus_down.store(false, Ordering::SeqCst);
    running.store_down.store(true, Ordering::SeqCst);
    let down = running.get("/readyz").await;
    assert_eq!(
        (down.status, down.body.as_str()),
        (503, "[-]store failed: connection refused\nnot ready\n")
    );
    running.store_down.store(false, Ordering::SeqCst);
    running.readiness.drain();
    let draining = running.get("/readyz").await;
    assert!(
        draining.status == 503 && draining.body.contains("draining"),
        "{draining:?}"
    );
    assert_eq!(running.get("/livez").await.status, 200);
    let metrics = running.get("/metrics").await;
    assert!(metrics.body.contains("rushgate_build_info"), "{metrics:?}");
}

#[tokio::test]
async fn an_activation_that_loses_counts_must_name_them() {
    let running = start(None);
    let activate = "/admin/v1/campaigns/spring/activate";
    let refused = running.post(activate, &json!({"revision": 3})).await;
    refused.problem(409, "accept-missing");
    let problem = refused.json();
    assert_eq!(problem["accept"], json!(["n-per-user/orders"]));
    assert_eq!(
        problem["changes"],
        json!([{"rule": "n-per-user", "part": "counter", "class": "dropped",
            "sentence": "n-per-user/orders: dropped.",
            "counter": {"id": "n-per-user/orders", "counts": "unread", "needs_accept": true}}])
    );
    assert!(
        problem["detail"]
            .as_str()
            .is_some_and(|detail| detail.contains(r#""accept": ["n-per-user/orders"]"#)),
        "{problem}"
    );
    let refused = running.post(activate, &json!({"revision": 4})).await;
    refused.problem(500, "proof-failed");
    assert_eq!(refused.json()["counterexample"]["interpreter"], "Admitted");
}

#[tokio::test]
async fn revisions_are_listed_shown_and_compared() {
    let running = start(None);
    let page = running
        .get("/admin/v1/campaigns/spring/revisions?limit=2")
        .await
        .json();
    assert_eq!(page["next"], 2, "{page}");
    assert_eq!(
        page["revisions"][1],
        json!({"revision": 2, "active": true, "created_at": "2026-11-21T10:00:00.000Z", "created_by": "admin",
            "activations": [{"epoch": 4, "at": "2026-11-21T10:00:00.000Z", "by": null}],
            "opens_at": "1970-01-01T00:00:00.000Z", "closes_at": "1970-01-01T00:00:00.001Z", "retention_days": 7,
            "rules": [],
            "plan_digest": "p".repeat(64), "changed": ["Everything."]})
    );
    let rest = running
        .get("/admin/v1/campaigns/spring/revisions?before=2")
        .await
        .json();
    assert_eq!(
        (&rest["revisions"][0]["revision"], rest.get("next")),
        (&json!(1), None)
    );
    let full = running.get("/admin/v1/campaigns/spring/revisions?limit=3");
    let full = full.await.json();
    assert_eq!(
        (full["revisions"].as_array().map(Vec::len), full.get("next")),
        (Some(3), None)
    );
    let shown = running.get("/admin/v1/campaigns/spring/revisions/2").await.json();
    assert_eq!(shown["proof"]["differential"]["attempts"], 2000, "{shown}");
    assert_eq!((&shown["revision"], &shown["active"]), (&json!(2), &json!(true)));
    assert_eq!(shown["changes"][0]["class"], "dropped");
    let compared = running
        .get("/admin/v1/campaigns/spring/revisions/2/diff?against=1")
        .await
        .json();
    assert_eq!(compared["against"], 1);
    let none = running.get("/admin/v1/campaigns/spring/revisions/last").await;
    none.problem(404, "unknown");
    let zero = running.get("/admin/v1/campaigns/spring/revisions?limit=0").await;
    zero.problem(400, "malformed");
}
