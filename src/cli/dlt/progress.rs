//! How far a replay is, and what it came to, in words.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::Instant;

use super::line::rfc3339;
use crate::letters::{Item, Replayer, Report};

/// Between words about how far a replay is.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// How far a replay is.
pub(super) struct ReplayProgress {
    report: Report,
    /// Moments of the first and the last replay that was asked for.
    moments: Option<(i64, i64)>,
    paced: Instant,
    told: Instant,
    trial: bool,
}

impl ReplayProgress {
    pub(super) fn new(trial: bool) -> Self {
        Self {
            report: Report::default(),
            moments: None,
            paced: Instant::now(),
            told: Instant::now(),
            trial,
        }
    }

    pub(super) async fn batch(&mut self, replayer: &Replayer, items: &[Item]) -> anyhow::Result<()> {
        let done = replayer.replay(items, &mut self.paced, &mut self.report).await;
        done.with_context(|| format!("after {} replayed records", self.report.replayed))?;
        if self.told.elapsed() >= PROGRESS_EVERY {
            self.told = Instant::now();
            eprintln!("{} replayed", self.report.replayed);
        }
        Ok(())
    }

    /// Moves `at` behind the last of them.
    pub(super) async fn schedule(
        &mut self,
        replayer: &Replayer,
        items: &[Item],
        at: &mut i64,
    ) -> anyhow::Result<()> {
        let first = self.moments.map_or(*at, |(first, _)| first);
        *at = match self.trial {
            true => replayer.try_schedule(items, *at, &mut self.report)?,
            false => replayer.schedule(items, *at, &mut self.report).await?,
        };
        let last = *at - 1000 / i64::from(replayer.rate);
        self.moments = Some((first, last.max(first)));
        Ok(())
    }

    pub(super) fn done(&self, out: &mut dyn Write, nothing: &str) -> anyhow::Result<()> {
        if self.report == Report::default() {
            bail!("{nothing}");
        }
        Ok(writeln!(out, "{}", self.sentence())?)
    }

    pub(super) fn interrupted(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        writeln!(out, "{}", self.sentence())?;
        bail!("interrupted; the same command goes on with what is left")
    }

    fn sentence(&self) -> String {
        let Report {
            replayed,
            copied,
            scheduled,
            parked,
            overtaken,
        } = self.report;
        if self.trial {
            let what = match (copied, scheduled) {
                (0, 0) => format!("replay {replayed} and park {parked}"),
                (0, _) => format!("replay {scheduled} {} and park {parked}", self.when()),
                _ => format!("copy {copied}"),
            };
            return format!("would {what}; nothing was done");
        }
        let mut text = match (copied, scheduled) {
            (0, 0) => format!("{replayed} replayed"),
            (0, _) => format!("{scheduled} to be replayed {}: a lander does it", self.when()),
            _ => format!("{copied} copied; the letters stay what they are"),
        };
        if overtaken > 0 {
            text += &format!(" ({overtaken} of them moved on by landing already)");
        }
        if parked > 0 {
            text += &format!(", {parked} parked: replayed too often, see `rushgate dlt list --stage parked`");
        }
        text
    }

    fn when(&self) -> String {
        let (first, last) = self.moments.unwrap_or_default();
        format!("from {} to {}", rfc3339(first), rfc3339(last))
    }
}
