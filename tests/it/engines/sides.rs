//! The engines as the suite sees them: one in process, one a real Redis.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rushgate::engine::Engine;
use rushgate::engine::EngineError;
use rushgate::engine::embedded::Embedded;
use rushgate::engine::redis::{Config, Redis};
use rushgate::lua::keys::Shard;
use rushgate::lua::reply::Reply;
use rushgate::lua::{Args, Script};
use testkit::server::Server;

use crate::engines::canon::{self, Dump};

/// Which clock Redis decides by. The embedded engine and the interpreter always get the same one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// Redis' own: the others are asked with the moment it answered.
    Real,
    /// The test's: a server of its own whose clock is the test's.
    Faked,
    /// The test's: the one line of a script that asks Redis for the time reads a key instead.
    Frozen,
}

/// The same arguments but for one.
pub fn with(args: &Args, number: usize, to_be: impl std::fmt::Display) -> Args {
    let to_be = to_be.to_string();
    let each = args.iter().zip(0..);
    each.map(|(arg, at)| if at == number { to_be.as_bytes() } else { arg })
        .collect()
}

/// An engine as the suite sees it.
pub trait Side {
    fn name(&self) -> &'static str;
    fn run(&mut self, script: &Script, args: Args) -> Result<Reply, EngineError>;
    fn dump(&mut self) -> Dump;
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

    fn run(&mut self, script: &Script, args: Args) -> Result<Reply, EngineError> {
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
    server: Arc<Server>,
}

impl Real {
    pub fn new(shard: Shard, time: Time) -> Self {
        let server = match time {
            Time::Faked => Arc::new(Server::with_clock(0)),
            Time::Real | Time::Frozen => Server::shared(),
        };
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
            server,
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

    fn run(&mut self, script: &Script, args: Args) -> Result<Reply, EngineError> {
        let frozen = match self.time {
            Time::Real | Time::Faked => None,
            Time::Frozen => {
                let clock = "call('LRANGE', 'clock:' .. prefix, 0, 1)";
                Some(Script::new(
                    script.name,
                    script.text.replace("call('TIME')", clock),
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

    fn remove(&mut self, key: &str) {
        self.command(&["DEL", &(self.shard.prefix() + key)]);
    }

    fn set_now(&mut self, now: i64) {
        if self.time == Time::Faked {
            self.server.set_clock(now);
        }
        if self.time == Time::Frozen {
            let key = self.clock_key();
            let (seconds, micros) = ((now / 1000).to_string(), (now % 1000 * 1000 + 999).to_string());
            self.command(&["DEL", &key]);
            self.command(&["RPUSH", &key, &seconds, &micros]);
        }
    }
}
