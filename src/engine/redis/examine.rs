//! Looks at a server without using it: what it is, how it keeps what it is told, and what this user may do there.

use std::path::PathBuf;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ConnectionAddr, ErrorKind, RedisError, Value};

use super::{Redis, incarnation, link};
use crate::lua::Script;

/// Every key of rushgate begins so.
const KEY_PREFIX: &str = "rg:{doctor.0}:";
const RIGHTS: &str = include_str!("rights.lua");

/// Where a URL leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    Tcp { host: String, port: u16, tls: bool },
    Socket(PathBuf),
}

/// Why a server cannot be looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// It is there and does not let this user in.
    #[error("{0}")]
    Login(String),
    /// No connection, or none that both sides understand.
    #[error("{0}")]
    Broken(String),
    /// This user may not run the command.
    #[error("{1}")]
    NotAllowed(&'static str, String),
}

/// What a server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerFacts {
    /// `Redis 7.0.15`, `Valkey 8.1.0`.
    pub product: String,
    /// The version of Redis that it speaks like, major and minor.
    pub version: (u32, u32),
    /// The address of the master, where this is a replica.
    pub master: Option<String>,
    pub is_sentinel: bool,
    pub is_cluster: bool,
    /// Still reads its data.
    pub is_loading: bool,
    /// Bytes; 0: no limit.
    pub memory_max: u64,
    pub memory_used: u64,
    /// `noeviction`, `allkeys-lru`, …
    pub memory_policy: String,
    pub appendonly: bool,
    /// `always`, `everysec`, `no`; `None` where this user may not ask.
    pub appendfsync: Option<String>,
    /// The last write of its log or snapshot failed.
    pub write_failed: bool,
}

/// What this user lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lacking {
    /// Commands, as an ACL names them.
    pub commands: Vec<String>,
    /// Whether keys that begin with `rg:` are closed to it.
    pub keys: bool,
    /// What else was answered to a command that every server knows.
    pub other: Option<String>,
}

/// A connection that is only there to look.
pub struct Examination {
    connection: MultiplexedConnection,
}

impl Redis {
    /// Where the URL leads.
    pub fn place(&self) -> Place {
        // The URL was checked when this was made.
        let Ok(target) = link::target(&self.config) else {
            return Place::Socket(self.address.clone().into());
        };
        match target.addr() {
            ConnectionAddr::Tcp(host, port) => Place::Tcp {
                host: host.clone(),
                port: *port,
                tls: false,
            },
            ConnectionAddr::TcpTls { host, port, .. } => Place::Tcp {
                host: host.clone(),
                port: *port,
                tls: true,
            },
            ConnectionAddr::Unix(path) => Place::Socket(path.clone()),
            other => Place::Socket(other.to_string().into()),
        }
    }

    /// Who logs in.
    pub fn user(&self) -> String {
        let target = link::target(&self.config).ok();
        let login = target
            .as_ref()
            .and_then(|target| target.redis_settings().username());
        login.unwrap_or("default").to_owned()
    }

    /// Connects as the engine does, and logs in.
    pub async fn examine(&self, limit: Duration) -> Result<Examination, Closed> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(limit))
            .set_response_timeout(Some(limit));
        let client = link::client(&self.config).map_err(Closed::Broken)?;
        let made = client.get_multiplexed_async_connection_with_config(&config);
        let connection = made.await.map_err(closed)?;
        let mut examination = Examination { connection };
        examination.ask("ping", &redis::cmd("PING")).await?;
        Ok(examination)
    }
}

impl Examination {
    async fn ask(&mut self, command: &'static str, cmd: &Cmd) -> Result<Value, Closed> {
        let answer = self.connection.send_packed_command(cmd).await;
        answer
            .and_then(Value::extract_error)
            .map_err(|error| match error.code() {
                Some("NOPERM") => Closed::NotAllowed(command, error.to_string()),
                _ => closed(error),
            })
    }

    /// What the server says of itself.
    pub async fn server(&mut self) -> Result<ServerFacts, Closed> {
        // What the engine asks at every connection has to be allowed, whatever else may be.
        let named = self.ask("info", &incarnation::ask()).await?;
        incarnation::read(Ok(named)).map_err(Closed::Broken)?;
        let info = match self.ask("info", &redis::cmd("INFO")).await? {
            Value::BulkString(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Value::VerbatimString { text, .. } => text,
            other => return Err(Closed::Broken(format!("INFO answered {other:?}"))),
        };
        let mut facts = read_info(&info);
        let mut asked = redis::cmd("CONFIG");
        asked.arg("GET").arg("appendfsync");
        if let Ok(Value::Array(words)) = self.ask("config|get", &asked).await
            && let Some(Value::BulkString(value)) = words.get(1)
        {
            facts.appendfsync = Some(String::from_utf8_lossy(value).into_owned());
        }
        Ok(facts)
    }

    /// The server's clock, milliseconds since 1970-01-01 UTC.
    pub async fn clock(&mut self) -> Result<i64, Closed> {
        let time = self.ask("time", &redis::cmd("TIME")).await?;
        let (seconds, micros): (i64, i64) =
            redis::from_redis_value(time).map_err(|error| Closed::Broken(error.to_string()))?;
        Ok(seconds * 1000 + micros / 1000)
    }

    /// Tries every command that rushgate needs, on a key of its own; `token` makes it one that nobody else has.
    pub async fn lacking(&mut self, token: &str) -> Result<Lacking, Closed> {
        let script = Script::new("rights", RIGHTS.to_owned());
        let mut lacking = Lacking::default();
        let mut load = redis::cmd("SCRIPT");
        load.arg("LOAD").arg(&script.text);
        let loaded = self.ask("script|load", &load).await;
        lacking.note(loaded.as_ref().err())?;
        let mut run = redis::cmd("EVALSHA");
        run.arg(&script.sha1).arg(1).arg(format!("{KEY_PREFIX}{token}"));
        match self.ask("evalsha", &run).await {
            Ok(Value::Array(refused)) => lacking.read(&refused),
            // Without SCRIPT LOAD it is not there: that it may be called is known.
            Err(Closed::Broken(text)) if loaded.is_err() && text.to_uppercase().contains("NOSCRIPT") => {}
            Ok(other) => lacking.other = Some(format!("EVALSHA answered {other:?}")),
            Err(error) => lacking.note(Some(&error))?,
        }
        Ok(lacking)
    }
}

impl Lacking {
    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn note(&mut self, error: Option<&Closed>) -> Result<(), Closed> {
        match error {
            None => Ok(()),
            Some(Closed::NotAllowed(_, text)) if is_of_key(text) => {
                self.keys = true;
                Ok(())
            }
            Some(Closed::NotAllowed(command, _)) => {
                self.commands.push((*command).to_owned());
                Ok(())
            }
            Some(other) => Err(other.clone()),
        }
    }

