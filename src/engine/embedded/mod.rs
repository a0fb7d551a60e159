//! The embedded engine: the same scripts in an in-process Lua 5.1, over an in-memory keyspace that
//! knows exactly the commands they use. For trying, for rule tests and for simulation.

mod commands;
mod keyspace;
mod machine;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::{Engine, EngineError};
use crate::lua::reply::Reply;
use crate::lua::{Args, Script};
use keyspace::{Keyspace, Value};
use machine::Machine;

/// Every command that a script uses, in capitals.
pub fn commands() -> impl Iterator<Item = &'static str> {
    commands::names()
}

/// Now, microseconds since 1970-01-01 UTC. Asked once per script run.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// An engine without a service. Its state lives as long as the value.
pub struct Embedded {
    machine: Mutex<Machine>,
    keys: Arc<Mutex<Keyspace>>,
    clock: Clock,
    /// Its memory ends with the value, so the value's own name is that of its memory.
    incarnation: String,
}

/// What a key holds, for looking at it from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    Text(Vec<u8>),
    Hash(BTreeMap<Vec<u8>, Vec<u8>>),
    /// Id and flat fields per entry, oldest first.
    Stream(Vec<(String, Vec<Vec<u8>>)>),
}

impl Default for Embedded {
    fn default() -> Self {
        Self::new()
    }
}

impl Embedded {
    /// On the system's clock.
    pub fn new() -> Self {
        Self::with_clock(Arc::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            since.map_or(0, |since| since.as_micros() as i64)
        }))
    }

    /// On a clock of the caller's: `TIME` and every expiry follow it.
    pub fn with_clock(clock: Clock) -> Self {
        let keys = Arc::new(Mutex::new(Keyspace::default()));
        let machine = Machine::new(keys.clone()).expect("the interpreter starts from parts compiled in");
        Self {
            machine: Mutex::new(machine),
            keys,
            clock,
            incarnation: uuid::Uuid::now_v7().simple().to_string(),
        }
    }

    /// Runs a script on the calling thread. A run is a matter of microseconds.
    pub fn run_now(&self, script: &Script, key: &str, args: Args) -> Result<Reply, EngineError> {
        let mut machine = self.machine.lock().expect("no panic holds this lock");
        self.keys
            .lock()
            .expect("no panic holds this lock")
            .set_now((self.clock)());
        machine
            .run(script, key, &args)
            .map_err(|cause| EngineError::Script {
                script: script.name,
                cause,
            })
    }

    /// Commands run so far, by all scripts: to hold a plan's bound against.
    #[cfg(feature = "testing")]
    pub fn commands(&self) -> u64 {
        self.machine.lock().expect("no panic holds this lock").commands()
    }

    /// Removes keys, as losing part of the state would. Says how many there were.
    #[cfg(feature = "testing")]
    pub fn forget(&self, mut which: impl FnMut(&str) -> bool) -> usize {
        let names: Vec<String> = self.dump().into_keys().filter(|key| which(key)).collect();
        let mut keys = self.keys.lock().expect("no panic holds this lock");
        names.iter().filter(|key| keys.remove(key.as_bytes())).count()
    }

    /// Everything there is, sorted, with the expiry of each key (milliseconds since 1970-01-01 UTC).
    pub fn dump(&self) -> BTreeMap<String, (Held, Option<i64>)> {
        let mut keys = self.keys.lock().expect("no panic holds this lock");
        keys.set_now((self.clock)());
        keys.live()
            .map(|(key, value, expires_at)| {
                (
                    String::from_utf8_lossy(key).into_owned(),
                    (held(value), expires_at),
                )
            })
            .collect()
    }
}

fn held(value: &Value) -> Held {
    match value {
        Value::Text(text) => Held::Text(text.clone()),
        Value::Hash(hash) => Held::Hash(hash.clone()),
        Value::Stream(stream) => {
            let entries = stream.entries.iter();
            let id = |id| String::from_utf8_lossy(&commands::id_text(id)).into_owned();
            Held::Stream(entries.map(|(at, fields)| (id(*at), fields.clone())).collect())
        }
    }
}

