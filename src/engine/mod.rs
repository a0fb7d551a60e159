//! The engine seam: runs admission scripts, in Redis or in an in-process Lua 5.1 over an in-memory
//! keyspace. Both run the same text and answer the same [`Reply`].

pub mod embedded;
pub mod redis;

use std::time::Duration;

use backon::ConstantBuilder;
use futures_util::future::BoxFuture;

use crate::lua::reply::Reply;
use crate::lua::{Args, Script};

/// Why a script gave no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The call never reached the engine: nothing was decided.
    #[error("{engine} at {address} is not reachable: {cause}")]
    Unreachable {
        engine: &'static str,
        address: String,
        cause: String,
    },
    /// The call was sent and the reply lost: it may have been decided. Asking again with the same
    /// order ids finds out.
    #[error("the connection to {engine} at {address} broke with a call in flight: {cause}")]
    Unknown {
        engine: &'static str,
        address: String,
        cause: String,
    },
    /// The engine refused before running it (loading, out of memory, read-only replica).
    #[error("{engine} refuses for now: {cause}")]
    Refused { engine: &'static str, cause: String },
    /// The connection leads to another server than the caller asked for: it restarted, or another took
    /// over. Nothing ran.
    #[error("{engine} is not the server that was asked for: it restarted, or another one took over")]
    Changed { engine: &'static str },
    /// The script itself failed: a defect, never the caller's fault.
    #[error("script {script}: {cause}")]
    Script { script: &'static str, cause: String },
}

impl EngineError {
    /// Whether the same call may succeed a moment later.
    pub fn is_transient(&self) -> bool {
        !matches!(self, Self::Script { .. })
    }
}

/// Tries of a call that may be repeated whatever became of it before; [`EngineError::is_transient`] says which errors are worth
/// another one.
pub const fn tries(times: usize) -> ConstantBuilder {
    ConstantBuilder::new()
        .with_delay(Duration::from_millis(200))
        .with_max_times(times.saturating_sub(1))
}

/// Runs scripts atomically, one at a time.
pub trait Engine: Send + Sync + 'static {
    /// `redis` or `embedded`: for logs and the banner.
    fn name(&self) -> &'static str;

    /// Runs a script, loading it first where the engine does not know it. `key` is KEYS[1]: the
    /// state key of the shard.
    fn run<'a>(
        &'a self,
        script: &'a Script,
        key: &'a str,
        args: Args,
    ) -> BoxFuture<'a, Result<Reply, EngineError>>;

    /// Names the memory that the current connection leads to, asking the server for it. A server that
    /// restarted, or another one that took over, has another name, however much of the data it kept.
    fn incarnation(&self) -> BoxFuture<'_, Result<String, EngineError>>;

    /// Like [`Self::run`], and only on the server of this name: [`EngineError::Changed`] elsewhere.
    fn run_on<'a>(
        &'a self,
        incarnation: &'a str,
        script: &'a Script,
        key: &'a str,
        args: Args,
    ) -> BoxFuture<'a, Result<Reply, EngineError>>;

    /// Answers when the engine does: for readiness.
    fn ping(&self) -> BoxFuture<'_, Result<(), EngineError>>;
}
