//! SIGHUP: reads the configuration again, puts in force what can be, and says what cannot.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{Config, ConfigError};
use crate::telemetry;

/// Settles the configuration once more from the file, environment and flags the process was started with.
pub struct Sources(Box<dyn Fn() -> Result<Config, ConfigError> + Send + Sync>);

impl Sources {
    pub fn new(settle: impl Fn() -> Result<Config, ConfigError> + Send + Sync + 'static) -> Self {
        Self(Box::new(settle))
    }

    /// The same, with what a role changes of it.
    pub(super) fn map(self, change: impl Fn(Config) -> Config + Send + Sync + 'static) -> Self {
        Self::new(move || (self.0)().map(&change))
    }
}

/// The configuration as it is in force.
pub(super) type InForce = Arc<ArcSwap<Config>>;

/// Waits for SIGHUP.
pub(super) struct Reload {
    sources: Sources,
    hangups: Signal,
    in_force: InForce,
}

impl Reload {
    /// From now on SIGHUP does not end the process.
    pub(super) fn listen(config: &Config, sources: Sources) -> std::io::Result<Self> {
        Ok(Self {
            sources,
            hangups: signal(SignalKind::hangup())?,
            in_force: Arc::new(ArcSwap::from_pointee(config.clone())),
        })
    }

    pub(super) fn in_force(&self) -> InForce {
        self.in_force.clone()
    }

    /// Reads again at every SIGHUP, until dropped. `apply` puts a configuration in force as a whole, or says why not
    /// and changes nothing.
    pub(super) async fn run(mut self, apply: impl Fn(&Config) -> anyhow::Result<()>) {
        while self.hangups.recv().await.is_some() {
            if let Err(error) = self.once(&apply) {
                tracing::error!("SIGHUP: the configuration stays as it was: {error:#}");
            }
        }
        // No more signals come: whoever waits for this waits for something else, too.
        std::future::pending().await
    }

    fn once(&self, apply: &impl Fn(&Config) -> anyhow::Result<()>) -> anyhow::Result<()> {
        let read = (self.sources.0)()?;
        let reread = self.in_force.load().take_over(&read);
        let filter = telemetry::filter(&reread.config.log.level)?;
        apply(&reread.config)?;
        telemetry::put_in_force(filter);
        reread.config.warn();
        self.in_force.store(Arc::new(reread.config));
        tracing::info!(changed = ?reread.applied, "SIGHUP: the configuration was read again");
        if !reread.restart.is_empty() {
            tracing::warn!(keys = ?reread.restart, "SIGHUP: these take effect with the next start");
        }
        Ok(())
    }
}
