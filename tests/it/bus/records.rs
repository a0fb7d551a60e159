//! Records of many orders over a real broker: into the partition that is named, and landed from there, order by order.

use rushgate::bus::Forward;
use rushgate::bus::origin::Origin;
use rushgate::landing::SealConfig;
use rushgate::order::Attempt;
use rushgate::plan::eval;
use rushgate::record::{self, EntryHead, EntryId, Header, encode_payload};
use rushgate::seal::{Key, Keyring};

use super::*;

const PARTITION: i32 = 2;

/// A record of orders by `u0`, `u1` and so on, as a gateway with these keys asked for them and a relay publishes them.
fn packed(topic: &str, orders: std::ops::Range<u64>, keys: &Keyring) -> Forward {
    let (campaign, revision) = (database::campaign("spring", &[]), database::revision("spring"));
    let stored = EntryHead {
        id: EntryId { ms: 1, seq: 1 },
        shard: 0,
        epoch: 1,
        revision: 1,
        evaluator: eval::VERSION,
        at: NOW + 1000,
        first: orders.start,
    };
    let header = Header::of(&campaign, &revision, &stored);
    let payload = |n: u64| {
        let order = order(&format!("u{n}"), "1");
        let attempt = Attempt {
            order: order.order,
            user: order.user,
            sku: order.sku,
            quantity: order.quantity,
            attributes: order.attributes,
        };
        encode_payload(&attempt, NOW + 990, &header.scope(), Some(keys))
    };
    let payloads: Vec<Vec<u8>> = orders.map(payload).collect();
    Forward {
        topic: topic.to_owned(),
        partition: Some(PARTITION),
        key: header.key().into_bytes(),
        payload: record::encode(&header, payloads.iter().map(Vec::as_slice)).expect("it fits"),
        headers: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_many_orders_land_and_a_failing_order_comes_back_alone() {
    let key = Key::new("k".parse().expect("an id"), &[7; 32]).expect("a key");
    let keys = Arc::new(Keyring::new(vec![key]).expect("a ring"));
    let config = Config {
        seal: Some(keys.clone()),
        ..fresh().await
    };
    let db = database::mariadb().await;
    sale(&db.store, 1000).await;
    db.execute(
        "CREATE TRIGGER trap BEFORE INSERT ON orders FOR EACH ROW \
         IF NEW.user_id = 'u107' AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE stage = 'retry') \
         THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'the trap'; END IF",
    )
    .await;
    let verified = |level: landing::Config| landing::Config {
        seal: SealConfig {
            keys: Some(keys.clone()),
            only: true,
        },
        ..level
    };
    let levels = levels(&config).into_iter().map(verified);
    let landers: Vec<LandingHandle> = levels.map(|level| spawn(&config, &db.store, level)).collect();
    let producer = KafkaProducer::new(config.clone()).expect("made");
    let (sender, answer) = mpsc::channel();
    let sent = vec![
        packed(&config.topic, 0..100, &keys),
        packed(&config.topic, 100..300, &keys),
    ];
    producer.forward(sent, Box::new(move |result| drop(sender.send(result))));
    assert_eq!(acknowledged(&answer), Ok(()));
    let metrics: Vec<_> = landers.iter().map(LandingHandle::metrics).collect();
    until("all have landed", || {
        let landed: u64 = metrics.iter().map(|metrics| metrics.confirmed.get()).sum();
        landed == 300
    })
    .await;
    let mut told = Vec::new();
    for landing in landers {
        told.push(stop(landing).await);
    }
    assert_eq!((told[0].confirmed.get(), told[1].confirmed.get()), (299, 1));
    assert_eq!(
        (told[0].forged.get(), told[1].forged.get(), told[0].moved.total()),
        (0, 0, 1)
    );
    let marks = producer.high_watermarks(&config.topic).await.expect("asked");
    assert_eq!(marks[&PARTITION], 2, "two records, where they were sent");
    assert_eq!(
        db.number("SELECT sold FROM stock WHERE sku_id = 'shoe'").await,
        300
    );
    let row = "SELECT CAST(`partition` * 1000 + `offset` * 100 + position AS SIGNED) FROM dead_letters WHERE stage = 'landed'";
    assert_eq!(db.number(row).await, 2107);

    let reader = Config {
        topic: topics(&config).retries[0].name.clone(),
        group: format!("{}.reader", config.group),
        ..config.clone()
    };
    let mut consumer = KafkaConsumer::new(reader, from_beginning()).expect("made");
    let slices = read(&mut consumer, 1);
    let record = &slices[0].records[0];
    let origin = Origin::read(&record.headers).expect("an origin");
    assert_eq!(
        (origin.offset, origin.position, slices[0].partition),
        (1, 7, PARTITION)
    );
    assert_eq!(record.key, b"spring/u107", "alone");
}
