//! Being asked to stop: the first signal starts the drain, a second one ends at once.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Exit code of a process ended by a second signal: 128 + SIGINT.
const INTERRUPTED: i32 = 130;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// SIGTERM: an orchestrator, beside which a balancer has to learn that nobody should be sent here.
    Terminate,
    /// Ctrl-C: somebody who waits.
    Interrupt,
}

/// Tells every part of the process that it is time to stop.
#[derive(Clone, Debug)]
pub(crate) struct Shutdown(watch::Receiver<Option<Asked>>);

impl Shutdown {
    /// Listens for SIGTERM and Ctrl-C from now on.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let (stop, stopped) = watch::channel(None);
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        tokio::spawn(wait(terminate, interrupt, stop));
        Ok(Self(stopped))
    }

    /// Resolves when the process is asked to stop.
    pub(crate) async fn asked(mut self) {
        // An error means that the listener is gone, which only happens while the process ends.
        let _ = self.0.wait_for(Option::is_some).await;
    }

    /// How much of `delay` a process that was asked to stop goes on for: nothing of it for somebody at a terminal.
    pub(crate) fn delay(&self, delay: Duration) -> Duration {
        match *self.0.borrow() {
            Some(Asked::Terminate) => delay,
            Some(Asked::Interrupt) | None => Duration::ZERO,
        }
    }
}

async fn wait(mut terminate: Signal, mut interrupt: Signal, stop: watch::Sender<Option<Asked>>) {
    let asked = either(&mut terminate, &mut interrupt).await;
    tracing::info!("stopping; a second signal ends at once");
    let _ = stop.send(Some(asked));
    either(&mut terminate, &mut interrupt).await;
    #[expect(clippy::exit, reason = "a second signal means at once")]
    std::process::exit(INTERRUPTED);
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> Asked {
    tokio::select! {
        _ = terminate.recv() => Asked::Terminate,
        _ = interrupt.recv() => Asked::Interrupt,
    }
}
