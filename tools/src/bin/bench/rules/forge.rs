//! From rules to a script that Redis knows: modules compiled, merged, checked and emitted in this process, and the
//! state of a campaign that admits under it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rushgate::campaign::{RecordVersion, Schedule, Sku, buckets_for};
use rushgate::engine::Engine;
use rushgate::engine::redis::{Config, Redis};
use rushgate::lua::codec::{self, AdmitReply};
use rushgate::lua::fence::Fence;
use rushgate::lua::keys::Shard;
use rushgate::lua::restore::{Restore, restore_args, restore_reply};
use rushgate::lua::{Family, audiences, emit, fixed};
use rushgate::order::{Attempt, OrderId};
use rushgate::plan::decision::Decision;
use rushgate::plan::{AudienceRef, CheckContext, CheckedPlan, check, merge};
use rushgate::record::Payloads;
use rushgate::wasm::{self, Host, Inspected, examples};
use serde_json::Value;

use crate::{SKU, STOCK};

const CAMPAIGN: &str = "bench-rules";
/// Nobody is on it.
const LIST: AudienceRef = AudienceRef::whole(1, 64);
const HOUR_MS: i64 = 3_600_000;

/// A rule of a revision: its module and its parameters.
pub type Rule = (&'static str, Value);

/// The built-in modules, each inspected once.
pub struct Forge {
    host: Host,
    modules: HashMap<&'static str, (Inspected, Arc<[u8]>)>,
    context: CheckContext,
}

impl Forge {
    pub async fn new() -> Result<Self> {
        let host = Host::new()?;
        let mut modules = HashMap::new();
        for (file, bytes) in wasm::builtin() {
            let bytes: Arc<[u8]> = Arc::from(*bytes);
            let name = file.strip_suffix(".wasm").context("a module ends in .wasm")?;
            modules.insert(name, (host.inspect(bytes.clone()).await?, bytes));
        }
        let now = jiff::Timestamp::now().as_millisecond();
        let skus = vec![Sku::new(SKU, STOCK)];
        let context = CheckContext {
            campaign: CAMPAIGN.into(),
            schedule: Schedule {
                opens_at: now - HOUR_MS,
                closes_at: now + 24 * HOUR_MS,
                retention_ms: rushgate::campaign::RETENTION_MS,
            },
            buckets: buckets_for(&skus),
            skus: skus.into(),
            audiences: [(super::LIST.to_owned(), LIST)].into(),
        };
        Ok(Self {
            host,
            modules,
            context,
        })
    }

    async fn plan(&self, rules: &[Rule]) -> Result<CheckedPlan> {
        let context = wasm::Context {
            campaign: CAMPAIGN.into(),
            opens_at: self.context.schedule.opens_at,
            closes_at: self.context.schedule.closes_at,
            skus: self.context.skus.to_vec(),
        };
        let mut plans = Vec::new();
        for (position, (module, params)) in rules.iter().enumerate() {
            let Some((inspected, bytes)) = self.modules.get(module) else {
                bail!("there is no built-in module {module}");
            };
            let compiled = self
                .host
                .compile(inspected, bytes.clone(), &context, params)
                .await
                .with_context(|| format!("{module} with {params}"))?;
            let mut rule = examples::rule_plan(&inspected.descriptor, compiled.plan);
            rule.name = format!("{}-{position}", rule.name);
            plans.push(rule);
        }
        Ok(check(merge::merge(plans)?, self.context.clone())?)
    }

    /// The scripts of these rules.
    pub async fn family(&self, rules: &[Rule]) -> Result<Family> {
        Ok(emit::emit(Arc::new(self.plan(rules).await?), 1)?)
    }

    /// The scripts of these rules, with others in shadow.
    pub async fn shadowed(&self, rules: &[Rule], shadow: &[Rule]) -> Result<Family> {
        let (plan, shadow) = (self.plan(rules).await?, self.plan(shadow).await?);
        Ok(emit::emit_with_shadow(Arc::new(plan), Some(Arc::new(shadow)), 1)?)
    }
}

/// An open campaign in Redis that admits by one family.
pub struct Gate {
    redis: Redis,
    family: Family,
    key: String,
    fence: Fence,
    buyers: u64,
}

impl Gate {
    /// Expects an empty Redis.
    pub async fn open(url: &str, family: Family) -> Result<Self> {
        let gate = Self {
            redis: Redis::connect(Config::new(url)).await?,
            family,
            key: Shard::new(CAMPAIGN, 0).state(),
            fence: Fence {
                uid: "bench".into(),
                version: RecordVersion::V1,
                epoch: 1,
            },
            buyers: 0,
        };
        let stock: BTreeMap<String, i64> = [(SKU.to_owned(), STOCK as i64)].into();
        let run = gate.redis.incarnation().await?;
        let expires_at = gate.family.plan.context().schedule.expires_at();
        let finish = Restore::Finish {
            fence: &gate.fence,
            revision: 1,
            plan: &gate.family.plan,
            stock: &stock,
            change: (0, 0),
            run: &run,
            pause: Default::default(),
            made: false,
        };
        for step in [
            Restore::Begin {
                uid: "bench",
                expires_at,
            },
            finish,
        ] {
            let args = restore_args("bench", step);
            let reply = gate.redis.run(&fixed::RESTORE, &gate.key, args).await?;
            anyhow::ensure!(restore_reply(reply)?, "the campaign's state was not made");
        }
        let context = gate.family.plan.context();
        for args in audiences::fill(context, &gate.fence, &BTreeMap::new()) {
            gate.redis.run(&fixed::AUDIENCE, &gate.key, args).await?;
        }
        Ok(gate)
    }

    /// Places orders of buyers not seen before, `batch` in one call; all must be admitted.
    pub async fn admit(&mut self, orders: u64, batch: u64) -> Result<()> {
        for _ in 0..orders / batch {
            let attempts: Vec<Attempt> = (0..batch).map(|_| self.attempt()).collect();
            let args = codec::admit_args(
                &self.family,
                &self.fence,
                attempts.iter(),
                attempts
                    .iter()
                    .map(Attempt::encode)
                    .collect::<Payloads>()
                    .as_bytes(),
            );
            let reply = self.redis.run(&self.family.admit, &self.key, args).await?;
            match codec::admit_reply(&self.family, attempts.iter(), reply)? {
                AdmitReply::Decided { decisions, .. } => {
                    let refused = decisions.iter().find(|each| **each != Decision::Admitted);
                    anyhow::ensure!(refused.is_none(), "an order was refused: {refused:?}");
                }
                AdmitReply::Fenced(there) => bail!("fenced: {there:?}"),
            }
        }
        Ok(())
    }

    fn attempt(&mut self) -> Attempt {
        self.buyers += 1;
        let n = self.buyers;
        let user = format!("user-{n:08}");
        let attribute = |name: &str, value: String| (name.to_owned(), value);
        let mut attributes: BTreeMap<String, String> = [
            attribute("client:device", format!("device-{n:08}")),
            attribute("client:address", format!("address-{n:08}")),
            attribute(
                "claim:tier",
                ["gold", "silver", "none"][n as usize % 3].to_owned(),
            ),
            attribute("claim:region", ["eu", "us", "asia"][n as usize % 3].to_owned()),
            attribute("ip", format!("10.{}.{}.{}", n >> 16 & 255, n >> 8 & 255, n & 255)),
        ]
        .into();
        // As a gateway does: what the plan does not read is not sent.
        let reads: Vec<String> = self
            .family
            .plan
            .attributes()
            .iter()
            .map(ToString::to_string)
            .collect();
        attributes.retain(|name, _| reads.contains(name));
        Attempt {
            order: OrderId::keyed(CAMPAIGN, &user, "bench"),
            user,
            sku: SKU.into(),
            quantity: 1,
            attributes,
        }
    }
}
