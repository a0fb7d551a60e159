//! Going on where the log does not hold what the database expects: told, written down, and read on.
//!
//! Records can be removed before they have landed (retention, an operator), and a topic can be made anew or lose its tail.
//! Waiting would not bring anything back, and would hold up the orders behind.

use super::Landing;
use super::wait::End;
use crate::clock::now_ms;
use crate::record::Gap;

impl Landing {
    /// Moves the database's offset past every gap the consumer stands at. One that could not be written is told again.
    pub(super) fn close_gaps(&mut self) -> Result<(), End> {
        for gap in self.consumer.gaps() {
            let (topic, store) = (self.config.topic.clone(), self.store.clone());
            match self.drive(store.close_gap(&topic, &gap, now_ms()))? {
                Ok(Some(missing)) => self.tell(&gap, missing),
                // Whoever moved it says so; the consumer reads on from there.
                Ok(None) => {}
                Err(error) => self.trouble("landing waits for the database", error.to_string()),
            }
        }
        Ok(())
    }

    fn tell(&self, gap: &Gap, missing: u64) {
        let Gap {
            partition,
            expected,
            low,
            high,
        } = *gap;
        let (topic, next) = (&self.config.topic, gap.next());
        if missing == 0 && expected < low {
            // Nothing is lost, so nothing is counted.
            tracing::warn!(
                topic,
                partition,
                expected,
                log_start = low,
                log_end = high,
                next,
                "the offset was set back to records that Kafka no longer holds; all of them had been taken in before. \
                 Landing goes on at the log's beginning"
            );
            return;
        }
        self.metrics.gaps.inc();
        self.metrics.missing.inc_by(missing);
        if missing > 0 {
            tracing::error!(
                topic,
                partition,
                expected,
                log_start = low,
                log_end = high,
                missing,
                next,
                "records were removed from Kafka before they landed: landing goes on behind them. They are the last \
                 `missing` before `log_start`; nothing says that landing ever came so far. Their orders are still held \
                 in Redis: `rushgate reconcile` names them"
            );
        } else {
            tracing::error!(
                topic,
                partition,
                expected,
                log_start = low,
                log_end = high,
                next,
                "the log ended before what had landed: the topic was made anew or lost records. All of it has been read \
                 again; landing goes on at its end"
            );
        }
    }
}
