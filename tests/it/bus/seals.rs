//! Seals over a real broker: what a producer with keys sends verifies where it is read, and nothing else does.

use rushgate::bus::origin::ATTEMPTS;
use rushgate::bus::sealed::{self, Seal};
use rushgate::bus::{Forward, Halt};
use rushgate::seal::{Key, Keyring};

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_producer_with_keys_sends_is_sealed() {
    let plain = fresh().await;
    let key = Key::new("a".parse().expect("an id"), &[1; 32]).expect("a key");
    let keys = Arc::new(Keyring::new(vec![key]).expect("a ring"));
    let config = Config {
        seal: Some(keys.clone()),
        ..plain.clone()
    };
    let producer = KafkaProducer::new(config.clone()).expect("made");
    let batch = ["spring/alice", "spring/bob"].map(|key| outbound(key, "ours"));
    assert_eq!(acknowledged(&publish(&producer, batch.to_vec())), Ok(()));
    let (sender, answer) = mpsc::channel();
    let moved = Forward {
        topic: config.topic.clone(),
        partition: Some(2),
        key: b"spring/bob".to_vec(),
        payload: b"moved".to_vec(),
        headers: vec![(ATTEMPTS.to_owned(), vec![1])],
    };
    producer.forward(vec![moved], Box::new(move |result| drop(sender.send(result))));
    assert_eq!(acknowledged(&answer), Ok(()));
    let other = KafkaProducer::new(plain).expect("made");
    let theirs = publish(&other, vec![outbound("spring/eve", "theirs")]);
    assert_eq!(acknowledged(&theirs), Ok(()));

    let mut consumer = KafkaConsumer::new(config.clone(), from_beginning()).expect("made");
    let mut seen = Vec::new();
    for slice in read(&mut consumer, 4) {
        for record in &slice.records {
            let at = |partition| sealed::read(Some(&keys), &config.topic, partition, record);
            let text = String::from_utf8_lossy(&record.payload).into_owned();
            match text.as_str() {
                "theirs" => assert_eq!(at(slice.partition), Seal::Missing),
                _ => assert_eq!(at(slice.partition), Seal::Genuine, "{text}"),
            }
            if text == "moved" {
                assert_eq!(slice.partition, 2);
                assert!(matches!(at(3), Seal::Wrong(_)), "it was meant for partition 2");
            }
            seen.push(text);
        }
    }
    seen.sort();
    assert_eq!(seen, ["moved", "ours", "ours", "theirs"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_that_is_halted_sends_nothing_and_has_sent_everything_before() {
    let halt = Halt::default();
    let config = Config {
        halt: halt.clone(),
        ..fresh().await
    };
    // The other one of the same process.
    let (producer, other) = (config.clone(), config.clone());
    let producer = KafkaProducer::new(producer).expect("made");
    let other = KafkaProducer::new(other).expect("made");
    let many = (0..500).map(|n| outbound(&format!("spring/{n}"), "before"));
    let before = publish(&producer, many.collect());
    halt.halt("no key".to_owned());
    assert_eq!(producer.halted(), Some("no key"));
    let after = publish(&other, vec![outbound("spring/alice", "after")]);
    assert_eq!(acknowledged(&after), Err(BusError::Halted("no key".to_owned())));
    // Handed over to Kafka or not: it is answered, and then nothing is under way.
    let answered = acknowledged(&before);
    let begun = Instant::now();
    while !halt.is_still() {
        assert!(begun.elapsed() < LIMIT);
        std::thread::yield_now();
    }
    let ends = producer.high_watermarks(&config.topic).await.expect("asked");
    if answered.is_ok() {
        assert_eq!(ends.values().sum::<i64>(), 500);
    }
    // What was still to be sent when nothing more was is not there later either.
    assert!(producer.flush(LIMIT).await && other.flush(LIMIT).await);
    assert_eq!(
        producer.high_watermarks(&config.topic).await.expect("asked"),
        ends
    );
}
