//! `rushgate rebuild`, as an operator runs it. Needs a Kafka broker, named by `RUSHGATE_KAFKA_BROKERS`.

use std::process::{Command, Output};

use rushgate::bus::ORDERS_TOPIC;
use testkit::database;

use crate::memory::restored::Past;
use crate::memory::sale::{CAMPAIGN, landed, now, used};

/// Partitions of the orders topic, as `rushgate migrate` makes them.
const PARTITIONS: i32 = 12;

fn brokers() -> String {
    std::env::var("RUSHGATE_KAFKA_BROKERS").unwrap_or_else(|_| {
        panic!(
            "this test needs a Kafka broker: run it through `./x test`, or start one with `./x stack up` and \
             set RUSHGATE_KAFKA_BROKERS as `./x stack env` prints it"
        )
    })
}

/// Runs the binary over the services of this test.
async fn rushgate(past: &Past, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rushgate"));
    command
        .args(args)
        .env("RUSHGATE_REDIS_URL", past.address.url())
        .env("RUSHGATE_KAFKA_BROKERS", brokers())
        .env("RUSHGATE_DATABASE_URL", &past.database.url)
        .env("RUSHGATE_WASM_CACHE_DIR", "");
    let run = tokio::task::spawn_blocking(move || command.output().expect("the binary is built"));
    run.await.expect("no panic")
}

async fn rebuild(past: &Past, args: &[&str]) -> (bool, String) {
    let output = rushgate(past, &[&["rebuild", "--campaign"], args].concat()).await;
    let said = if output.status.success() {
        output.stdout
    } else {
        output.stderr
    };
    (
        output.status.success(),
        String::from_utf8(said).expect("it speaks UTF-8"),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_rebuilds_and_is_told_what_happened() {
    let past = Past::of(20, database::mariadb().await).await;
    assert!(rushgate(&past, &["migrate"]).await.status.success());
    // The topic is shared: as far as this database is concerned, all of it has landed.
    for partition in 0..PARTITIONS {
        let sql = format!(
            "REPLACE INTO landing_offsets (topic, `partition`, next_offset) \
             VALUES ('{ORDERS_TOPIC}', {partition}, 1000000000000)"
        );
        past.database.execute(&sql).await;
    }
    let (done, said) = rebuild(&past, &["winter"]).await;
    assert!(
        !done && said.contains("no campaign \"winter\"; the newest are spring"),
        "{said}"
    );
    let (done, said) = rebuild(&past, &[CAMPAIGN]).await;
    assert!(done && said.contains("restored 20 landed orders"), "{said}");
    assert_eq!(past.left().await, 80);
    let (done, said) = rebuild(&past, &[CAMPAIGN]).await;
    assert!(done && said.contains("nothing was done"), "{said}");

    // What is wrong and looks right is mended when somebody insists.
    past.server
        .tell(&["HSET", "rg:{spring.0}:stock", "mug", "1000000"]);
    let (done, said) = rebuild(&past, &[CAMPAIGN, "--force"]).await;
    assert!(
        done && said.contains("restored 20") && said.contains("under epoch 4"),
        "{said}"
    );
    assert_eq!(past.left().await, 80);
    assert_eq!(used(&past.server), landed(&past.database.store).await);

    let store = &past.database.store;
    let held = store.lease("rebuild:spring", "another", now(), 600_000).await;
    assert!(held.expect("asked"));
    past.server.tell(&["FLUSHALL"]);
    let (done, said) = rebuild(&past, &[CAMPAIGN]).await;
    assert!(
        !done && said.contains("another gateway is rebuilding it; wait"),
        "{said}"
    );
    let audited = "SELECT COUNT(*) FROM audit WHERE action = 'campaign.rebuild' AND target = 'spring'";
    assert_eq!(past.database.number(audited).await, 4);
}
