//! The Lua side: an interpreter with Redis' view of the world, and values in both directions.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use mlua::{Function, HookTriggers, Lua, LuaOptions, StdLib, Table, Value, VmState};

use super::commands::{self, CommandReply};
use super::keyspace::{Bytes, Keyspace};
use crate::lua::reply::Reply;
use crate::lua::{Args, Script};

/// Instructions one run may take before it is a defect: some seconds. The longest step of a
/// rebuild takes a few million.
const INSTRUCTIONS_MAX: u64 = 500_000_000;
/// Instructions between two looks at the limit.
const HOOK_EVERY: u32 = 100_000;
/// Bytes Lua may hold.
const MEMORY_MAX: usize = 512 * 1024 * 1024;
/// Compiled scripts kept; revisions come and go.
const CACHED_MAX: usize = 256;
/// Arrays inside arrays of one reply.
const REPLY_DEPTH_MAX: usize = 8;

/// An interpreter with its compiled scripts. Runs one script at a time.
pub(super) struct Machine {
    lua: Lua,
    runner: Function,
    compiled: HashMap<String, Function>,
    instructions: Arc<AtomicU64>,
    #[cfg_attr(not(feature = "testing"), expect(dead_code, reason = "suites count commands"))]
    commands: Arc<AtomicU64>,
}

impl Machine {
    pub(super) fn new(keys: Arc<Mutex<Keyspace>>) -> mlua::Result<Self> {
        let libraries = StdLib::STRING | StdLib::TABLE | StdLib::MATH;
        let lua = Lua::new_with(libraries, LuaOptions::new())?;
        lua.set_memory_limit(MEMORY_MAX)?;
        let commands = Arc::new(AtomicU64::new(0));
        let ran = commands.clone();
        let raw = lua.create_function(move |lua, (args, count): (Table, usize)| {
            ran.fetch_add(1, Ordering::Relaxed);
            let mut keys = keys.lock().expect("no panic holds this lock");
            let answer = words(&args, count)?.and_then(|words| commands::run(&mut keys, &words));
            match answer {
                Ok(answer) => to_lua(lua, answer),
                Err(text) => error_table(lua, &text),
            }
        })?;
        let host = lua
            .load(include_str!("host.lua"))
            .set_name("=host")
            .set_mode(mlua::chunk::ChunkMode::Text);
        let runner = host.call(raw)?;
        let instructions = Arc::new(AtomicU64::new(0));
        let counted = instructions.clone();
        lua.set_hook(
            HookTriggers::new().every_nth_instruction(HOOK_EVERY),
            move |_, _| {
                let so_far = counted.fetch_add(u64::from(HOOK_EVERY), Ordering::Relaxed);
                if so_far > INSTRUCTIONS_MAX {
                    return Err(mlua::Error::runtime("the script ran too long"));
                }
                Ok(VmState::Continue)
            },
        )?;
        Ok(Self {
            lua,
            runner,
            compiled: HashMap::new(),
            instructions,
            commands,
        })
    }

    /// Commands run so far, by all scripts.
    #[cfg(feature = "testing")]
    pub(super) fn commands(&self) -> u64 {
        self.commands.load(Ordering::Relaxed)
    }

    /// The error is text for a person: the script is at fault.
    pub(super) fn run(&mut self, script: &Script, key: &str, args: &Args) -> Result<Reply, String> {
        self.instructions.store(0, Ordering::Relaxed);
        let outcome = self.call(script, key, args);
        outcome.unwrap_or_else(|error| Err(error.to_string()))
    }

    fn call(&mut self, script: &Script, key: &str, args: &Args) -> mlua::Result<Result<Reply, String>> {
        let function = self.compile(script)?;
        let globals = self.lua.globals();
        globals.raw_set("KEYS", [key])?;
        // One at a time: values held from Rust take room on a stack of Lua's.
        let table = self.lua.create_table_with_capacity(args.len(), 0)?;
        for (index, arg) in args.iter().enumerate() {
            table.raw_set(index + 1, self.lua.create_string(arg)?)?;
        }
        globals.raw_set("ARGV", table)?;
        let (ok, reply): (bool, Value) = self.runner.call(function)?;
        if !ok {
            return Ok(Err(reply.to_string()?));
        }
        from_lua(reply, 0)
    }