impl Engine for Embedded {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn run<'a>(
        &'a self,
        script: &'a Script,
        key: &'a str,
        args: Args,
    ) -> BoxFuture<'a, Result<Reply, EngineError>> {
        async move { self.run_now(script, key, args) }.boxed()
    }

    fn incarnation(&self) -> BoxFuture<'_, Result<String, EngineError>> {
        async { Ok(self.incarnation.clone()) }.boxed()
    }

    fn run_on<'a>(
        &'a self,
        incarnation: &'a str,
        script: &'a Script,
        key: &'a str,
        args: Args,
    ) -> BoxFuture<'a, Result<Reply, EngineError>> {
        async move {
            match incarnation == self.incarnation {
                true => self.run_now(script, key, args),
                false => Err(EngineError::Changed { engine: self.name() }),
            }
        }
        .boxed()
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        async { Ok(()) }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Result<Reply, String> {
        let engine = Embedded::with_clock(Arc::new(|| 1_700_000_000_123_456));
        let script = Script::new("test", text.to_owned());
        let reply = engine.run_now(&script, "rg:{c.0}:state", Args::from([&b"one"[..], &[0, 255]]));
        reply.map_err(|error| error.to_string())
    }

    fn bulk(text: &str) -> Reply {
        Reply::Bulk(text.into())
    }

    #[test]
    fn values_are_converted_as_redis_does() {
        assert_eq!(
            run("#!lua\nreturn {1, 2.9, -2.9, 'x', true, false, {ok = 'fine'}, nil, 'unseen'}"),
            Ok(Reply::Array(vec![
                Reply::Int(1),
                Reply::Int(2),
                Reply::Int(-2),
                bulk("x"),
                Reply::Int(1),
                Reply::Nil,
                bulk("fine"),
            ]))
        );
        assert_eq!(
            run("return redis.call('GET', 'none') == false"),
            Ok(Reply::Int(1))
        );
        assert_eq!(run("return redis.call('SET', 'k', 'v').ok"), Ok(bulk("OK")));
        assert_eq!(
            run("return {KEYS[1], ARGV[1], #ARGV[2]}"),
            Ok(Reply::Array(vec![
                bulk("rg:{c.0}:state"),
                bulk("one"),
                Reply::Int(2),
            ]))
        );
        let time = Reply::Array(vec![bulk("1700000000"), bulk("123456")]);
        assert_eq!(run("return redis.call('TIME')"), Ok(time));
    }

    #[test]
    fn errors_end_the_script_and_pcall_sees_them() {
        let error = run("return redis.call('HGET', 'k')").unwrap_err();
        assert_eq!(
            error,
            "script test: ERR wrong number of arguments for 'hget' command"
        );
        assert_eq!(
            run("return redis.pcall('NOPE').err"),
            Ok(bulk("ERR unknown command 'NOPE'"))
        );
        assert!(
            run("return redis.error_reply('ERR mine')")
                .unwrap_err()
                .ends_with("ERR mine")
        );
        assert!(run("return 1 +").unwrap_err().starts_with("script test: "));
        assert!(run("local x = nil\nreturn x.y").unwrap_err().contains("test:2:"));
    }

    #[test]
    fn the_sandbox_has_no_way_out() {
        for name in [
            "os",
            "io",
            "require",
            "load",
            "loadstring",
            "dofile",
            "print",
            "debug",
            "rawset",
            "setfenv",
        ] {
            let error = run(&format!("return {name}")).unwrap_err();
            assert!(error.contains("nonexistent global variable"), "{name}: {error}");
        }
        assert!(run("leak = 1").unwrap_err().contains("readonly"));
    }

    #[test]
    fn a_script_that_never_ends_is_ended() {
        assert!(run("while true do end").unwrap_err().contains("ran too long"));
    }

    #[test]
    fn large_numbers_reach_commands_digit_by_digit() {
        let text = "redis.call('HINCRBY', 'h', 'f', 2^53 - 1) return redis.call('HGET', 'h', 'f')";
        assert_eq!(run(text), Ok(bulk("9007199254740991")));
    }
}
