//! The bus seam: carries admitted orders to landing, through Kafka or in process.

pub mod embedded;
mod halt;
pub mod kafka;
pub mod origin;
pub mod sealed;
mod topics;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::BoxFuture;

pub use crate::record::Gap;
pub use halt::Halt;
#[cfg(feature = "testing")]
pub use topics::ORDER_EVENTS_TOPIC;
pub use topics::{
    DelaysError, PREFIX, PrefixError, RetryTopic, Topics, check_prefix, landing_group, orders_topic,
};

pub const ORDERS_TOPIC: &str = "rushgate.orders";
/// Where records end that cannot land.
pub const DEAD_LETTER_TOPIC: &str = "rushgate.orders.dlt";

/// One encoded order event on its way to the orders topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outbound {
    /// That of its lane. `None`: the one its key belongs to, for a campaign from before lanes had partitions. Where the
    /// topic has fewer, it goes to the one that the remainder names.
    pub partition: Option<i32>,
    /// Orders of one key go one after the other.
    pub key: String,
    pub payload: Vec<u8>,
}

/// Names and values, in order.
pub type Headers = Vec<(String, Vec<u8>)>;

/// A record on its way to a topic and partition of choice: to a retry topic, to the dead letters, or back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    pub topic: String,
    /// `None`: the one its key belongs to.
    pub partition: Option<i32>,
    pub key: Vec<u8>,
    pub payload: Vec<u8>,
    pub headers: Headers,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// Not acknowledged; it may still be in the log. The outbox keeps the entry.
    #[error("not acknowledged: {0}")]
    Unacknowledged(String),
    #[error("{brokers} not reachable: {cause}")]
    Unreachable { brokers: String, cause: String },
    /// Nobody has made the topic.
    #[error("Kafka at {brokers} has no topic {topic}: run `rushgate migrate`")]
    NoTopic { brokers: String, topic: String },
    /// A partition cannot be read; the others go on.
    #[error("{0}")]
    Unreadable(String),
    /// This client is of no use any more.
    #[error("{0}")]
    Fatal(String),
    /// Nothing was sent: this process may not any more.
    #[error("{0}")]
    Halted(String),
}

/// Called once, from any thread, and must not block: `Ok` when every order of the batch is
/// acknowledged by all in-sync replicas.
pub type Acknowledge = Box<dyn FnOnce(Result<(), BusError>) + Send>;

/// The producing side.
pub trait Producer: Send + Sync + 'static {
    /// The topic that [`Self::publish`] writes to.
    fn orders_topic(&self) -> &str {
        ORDERS_TOPIC
    }

    /// Enqueues a batch and returns at once.
    fn publish(&self, batch: Vec<Outbound>, acknowledge: Acknowledge);

    /// Like [`Self::publish`], to the topics the records name.
    fn forward(&self, records: Vec<Forward>, acknowledge: Acknowledge);

    /// Why nothing is sent any more; see [`Halt`].
    fn halted(&self) -> Option<&str> {
        None
    }

    /// Orders enqueued and not yet acknowledged.
    fn in_flight(&self) -> usize;

    /// Waits until nothing is in flight, at most `limit`; says whether that was reached.
    fn flush(&self, limit: Duration) -> BoxFuture<'_, bool>;

    /// How many partitions the topic has that [`Self::publish`] writes to; where nobody can be asked now, how many it had
    /// when that was last heard.
    fn partitions(&self) -> BoxFuture<'_, Result<u32, BusError>> {
        Box::pin(async move {
            let marks = self.high_watermarks(self.orders_topic()).await?;
            Ok(u32::try_from(marks.len()).unwrap_or(u32::MAX).max(1))
        })
    }

    /// One past the last record of every partition of a topic.
    fn high_watermarks<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<BTreeMap<i32, i64>, BusError>>;

    fn ping(&self) -> BoxFuture<'_, Result<(), BusError>>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub offset: i64,
    /// Empty where the record has none.
    pub key: Vec<u8>,
    /// Empty for a tombstone.
    pub payload: Vec<u8>,
    pub headers: Headers,
    /// Milliseconds since 1970-01-01 UTC; 0 where the record has none.
    pub timestamp: i64,
}