    fn compile(&mut self, script: &Script) -> mlua::Result<Function> {
        if let Some(function) = self.compiled.get(&script.sha1) {
            return Ok(function.clone());
        }
        // The first line is Redis' alone; its place stays, so that line numbers agree.
        let text = match script.text.strip_prefix("#!lua") {
            Some(rest) => rest.find('\n').map_or("", |end| &rest[end..]),
            None => script.text.as_str(),
        };
        let chunk = self
            .lua
            .load(text)
            .set_name(format!("={}", script.name))
            .set_mode(mlua::chunk::ChunkMode::Text);
        let function = chunk.into_function()?;
        if self.compiled.len() >= CACHED_MAX {
            self.compiled.clear();
        }
        self.compiled.insert(script.sha1.clone(), function.clone());
        Ok(function)
    }
}

/// Arguments of a command as bytes; numbers are written as Redis writes them (`%.17g`).
fn words(args: &Table, count: usize) -> mlua::Result<Result<Vec<Bytes>, String>> {
    let mut words = Vec::with_capacity(count);
    for index in 1..=count {
        words.push(match args.raw_get(index)? {
            Value::String(text) => text.as_bytes().to_vec(),
            Value::Integer(n) => n.to_string().into_bytes(),
            Value::Number(n) if n.fract() == 0.0 && n.abs() < 1e17 => format!("{n:.0}").into_bytes(),
            Value::Number(n) => format!("{n:e}").into_bytes(),
            _ => {
                return Ok(Err(
                    "ERR Lua redis lib command arguments must be strings or integers".into(),
                ));
            }
        });
    }
    Ok(Ok(words))
}

/// Redis' conversion: nil is `false`, a status a table with `ok`.
fn to_lua(lua: &Lua, reply: CommandReply) -> mlua::Result<Value> {
    Ok(match reply {
        CommandReply::Nil => Value::Boolean(false),
        CommandReply::Int(n) => Value::Number(n as f64),
        CommandReply::Bulk(bytes) => Value::String(lua.create_string(bytes)?),
        CommandReply::Array(parts) => {
            let table = lua.create_table_with_capacity(parts.len(), 0)?;
            for (index, part) in parts.into_iter().enumerate() {
                table.raw_set(index + 1, to_lua(lua, part)?)?;
            }
            Value::Table(table)
        }
        CommandReply::Status(text) => {
            let table = lua.create_table()?;
            table.raw_set("ok", text)?;
            Value::Table(table)
        }
    })
}

fn error_table(lua: &Lua, text: &str) -> mlua::Result<Value> {
    let table = lua.create_table()?;
    table.raw_set("err", text)?;
    Ok(Value::Table(table))
}

/// Redis' conversion back: numbers lose their fraction, a table ends at its first nil, `false` is
/// nil. An error reply anywhere is the run's error.
fn from_lua(value: Value, depth: usize) -> mlua::Result<Result<Reply, String>> {
    Ok(Ok(match value {
        Value::String(text) => Reply::Bulk(text.as_bytes().to_vec()),
        Value::Integer(n) => Reply::Int(n),
        Value::Number(n) => Reply::Int(n as i64),
        Value::Boolean(true) => Reply::Int(1),
        Value::Table(table) => {
            if depth == REPLY_DEPTH_MAX {
                return Ok(Err("reached the stack limit of the reply".into()));
            }
            if let Value::String(text) = table.raw_get("err")? {
                return Ok(Err(text.to_string_lossy()));
            }
            if let Value::String(text) = table.raw_get("ok")? {
                return Ok(Ok(Reply::Bulk(text.as_bytes().to_vec())));
            }
            let mut parts = Vec::with_capacity(table.raw_len());
            loop {
                let part: Value = table.raw_get(parts.len() + 1)?;
                if part.is_nil() {
                    break;
                }
                match from_lua(part, depth + 1)? {
                    Ok(part) => parts.push(part),
                    Err(text) => return Ok(Err(text)),
                }
            }
            Reply::Array(parts)
        }
        _ => Reply::Nil,
    }))
}
