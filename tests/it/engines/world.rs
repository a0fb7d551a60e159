//! A campaign shard on three sides at once. Whatever is asked is asked of all, and they must agree.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rushgate::campaign::{Pause, RecordVersion};
use rushgate::lua::Args;
use rushgate::lua::audiences::{self, Put};
use rushgate::lua::calls::{self, Returned};
use rushgate::lua::codec::{self, AdmitReply, InspectReply};
use rushgate::lua::emit::emit_with_shadow;
use rushgate::lua::fence::Fence;
use rushgate::lua::keys::{self, Shard};
use rushgate::lua::pause::{self, pause_args, pause_reply};
use rushgate::lua::reply::Reply;
use rushgate::lua::restore::{Restore, restore_args, restore_reply};
use rushgate::lua::{Family, Script, fixed};
use rushgate::order::Attempt;
use rushgate::plan::decision::Decision;
use rushgate::plan::eval;
use rushgate::plan::facts::Facts;
use rushgate::plan::state::State;
use rushgate::plan::{CheckContext, Plan, check};

use crate::engines::canon::{self, carried};
use crate::engines::sides::{InProcess, Real, Side, Time, with};

/// Commands of one `admit` call besides those of its attempts: the fence, the time, the outbox entry and
/// the number of admitted orders.
const BATCH_COMMANDS: u64 = 4;
/// Keys of tests never expire while the tests run, whatever year their campaigns are in: 2065.
pub const EXPIRES_AT: i64 = 3_000_000_000_000;
pub const REVISION: u32 = 7;

/// Shards of all tests together: none meets another's keys.
static SHARDS: AtomicU32 = AtomicU32::new(0);

/// A shard nobody else has.
pub fn fresh_shard(campaign: &str) -> Shard {
    Shard::new(campaign, SHARDS.fetch_add(1, Ordering::Relaxed))
}

/// Members of uploaded lists, by id.
pub type Lists = BTreeMap<String, BTreeSet<String>>;

pub struct World {
    pub family: Family,
    pub fence: Fence,
    pub redis: Real,
    pub embedded: InProcess,
    pub oracle: State,
    /// The moment of the last decision.
    pub now: i64,
    /// Attempts decided so far.
    pub decided: usize,
    time: Time,
    admitted: usize,
}

impl World {
    /// Opens a campaign with its stock, the same way a gateway does, on all sides.
    pub fn open(plan: Plan, context: CheckContext, time: Time) -> Self {
        Self::with_audiences(plan, context, time, &State::default().audiences)
    }

    pub fn with_audiences(plan: Plan, context: CheckContext, time: Time, lists: &Lists) -> Self {
        Self::with_shadow(plan, None, context, time, lists)
    }

    /// The same with a second plan in shadow.
    pub fn with_shadow(
        plan: Plan,
        shadow: Option<Plan>,
        context: CheckContext,
        time: Time,
        lists: &Lists,
    ) -> Self {
        let shard = fresh_shard(&context.campaign);
        let checked = |plan| Arc::new(check(plan, context.clone()).expect("a valid plan"));
        let (plan, shadow) = (checked(plan), shadow.map(checked));
        let family = emit_with_shadow(plan, shadow, REVISION).expect("it fits a script");
        let skus = &family.plan.context().skus;
        let oracle = State {
            stock: skus
                .iter()
                .map(|sku| (sku.id.clone(), sku.stock as i64))
                .collect(),
            audiences: lists.clone(),
            ..State::default()
        };
        let mut world = Self {
            redis: Real::new(shard.clone(), time),
            embedded: InProcess::new(shard.clone()),
            fence: Fence {
                uid: format!("uid-{}", shard.number),
                version: RecordVersion::V2,
                epoch: 1,
            },
            now: family.plan.context().schedule.opens_at,
            family,
            oracle,
            decided: 0,
            time,
            admitted: 0,
        };
        world.restore();
        world.upload(lists);
        world
    }

    pub fn sides(&mut self) -> [&mut dyn Side; 2] {
        [&mut self.redis, &mut self.embedded]
    }

