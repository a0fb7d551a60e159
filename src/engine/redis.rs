//! The Redis engine: EVALSHA over one multiplexed connection, made when first needed and again after
//! it broke. Every failure is told apart by whether the script may have run, and every connection knows
//! which server it leads to before anybody uses it.

mod config;
mod examine;
mod incarnation;
mod link;
mod rights;

use std::sync::{Arc, Mutex};
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, RedisError, ServerErrorKind, Value};

use super::{Engine, EngineError};
use crate::failpoint::{self, Point};
use crate::lua::reply::Reply;
use crate::lua::{Args, Script};
use config::without_secrets;
pub use config::{Config, Tls};
pub use examine::{Closed, Examination, Lacking, Place, ServerFacts};

const NAME: &str = "redis";

/// The code of a server that was made a replica: its history is another's from now on, so the connection is
/// given up and the next one asks for its name again.
const DEMOTED: &str = "READONLY";

/// Codes of error replies that mean "not now": the script did not start.
const REFUSALS: [&str; 13] = [
    "LOADING",
    "OOM",
    DEMOTED,
    "BUSY",
    "MASTERDOWN",
    "CLUSTERDOWN",
    "TRYAGAIN",
    "MISCONF",
    "NOREPLICAS",
    "NOAUTH",
    "NOPERM",
    "MOVED",
    "ASK",
];

/// A connection in use.
#[derive(Clone)]
struct Link {
    /// Tells it from the ones before.
    number: u64,
    connection: MultiplexedConnection,
    /// Which server it leads to, as the server said last.
    incarnation: Arc<Mutex<String>>,
}

impl Link {
    fn leads_to(&self, incarnation: &str) -> bool {
        *self.incarnation.lock().expect("no panic holds this lock") == incarnation
    }
}

/// What connecting leaves behind for those who waited meanwhile.
#[derive(Default)]
struct Connecting {
    made: u64,
    failed: Option<(Instant, String)>,
}

/// One Redis (or Valkey) server.
pub struct Redis {
    config: Config,
    /// Host and port or socket path: for errors.
    address: String,
    current: Mutex<Option<Link>>,
    /// Held while connecting, so that one call does it and the others get its outcome.
    connecting: tokio::sync::Mutex<Connecting>,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Redis {
    /// Without connecting. Fails only where the URL, or a file it needs, cannot be used.
    pub fn new(config: Config) -> Result<Self, EngineError> {
        let client = link::client(&config).map_err(|cause| EngineError::Unreachable {
            engine: NAME,
            address: without_secrets(&config.url),
            cause,
        })?;
        let address = client.get_connection_info().addr().to_string();
        Ok(Self {
            config,
            address,
            current: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
        })
    }

    /// Connects once, so that a wrong address is known at start.
    #[cfg(feature = "testing")]
    pub async fn connect(config: Config) -> Result<Self, EngineError> {
        let redis = Self::new(config)?;
        redis.ping().await?;
        Ok(redis)
    }

    fn there(&self) -> Option<Link> {
        self.current.lock().expect("no panic holds this lock").clone()
    }

    async fn link(&self) -> Result<Link, EngineError> {
        if let Some(there) = self.there() {
            return Ok(there);
        }
        let asked = Instant::now();
        let mut connecting = self.connecting.lock().await;
        if let Some(there) = self.there() {
            return Ok(there);
        }
        if let Some((_, cause)) = connecting.failed.as_ref().filter(|(at, _)| *at >= asked) {
            return Err(self.unreachable(cause));
        }
        // The handshake after the TCP connection has a limit too.
        let limit = self.config.connect_timeout + self.config.response_timeout;
        let outcome = match tokio::time::timeout(limit, self.shake_hands()).await {
            Ok(outcome) => outcome,
            Err(_) => Err("connecting timed out".into()),
        };
        match outcome {
            Ok((connection, incarnation)) => {
                connecting.made += 1;
                let link = Link {
                    number: connecting.made,
                    connection,
                    incarnation: Arc::new(Mutex::new(incarnation)),
                };
                *self.current.lock().expect("no panic holds this lock") = Some(link.clone());
                Ok(link)
            }
            Err(cause) => {
                let cause = link::explained(&cause, &self.config);
                connecting.failed = Some((Instant::now(), cause.clone()));
                Err(self.unreachable(&cause))
            }
        }
    }

    /// Connects, and asks the server for its name and the user's rights before anybody else asks it anything.
    async fn shake_hands(&self) -> Result<(MultiplexedConnection, String), String> {
        let client = link::client(&self.config)?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.config.connect_timeout))
            .set_response_timeout(Some(self.config.response_timeout));
        let made = client.get_multiplexed_async_connection_with_config(&config);
        let mut connection = made.await.map_err(|error| error.to_string())?;
        let info = connection.send_packed_command(&incarnation::ask()).await;
        let incarnation = incarnation::read(info.and_then(Value::extract_error))?;
        rights::check(&mut connection).await?;
        Ok((connection, incarnation))
    }

    /// Leaves a broken connection to those who still wait on it; the next call makes a new one.
    fn forget(&self, number: u64) {
        let mut current = self.current.lock().expect("no panic holds this lock");
        if current.as_ref().is_some_and(|there| there.number == number) {
            *current = None;
        }
    }

    async fn call(&self, link: &Link, command: &Cmd) -> Result<Value, RedisError> {
        let mut connection = link.connection.clone();
        let outcome = connection
            .send_packed_command(command)
            .await
            .and_then(Value::extract_error);
        failpoint::hit(Point::G2);
        if let Err(error) = &outcome
            && is_over(error)
        {
            self.forget(link.number);
        }
        outcome
    }

    /// All of it on one connection: what the caller knows of the server holds to the end.
    async fn evaluate(
        &self,
        link: &Link,
        script: &Script,
        key: &str,
        args: &Args,
    ) -> Result<Reply, EngineError> {
        let mut command = Cmd::with_capacity(4 + args.len(), 64 + key.len() + args.bytes());
        command.arg("EVALSHA").arg(&script.sha1).arg(1).arg(key);
        for arg in args.iter() {
            command.arg(arg);
        }
        match self.call(link, &command).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {}
            outcome => return self.reply(script, outcome),
        }
        let mut load = redis::cmd("SCRIPT");
        load.arg("LOAD").arg(&script.text);
        if let Err(error) = self.call(link, &load).await {
            return Err(match self.failure(script, &error) {
                // Only the loading is unknown: nothing was decided.
                EngineError::Unknown { cause, .. } => self.unreachable(&cause),
                other => other,
            });
        }
        let outcome = self.call(link, &command).await;
        self.reply(script, outcome)
    }

    fn reply(&self, script: &Script, outcome: Result<Value, RedisError>) -> Result<Reply, EngineError> {
        let value = outcome.map_err(|error| self.failure(script, &error))?;
        to_reply(value).ok_or_else(|| EngineError::Script {
            script: script.name,
            cause: "a reply of a kind no script makes".into(),
        })
    }

    fn failure(&self, script: &Script, error: &RedisError) -> EngineError {
        if is_refusal(error) || error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) {
            return EngineError::Refused {
                engine: NAME,
                cause: error.to_string(),
            };
        }
        match error.kind() {
            ErrorKind::Server(_) | ErrorKind::Extension => EngineError::Script {
                script: script.name,
                cause: error.to_string(),
            },
            _ => EngineError::Unknown {
                engine: NAME,
                address: self.address.clone(),
                cause: error.to_string(),
            },
        }
    }

    fn unreachable(&self, cause: &str) -> EngineError {
        EngineError::Unreachable {
            engine: NAME,
            address: self.address.clone(),
            cause: cause.to_owned(),
        }
    }
}

