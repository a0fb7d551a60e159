//! Topics that landers landed once and this configuration does not: what is left in them lands nowhere.

use std::collections::BTreeSet;

use crate::bus::Producer;
use crate::bus::kafka::KafkaProducer;
use crate::store::Store;

/// Tells topics that the database has offsets of, that are not landed here, and that hold records which have not landed.
/// Their prefix was changed, or their delay; they may also be another deployment's, which then shares the database.
pub(super) async fn tell(store: &Store, kafka: &KafkaProducer, landed_here: &[&str]) {
    let Ok(known) = store.landed_topics().await else {
        // The database has told its trouble elsewhere.
        return;
    };
    let known: BTreeSet<String> = known.into_iter().collect();
    for topic in known
        .iter()
        .filter(|topic| !landed_here.contains(&topic.as_str()))
    {
        // A topic that is gone holds nothing.
        let Ok(ends) = kafka.high_watermarks(topic).await else {
            continue;
        };
        let offsets = store.offsets(topic).await.unwrap_or_default();
        let left = |(partition, end): (&i32, &i64)| {
            let next = offsets.get(partition).copied().unwrap_or(0);
            u64::try_from(end - next).unwrap_or(0)
        };
        let records: u64 = ends.iter().map(left).sum();
        if records > 0 {
            tracing::error!(
                topic,
                records,
                "records of this topic have not landed, and no topic of this configuration (kafka.prefix, \
                 landing.retry_delays) is called so: run a lander with the configuration it belongs to"
            );
        }
    }
}
