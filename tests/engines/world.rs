//! A campaign shard on three sides at once. Whatever is asked is asked of all, and they must agree.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use rushgate::campaign::bucket_of;
use rushgate::engine::embedded::Embedded;
use rushgate::engine::redis::{Config, Redis};
use rushgate::engine::{Engine, EngineError};
use rushgate::lua::calls::{self, Restore};
use rushgate::lua::codec::{self, AdmitReply, Fence, InspectReply, Reply};
use rushgate::lua::emit::emit;
use rushgate::lua::keys::{self, Shard};
use rushgate::lua::{Family, Script, fixed};
use rushgate::order::Attempt;
use rushgate::plan::eval::{self, Decision, State};
use rushgate::plan::{CheckContext, Plan, check};

use crate::canon::{self, Dump};
use crate::server::Server;

/// Keys of tests never expire while the tests run, whatever year their campaigns are in: 2065.
pub const EXPIRES_AT: i64 = 3_000_000_000_000;
pub const REVISION: u32 = 7;

/// Shards of all tests together: none meets another's keys.
static SHARDS: AtomicU32 = AtomicU32::new(0);

/// Which clock Redis decides by. The embedded engine and the interpreter always get the same one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// Redis' own: the others are asked with the moment it answered.
    Real,
    /// The test's: the one line of a script that asks Redis for the time reads a key instead.
    Frozen,
}

/// An engine as the suite sees it.
pub trait Side {
    fn name(&self) -> &'static str;
    fn run(&mut self, script: &Script, args: Vec<Vec<u8>>) -> Result<Reply, EngineError>;
    fn dump(&mut self) -> Dump;
    fn sadd(&mut self, key: &str, member: &str);
    fn remove(&mut self, key: &str);
    /// `None` leaves Redis' own clock.
    fn set_now(&mut self, now: i64);
}

pub struct InProcess {
    shard: Shard,
    pub engine: Embedded,
    now: Arc<AtomicI64>,
}

impl InProcess {
    pub fn new(shard: Shard) -> Self {
        let now = Arc::new(AtomicI64::new(0));
        let clock = now.clone();
        let engine = Embedded::with_clock(Arc::new(move || clock.load(Ordering::Relaxed) * 1000 + 999));
        Self { shard, engine, now }
    }
}

impl Side for InProcess {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn run(&mut self, script: &Script, args: Vec<Vec<u8>>) -> Result<Reply, EngineError> {
        self.engine.run_now(script, &self.shard.state(), args)
    }

    fn dump(&mut self) -> Dump {
        let prefix = self.shard.prefix();
        self.engine
            .dump()
            .into_iter()
            .map(|(key, held)| (key[prefix.len()..].to_owned(), held))
            .collect()
    }

    fn sadd(&mut self, key: &str, member: &str) {
        self.engine.sadd(&(self.shard.prefix() + key), [member]);
    }

    fn remove(&mut self, key: &str) {
        let key = self.shard.prefix() + key;
        self.engine.forget(|there| there == key);
    }

    fn set_now(&mut self, now: i64) {
        self.now.store(now, Ordering::Relaxed);
    }
}

pub struct Real {
    shard: Shard,
    pub engine: Redis,
    pub raw: redis::Connection,
    runtime: tokio::runtime::Runtime,
    time: Time,
    _server: Arc<Server>,
}

impl Real {
    pub fn new(shard: Shard, time: Time) -> Self {
        let server = Server::shared();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let engine = runtime
            .block_on(Redis::connect(Config::new(server.url())))
            .expect("Redis is up");
        let client = redis::Client::open(server.url()).expect("a URL");
        let raw = client.get_connection().expect("Redis is up");
        Self {
            shard,
            engine,
            raw,
            runtime,
            time,
            _server: server,
        }
    }

    fn clock_key(&self) -> String {
        format!("clock:{}", self.shard.prefix())
    }

    fn command(&mut self, words: &[&str]) {
        let mut command = redis::Cmd::new();
        for word in words {
            command.arg(word);
        }
        command.exec(&mut self.raw).expect("a plain command");
    }
}

impl Side for Real {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn run(&mut self, script: &Script, args: Vec<Vec<u8>>) -> Result<Reply, EngineError> {
        let frozen = match self.time {
            Time::Real => None,
            Time::Frozen => {
                let clock = format!("call('LRANGE', 'clock:' .. prefix, 0, 1)");
                Some(Script::new(
                    script.name,
                    script.text.replace("call('TIME')", &clock),
                ))
            }
        };
        let state = self.shard.state();
        let run = self.engine.run(frozen.as_ref().unwrap_or(script), &state, args);
        self.runtime.block_on(run)
    }

    fn dump(&mut self) -> Dump {
        canon::read_redis(&mut self.raw, &self.shard.prefix())
    }

    fn sadd(&mut self, key: &str, member: &str) {
        self.command(&["SADD", &(self.shard.prefix() + key), member]);
    }

    fn remove(&mut self, key: &str) {
        self.command(&["DEL", &(self.shard.prefix() + key)]);
    }

    fn set_now(&mut self, now: i64) {
        if self.time == Time::Frozen {
            let key = self.clock_key();
            let (seconds, micros) = ((now / 1000).to_string(), (now % 1000 * 1000 + 999).to_string());
            self.command(&["DEL", &key]);
            self.command(&["RPUSH", &key, &seconds, &micros]);
        }
    }
}

