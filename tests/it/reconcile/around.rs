//! An engine around another one: what happens before its calls, and what becomes of their answers.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rushgate::engine::{Engine, EngineError};
use rushgate::lua::reply::Reply;
use rushgate::lua::{Args, Script};

/// What stands around the calls.
pub trait Around: Send + Sync + 'static {
    fn before(&self) -> BoxFuture<'_, ()> {
        std::future::ready(()).boxed()
    }

    fn after(&self, _script: &Script, reply: Reply) -> Reply {
        reply
    }
}

pub struct Surrounded<A> {
    engine: Arc<dyn Engine>,
    pub by: A,
}

impl<A> Surrounded<A> {
    pub fn new(engine: Arc<dyn Engine>, by: A) -> Arc<Self> {
        Arc::new(Self { engine, by })
    }
}

impl<A: Around> Engine for Surrounded<A> {
    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn run<'a>(
        &'a self,
        script: &'a Script,
        key: &'a str,
        args: Args,
    ) -> BoxFuture<'a, Result<Reply, EngineError>> {
        async move {
            self.by.before().await;
            let reply = self.engine.run(script, key, args).await?;
            Ok(self.by.after(script, reply))
        }
        .boxed()
    }

    fn incarnation(&self) -> BoxFuture<'_, Result<String, EngineError>> {
        self.engine.incarnation()
    }

    fn run_on<'a>(
        &'a self,
        incarnation: &'a str,
        script: &'a Script,
        key: &'a str,
        args: Args,
    ) -> BoxFuture<'a, Result<Reply, EngineError>> {
        self.engine.run_on(incarnation, script, key, args)
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        self.engine.ping()
    }
}