    /// Pairs of command and error, as the script answers them.
    fn read(&mut self, refused: &[Value]) {
        let text = |value: &Value| match value {
            Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => format!("{other:?}"),
        };
        for pair in refused.chunks_exact(2) {
            let (command, error) = (text(&pair[0]).to_lowercase(), text(&pair[1]));
            match is_of_rights(&error) {
                true if is_of_key(&error) => self.keys = true,
                true => self.commands.push(command),
                false => self.other = Some(format!("{command}: {error}")),
            }
        }
    }
}

/// What a script is told, and what everybody else is.
fn is_of_rights(error: &str) -> bool {
    ["NOPERM", "permissions", "The user executing the script can't"]
        .iter()
        .any(|words| error.contains(words))
}

/// Redis says of a command that it may not run it, and of a key that it may not access it.
fn is_of_key(error: &str) -> bool {
    error.contains("keys") || error.contains("a key")
}

fn closed(error: RedisError) -> Closed {
    let login = error.kind() == ErrorKind::AuthenticationFailed
        || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "DENIED"));
    match login {
        true => Closed::Login(error.to_string()),
        false => Closed::Broken(error.to_string()),
    }
}

fn read_info(info: &str) -> ServerFacts {
    let field = |name: &str| {
        let mut lines = info.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(there, _)| *there == name);
        found.map_or("", |(_, value)| value.trim())
    };
    let number = |name: &str| field(name).parse::<u64>().unwrap_or(0);
    let speaks = field("redis_version");
    let product = match field("valkey_version") {
        "" => format!("Redis {speaks}"),
        valkey => format!("Valkey {valkey}"),
    };
    let mut parts = speaks.split('.').map(|part| part.parse().unwrap_or(0));
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    let is_replica = field("role") == "slave";
    let failed = |name: &str| field(name) == "err";
    ServerFacts {
        product,
        version,
        master: is_replica.then(|| format!("{}:{}", field("master_host"), field("master_port"))),
        is_sentinel: field("redis_mode") == "sentinel",
        is_cluster: field("cluster_enabled") == "1",
        is_loading: field("loading") == "1",
        memory_max: number("maxmemory"),
        memory_used: number("used_memory"),
        memory_policy: field("maxmemory_policy").to_owned(),
        appendonly: field("aof_enabled") == "1",
        appendfsync: None,
        write_failed: failed("aof_last_write_status") || failed("rdb_last_bgsave_status"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_read_off_its_info() {
        let facts = read_info(
            "# Server\r\nredis_version:7.2.4\r\nvalkey_version:8.1.0\r\nredis_mode:standalone\r\n\
             # Memory\r\nused_memory:5\r\nmaxmemory:100\r\nmaxmemory_policy:noeviction\r\n\
             # Persistence\r\nloading:0\r\naof_enabled:1\r\naof_last_write_status:ok\r\nrdb_last_bgsave_status:err\r\n\
             # Replication\r\nrole:slave\r\nmaster_host:m\r\nmaster_port:6380\r\n# Cluster\r\ncluster_enabled:0\r\n",
        );
        let expected = ServerFacts {
            product: "Valkey 8.1.0".into(),
            version: (7, 2),
            master: Some("m:6380".into()),
            memory_max: 100,
            memory_used: 5,
            memory_policy: "noeviction".into(),
            appendonly: true,
            write_failed: true,
            ..ServerFacts::default()
        };
        assert_eq!(facts, expected);
        assert_eq!(read_info("redis_version:6.2.14\r\n").version, (6, 2));
    }

    #[test]
    fn what_a_user_lacks_is_read_off_the_refusals() {
        let text = |text: &str| Value::BulkString(text.into());
        let mut lacking = Lacking::default();
        lacking.read(&[
            text("XADD"),
            text("NOPERM User shop has no permissions to run the 'xadd' command"),
            text("GET"),
            text("NOPERM No permissions to access a key"),
            text("HGET"),
            text("ERR The user executing the script can't run this command or subcommand"),
            text("SET"),
            text("READONLY You can't write against a read only replica."),
        ]);
        assert_eq!(lacking.commands, ["xadd", "hget"]);
        assert!(lacking.keys);
        assert!(
            lacking
                .other
                .is_some_and(|other| other.starts_with("set: READONLY"))
        );
    }

    #[test]
    fn every_command_of_the_scripts_is_tried() {
        for command in crate::engine::embedded::commands() {
            assert!(RIGHTS.contains(&format!("try('{command}'")), "{command}");
        }
    }
}
