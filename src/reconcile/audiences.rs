//! Uploaded lists from the database to the engine: before a revision that asks for them is activated,
//! and whenever a campaign's state is rebuilt.

use backon::Retryable;

use crate::campaign::Campaign;
use crate::engine::{self, EngineError};
use crate::lua::audiences::{Put, Target, put_reply};
use crate::lua::keys::Shard;
use crate::lua::{Args, fixed};
use crate::plan::{AudienceRef, Layers};
use crate::revision::Revision;

use super::{RebuildError, Reconcile};

/// Buckets read from the database at a time: a third of a MiB for most lists.
const PAGE: u32 = 256;
/// Tries of a call that may be repeated whatever became of it before.
pub(super) const TRIES: usize = 5;

/// Who puts lists next to a shard.
#[derive(Clone, Copy)]
pub(super) enum WritePermit<'a> {
    /// Anybody, while the gate is open.
    Open,
    /// The rebuilder, under its token, to the one server it rebuilds; `lease` is to be kept.
    Rebuild {
        token: &'a str,
        incarnation: &'a str,
        lease: &'a str,
    },
}

impl Reconcile {
    /// Puts every list of a revision next to every shard of its campaign, unless it is there already, and has the
    /// shard's buckets last as long as the revision needs them. Behind a closed gate nothing is done: the rebuild that
    /// opens it brings all of that along.
    pub async fn provide(&self, campaign: &Campaign, revision: &Revision) -> Result<(), RebuildError> {
        for number in 0..campaign.shards {
            let shard = Shard::new(&campaign.id, number);
            self.prolong(&shard, campaign, revision).await?;
            self.put_audiences(&shard, campaign, revision, WritePermit::Open)
                .await?;
        }
        Ok(())
    }

    pub(super) async fn put_audiences(
        &self,
        shard: &Shard,
        campaign: &Campaign,
        revision: &Revision,
        permit: WritePermit<'_>,
    ) -> Result<(), RebuildError> {
        for (audience, list) in &revision.audiences {
            let target = Target {
                uid: &campaign.uid,
                token: match permit {
                    WritePermit::Open => "",
                    WritePermit::Rebuild { token, .. } => token,
                },
                audience,
                list,
                changed: None,
                expires_at: revision.schedule.expires_at(),
            };
            let put = self.ask(shard, &target, permit).await?;
            let put = match (put, &list.layers) {
                (Put::Incomplete, None) => self.put_audience(shard, &target, list.version, permit).await?,
                (Put::Incomplete, Some(layers)) => self.put_layers(shard, &target, layers, permit).await?,
                (put, _) => put,
            };
            if let Put::Fenced(there) = put {
                return refused(permit, there.is_some());
            }
        }
        Ok(())
    }

    /// Whether a version is there, and stays as long as it has to.
    async fn ask(
        &self,
        shard: &Shard,
        target: &Target<'_>,
        permit: WritePermit<'_>,
    ) -> Result<Put, RebuildError> {
        match permit {
            // What a rebuild finds may have holes: it writes everything again.
            WritePermit::Rebuild { .. } => Ok(Put::Incomplete),
            WritePermit::Open => self.put(shard, permit, target.ask()).await,
        }
    }

    /// The version that was uploaded whole, unless it is there already; then each bucket that changed since; and that this is all.
    async fn put_layers(
        &self,
        shard: &Shard,
        target: &Target<'_>,
        layers: &Layers,
        permit: WritePermit<'_>,
    ) -> Result<Put, RebuildError> {
        let base = Target {
            list: &target.list.base(),
            ..*target
        };
        let mut put = self.ask(shard, &base, permit).await?;
        if put == Put::Incomplete {
            // The row of that version may be gone; its buckets are kept for this one.
            put = self
                .put_audience(shard, &base, target.list.version, permit)
                .await?;
        }
        for (number, (bucket, version)) in layers.changed.iter().enumerate() {
            if let Put::Fenced(_) = put {
                return Ok(put);
            }
            if number % PAGE as usize == 0 {
                self.still_ours(permit).await?;
            }
            let list = AudienceRef::whole(*version, target.list.buckets);
            let one = Target {
                list: &list,
                changed: Some(*bucket),
                ..*target
            };
            let members = self
                .store
                .audience_buckets(target.audience, target.list.version, *bucket, 1)
                .await?;
            put = self.put_page(shard, &one, permit, 0, &members).await?;
        }
        match put {
            Put::Fenced(_) => Ok(put),
            _ => self.put(shard, permit, target.complete()).await,
        }
    }

