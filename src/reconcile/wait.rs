//! What a rebuild waits for behind the closed gate: that the database knows every order which was ever
//! admitted and survived.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::RebuildError;
use super::work::Work;

/// How long this gateway's own orders may take to be acknowledged before the watermark is read: those
/// of campaigns that are open keep coming.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);
/// Partitions named in an error.
const NAMED_MAX: usize = 5;

impl Work<'_> {
    /// The outbox is empty, and everything on the bus has landed or is among the dead letters.
    pub(super) async fn wait_for_the_database(&self) -> Result<(), RebuildError> {
        let drained = || {
            async {
                let entries = self.status().await?.outbox;
                Ok((entries > 0).then(|| {
                    format!(
                        "the outbox to drain: it has {entries} entries, which a gateway sends on as soon as \
                         Kafka takes them"
                    )
                }))
            }
            .boxed()
        };
        self.wait_until(drained).await?;
        // What gateways had in hand and the outbox no longer has is to be below the watermark: this one's is
        // waited for, the others' gets its time.
        let flushed = self.reconcile.producer.flush(FLUSH_LIMIT);
        futures_util::join!(flushed, tokio::time::sleep(self.reconcile.config.grace));
        self.hold().await?;
        let topic = self.reconcile.producer.orders_topic();
        let marks = self.reconcile.producer.high_watermarks(topic).await?;
        let landed = || {
            async {
                let landed = self.reconcile.store.offsets(topic).await?;
                Ok(behind(topic, &marks, &landed))
            }
            .boxed()
        };
        self.wait_until(landed).await
    }

    /// Waits until `missing` names nothing any more, keeping the lease.
    async fn wait_until<'a>(
        &self,
        missing: impl Fn() -> BoxFuture<'a, Result<Option<String>, RebuildError>>,
    ) -> Result<(), RebuildError> {
        let config = &self.reconcile.config;
        let begun = tokio::time::Instant::now();
        while let Some(what) = missing().await? {
            if begun.elapsed() > config.patience {
                return Err(RebuildError::Patience {
                    what,
                    waited: config.patience,
                });
            }
            self.hold().await?;
            tokio::time::sleep(config.poll).await;
        }
        Ok(())
    }
}

/// Which partitions have not landed up to their marks.
fn behind(topic: &str, marks: &BTreeMap<i32, i64>, landed: &BTreeMap<i32, i64>) -> Option<String> {
    let at = |partition| landed.get(partition).copied().unwrap_or(0);
    let late: Vec<String> = marks
        .iter()
        .filter(|(partition, mark)| at(partition) < **mark)
        .map(|(partition, mark)| format!("partition {partition} is at {} of {mark}", at(partition)))
        .collect();
    if late.is_empty() {
        return None;
    }
    let more = match late.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named = late[..late.len().min(NAMED_MAX)].join(", ");
    Some(format!(
        "landing to pass the watermark of {topic}: {named}{more}; is `rushgate land` running?"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_that_are_behind_are_named_with_how_far() {
        let marks = BTreeMap::from([(0, 0), (1, 450), (2, 10)]);
        assert_eq!(behind("o", &marks, &BTreeMap::from([(1, 450), (2, 11)])), None);
        let text = behind("o", &marks, &BTreeMap::from([(1, 120)])).expect("two are behind");
        assert!(
            text.contains("partition 1 is at 120 of 450, partition 2 is at 0 of 10;"),
            "{text}"
        );
        let many = (0..9).map(|partition| (partition, 1)).collect();
        let text = behind("o", &many, &BTreeMap::new()).expect("all are behind");
        assert!(text.contains("partition 4 is at 0 of 1 and 4 more;"), "{text}");
    }
}
