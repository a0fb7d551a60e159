//! Partitions of lanes over a real broker: each named by whoever publishes, the same for as long as its campaign lives.

use rushgate::bus::sealed::{self, Seal};
use rushgate::bus::{Forward, Headers};
use rushgate::campaign::{Campaign, partition_of};
use rushgate::landing::SealConfig;
use rushgate::order::{OrderEvent, OrderId};
use rushgate::seal::{Key, Keyring};
use testkit::database::{Database, campaign, revision};

use super::*;

const MORE: usize = 8;

/// A campaign that is made while the topic has so many partitions; `None`: before that was stored.
async fn open(db: &Database, id: &str, partitions: Option<u32>) -> Campaign {
    let campaign = Campaign {
        partitions,
        ..campaign(id, &[("shoe", 100_000)])
    };
    let inserted = db.store.insert_campaign(&campaign, &revision(id)).await;
    inserted.expect("stored");
    let row = db.store.campaign(id).await.expect("asked").expect("there");
    assert_eq!(row.campaign, campaign);
    campaign
}

/// An order of some campaign.
fn of(campaign: &str, n: u32) -> OrderEvent {
    let event = order(&format!("u{n}"), "1");
    OrderEvent {
        order: OrderId::keyed(campaign, &event.user, "1"),
        campaign: campaign.to_owned(),
        ..event
    }
}

/// As its gateway publishes it.
fn lane(campaign: &Campaign, n: u32) -> Outbound {
    let event = of(&campaign.id, n);
    Outbound {
        partition: campaign.partition_of(event.shard),
        key: event.key(),
        payload: event.encode(),
    }
}

/// Clients that soon hear of new partitions.
async fn impatient() -> Config {
    let mut config = fresh().await;
    let age = ("topic.metadata.refresh.interval.ms".to_owned(), "300".to_owned());
    config.options.extend([age]);
    config
}

/// Which partitions hold orders of which campaign.
fn places(config: &Config, records: usize) -> BTreeMap<String, BTreeSet<i32>> {
    let mut consumer = KafkaConsumer::new(config.clone(), from_beginning()).expect("made");
    let mut places: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    for slice in read(&mut consumer, records) {
        for record in &slice.records {
            let event = OrderEvent::decode(&record.payload).expect("an order");
            places.entry(event.campaign).or_default().insert(slice.partition);
        }
    }
    places
}

