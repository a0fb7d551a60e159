//! What commands have in common: who runs them, and how they end.

use std::io::{self, ErrorKind, Write};

/// The process ends with this code; everything was said already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("exit code {0}")]
pub struct Exit(pub u8);

/// The name a person is known by here, where a command names no other.
pub(super) fn user() -> String {
    let named = ["USER", "LOGNAME"]
        .into_iter()
        .filter_map(|name| std::env::var(name).ok());
    named
        .into_iter()
        .find(|name| !name.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}

/// Whoever reads only the first lines has what they wanted.
pub(super) fn quiet_pipe(done: anyhow::Result<()>) -> anyhow::Result<()> {
    let done = done.and_then(|()| Ok(io::stdout().flush()?));
    match done {
        Err(error)
            if error
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe) =>
        {
            Ok(())
        }
        done => done,
    }
}
