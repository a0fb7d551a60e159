//! Which server a connection leads to: the run id, which every start of a server makes anew, and the replication
//! id, which a replica changes when it becomes the master.
//!
//! A server that came back with a cut log, or a replica that lagged when it took over, answers with a state
//! that looks whole. Only its name gives it away.

use redis::{Cmd, RedisError, Value};

/// `INFO` with the two sections that name the server.
pub(super) fn ask() -> Cmd {
    let mut command = redis::cmd("INFO");
    command.arg("server").arg("replication");
    command
}

/// `<run id>.<replication id>` out of the reply; what is wrong where it has none.
pub(super) fn read(outcome: Result<Value, RedisError>) -> Result<String, String> {
    let refused =
        |error: RedisError| format!("INFO, which tells one run of the server from the next: {error}");
    let text = match outcome.map_err(refused)? {
        Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Value::VerbatimString { text, .. } => text,
        other => return Err(format!("INFO answered {other:?}")),
    };
    let field = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        lines
            .find(|(there, _)| *there == name)
            .map(|(_, value)| value.trim())
    };
    match field("run_id") {
        Some(run) if !run.is_empty() => Ok(format!("{run}.{}", field("master_replid").unwrap_or_default())),
        _ => Err("INFO names no run_id: nothing would tell that the server lost its memory".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_its_run_and_its_history() {
        let info = |text: &str| read(Ok(Value::BulkString(text.into())));
        assert_eq!(
            info(
                "# Server\r\nredis_version:7.0.15\r\nrun_id:ab12\r\n# Replication\r\nmaster_replid:cd34\r\n"
            ),
            Ok("ab12.cd34".into())
        );
        assert_eq!(info("run_id:ab12\r\n"), Ok("ab12.".into()));
        for text in ["", "run_id:\r\n", "my_run_id:1\r\n"] {
            assert!(info(text).is_err(), "{text:?}");
        }
    }
}
