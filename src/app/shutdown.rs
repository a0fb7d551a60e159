//! Being asked to stop: the first signal starts the drain, a second Ctrl-C ends at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Exit code of a process ended by a second Ctrl-C: 128 + SIGINT.
const INTERRUPTED: i32 = 130;

/// Tells every part of the process that it is time to stop.
#[derive(Clone, Debug)]
pub(super) struct Shutdown(watch::Receiver<bool>);

impl Shutdown {
    /// Listens for SIGTERM and Ctrl-C from now on.
    pub(super) fn listen() -> std::io::Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        tokio::spawn(wait(terminate, interrupt, stop));
        Ok(Self(stopped))
    }

    /// Resolves when the process is asked to stop.
    pub(super) async fn asked(mut self) {
        // An error means that the listener is gone, which only happens while the process ends.
        let _ = self.0.wait_for(|stop| *stop).await;
    }
}

async fn wait(mut terminate: Signal, mut interrupt: Signal, stop: watch::Sender<bool>) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping; Ctrl-C again ends at once");
    let _ = stop.send(true);
    interrupt.recv().await;
    std::process::exit(INTERRUPTED);
}