    fn restore(&mut self) {
        let fence = self.fence.clone();
        let plan = self.family.plan.clone();
        let stock = self.oracle.stock.clone();
        let now = self.now;
        for side in self.sides() {
            side.set_now(now);
            let begin = restore_args(
                "token",
                Restore::Begin {
                    uid: &fence.uid,
                    expires_at: EXPIRES_AT,
                },
            );
            let finish = Restore::Finish {
                fence: &fence,
                run: "run",
                pause: Pause::default(),
                revision: REVISION,
                plan: &plan,
                stock: &stock,
                change: (0, 0),
                made: false,
            };
            let finish = with(&restore_args("token", finish), 6, EXPIRES_AT);
            for step in [begin, finish] {
                let reply = side.run(&fixed::RESTORE, step).expect("restore runs");
                assert_eq!(restore_reply(reply), Ok(true));
            }
        }
    }

    fn upload(&mut self, lists: &Lists) {
        let plan = self.family.plan.clone();
        for args in audiences::fill(plan.context(), &self.fence, lists) {
            let args = with(&args, 4, EXPIRES_AT);
            for side in self.sides() {
                let reply = side.run(&fixed::AUDIENCE, args.clone()).expect("audience runs");
                let put = audiences::put_reply(reply).expect("a reply of the ABI");
                assert!(!matches!(put, Put::Fenced(_)), "{}: {put:?}", side.name());
            }
        }
    }

    /// Decides a batch on all sides, at `now` where the time is frozen. Fails unless they agree.
    pub fn admit(&mut self, now: i64, attempts: &[Attempt]) -> Vec<Decision> {
        let args = || {
            codec::admit_args(
                &self.family,
                &self.fence,
                attempts.iter(),
                carried(attempts).as_bytes(),
            )
        };
        self.redis.set_now(now);
        let reply = self.redis.run(&self.family.admit, args()).expect("Redis decides");
        let (now_there, from_redis) = self.read(attempts, reply);
        if self.time != Time::Real {
            assert_eq!(now_there, now);
        }
        self.now = now_there;
        self.embedded.set_now(self.now);
        let commands = self.embedded.engine.commands();
        let reply = self
            .embedded
            .run(&self.family.admit, args())
            .expect("the embedded engine decides");
        self.assert_within_cost(attempts, self.embedded.engine.commands() - commands);
        let (now_there, from_embedded) = self.read(attempts, reply);
        assert_eq!(now_there, self.now);
        let expected: Vec<Decision> = attempts.iter().map(|attempt| self.decide(attempt)).collect();
        let script = &self.family.admit.text;
        assert_eq!(
            from_embedded, expected,
            "embedded and interpreter differ for {attempts:#?}\n{script}"
        );
        assert_eq!(
            from_redis, expected,
            "Redis and interpreter differ for {attempts:#?}\n{script}"
        );
        self.decided += attempts.len();
        self.admitted += expected
            .iter()
            .filter(|decision| **decision == Decision::Admitted)
            .count();
        expected
    }

    /// The interpreter's answer.
    fn decide(&mut self, attempt: &Attempt) -> Decision {
        let (plan, now) = (&self.family.plan, self.now);
        match &self.family.shadow {
            None => eval::decide(plan, REVISION, &mut self.oracle, attempt, now),
            Some(shadow) => eval::decide_with_shadow(plan, shadow, REVISION, &mut self.oracle, attempt, now),
        }
    }

    /// No call does more than the plan's bounds promise.
    fn assert_within_cost(&self, attempts: &[Attempt], commands: u64) {
        let (cost, count) = (self.family.cost, attempts.len() as u64);
        let most = BATCH_COMMANDS + u64::from(cost.commands + cost.array_commands) * count;
        assert!(
            commands <= most,
            "{commands} commands for {count} attempts; {cost:?}"
        );
        let args = codec::admit_args(
            &self.family,
            &self.fence,
            attempts.iter(),
            carried(attempts).as_bytes(),
        );
        let bytes: usize = args
            .iter()
            .skip(2)
            .map(|arg| format!("${}\r\n\r\n", arg.len()).len() + arg.len())
            .sum();
        assert!(
            bytes as u64 <= u64::from(cost.bytes + cost.array_bytes) * count,
            "{bytes} bytes; {cost:?}"
        );
    }

