//! Seals over a real broker: what a producer with keys sends verifies where it is read, and nothing else does.

use rushgate::bus::Forward;
use rushgate::bus::origin::ATTEMPTS;
use rushgate::bus::sealed::{self, Seal};
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