async fn until_sold(db: &Database, campaign: &str, orders: u32) {
    let begun = Instant::now();
    let mut often = tokio::time::interval(Duration::from_millis(50));
    loop {
        let sold = db.store.stock(campaign).await.expect("read")[0].sold;
        if sold == i64::from(orders) {
            return;
        }
        assert!(begun.elapsed() < LIMIT, "{campaign}: {sold} of {orders}");
        often.tick().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_topic_that_grows_in_mid_sale_serves_new_campaigns_and_moves_nothing() {
    let config = impatient().await;
    let db = database::sqlite().await;
    let producer = KafkaProducer::new(config.clone()).expect("made");
    assert_eq!(producer.partitions().await, Ok(PARTITIONS as u32));
    let spring = open(&db, "spring", None).await;
    let summer = open(&db, "summer", Some(PARTITIONS as u32)).await;
    let landers = landers(&config, &db.store);
    let sell = |campaign: &Campaign, range: std::ops::Range<u32>| {
        let orders = range.map(|n| lane(campaign, n)).collect();
        assert_eq!(acknowledged(&publish(&producer, orders)), Ok(()));
    };
    sell(&spring, 0..100);
    sell(&summer, 0..100);

    let grown = migrate_topics(&config, &topics(&config), MORE, 1).await;
    grown.expect("grown");
    let begun = Instant::now();
    let mut often = tokio::time::interval(Duration::from_millis(50));
    while producer.partitions().await != Ok(MORE as u32) {
        assert!(begun.elapsed() < LIMIT, "it never hears of them");
        often.tick().await;
    }
    // One that goes to a partition that was not there before.
    let new = |id: &String| partition_of(id, 0, MORE as u32) >= PARTITIONS as i32;
    let autumn = (0..)
        .map(|n| format!("autumn-{n}"))
        .find(new)
        .expect("half of them");
    let autumn = open(&db, &autumn, Some(MORE as u32)).await;
    let mut sold = 100;
    loop {
        for campaign in [&spring, &summer] {
            sell(campaign, sold..sold + 100);
        }
        sell(&autumn, sold - 100..sold);
        sold += 100;
        // What goes by key uses them once librdkafka has heard of them.
        let ends = producer.high_watermarks(&config.topic).await.expect("asked");
        if ends.len() == MORE && ends.values().filter(|end| **end > 0).count() > PARTITIONS + 1 {
            break;
        }
        assert!(begun.elapsed() < LIMIT, "never used: {ends:?}");
    }
    for (campaign, sold) in [(&spring, sold), (&summer, sold), (&autumn, sold - 100)] {
        until_sold(&db, &campaign.id, sold).await;
    }
    for landing in landers {
        let metrics = stop(landing).await;
        assert_eq!(
            (metrics.missing.get(), metrics.gaps.get(), metrics.moved.total()),
            (0, 0, 0)
        );
    }
    let reader = Config {
        group: format!("{}-reader", config.group),
        ..config
    };
    let places = places(&reader, 3 * sold as usize - 100);
    assert_eq!(places["summer"], [summer.partition_of(0).expect("one")].into());
    assert_eq!(places[&autumn.id], [autumn.partition_of(0).expect("one")].into());
    assert!(places["spring"].len() > PARTITIONS, "{places:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_from_before_beside_new_ones_lose_and_double_nothing() {
    let config = fresh().await;
    let db = database::sqlite().await;
    let summer = open(&db, "summer", Some(PARTITIONS as u32)).await;
    let landers = landers(&config, &db.store);
    let [old, new] = [(); 2].map(|()| KafkaProducer::new(config.clone()).expect("made"));
    // An old one does not know what is stored; and what it left behind is published again by a new one.
    let mut answers = Vec::new();
    for from in (0..300).step_by(50) {
        let orders = (from..from + 50).map(|n| Outbound {
            partition: None,
            ..lane(&summer, n)
        });
        answers.push(publish(&old, orders.collect()));
        let orders = (from + 25..from + 75).map(|n| lane(&summer, n));
        answers.push(publish(&new, orders.collect()));
    }
    for answer in &answers {
        assert_eq!(acknowledged(answer), Ok(()));
    }
    until_sold(&db, "summer", 325).await;
    let ends = new.high_watermarks(&config.topic).await.expect("asked");
    assert_eq!(ends.values().sum::<i64>(), 600);
    let offsets = || async { db.store.offsets(&config.topic).await.expect("read") };
    let begun = Instant::now();
    let mut often = tokio::time::interval(Duration::from_millis(50));
    while offsets().await != ends {
        assert!(begun.elapsed() < LIMIT, "copies do not pass");
        often.tick().await;
    }
    for landing in landers {
        assert_eq!(stop(landing).await.moved.total(), 0);
    }
    assert_eq!(db.number("SELECT COUNT(*) FROM orders").await, 325);
    assert_eq!(
        db.number("SELECT sold FROM stock WHERE campaign_id = 'summer'")
            .await,
        325
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_keeps_its_partition_in_topics_that_grew_meanwhile() {
    let config = impatient().await;
    let db = database::sqlite().await;
    let level = landing::Config {
        guarded: false,
        ..levels(&config).remove(0)
    };
    let landing = spawn(&config, &db.store, level);
    let metrics = landing.metrics();
    let producer = KafkaProducer::new(config.clone()).expect("made");
    let poison = |partition| {
        let garbage = Outbound {
            partition: Some(partition),
            ..outbound("k", "no order")
        };
        assert_eq!(acknowledged(&publish(&producer, vec![garbage])), Ok(()));
    };
    poison(1);
    // The lander has asked by now how many partitions the dead letters have.
    until("it is moved", || metrics.moved.total() == 1).await;
    let grown = migrate_topics(&config, &topics(&config), MORE, 1).await;
    grown.expect("grown");
    let begun = Instant::now();
    let mut often = tokio::time::interval(Duration::from_millis(50));
    while producer.partitions().await != Ok(MORE as u32) {
        assert!(begun.elapsed() < LIMIT, "it never hears of them");
        often.tick().await;
    }
    poison(6);
    until("it is moved, too", || metrics.moved.total() == 2).await;
    stop(landing).await;
    let dead = topics(&config).dead_letters;
    let mut ends = producer.high_watermarks(&dead).await.expect("asked");
    ends.retain(|_, end| *end > 0);
    assert_eq!(ends, BTreeMap::from([(1, 1), (6, 1)]));
}

fn keyring() -> Arc<Keyring> {
    let key = Key::new("a".parse().expect("an id"), &[1; 32]).expect("a key");
    Arc::new(Keyring::new(vec![key]).expect("a ring"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_for_a_partition_that_is_not_there_goes_to_another_one() {
    let keys = keyring();
    let config = Config {
        seal: Some(keys.clone()),
        ..fresh().await
    };
    let producer = KafkaProducer::new(config.clone()).expect("made");
    let for_lane = |partition| Outbound {
        partition: Some(partition),
        ..outbound("spring/ada", "order")
    };
    // Nobody knows yet how many there are: the outbox keeps it.
    let refused = acknowledged(&publish(&producer, vec![for_lane(21)]));
    assert!(matches!(refused, Err(BusError::Unacknowledged(_))), "{refused:?}");
    producer.ping().await.expect("there");
    let moved = Forward {
        topic: config.topic.clone(),
        partition: Some(22),
        key: b"spring/bob".to_vec(),
        payload: b"replayed".to_vec(),
        headers: Headers::new(),
    };
    let (sender, answer) = mpsc::channel();
    producer.forward(vec![moved], Box::new(move |result| drop(sender.send(result))));
    assert_eq!(acknowledged(&answer), Ok(()));
    assert_eq!(
        acknowledged(&publish(&producer, vec![for_lane(21), for_lane(3)])),
        Ok(())
    );

    let mut consumer = KafkaConsumer::new(config.clone(), from_beginning()).expect("made");
    let mut found = Vec::new();
    for slice in read(&mut consumer, 3) {
        for record in &slice.records {
            let seal = sealed::read(Some(&keys), &config.topic, slice.partition, record);
            assert_eq!(seal, Seal::Genuine, "sealed for where it went");
            found.push((
                slice.partition,
                String::from_utf8_lossy(&record.payload).into_owned(),
            ));
        }
    }
    found.sort();
    let expected = [(1, "order"), (2, "replayed"), (3, "order")];
    assert_eq!(
        found,
        expected.map(|(partition, text)| (partition, text.to_owned()))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_is_copied_to_another_partition_is_forged() {
    let keys = keyring();
    let plain = fresh().await;
    let config = Config {
        seal: Some(keys.clone()),
        ..plain.clone()
    };
    let db = database::sqlite().await;
    db.store
        .decide_cut_over(&[].into(), NOW, &[])
        .await
        .expect("decided");
    let summer = open(&db, "summer", Some(PARTITIONS as u32)).await;
    let producer = KafkaProducer::new(config.clone()).expect("made");
    assert_eq!(acknowledged(&publish(&producer, vec![lane(&summer, 1)])), Ok(()));
    let mut reader = KafkaConsumer::new(
        Config {
            group: format!("{}-reader", plain.group),
            ..plain.clone()
        },
        from_beginning(),
    )
    .expect("made");
    let slice = read(&mut reader, 1).remove(0);
    let (from, record) = (slice.partition, slice.records[0].clone());
    assert_eq!(Some(from), summer.partition_of(0));
    // Whoever may write to the topic copies it as it is, seal and all, into every other partition, and into its own.
    let copies = (0..PARTITIONS as i32).map(|partition| Forward {
        topic: plain.topic.clone(),
        partition: Some(partition),
        key: record.key.clone(),
        payload: record.payload.clone(),
        headers: record.headers.clone(),
    });
    let thief = KafkaProducer::new(plain.clone()).expect("made");
    let (sender, answer) = mpsc::channel();
    thief.forward(
        copies.collect(),
        Box::new(move |result| drop(sender.send(result))),
    );
    assert_eq!(acknowledged(&answer), Ok(()));

    let mut level = levels(&config).remove(0);
    level.seal = SealConfig {
        keys: Some(keys),
        only: false,
    };
    let landing = spawn(&config, &db.store, level);
    let ends = producer.high_watermarks(&config.topic).await.expect("asked");
    let begun = Instant::now();
    let mut often = tokio::time::interval(Duration::from_millis(50));
    while db.store.offsets(&config.topic).await.expect("read") != ends {
        assert!(begun.elapsed() < LIMIT, "not through");
        often.tick().await;
    }
    let metrics = stop(landing).await;
    let others = PARTITIONS as u64 - 1;
    assert_eq!(
        (
            metrics.confirmed.get(),
            metrics.duplicates.get(),
            metrics.forged.get()
        ),
        (1, 1, others)
    );
    assert_eq!(db.number("SELECT COUNT(*) FROM orders").await, 1);
    let kept = format!("SELECT COUNT(*) FROM dead_letters WHERE stage = 'forged' AND `partition` = {from}");
    assert_eq!(
        db.number(&kept).await,
        0,
        "its own partition holds nothing forged"
    );
}
