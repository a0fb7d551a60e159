//! Batches that brokers refused, from the processes' logs: librdkafka tries them again and tells it only there.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

/// The option that makes librdkafka tell it.
pub const OPTION: &str = "debug=msg";
/// As `src/bus/kafka/delivery.rs` writes it.
const REFUSED: &str = "kafka refused a batch";
const FIRST: &str = "first=true";

/// How many batches were refused, by whatever error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Refused {
    pub batches: u64,
    /// Of those, each of a producer of which the partition had taken nothing yet.
    pub first: u64,
}

/// Counts them in all logs of a folder.
pub fn count(logs: &Path) -> Result<Refused> {
    let mut refused = Refused::default();
    for entry in std::fs::read_dir(logs)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            for line in BufReader::new(File::open(path)?).lines() {
                add(&mut refused, &line?);
            }
        }
    }
    Ok(refused)
}

fn add(refused: &mut Refused, line: &str) {
    if line.contains(REFUSED) {
        refused.batches += 1;
        refused.first += u64::from(line.contains(FIRST));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_batches_are_told_from_others() {
        let mut refused = Refused::default();
        for line in [
            "INFO kafka refused a batch first=true librdkafka=o [3]: MessageSet with 4 message(s)",
            "INFO kafka refused a batch first=false librdkafka=o [3]: MessageSet with 4 message(s)",
            "INFO relay: the outbox keeps the entry first=true",
        ] {
            add(&mut refused, line);
        }
        assert_eq!(refused, Refused { batches: 2, first: 1 });
    }
}