    /// A version that was uploaded whole: `of` itself, or the one that `of` was made from.
    async fn put_audience(
        &self,
        shard: &Shard,
        target: &Target<'_>,
        of: u32,
        permit: WritePermit<'_>,
    ) -> Result<Put, RebuildError> {
        let begun = tokio::time::Instant::now();
        let (mut first, mut said) = (0, Put::Incomplete);
        let mut page = self.page(target.audience, of, first).await?;
        while !page.is_empty() {
            let next = first + page.len() as u32;
            // The database reads the next page while the engine takes this one.
            let put = self.put_page(shard, target, permit, first, &page);
            let (put, following) = futures_util::try_join!(put, self.page(target.audience, of, next))?;
            if let Put::Fenced(_) = put {
                return Ok(put);
            }
            (first, page, said) = (next, following, put);
            self.still_ours(permit).await?;
        }
        tracing::info!(
            campaign = shard.campaign,
            shard = shard.number,
            audience = target.audience,
            version = target.list.version,
            buckets = target.list.buckets,
            took_ms = begun.elapsed().as_millis() as u64,
            "list loaded"
        );
        Ok(said)
    }

    async fn still_ours(&self, permit: WritePermit<'_>) -> Result<(), RebuildError> {
        match permit {
            WritePermit::Rebuild { lease, .. } if !self.hold(lease).await? => Err(RebuildError::Elsewhere),
            _ => Ok(()),
        }
    }

    /// Empty at the end of the list.
    async fn page(&self, audience: &str, of: u32, first: u32) -> Result<Vec<Vec<u8>>, RebuildError> {
        Ok(self.store.audience_base(audience, of, first, PAGE).await?)
    }

    /// What the engine said last, or first of all that it put nothing there.
    async fn put_page(
        &self,
        shard: &Shard,
        target: &Target<'_>,
        permit: WritePermit<'_>,
        first: u32,
        page: &[Vec<u8>],
    ) -> Result<Put, RebuildError> {
        let mut said = Put::Incomplete;
        for args in target.put(first, page) {
            said = self.put(shard, permit, args).await?;
            if let Put::Fenced(_) = said {
                break;
            }
        }
        Ok(said)
    }

    async fn put(&self, shard: &Shard, permit: WritePermit<'_>, args: Args) -> Result<Put, RebuildError> {
        let (script, key) = (&fixed::AUDIENCE, shard.state());
        let run = || {
            let args = args.clone();
            match permit {
                WritePermit::Open => self.engine.run(script, &key, args),
                WritePermit::Rebuild { incarnation, .. } => {
                    self.engine.run_on(incarnation, script, &key, args)
                }
            }
        };
        let is_passing =
            |error: &EngineError| error.is_transient() && !matches!(error, EngineError::Changed { .. });
        let reply = run
            .retry(engine::tries(TRIES))
            .when(is_passing)
            .notify(|error, _| tracing::debug!(%error, "a part of a list is put again"))
            .await;
        Ok(put_reply(reply?)?)
    }
}

/// The engine put nothing there. `foreign`: it holds another campaign's state.
fn refused(permit: WritePermit<'_>, foreign: bool) -> Result<(), RebuildError> {
    match permit {
        _ if foreign => Err(RebuildError::Foreign),
        WritePermit::Open => Ok(()),
        WritePermit::Rebuild { .. } => Err(RebuildError::Elsewhere),
    }
}
