//! The clients' log: one JSON line per request with everything its sender was told, so that another program can
//! hold it against the database.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};

/// How an attempt, or its twin, ended for its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SenderOutcome {
    /// An order was named.
    Ok,
    /// A final no.
    Rejected,
    /// Given up without either.
    Unknown,
}

/// One answer, or what came instead. Times are milliseconds since 1970-01-01 UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedAnswer {
    pub at: i64,
    /// 0 where there was none.
    pub status: u16,
    /// The order's state, the reason of a rejection, `connection` or `timeout`.
    pub said: String,
    /// `host:port` that was asked.
    pub by: String,
}

/// One line: an attempt or its twin, with all its repetitions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logged {
    pub campaign: String,
    /// The `Idempotency-Key`.
    pub key: String,
    pub user: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    pub sku: String,
    pub quantity: u32,
    /// When the attempt was due.
    pub begun: i64,
    pub ended: i64,
    pub answers: Vec<LoggedAnswer>,
    pub outcome: SenderOutcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
}

impl Logged {
    /// Whether some answer called the order accepted, or further on its way.
    pub fn accepted(&self) -> bool {
        let said = |answer: &LoggedAnswer| matches!(answer.said.as_str(), "accepted" | "confirmed");
        self.answers.iter().any(said)
    }
}

/// Writes lines on a thread of its own: a slow disk does not slow the senders down.
pub(super) struct Log {
    lines: Option<Sender<String>>,
    thread: Option<JoinHandle<std::io::Result<()>>>,
}

impl Log {
    /// Without a path, nothing is kept.
    pub(super) fn open(path: Option<&Path>) -> std::io::Result<Self> {
        let Some(path) = path else {
            return Ok(Self {
                lines: None,
                thread: None,
            });
        };
        let mut file = BufWriter::new(File::create(path)?);
        let (lines, received) = mpsc::channel::<String>();
        let thread = std::thread::Builder::new()
            .name("load log".to_owned())
            .spawn(move || {
                for line in received {
                    file.write_all(line.as_bytes())?;
                    file.write_all(b"\n")?;
                }
                file.flush()
            })?;
        Ok(Self {
            lines: Some(lines),
            thread: Some(thread),
        })
    }

    pub(super) fn write(&self, logged: &Logged) {
        if let Some(lines) = &self.lines {
            let line = serde_json::to_string(logged).expect("a line is plain data");
            // The writer ended with an error, which `close` tells.
            let _ = lines.send(line);
        }
    }

    /// Waits until every line is in the file.
    pub(super) fn close(mut self) -> std::io::Result<()> {
        self.lines = None;
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(written)) => written,
            Some(Err(_)) => Err(std::io::Error::other("the thread that writes the log panicked")),
        }
    }
}