/// A shard nobody else has.
pub fn fresh_shard(campaign: &str) -> Shard {
    Shard::new(campaign, SHARDS.fetch_add(1, Ordering::Relaxed))
}

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
        Self::with_lists(plan, context, time, &State::default().audiences)
    }

    pub fn with_lists(
        plan: Plan,
        context: CheckContext,
        time: Time,
        lists: &std::collections::BTreeMap<String, std::collections::BTreeSet<String>>,
    ) -> Self {
        let shard = fresh_shard(&context.campaign);
        let checked = check(plan, context).expect("a valid plan");
        let family = emit(Arc::new(checked), REVISION).expect("it fits a script");
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
            let begin = calls::restore_args("token", Restore::Begin { uid: &fence.uid });
            let finish = Restore::Finish {
                fence: &fence,
                revision: REVISION,
                plan: &plan,
                stock: &stock,
            };
            let mut finish = calls::restore_args("token", finish);
            finish[6] = EXPIRES_AT.to_string().into_bytes();
            for step in [begin, finish] {
                let reply = side.run(&fixed::RESTORE, step).expect("restore runs");
                assert_eq!(calls::restore_reply(reply), Ok(true));
            }
        }
    }

    fn upload(&mut self, lists: &std::collections::BTreeMap<String, std::collections::BTreeSet<String>>) {
        let plan = self.family.plan.clone();
        for (id, members) in lists {
            let Some(list) = plan.context().audiences.get(id) else {
                continue;
            };
            for member in members {
                let key = keys::audience(id, list.version, bucket_of(member.as_bytes(), list.buckets));
                self.sides().into_iter().for_each(|side| side.sadd(&key, member));
            }
        }
    }

    /// Decides a batch on all sides, at `now` where the time is frozen. Fails unless they agree.
    pub fn admit(&mut self, now: i64, attempts: &[Attempt]) -> Vec<Decision> {
        let args = || codec::admit_args(&self.family, &self.fence, attempts.iter());
        self.redis.set_now(now);
        let reply = self.redis.run(&self.family.admit, args()).expect("Redis decides");
        let (now_there, from_redis) = self.read(attempts, reply);
        if self.time == Time::Frozen {
            assert_eq!(now_there, now);
        }
        self.now = now_there;
        self.embedded.set_now(self.now);
        let reply = self
            .embedded
            .run(&self.family.admit, args())
            .expect("the embedded engine decides");
        let (now_there, from_embedded) = self.read(attempts, reply);
        assert_eq!(now_there, self.now);
        let plan = self.family.plan.clone();
        let expected: Vec<Decision> = attempts
            .iter()
            .map(|attempt| eval::decide(&plan, REVISION, &mut self.oracle, attempt, self.now))
            .collect();
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

    fn read(&self, attempts: &[Attempt], reply: Reply) -> (i64, Vec<Decision>) {
        match codec::admit_reply(&self.family, attempts.len(), reply).expect("a reply of the ABI") {
            AdmitReply::Decided {
                now,
                entry,
                decisions,
            } => {
                assert_eq!(entry.is_empty(), !decisions.contains(&Decision::Admitted));
                (now, decisions)
            }
            AdmitReply::Fenced(fence) => panic!("fenced by {fence:?}"),
        }
    }

    /// Releases an order on all sides; says whether it was still held.
    pub fn release(&mut self, attempt: &Attempt, placed_at: i64) -> bool {
        let charges = eval::charges(&self.family.plan, attempt, placed_at);
        let buckets = self.family.plan.context().buckets;
        let released = eval::release(&mut self.oracle, &attempt.order.to_string(), &charges);
        let fence = self.fence.clone();
        for side in self.sides() {
            let (sku, quantity) = (&attempt.sku, attempt.quantity);
            let args = calls::release_args(&fence, attempt.order, sku, quantity, &charges, buckets);
            let reply = side.run(&fixed::RELEASE, args).expect("release runs");
            let expected = vec![Reply::Bulk(b"ok".to_vec()), Reply::Int(i64::from(released))];
            assert_eq!(reply, Reply::Array(expected), "{}", side.name());
        }
        released
    }

    /// What a buyer has used, by all sides.
    pub fn inspect(&mut self, attempt: &Attempt) -> Vec<i64> {
        let expected = eval::inspect(&self.family.plan, &self.oracle, attempt, self.now);
        let args = codec::inspect_args(&self.family, &self.fence, attempt);
        let (family, frozen) = (self.family.clone(), self.time == Time::Frozen);
        for side in self.sides() {
            // Redis' own clock has moved on since: windows may have too.
            if side.name() == "redis" && !frozen {
                continue;
            }
            let reply = side.run(&family.inspect, args.clone()).expect("inspect runs");
            match codec::inspect_reply(&family, reply).expect("a reply of the ABI") {
                InspectReply::Counted { used, .. } => assert_eq!(used, expected, "{}", side.name()),
                InspectReply::Fenced(fence) => panic!("fenced by {fence:?}"),
            }
        }
        expected
    }

    /// Writes one field on both engines, as if it had always been there.
    pub fn set_field(&mut self, key: &str, field: &str, value: &str) {
        let script =
            format!("return redis.call('HSET', string.sub(KEYS[1], 1, -6) .. ARGV[1], ARGV[2], ARGV[3])");
        let script = Script::new("set-field", script);
        for side in self.sides() {
            let args = [key, field, value].map(|text| text.as_bytes().to_vec()).to_vec();
            side.run(&script, args).expect("a plain write");
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
        let expected = canon::live_only(&plan, self.oracle.clone(), self.now);
        assert_eq!(
            canon::as_state(&plan, &embedded, self.now),
            expected,
            "the engines and the interpreter"
        );
        let (payloads, claimed) = canon::outbox(&embedded);
        assert_eq!((payloads.len(), claimed), (self.admitted, self.admitted));
        let counted = canon::field(&embedded, keys::STATE, "admitted").map_or(0, |n| n.parse().unwrap());
        assert_eq!(counted, self.admitted);
    }
}
