//! Looks after partitions that have orders to land and no lander, though there are landers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::bus::BusError;
use crate::bus::kafka::{Config, KafkaProducer, rebalance};
use crate::flow::{Flow, Standstill};

const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A partition that stands still for longer is asked after: a group has got over a member's death by then.
const STILL_MIN: Duration = Duration::from_secs(15);
/// Landers that see the same are to act one after the other, so that one of them does.
const APART_MAX: Duration = Duration::from_secs(10);

/// Starts looking; one configuration per topic that is landed.
pub(super) fn watch(flow: Arc<Flow>, kafka: Arc<KafkaProducer>, topics: Vec<Config>) -> JoinHandle<()> {
    let long = STILL_MIN + APART_MAX.mul_f64(fastrand::f64());
    tokio::spawn(async move {
        let mut standstill = Standstill::default();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let still = standstill.find(flow.partitions(), Instant::now(), long);
            for config in &topics {
                let still = still.iter().filter(|partition| partition.topic == config.topic);
                let still: BTreeSet<i32> = still.map(|partition| partition.number).collect();
                if still.is_empty() {
                    continue;
                }
                standstill.restart(&config.topic);
                if let Err(error) = look(&kafka, config, &still).await {
                    tracing::warn!(topic = config.topic, ?still, %error, "nothing lands, and who has these partitions is not known");
                }
            }
        }
    })
}

/// Makes the group share out its partitions anew where some that stand still are nobody's.
async fn look(kafka: &KafkaProducer, config: &Config, still: &BTreeSet<i32>) -> Result<(), BusError> {
    let unassigned = kafka.unassigned(&config.topic, &config.group).await?;
    let nobodys: BTreeSet<i32> = unassigned.intersection(still).copied().collect();
    if nobodys.is_empty() {
        return Ok(());
    }
    tracing::warn!(
        topic = config.topic,
        partitions = ?nobodys,
        "no lander has these partitions, though there are landers: one died while it handed them over and came back. \
         The group is made to share them out"
    );
    let config = config.clone();
    let (done, rebalanced) = tokio::sync::oneshot::channel();
    // A plain thread: leaving a group may block, and nobody is to wait for that at the end.
    std::thread::spawn(move || done.send(rebalance(&config)));
    let gone = |_| Err(BusError::Fatal("the thread is gone".to_owned()));
    rebalanced.await.unwrap_or_else(gone)
}
