//! Whether the user may run what the scripts run. Asked of every connection before anything is decided on it: Redis checks
//! rights command by command in the middle of a script, and what the script wrote before is not taken back. A user who may
//! count down stock and may not write the outbox would lose every unit that is sold.

use redis::aio::MultiplexedConnection;
use redis::{RedisError, Value};

use crate::engine::embedded;
use crate::lua::Script;

/// A key of the pattern that the rights are for.
const KEY: &str = "rg:{rushgate.rights}:state";

/// Answers the commands that the user may not run on the keys of this pattern, itself only reading. A server that cannot be
/// asked so is left to say it later.
const ASK: &str = "#!lua flags=no-writes,allow-stale\n\
local missing = {}\n\
if redis.acl_check_cmd then\n\
\x20 for _, name in ipairs(ARGV) do\n\
\x20   if not redis.acl_check_cmd(name, KEYS[1]) then missing[#missing + 1] = name end\n\
\x20 end\n\
end\n\
return missing\n";

/// Fails with the commands that are missing.
pub(super) async fn check(connection: &mut MultiplexedConnection) -> Result<(), String> {
    let script = Script::new("rights", ASK.to_owned());
    let mut load = redis::cmd("SCRIPT");
    load.arg("LOAD").arg(&script.text);
    let mut ask = redis::cmd("EVALSHA");
    ask.arg(&script.sha1).arg(1).arg(KEY);
    embedded::commands().for_each(|name| {
        ask.arg(name);
    });
    for command in [load, ask] {
        let answered = connection.send_packed_command(&command).await;
        let missing = match answered.and_then(Value::extract_error) {
            Ok(Value::Array(missing)) => missing,
            Ok(_) => continue,
            Err(error) => return Err(refused(&error)),
        };
        let names: Vec<String> = missing.into_iter().filter_map(name).collect();
        if !names.is_empty() {
            return Err(format!(
                "NOPERM: the user may not run {} on the keys rg:*",
                names.join(", ")
            ));
        }
    }
    Ok(())
}

fn refused(error: &RedisError) -> String {
    format!("the question what the user may do: {error}")
}

fn name(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}
