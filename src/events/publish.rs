//! Publishing changes: records in the form of CloudEvents 1.0, binary mode, acknowledged by all replicas.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::metrics::Metrics;
use super::owners::Owners;
use crate::bus::{BusError, Forward, Producer};
use crate::failpoint::{self, Point};
use crate::needs::Hooks;
use crate::order::ToldChange;
use crate::store::StoreError;
use crate::wire::Moment;

/// Changes of one part: so many are left to the producer where Kafka takes none, and are sent again.
const PART: usize = 1000;
const PATIENCE: Duration = Duration::from_secs(10);

/// Whoever sends changes to the topic.
#[derive(Clone)]
pub(super) struct Publisher {
    pub producer: Arc<dyn Producer>,
    pub topic: String,
    /// None where there are no webhooks.
    pub hooks: Option<Arc<dyn Hooks>>,
    pub owners: Owners,
    pub metrics: Metrics,
}

/// Why changes do not count as told.
#[derive(Debug, thiserror::Error)]
pub(super) enum TellError {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error("not kept for webhooks: {0}")]
    Hooks(String),
    #[error("whose campaigns they are of is not known: {0}")]
    Owners(String),
}

impl Publisher {
    /// Sends them; `Ok` once Kafka has acknowledged each, and each is kept for the webhooks that are to hear of it. After an error
    /// some may have been sent, and all are to be sent again.
    pub(super) async fn tell(&self, mut changes: Vec<ToldChange>) -> Result<(), TellError> {
        if changes.is_empty() {
            return Ok(());
        }
        let unnamed = |error: StoreError| TellError::Owners(error.to_string());
        self.owners.name(&mut changes).await.map_err(unnamed)?;
        let count = changes.len() as u64;
        let records = changes.iter().map(|change| record(&self.topic, change)).collect();
        failpoint::hit(Point::E1);
        let (answer, answered) = oneshot::channel();
        // Nobody listens any more where telling was stopped.
        self.producer
            .forward(records, Box::new(move |result| drop(answer.send(result))));
        let dropped = |_| Err(BusError::Unacknowledged("the producer dropped them".to_owned()));
        answered.await.unwrap_or_else(dropped)?;
        if let Some(hooks) = &self.hooks {
            hooks.queue(&changes).await.map_err(TellError::Hooks)?;
        }
        failpoint::hit(Point::E2);
        self.metrics.told.inc_by(count);
        Ok(())
    }
}

impl Publisher {
    /// The same, a part at a time, and for so long that whoever waits for it can say in between how late it is.
    pub(super) async fn tell_in_parts(&self, changes: &[ToldChange]) -> Result<(), TellError> {
        for part in changes.chunks(PART) {
            let told = tokio::time::timeout(PATIENCE, self.tell(part.to_vec())).await;
            told.unwrap_or_else(|_| {
                let what = format!("{} took nothing within {PATIENCE:?}", self.topic);
                Err(BusError::Unacknowledged(what).into())
            })?;
        }
        Ok(())
    }
}

/// The record of a change. What CloudEvents calls the source is the campaign, so that an id is one within it.
fn record(topic: &str, change: &ToldChange) -> Forward {
    let header = |name: &str, value: String| (name.to_owned(), value.into_bytes());
    let merchant = change
        .merchant
        .clone()
        .map(|merchant| header("ce_merchant", merchant));
    let mut headers = vec![
        header("ce_specversion", "1.0".to_owned()),
        header("ce_id", change.id()),
        header("ce_type", change.kind()),
        header("ce_source", format!("/rushgate/campaigns/{}", change.campaign)),
        header("ce_subject", change.order.to_string()),
        header("ce_time", Moment(change.at).to_string()),
        header("content-type", "application/json".to_owned()),
    ];
    headers.extend(merchant);
    Forward {
        topic: topic.to_owned(),
        partition: None,
        key: change.key().into_bytes(),
        payload: change.encode(),
        headers,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::fixture::event;

    #[test]
    fn a_record_carries_what_cloud_events_asks_for() {
        let change = ToldChange {
            merchant: Some("shop-a".into()),
            ..ToldChange::confirmed(event(1), 1_795_176_000_123)
        };
        let sent = record("shop.order-events", &change);
        assert_eq!(
            (sent.topic.as_str(), sent.partition, sent.key.as_slice()),
            ("shop.order-events", None, &b"spring/u1"[..])
        );
        let text = |name: &str| {
            let mut headers = sent.headers.iter();
            let found = headers.find(|(each, _)| each == name).expect(name);
            String::from_utf8(found.1.clone()).expect("text")
        };
        let order = change.order.to_string();
        for (name, value) in [
            ("ce_specversion", "1.0"),
            ("ce_id", &format!("{order}.1")),
            ("ce_type", "rushgate.order.confirmed"),
            ("ce_source", "/rushgate/campaigns/spring"),
            ("ce_subject", &order),
            ("ce_time", "2026-11-20T12:00:00.123Z"),
            ("content-type", "application/json"),
            ("ce_merchant", "shop-a"),
        ] {
            assert_eq!(text(name), value);
        }
        assert_eq!(ToldChange::decode(&sent.payload).expect("read"), change);
    }
}
