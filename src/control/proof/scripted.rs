//! A campaign shard in the embedded engine, on a clock of the proof's: the generated script as it will
//! run, away from every real campaign.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::held;
use crate::campaign::RecordVersion;
use crate::engine::embedded::Embedded;
use crate::lua::audiences::{self, Put};
use crate::lua::codec::{self, AdmitReply};
use crate::lua::fence::Fence;
use crate::lua::keys::{self, Shard};
use crate::lua::reply::Reply;
use crate::lua::restore::{Restore, restore_args, restore_reply};
use crate::lua::{Args, Family, Script, fixed};
use crate::order::{Attempt, Charge};
use crate::plan::decision::Decision;
use crate::plan::state::{ShadowState, State};
use crate::plan::{AudienceRef, CheckedPlan, PlanError, Window, check};

/// Buckets of a proof's keys: more than one, so that the wrong one would be noticed, and few, because
/// each is made before the first attempt. The script's text does not depend on their number.
const BUCKETS_MAX: u32 = 4;
/// Token of the restore that fills the shard.
const TOKEN: &str = "proof";

type Counters = BTreeMap<(String, i64, String), i64>;
type Rolling = BTreeMap<(String, String), Vec<(i64, i64)>>;

/// The same plan over few buckets.
pub fn compact(plan: &CheckedPlan) -> Result<CheckedPlan, PlanError> {
    let mut context = plan.context().clone();
    context.buckets = context.buckets.min(BUCKETS_MAX);
    for list in context.audiences.values_mut() {
        *list = AudienceRef {
            kind: list.kind.clone(),
            ..AudienceRef::whole(list.version, list.buckets.min(BUCKETS_MAX))
        };
    }
    check(plan.plan().clone(), context)
}

/// One shard that only the proof knows.
pub struct Scripted {
    engine: Embedded,
    clock: Arc<AtomicI64>,
    shard: Shard,
    fence: Fence,
    family: Family,
}

impl Scripted {
    /// A shard with this stock and these lists, and nothing used. The error says what the script did.
    pub fn open(family: Family, start: &State) -> Result<Self, String> {
        let context = family.plan.context();
        let clock = Arc::new(AtomicI64::new(context.schedule.opens_at));
        let now = clock.clone();
        let scripted = Self {
            engine: Embedded::with_clock(Arc::new(move || now.load(Ordering::SeqCst).saturating_mul(1000))),
            shard: Shard::new(&context.campaign, 0),
            fence: Fence {
                uid: TOKEN.into(),
                version: RecordVersion::V1,
                epoch: 1,
            },
            clock,
            family,
        };
        scripted.fill(start)?;
        scripted.upload(start)?;
        Ok(scripted)
    }

    fn upload(&self, start: &State) -> Result<(), String> {
        for args in audiences::fill(self.family.plan.context(), &self.fence, &start.audiences) {
            match audiences::put_reply(self.run(&fixed::AUDIENCE, args)?) {
                Ok(Put::Complete | Put::Incomplete) => {}
                other => return Err(format!("the lists could not be filled: {other:?}")),
            }
        }
        Ok(())
    }

    fn fill(&self, start: &State) -> Result<(), String> {
        let begin = Restore::Begin {
            uid: &self.fence.uid,
            expires_at: self.family.plan.context().schedule.expires_at(),
        };
        let used = used_before(&self.family, start);
        let charges = Restore::Charges {
            charges: used.iter().map(|charge| (None, charge)).collect(),
            plan: &self.family.plan,
        };
        let finish = Restore::Finish {
            fence: &self.fence,
            run: TOKEN,
            pause: start.pause,
            revision: self.family.revision,
            plan: &self.family.plan,
            stock: &start.stock,
            change: (0, 0),
            made: false,
        };
        for step in [begin, charges, finish] {
            let reply = self.run(&fixed::RESTORE, restore_args(TOKEN, step))?;
            match restore_reply(reply) {
                Ok(true) => {}
                other => return Err(format!("the shard could not be filled: {other:?}")),
            }
        }
        Ok(())
    }

    /// Decides a batch at `now`, milliseconds since 1970-01-01 UTC.
    pub fn admit(&self, now: i64, attempts: &[Attempt]) -> Result<Vec<Decision>, String> {
        self.clock.store(now, Ordering::SeqCst);
        // Nobody reads the entries: each payload is of length 0.
        let payloads = vec![0; attempts.len()];
        let args = codec::admit_args(&self.family, &self.fence, attempts.iter(), &payloads);
        let reply = self.run(&self.family.admit, args)?;
        match codec::admit_reply(&self.family, attempts.iter(), reply) {
            Ok(AdmitReply::Decided { decisions, .. }) => Ok(decisions),
            Ok(AdmitReply::Fenced(_)) => Err("the script found no state to decide by".into()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Everything the shard holds, in the interpreter's form.
    pub fn state(&self) -> Result<State, String> {
        held::state(&self.family.plan, &self.shard.prefix(), &self.engine.dump())
    }

    fn run(&self, script: &Script, args: Args) -> Result<Reply, String> {
        let reply = self.engine.run_now(script, &self.shard.state(), args);
        reply.map_err(|error| error.to_string())
    }
}

/// What the counters of a state hold, as charges that restore it.
fn used_before(family: &Family, start: &State) -> Vec<Charge> {
    let mut charges = charges(&family.plan, &start.counters, &start.rolling);
    if let Some(shadow) = &family.shadow {
        let counted = charges_of_shadow(shadow, &start.shadow, family.revision);
        charges.extend(counted);
    }
    charges
}

fn charges_of_shadow(
    plan: &CheckedPlan,
    counts: &ShadowState,
    revision: u32,
) -> impl Iterator<Item = Charge> {
    let charges = charges(plan, &counts.counters, &counts.rolling).into_iter();
    charges.map(move |charge| Charge {
        counter: keys::shadow_id(revision, &charge.counter),
        ..charge
    })
}

fn charges(plan: &CheckedPlan, counters: &Counters, rolling: &Rolling) -> Vec<Charge> {
    let counted = counters.iter().map(|((counter, window, subject), used)| Charge {
        counter: counter.clone(),
        window: *window,
        rolling_ms: 0,
        subject: subject.clone(),
        cost: *used,
        limit: None,
    });
    let rolling = rolling.iter().flat_map(|((counter, subject), entries)| {
        let length_ms = rolling_ms(plan, counter);
        entries.iter().map(move |(moment, cost)| Charge {
            counter: counter.clone(),
            window: *moment,
            rolling_ms: length_ms,
            subject: subject.clone(),
            cost: *cost,
            limit: None,
        })
    });
    counted.chain(rolling).collect()
}

fn rolling_ms(plan: &CheckedPlan, id: &str) -> i64 {
    let counter = plan.plan().counters.iter().find(|counter| counter.id == id);
    match counter.map(|counter| &counter.window) {
        Some(Window::Rolling { length_ms }) => *length_ms,
        _ => 0,
    }
}
