//! Waiting without losing anything: idle consumers, held partitions, handed-over partitions.

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};

use super::*;

/// Keys of `foobar` and of `21`, which live in different partitions.
const KEYS: [&str; 2] = ["foobar", "21"];

fn send(producer: &KafkaProducer, key: &str, range: std::ops::Range<i32>) {
    let batch = range.map(|n| outbound(key, &n.to_string())).collect();
    assert_eq!(acknowledged(&publish(producer, batch)), Ok(()));
}

/// Numbers of one partition, in the order in which they came; every slice has to follow the one before.
#[derive(Default)]
struct Seen {
    numbers: Vec<String>,
    next: i64,
}

impl Seen {
    fn take(&mut self, partition: i32, slices: &[Slice]) {
        for slice in slices.iter().filter(|slice| slice.partition == partition) {
            assert_eq!(slice.from, self.next, "no gap, nothing twice");
            self.next = slice.next;
        }
        self.numbers.extend(texts(slices, partition));
    }
}

fn numbers(range: std::ops::Range<i32>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

/// Polls until `done`.
fn poll_until(consumer: &mut KafkaConsumer, max: usize, mut done: impl FnMut(Vec<Slice>) -> bool) {
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < LIMIT, "in vain");
        let slices = consumer.poll(max, Duration::ZERO).unwrap_or_default();
        if done(slices) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_consumer_stays_a_member_and_reads_on_where_it_was() {
    let mut config = fresh().await;
    for (name, value) in [
        ("session.timeout.ms", "6000"),
        ("heartbeat.interval.ms", "1000"),
        ("max.poll.interval.ms", "6000"),
    ] {
        config.consumer.insert(name.to_owned(), value.to_owned());
    }
    let producer = KafkaProducer::new(config.clone()).expect("made");
    send(&producer, "foobar", 0..20);
    let mut consumer = KafkaConsumer::new(config, from_beginning()).expect("made");
    let (partition, mut seen) = (JAVA_PARTITIONS[0], Seen::default());
    poll_until(&mut consumer, 5, |slices| {
        seen.take(partition, &slices);
        !seen.numbers.is_empty()
    });
    let before = consumer.state();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(7500) {
        consumer.idle(Duration::from_millis(500)).expect("no trouble");
        assert_eq!(consumer.state().paused, PARTITIONS as u64);
    }
    assert!(consumer.lost().is_empty());
    send(&producer, "foobar", 20..30);
    poll_until(&mut consumer, 5, |slices| {
        seen.take(partition, &slices);
        seen.next == 30
    });
    assert_eq!(seen.numbers, numbers(0..30));
    let after = consumer.state();
    assert_eq!((after.rebalances, after.paused), (before.rebalances, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_partition_is_read_again_in_its_time_while_others_go_on() {
    const HOLD: Duration = Duration::from_millis(800);
    let config = fresh().await;
    let producer = KafkaProducer::new(config.clone()).expect("made");
    let [held, free] = [JAVA_PARTITIONS[0], JAVA_PARTITIONS[1]];
    send(&producer, KEYS[0], 0..10);
    let mut consumer = KafkaConsumer::new(config, from_beginning()).expect("made");
    let mut first = Seen::default();
    poll_until(&mut consumer, 100, |slices| {
        first.take(held, &slices);
        first.next == 10
    });
    consumer.hold(held, 3, HOLD);
    let begun = Instant::now();
    let (mut again, mut other) = (Seen::default(), Seen::default());
    again.next = 3;
    send(&producer, KEYS[0], 10..15);
    send(&producer, KEYS[1], 0..5);
    poll_until(&mut consumer, 100, |slices| {
        again.take(held, &slices);
        other.take(free, &slices);
        other.next == 5
    });
    assert!(
        again.numbers.is_empty() && begun.elapsed() < HOLD,
        "the other one goes on"
    );
    assert_eq!(consumer.state().paused, 1);
    // An idle time in between changes nothing.
    consumer.idle(Duration::from_millis(100)).expect("no trouble");
    poll_until(&mut consumer, 100, |slices| {
        again.take(held, &slices);
        assert!(slices.is_empty() || begun.elapsed() >= HOLD, "early");
        again.next == 15
    });
    assert_eq!(again.numbers, numbers(3..15));
    assert_eq!(consumer.state().paused, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_are_handed_over_leave_their_offsets_with_kafka() {
    let config = fresh().await;
    let producer = KafkaProducer::new(config.clone()).expect("made");
    send(&producer, "foobar", 0..10);
    let mut consumer = KafkaConsumer::new(config.clone(), from_beginning()).expect("made");
    let partition = JAVA_PARTITIONS[0];
    let slices = read(&mut consumer, 10);
    assert_eq!(slices.iter().map(|slice| slice.next).max(), Some(10));
    // Too early for the next regular commit.
    consumer.commit(&[(partition, 10)]);
    let second = KafkaConsumer::new(config.clone(), from_beginning()).expect("made");
    drop(consumer);
    drop(second);
    let looker: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &config.brokers)
        .set("group.id", &config.group)
        .create()
        .expect("made");
    let mut list = TopicPartitionList::new();
    list.add_partition(&config.topic, partition);
    let committed = looker.committed_offsets(list, LIMIT).expect("answered");
    assert_eq!(committed.elements()[0].offset(), Offset::Offset(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_consumers_with_one_name_share_the_partitions() {
    let mut config = fresh().await;
    config.client_id = "lander-1".to_owned();
    let mut first = KafkaConsumer::new(config.clone(), from_beginning()).expect("made");
    poll_until(&mut first, 1, |_| true);
    let begun = Instant::now();
    while first.state().assigned < PARTITIONS as u64 {
        assert!(begun.elapsed() < LIMIT, "no partitions");
        first.poll(1, Duration::ZERO).expect("no trouble");
    }
    let mut second = KafkaConsumer::new(config, from_beginning()).expect("made");
    let half = PARTITIONS as u64 / 2;
    while (first.state().assigned, second.state().assigned) != (half, half) {
        assert!(begun.elapsed() < LIMIT, "one has them all");
        for consumer in [&mut second, &mut first] {
            consumer.poll(1, Duration::ZERO).expect("no trouble");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_read_before_the_database_has_said_from_where() {
    let config = fresh().await;
    let producer = KafkaProducer::new(config.clone()).expect("made");
    send(&producer, "foobar", 0..20);
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    let start: StartOffsets = Box::new(move |partitions| {
        // The first answers are lost with the database.
        match count.fetch_add(1, Ordering::SeqCst) {
            0..3 => Err("the database is away".to_owned()),
            _ => Ok(partitions.iter().map(|partition| (*partition, 15)).collect()),
        }
    });
    let mut consumer = KafkaConsumer::new(config, start).expect("made");
    let (mut slices, mut told) = (Vec::new(), false);
    let begun = Instant::now();
    while slices
        .iter()
        .map(|slice: &Slice| slice.records.len())
        .sum::<usize>()
        < 5
    {
        assert!(begun.elapsed() < LIMIT, "in vain");
        match consumer.poll(100, Duration::ZERO) {
            Ok(more) => slices.extend(more),
            Err(error) => told |= error.to_string().contains("the database is away"),
        }
    }
    assert!(told, "somebody has to know why nothing lands");
    assert!(asked.load(Ordering::SeqCst) > 3);
    assert_eq!(texts(&slices, JAVA_PARTITIONS[0]), numbers(15..20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_seems_too_short_holds_up_no_other_partition() {
    let config = fresh().await;
    let producer = KafkaProducer::new(config.clone()).expect("made");
    let [short, whole] = [JAVA_PARTITIONS[0], JAVA_PARTITIONS[1]];
    for key in KEYS {
        send(&producer, key, 0..20);
    }
    let start: StartOffsets = Box::new(move |partitions| {
        let offset = |partition: i32| if partition == short { 500 } else { 0 };
        Ok(partitions.iter().map(|each| (*each, offset(*each))).collect())
    });
    let mut consumer = KafkaConsumer::new(config, start).expect("made");
    let (mut first, mut second) = (Seen::default(), Seen::default());
    poll_until(&mut consumer, 100, |slices| {
        first.take(short, &slices);
        second.take(whole, &slices);
        first.next == 20 && second.next == 20
    });
    assert_eq!((first.numbers, second.numbers), (numbers(0..20), numbers(0..20)));
}
