//! A gateway whose database or Kafka is away: when it is ready, how it starts, and what it answers meanwhile.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::database::{MariaDb, connect};
use testkit::server::Server;

use crate::stories::gate::{PATIENCE, POLL};
use crate::stories::role::{Role, refusing, state};

fn serve(redis: &str, database: &str, more: &[&str]) -> Role {
    let kafka = refusing().to_string();
    let services = [
        "serve",
        "--insecure-dev-auth",
        "--redis-url",
        redis,
        "--kafka-brokers",
        &kafka,
    ];
    Role::start(&[&services[..], &["--database-url", database], more].concat())
}

#[tokio::test]
async fn without_the_database_a_gateway_lives_and_says_what_it_waits_for() {
    // Takes connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let redis = format!("redis://{}", refusing());
    for (address, cause) in [(refusing(), "refused"), (silent.local_addr().expect("bound"), "")] {
        let role = serve(&redis, &format!("mysql://root@{address}/rushgate"), &[]);
        let (orders, admin) = (
            role.url("orders", "waits for the"),
            role.url("control", "waits for the"),
        );
        let ready = role.get_until(&format!("{admin}/readyz"), 503, cause).await;
        assert!(ready.starts_with("[-]start failed: waits: "), "{ready}");
        assert_eq!(role.get(&format!("{admin}/livez")).await.status, 200);
        let control = role.get(&format!("{admin}/admin/v1/campaigns")).await;
        control.refused(503, "unavailable");
        role.signal("HUP");
        let refused = role.place(&orders, "demo", "ada").await;
        assert_eq!(refused.header("retry-after"), "1");
        refused.refused(503, "unavailable");
        assert_eq!(
            role.get(&format!("{admin}/livez")).await.status,
            200,
            "SIGHUP ends nothing"
        );
        role.signal("TERM");
        assert_eq!(role.exit().0, Some(0));
    }
}

#[tokio::test]
async fn without_the_database_a_lander_lives_and_says_what_it_waits_for() {
    let (kafka, database) = (
        refusing().to_string(),
        format!("mysql://root@{}/rushgate", refusing()),
    );
    let role = Role::start(&["land", "--kafka-brokers", &kafka, "--database-url", &database]);
    let health = role.url("health", "waiting for the database");
    let ready = role
        .get_until(&format!("{health}/readyz"), 503, "waiting for the database")
        .await;
    assert!(ready.starts_with("[-]migration failed"), "{ready}");
    assert_eq!(role.get(&format!("{health}/livez")).await.status, 200);
    role.signal("HUP");
    assert_eq!(
        role.get(&format!("{health}/livez")).await.status,
        200,
        "SIGHUP ends nothing"
    );
    role.signal("TERM");
    assert_eq!(role.exit().0, Some(0));
}

/// Stops or continues the server, as a machine that hangs would.
fn freeze(database: &MariaDb, signal: &str) {
    let pid = std::fs::read_to_string(database.pid_file()).expect("it runs");
    let sent = std::process::Command::new("kill")
        .args([signal, pid.trim()])
        .status();
    assert!(sent.expect("kill is there").success());
}

async fn create(role: &Role, admin: &str) {
    let body = json!({
        "id": "spring", "title": "Spring", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z",
        "skus": [{"id": "mug", "stock": 100}], "rules": [{"module": "n-per-user", "params": {"limit": 1}}],
    });
    let url = format!("{admin}/admin/v1/campaigns");
    let begun = Instant::now();
    loop {
        let reply = role.http.post(&url, &[], &body).await;
        if reply.status == 201 {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{reply:?}");
        tokio::time::sleep(POLL).await;
    }
}

async fn pending(role: &Role, orders: &str, user: &str) -> Value {
    let order = role.place(orders, "spring", user).await.expect(202).json();
    assert_eq!(state(&order), "pending", "Kafka is not there");
    order
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_goes_on_without_kafka_and_with_a_silent_database() {
    let redis = Server::start(&[]);
    let mut database = MariaDb::start().await;
    let url = database.create("sale").await;
    connect(&url).await.migrate().await.expect("migrates");
    database.down();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("rushgate.toml");
    let settings = "drain_delay_ms = 0\ndrain_ms = 500\n[gateway]\ndatabase_wait_ms = 200\n";
    std::fs::write(&file, settings).expect("written");
    let path = file.to_str().expect("a UTF-8 path");

    // It starts before the database, and is ready once that is there: without Kafka.
    let role = serve(&redis.url(), &url, &["--config", path]);
    let (orders, admin) = (
        role.url("orders", "waits for the"),
        role.url("control", "waits for the"),
    );
    let readyz = format!("{admin}/readyz");
    role.get_until(&readyz, 503, "[-]start failed: waits: ").await;
    database.up().await;
    let ready = role.get_until(&readyz, 200, "[~]bus degraded").await;
    assert!(
        ready.ends_with("orders are admitted and wait in the outbox\nready\n"),
        "{ready}"
    );
    create(&role, &admin).await;
    // As many partitions as are configured: nobody could be asked.
    let shown = role.get(&format!("{admin}/admin/v1/campaigns/spring")).await;
    assert_eq!(shown.expect(200).json()["partitions"], json!([2]));
    let first = pending(&role, &orders, "ada").await;
    let url = format!("{admin}/metrics");
    role.get_until(&url, 200, "rushgate_admission_delivery_failing 1")
        .await;

    // The database answers nothing any more.
    freeze(&database, "-STOP");
    let lookup = |id: &str| format!("{orders}/v1/campaigns/spring/orders/{id}");
    let shown = role.get(&lookup(first["order"].as_str().expect("an id"))).await;
    assert_eq!(state(&shown.expect(200).json()), "pending");
    let unknown = lookup("01a1fc1d83d5717ba26b5538fb37a9b7");
    role.get(&unknown).await.refused(503, "unavailable");
    pending(&role, &orders, "bob").await;
    let ready = role.get_until(&readyz, 200, "[~]store degraded").await;
    assert!(
        ready.contains("[~]bus degraded") && ready.ends_with("\nready\n"),
        "{ready}"
    );

    // Until too many wait.
    std::fs::write(&file, format!("{settings}[ready]\noutbox_max = 1\n")).expect("written");
    role.signal("HUP");
    role.get_until(&readyz, 503, "[-]outbox failed: 2 orders wait")
        .await;
    std::fs::write(&file, settings).expect("written");
    role.signal("HUP");
    role.get_until(&readyz, 200, "ready").await;

    freeze(&database, "-CONT");
    role.get_until(&unknown, 404, "unknown").await;
    freeze(&database, "-STOP");
    let asked = Instant::now();
    role.signal("TERM");
    let (code, lines) = role.exit();
    freeze(&database, "-CONT");
    assert_eq!(code, Some(0), "{lines:#?}");
    assert!(
        asked.elapsed() < Duration::from_secs(40),
        "a silent database holds nobody back"
    );
}