/// Whether the connection is of no further use.
fn is_over(error: &RedisError) -> bool {
    let broken = (error.is_io_error() || error.is_unrecoverable_error()) && !is_refusal(error);
    broken || error.code() == Some(DEMOTED)
}

fn is_refusal(error: &RedisError) -> bool {
    error.code().is_some_and(|code| REFUSALS.contains(&code))
}

/// `None` for the kinds that only RESP3 has.
fn to_reply(value: Value) -> Option<Reply> {
    Some(match value {
        Value::Nil => Reply::Nil,
        Value::Int(n) => Reply::Int(n),
        Value::BulkString(bytes) => Reply::Bulk(bytes),
        Value::SimpleString(text) => Reply::Bulk(text.into_bytes()),
        Value::Okay => Reply::Bulk(b"OK".to_vec()),
        Value::Array(parts) => Reply::Array(parts.into_iter().map(to_reply).collect::<Option<_>>()?),
        _ => return None,
    })
}

impl Engine for Redis {
    fn name(&self) -> &'static str {
        NAME
    }

    fn run<'a>(
        &'a self,
        script: &'a Script,
        key: &'a str,
        args: Args,
    ) -> BoxFuture<'a, Result<Reply, EngineError>> {
        async move { self.evaluate(&self.link().await?, script, key, &args).await }.boxed()
    }

    fn incarnation(&self) -> BoxFuture<'_, Result<String, EngineError>> {
        async {
            let link = self.link().await?;
            let info = self.call(&link, &incarnation::ask()).await;
            let incarnation = incarnation::read(info).map_err(|cause| self.unreachable(&cause))?;
            *link.incarnation.lock().expect("no panic holds this lock") = incarnation.clone();
            Ok(incarnation)
        }
        .boxed()
    }

    fn run_on<'a>(
        &'a self,
        incarnation: &'a str,
        script: &'a Script,
        key: &'a str,
        args: Args,
    ) -> BoxFuture<'a, Result<Reply, EngineError>> {
        async move {
            let link = self.link().await?;
            if !link.leads_to(incarnation) {
                return Err(EngineError::Changed { engine: NAME });
            }
            self.evaluate(&link, script, key, &args).await
        }
        .boxed()
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        async {
            match self.call(&self.link().await?, &redis::cmd("PING")).await {
                Ok(_) => Ok(()),
                Err(error) if is_refusal(&error) => Err(EngineError::Refused {
                    engine: NAME,
                    cause: error.to_string(),
                }),
                Err(error) => Err(self.unreachable(&error.to_string())),
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_never_shown() {
        let config = Config::new("redis://shop:s3@cret@cache.example:6380/1");
        assert_eq!(without_secrets(&config.url), "redis://cache.example:6380/1");
        assert!(!format!("{config:?}").contains("cret"));
        assert_eq!(
            without_secrets("redis+unix:///run/r.sock?pass=s3cret"),
            "redis+unix:///run/r.sock"
        );
        let error = Redis::new(Config::new("http://shop:s3cret@cache.example")).unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
        assert!(error.to_string().contains("cache.example"), "{error}");
    }

    #[tokio::test]
    async fn nobody_listening_is_unreachable_and_names_the_address() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let error = Redis::connect(Config::new(format!("redis://:s3cret@{address}")))
            .await
            .unwrap_err();
        assert!(matches!(error, EngineError::Unreachable { .. }), "{error:?}");
        assert!(
            error.to_string().contains(&address) && !error.to_string().contains("s3cret"),
            "{error}"
        );
    }
}
