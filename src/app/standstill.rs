//! Looks after partitions that have orders to land, and of which nothing lands: says why, and heals what can be healed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::admin::Check;
use crate::bus::kafka::{Config, KafkaProducer};
use crate::bus::{Anew, BusError};
use crate::flow::{Flow, Ladder, Remedy};
use crate::landing::Nudger;

const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A partition that stands still for longer is asked after: a group has got over a member's death by then.
const STILL_MIN: Duration = Duration::from_secs(15);
/// Landers that see the same are to act one after the other, so that one of them does.
const APART_MAX: Duration = Duration::from_secs(10);
/// A lander is not ready while a partition has stood still for longer.
const UNREADY_FROM: Duration = Duration::from_secs(120);

/// One topic that is landed here.
pub(super) struct Landed {
    pub(super) kafka: Config,
    pub(super) consumers: Vec<Nudger>,
}

/// Starts looking.
pub(super) fn watch(flow: Arc<Flow>, kafka: Arc<KafkaProducer>, topics: Vec<Landed>) -> JoinHandle<()> {
    let long = STILL_MIN + APART_MAX.mul_f64(fastrand::f64());
    tokio::spawn(async move {
        let mut ladders: Vec<Ladder> = topics.iter().map(|_| Ladder::default()).collect();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let stalled = flow.stalled();
            for (topic, ladder) in topics.iter().zip(&mut ladders) {
                let own = || {
                    stalled
                        .iter()
                        .filter(|each| each.partition.topic == topic.kafka.topic)
                };
                let stillest = own().map(|each| each.still).max();
                let Some(step) = ladder.step(stillest, long, Instant::now()) else {
                    continue;
                };
                let still = own().filter(|each| each.still >= long);
                let still: BTreeSet<i32> = still.map(|each| each.partition.number).collect();
                if let Err(error) = act(&kafka, topic, &still, step).await {
                    tracing::warn!(topic = topic.kafka.topic, ?still, %error, "nothing lands, and why is not known");
                }
            }
        }
    })
}

/// Not ready while nothing lands of a partition that has orders, whoever it belongs to.
pub(super) fn check(flow: &Arc<Flow>) -> Check {
    let flow = flow.clone();
    Check {
        name: "standstill",
        ask: Box::new(move || {
            let stalled = flow.stalled();
            let longest = stalled.into_iter().max_by_key(|each| each.still);
            let answer = match longest.filter(|each| each.still >= UNREADY_FROM) {
                None => Ok(()),
                Some(each) => Err(format!(
                    "nothing of {}/{} has landed for {} s, {} records wait",
                    each.partition.topic,
                    each.partition.number,
                    each.still.as_secs(),
                    each.partition.lag
                )),
            };
            async move { answer }.boxed()
        }),
    }
}

/// Partitions that no broker leads have to wait; the others are begun anew by the consumers that have them.
async fn act(
    kafka: &KafkaProducer,
    topic: &Landed,
    still: &BTreeSet<i32>,
    step: Remedy,
) -> Result<(), BusError> {
    let config = &topic.kafka;
    let leaderless = kafka.leaderless(&config.topic).await?;
    let leaderless: BTreeSet<i32> = leaderless.intersection(still).copied().collect();
    if !leaderless.is_empty() {
        tracing::warn!(
            topic = config.topic,
            partitions = ?leaderless,
            "nothing lands of these partitions: no broker leads them. They land when their brokers are back"
        );
    }
    let readable: BTreeSet<i32> = still.difference(&leaderless).copied().collect();
    if !readable.is_empty() {
        nudge(topic, &readable, step);
    }
    Ok(())
}

/// Has the consumers of this lander begin them anew. One with a batch in hand waits for the database or for the guard:
/// it has told so itself, and nothing else is wrong with it.
fn nudge(topic: &Landed, still: &BTreeSet<i32>, step: Remedy) {
    let how = match step {
        Remedy::Partitions => Anew::Partition,
        Remedy::Consumers => Anew::Consumer,
    };
    for consumer in &topic.consumers {
        let state = consumer.state();
        match state.waits_for() {
            Some(what) => tracing::warn!(
                topic = topic.kafka.topic,
                partitions = ?still,
                error = state.last_error(),
                "nothing lands of these partitions; a consumer waits for {what}"
            ),
            None => consumer.begin_anew(still, how),
        }
    }
}
