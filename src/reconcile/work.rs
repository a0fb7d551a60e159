//! One attempt at a rebuild: its steps run on one server, under one token, as long as the lease is held.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::stream;
use futures_util::{StreamExt, TryStreamExt};

use super::audiences::WritePermit;
use super::{RebuildError, Reconcile};
use crate::engine::EngineError;
use crate::lua::calls::{self, ShardStatus};
use crate::lua::keys::Shard;
use crate::lua::reply::Reply;
use crate::lua::restore::{Restore, restore_args, restore_reply};
use crate::lua::{Args, Script, fixed};

/// Calls on their way at the same time: the next one arrives while the engine is at one. Orders of other campaigns wait
/// for no more than these.
const CALLS_AT_ONCE: usize = 2;

/// A rest after a call is as long as the call took, and no longer than this: what took longer was the way, not the engine.
pub(super) const REST_MAX: Duration = Duration::from_millis(3);

/// What every step of an attempt needs.
pub(super) struct Work<'a> {
    pub(super) reconcile: &'a Reconcile,
    pub(super) shard: &'a Shard,
    /// The server that everything is written to. Another one gets nothing of it.
    pub(super) incarnation: String,
    /// This attempt's alone: a call of an earlier one that arrives late finds another token.
    pub(super) token: String,
    pub(super) lease: &'a str,
    /// When the lease was last known to be held.
    pub(super) held: Mutex<Instant>,
}

impl Work<'_> {
    pub(super) async fn run(&self, script: &Script, args: Args) -> Result<Reply, EngineError> {
        let engine = &self.reconcile.engine;
        engine
            .run_on(&self.incarnation, script, &self.shard.state(), args)
            .await
    }

    pub(super) async fn status(&self) -> Result<ShardStatus, RebuildError> {
        Ok(calls::watch_reply(
            self.run(&fixed::WATCH, Args::default()).await?,
        )?)
    }

    pub(super) async fn step(&self, step: Restore<'_>) -> Result<(), RebuildError> {
        self.call(restore_args(&self.token, step)).await
    }

    /// Steps whose order does not matter.
    pub(super) async fn steps<'s>(
        &self,
        steps: impl IntoIterator<Item = Restore<'s>>,
    ) -> Result<(), RebuildError> {
        let steps = steps.into_iter();
        let all: Vec<_> = steps
            .map(|step| self.call(restore_args(&self.token, step)))
            .collect();
        stream::iter(all)
            .buffer_unordered(CALLS_AT_ONCE)
            .try_collect()
            .await
    }

    /// The same one at a time, with a rest after each: nobody waits for this campaign, and the orders of others are to
    /// feel nothing of it.
    pub(super) async fn gently<'s>(
        &self,
        steps: impl IntoIterator<Item = Restore<'s>>,
    ) -> Result<(), RebuildError> {
        let steps: Vec<_> = steps.into_iter().collect();
        for step in steps {
            let begun = Instant::now();
            self.step(step).await?;
            tokio::time::sleep(begun.elapsed().min(REST_MAX)).await;
            self.hold().await?;
        }
        Ok(())
    }

    async fn call(&self, args: Args) -> Result<(), RebuildError> {
        match restore_reply(self.run(&fixed::RESTORE, args).await?)? {
            true => Ok(()),
            false => Err(RebuildError::Elsewhere),
        }
    }

    /// Keeps the lease, which is renewed when a third of it is over; an error where another gateway has it by then.
    pub(super) async fn hold(&self) -> Result<(), RebuildError> {
        let held = || self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held().elapsed() < self.reconcile.config.lease / 3 {
            return Ok(());
        }
        let now = Instant::now();
        if !self.reconcile.hold(self.lease).await? {
            return Err(RebuildError::Elsewhere);
        }
        *held() = now;
        Ok(())
    }

    pub(super) fn permit(&self) -> WritePermit<'_> {
        WritePermit::Rebuild {
            token: &self.token,
            incarnation: &self.incarnation,
            lease: self.lease,
        }
    }
}