/// A contiguous stretch of one partition: everything from `from` up to, not including, `next`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    pub partition: i32,
    pub from: i64,
    pub next: i64,
    pub records: Vec<Record>,
}

/// What a log still holds of a stretch of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// Everything from its beginning up to, not including, `next`.
    Records { records: Vec<Record>, next: i64 },
    /// The log begins behind its beginning, or ends before its end.
    Gone,
}

/// Reads what has landed once more, as nobody's member.
pub trait Log: Send + Sync + 'static {
    /// Reads from the first offset on, up to, not including, the second one, and so many records at most.
    fn read<'a>(
        &'a self,
        topic: &'a str,
        partition: i32,
        stretch: (i64, i64),
        max: usize,
    ) -> BoxFuture<'a, Result<Held, BusError>>;
}

/// How thoroughly a partition that stands still is begun anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Anew {
    /// It is read again from the database's offset.
    Partition,
    /// The consumer leaves, and joins again with a client of its own.
    Consumer,
}

/// Where to start reading newly assigned partitions; a partition that is missing starts at 0 (or
/// the log's beginning). Called on the polling thread.
pub type StartOffsets = Box<dyn Fn(&[i32]) -> Result<BTreeMap<i32, i64>, String> + Send>;

/// How long a poll waits for a first record.
pub const IDLE_WAIT: Duration = Duration::from_millis(200);

/// What a consumer is doing, for figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerState {
    /// Partitions that are assigned.
    pub assigned: u64,
    /// Of those, partitions that are not read at the moment.
    pub paused: u64,
    /// Partitions given or taken, in turns, since the start.
    pub rebalances: u64,
}

/// The consuming side; lives on one OS thread.
pub trait Consumer: Send {
    /// Gathers up to `max` records, fewer where they are large: waits for the first one up to [`IDLE_WAIT`], then for more up to
    /// `wait`. Empty when there was nothing. Slices of partitions that were revoked meanwhile are
    /// dropped, not returned.
    fn poll(&mut self, max: usize, wait: Duration) -> Result<Vec<Slice>, BusError>;

    /// Waits for a while and reads nothing. The consumer stays a member of its group, and the next poll goes on
    /// where the last one ended. A pause throws away what was read ahead, so this is for long waits.
    fn idle(&mut self, wait: Duration) -> Result<(), BusError>;

    /// Partitions taken away since the last poll began: another consumer has or gets them, so what is in hand of
    /// them is its business.
    fn lost(&mut self) -> BTreeSet<i32>;

    /// The slices are in the database: (partition, next offset). For Kafka this serves lag tools only:
    /// the database's own offsets decide. The embedded bus acknowledges its orders with it.
    fn commit(&mut self, landed: &[(i32, i64)]);

    /// Reads a partition again from an offset: the database expected another one.
    fn seek(&mut self, partition: i32, offset: i64);

    /// Reads a partition again from an offset, but not before `wait` is over; other partitions go on.
    fn hold(&mut self, partition: i32, offset: i64, wait: Duration);

    /// Partitions that cannot be read on before the database expects another offset. Each is told again until it
    /// does. None where a log loses nothing.
    fn gaps(&mut self) -> Vec<Gap> {
        Vec::new()
    }

    /// Begins partitions anew that stand still though they have records; those that this consumer does not have are
    /// another one's business. Says whether it has any of them.
    fn begin_anew(&mut self, partitions: &BTreeSet<i32>, how: Anew) -> Result<bool, BusError> {
        let _ = (partitions, how);
        Ok(false)
    }

    fn state(&self) -> ConsumerState;
}