    fn read(&self, attempts: &[Attempt], reply: Reply) -> (i64, Vec<Decision>) {
        match codec::admit_reply(&self.family, attempts.iter(), reply).expect("a reply of the ABI") {
            AdmitReply::Decided {
                now,
                entry,
                decisions,
            } => {
                assert_eq!(entry.is_some(), decisions.contains(&Decision::Admitted));
                (now, decisions)
            }
            AdmitReply::Fenced(fence) => panic!("fenced by {fence:?}"),
        }
    }

    /// Releases an order on all sides; says whether it was still held.
    pub fn release(&mut self, attempt: &Attempt, placed_at: i64) -> bool {
        let charges = eval::charges(&self.family.plan, attempt, placed_at);
        let plan = self.family.plan.clone();
        let released = self.oracle.release(&attempt.order.to_string(), &charges);
        let fence = self.fence.clone();
        for side in self.sides() {
            let returned = Returned {
                order: attempt.order,
                user: &attempt.user,
                sku: &attempt.sku,
                units: attempt.quantity,
                charges: charges.clone(),
            };
            let args = calls::release_args(&fence, &[returned], &plan);
            let reply = side.run(&fixed::RELEASE, args).expect("release runs");
            let expected = vec![Reply::Bulk(b"ok".to_vec()), Reply::Int(i64::from(released))];
            assert_eq!(reply, Reply::Array(expected), "{}", side.name());
        }
        released
    }

    /// Pauses or resumes on all sides; what came later stays.
    pub fn pause(&mut self, pause: Pause) {
        if pause.number > self.oracle.pause.number {
            self.oracle.pause = pause;
        }
        let (args, there) = (pause_args(&self.fence.uid, pause), self.oracle.pause);
        for side in self.sides() {
            let reply = side.run(&fixed::PAUSE, args.clone()).expect("pause runs");
            assert_eq!(
                pause_reply(reply),
                Ok(pause::Put::There(there)),
                "{}",
                side.name()
            );
        }
    }

    /// What a buyer has used, by all sides.
    pub fn inspect(&mut self, attempt: &Attempt) -> Facts {
        let expected = eval::inspect(&self.family.plan, &self.oracle, attempt, self.now);
        let args = codec::inspect_args(&self.family, &self.fence, attempt);
        let (family, frozen) = (self.family.clone(), self.time != Time::Real);
        for side in self.sides() {
            // Redis' own clock has moved on since: windows may have too.
            if side.name() == "redis" && !frozen {
                continue;
            }
            let reply = side.run(&family.inspect, args.clone()).expect("inspect runs");
            match codec::inspect_reply(&family, reply).expect("a reply of the ABI") {
                InspectReply::Counted(facts) => assert_eq!(facts, expected, "{}", side.name()),
                InspectReply::Fenced(fence) => panic!("fenced by {fence:?}"),
            }
        }
        expected
    }

    /// Writes one field on both engines, as if it had always been there.
    pub fn set_field(&mut self, key: &str, field: &str, value: &str) {
        let script =
            "return redis.call('HSET', string.sub(KEYS[1], 1, -6) .. ARGV[1], ARGV[2], ARGV[3])".to_owned();
        let script = Script::new("set-field", script);
        for side in self.sides() {
            side.run(&script, Args::from([key, field, value]))
                .expect("a plain write");
        }
    }

    /// Everything all sides hold is the same.
    pub fn assert_same_state(&mut self) {
        let redis = canon::without_stream_ids(self.redis.dump());
        let embedded = canon::without_stream_ids(self.embedded.dump());
        assert_eq!(
            redis, embedded,
            "Redis and the embedded engine hold different things"
        );
        let plan = self.family.plan.clone();
        let shadow = self.family.shadow.as_deref();
        let expected = canon::live_only(&plan, shadow, self.oracle.clone(), self.now);
        assert_eq!(
            canon::as_state(&plan, shadow, &embedded, self.now),
            expected,
            "the engines and the interpreter"
        );
        let (payloads, claimed) = canon::outbox(&embedded);
        assert_eq!((payloads.len(), claimed), (self.admitted, self.admitted));
        let counted = canon::field(&embedded, keys::STATE, "admitted").map_or(0, |n| n.parse().unwrap());
        assert_eq!(counted, self.admitted);
    }
}
