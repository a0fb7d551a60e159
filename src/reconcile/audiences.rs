//! Uploaded lists from the database to the engine: before a revision that asks for them is activated,
//! and whenever a campaign's state is rebuilt.

use backon::Retryable;

use crate::campaign::Campaign;
use crate::engine::{self, EngineError};
use crate::lua::audiences::{Put, Target, put_reply};
use crate::lua::keys::Shard;
use crate::lua::{Args, fixed};
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
                expires_at: revision.schedule.expires_at(),
            };
            // What a rebuild finds may have holes: it writes everything again.
            let put = match permit {
                WritePermit::Rebuild { .. } => Put::Incomplete,
                WritePermit::Open => self.put(shard, permit, target.ask()).await?,
            };
            match put {
                Put::Complete => {}
                Put::Incomplete => self.put_audience(shard, &target, permit).await?,
                Put::Fenced(there) => return refused(permit, there.is_some()),
            }
        }
        Ok(())
    }

    async fn put_audience(
        &self,
        shard: &Shard,
        target: &Target<'_>,
        permit: WritePermit<'_>,
    ) -> Result<(), RebuildError> {
        let begun = tokio::time::Instant::now();
        let mut first = 0;
        let mut page = self.page(target, first).await?;
        while !page.is_empty() {
            let next = first + page.len() as u32;
            // The database reads the next page while the engine takes this one.
            let put = self.put_page(shard, target, permit, first, &page);
            let (put, following) = futures_util::try_join!(put, self.page(target, next))?;
            if let Put::Fenced(there) = put {
                return refused(permit, there.is_some());
            }
            (first, page) = (next, following);
            if let WritePermit::Rebuild { lease, .. } = permit
                && !self.hold(lease).await?
            {
                return Err(RebuildError::Elsewhere);
            }
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
        Ok(())
    }

    /// Empty at the end of the list.
    async fn page(&self, target: &Target<'_>, first: u32) -> Result<Vec<Vec<u8>>, RebuildError> {
        let Target { audience, list, .. } = target;
        let page = self.store.audience_buckets(audience, list.version, first, PAGE);
        Ok(page.await?)
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
