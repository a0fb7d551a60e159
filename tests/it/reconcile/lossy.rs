//! A bus that loses what it acknowledges, when told to: as a client does that takes a later success for an earlier one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use rushgate::bus::embedded::EmbeddedProducer;
use rushgate::bus::{Acknowledge, BusError, Forward, Outbound, Producer};

pub struct Lossy {
    inner: Arc<EmbeddedProducer>,
    losing: AtomicBool,
    lost: Mutex<Vec<Outbound>>,
}

impl Lossy {
    pub fn over(inner: Arc<EmbeddedProducer>) -> Self {
        Self {
            inner,
            losing: AtomicBool::new(false),
            lost: Mutex::default(),
        }
    }

    pub fn lose(&self, losing: bool) {
        self.losing.store(losing, Ordering::SeqCst);
    }

    /// Payloads of what was lost so far.
    pub fn lost(&self) -> Vec<Vec<u8>> {
        let lost = self.lost.lock().expect("no panic holds this lock");
        lost.iter().map(|record| record.payload.clone()).collect()
    }

    /// The partitions they were for.
    pub fn lost_partitions(&self) -> Vec<Option<i32>> {
        let lost = self.lost.lock().expect("no panic holds this lock");
        lost.iter().map(|record| record.partition).collect()
    }

    /// What was lost turns up after all.
    pub fn find_again(&self) {
        let found = std::mem::take(&mut *self.lost.lock().expect("no panic holds this lock"));
        self.inner.publish(found, Box::new(|_| {}));
    }
}

impl Producer for Lossy {
    fn publish(&self, batch: Vec<Outbound>, acknowledge: Acknowledge) {
        if self.losing.load(Ordering::SeqCst) {
            self.lost.lock().expect("no panic holds this lock").extend(batch);
            return acknowledge(Ok(()));
        }
        self.inner.publish(batch, acknowledge);
    }

    fn forward(&self, records: Vec<Forward>, acknowledge: Acknowledge) {
        self.inner.forward(records, acknowledge);
    }

    fn in_flight(&self) -> usize {
        self.inner.in_flight()
    }

    fn flush(&self, limit: Duration) -> BoxFuture<'_, bool> {
        self.inner.flush(limit)
    }

    fn high_watermarks<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<BTreeMap<i32, i64>, BusError>> {
        self.inner.high_watermarks(topic)
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), BusError>> {
        self.inner.ping()
    }
}
