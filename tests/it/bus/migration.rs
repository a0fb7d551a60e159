//! `rushgate migrate` while others migrate, produce and land; and deployments that share a Kafka.

use std::process::{Child, Command, Stdio};

use rushgate::order::OrderEvent;
use testkit::database::{connect, sqlite_url};
use testkit::output::Output;

use super::*;

fn outbound_orders(range: std::ops::Range<u32>) -> Vec<Outbound> {
    let orders = range.map(|n| order(&format!("u{n}"), "1"));
    let outbound = |order: OrderEvent| Outbound {
        partition: None,
        key: order.key(),
        payload: order.encode(),
    };
    orders.map(outbound).collect()
}

async fn until_landed(store: &Store, orders: u64) {
    let begun = Instant::now();
    let mut often = tokio::time::interval(Duration::from_millis(50));
    loop {
        let sold = store.stock("spring").await.expect("read")[0].sold;
        if sold == orders as i64 {
            return;
        }
        assert!(begun.elapsed() < LIMIT, "{sold} of {orders}");
        often.tick().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_added_at_once_and_under_way_are_landed_from_their_start() {
    const MORE: usize = 8;
    let mut config = fresh().await;
    let age = ("topic.metadata.refresh.interval.ms".to_owned(), "300".to_owned());
    config.options.extend([age]);
    let db = database::sqlite().await;
    sale(&db.store, 100_000).await;
    let landers = landers(&config, &db.store);
    let producer = KafkaProducer::new(config.clone()).expect("made");
    assert_eq!(acknowledged(&publish(&producer, outbound_orders(0..100))), Ok(()));
    until_landed(&db.store, 100).await;

    let topics = topics(&config);
    let (one, other) = tokio::join!(
        migrate_topics(&config, &topics, MORE, 1),
        migrate_topics(&config, &topics, MORE, 1)
    );
    for reports in [one, other] {
        let reports = reports.expect("grown");
        for report in &reports {
            // A buyer's events stay where they are.
            let grows = topics.keeps_partitions(&report.topic);
            let wanted = if grows { MORE } else { PARTITIONS };
            assert_eq!(report.partitions, wanted, "{reports:?}");
        }
    }
    // The producer finds the new partitions by itself, and they are landed before and after the landers know them.
    let (begun, mut sent) = (Instant::now(), 100);
    loop {
        assert_eq!(
            acknowledged(&publish(&producer, outbound_orders(sent..sent + 100))),
            Ok(())
        );
        sent += 100;
        let ends = producer.high_watermarks(&config.topic).await.expect("asked");
        if ends.len() == MORE && ends.values().all(|end| *end > 0) {
            break;
        }
        assert!(begun.elapsed() < LIMIT, "never used: {ends:?}");
    }
    until_landed(&db.store, sent.into()).await;
    let ends = producer.high_watermarks(&config.topic).await.expect("asked");
    assert_eq!(db.store.offsets(&config.topic).await.expect("read"), ends);
    for landing in landers {
        let metrics = stop(landing).await;
        assert_eq!((metrics.missing.get(), metrics.gaps.get()), (0, 0));
    }
}

/// A command of the binary, with what it says.
struct Role {
    child: Child,
    output: Output,
}

impl Role {
    fn start(command: &str, prefix: &str, database: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rushgate"))
            .arg(command)
            .env("RUSHGATE_KAFKA_BROKERS", brokers())
            .env("RUSHGATE_DATABASE_URL", database)
            .env("RUSHGATE_KAFKA_PREFIX", prefix)
            .env("RUSHGATE_KAFKA_PARTITIONS", "2")
            .env("RUSHGATE_LISTEN", "127.0.0.1:0")
            .env("RUSHGATE_ADMIN_LISTEN", "127.0.0.1:0")
            .env("RUSHGATE_AUTH_INSECURE_DEV_AUTH", "true")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("starts");
        let output = Output::of(&mut child);
        Self { child, output }
    }

    /// Waits until it has said so, and returns the line.
    fn says(&self, what: &str) -> String {
        self.output.said(what, LIMIT)
    }

    fn ends_well(mut self) {
        let ended = self.child.wait().expect("ends");
        assert!(ended.success(), "{ended}: {:#?}", self.output.lines());
    }

    fn terminate(&self) {
        let sent = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(sent.expect("kill runs").success());
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        // Nothing is left where a test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A deployment of its own.
struct Deployment {
    prefix: String,
    database: String,
    _folder: tempfile::TempDir,
}

impl Deployment {
    fn new(name: &str) -> Self {
        let (database, folder) = sqlite_url();
        let prefix = format!("{name}-{}", uuid::Uuid::now_v7().simple());
        Self {
            prefix,
            database,
            _folder: folder,
        }
    }

    fn start(&self, command: &str) -> Role {
        Role::start(command, &self.prefix, &self.database)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn landers_wait_for_migrate_and_land_the_orders_of_their_prefix_alone() {
    let deployments = [Deployment::new("one"), Deployment::new("other")];
    let landers = deployments.each_ref().map(|deployment| deployment.start("land"));
    for lander in &landers {
        let line = lander.says("waiting for `rushgate migrate`");
        assert!(line.contains("its schema has 0 of"), "{line}");
    }
    let gateway = deployments[0].start("serve");
    gateway.says("waiting for `rushgate migrate`");
    // Asked to stop while it waits, it does.
    gateway.terminate();
    gateway.ends_well();

    let migrating = deployments
        .each_ref()
        .map(|each| [each.start("migrate"), each.start("migrate")]);
    for role in migrating.into_iter().flatten() {
        role.ends_well();
    }
    for (n, (deployment, lander)) in deployments.iter().zip(&landers).enumerate() {
        lander.says("everything is migrated");
        let store = connect(&deployment.database).await;
        sale(&store, 1000).await;
        let config = Config::new(&brokers()).with_prefix(&deployment.prefix);
        assert_eq!(config.topic, format!("{}.orders", deployment.prefix));
        let producer = KafkaProducer::new(config).expect("made");
        let orders = 20 + 30 * n as u32;
        assert_eq!(
            acknowledged(&publish(&producer, outbound_orders(0..orders))),
            Ok(())
        );
        until_landed(&store, orders.into()).await;
    }
    for lander in landers {
        lander.terminate();
        lander.ends_well();
    }
    // With another prefix nothing of it lands: what is left is told, once the tables and topics are there.
    let [one, other] = &deployments;
    let store = connect(&one.database).await;
    let config = Config::new(&brokers()).with_prefix(&one.prefix);
    let producer = KafkaProducer::new(config.clone()).expect("made");
    assert_eq!(acknowledged(&publish(&producer, outbound_orders(20..25))), Ok(()));
    let renamed = Role::start("land", &other.prefix, &one.database);
    let line = renamed.says("records of this topic have not landed");
    assert!(line.contains(&config.topic) && line.contains('5'), "{line}");
    store.close().await;
}
