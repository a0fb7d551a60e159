//! A sale with every leg encrypted, each user with the documented rights and no others, records packed with zstd.

use std::path::PathBuf;
use std::time::Duration;

use rushgate::cli::load::{self, LoadConfig};
use serde_json::json;
use testkit::deployment::Setup;
use testkit::services::Urls;

use crate::legs::stack::Stack;

const CAMPAIGN: &str = "encrypted";
const SKU: &str = "mug";
const STOCK: u64 = 40;

/// What `serve` and `land` need; docs/CONNECTIONS.md says it.
const AT_WORK: &str = "CREATE USER 'atwork'@'127.0.0.1' IDENTIFIED BY 'rushgate' REQUIRE SSL; \
                       GRANT SELECT, INSERT, UPDATE, DELETE ON rushgate.* TO 'atwork'@'127.0.0.1'";

fn setup(logs: PathBuf) -> Setup {
    let stack = Stack::shared();
    let mut env = stack.variables();
    env.push(("RUSHGATE_KAFKA_PRODUCER".into(), "compression.type=zstd".into()));
    Setup {
        rushgate: env!("CARGO_BIN_EXE_rushgate").into(),
        urls: Urls {
            redis: stack.variable("RUSHGATE_REDIS_URL"),
            kafka: stack.variable("RUSHGATE_KAFKA_BROKERS"),
            database: stack.variable("RUSHGATE_DATABASE_URL"),
        },
        logs,
        env,
        config: None,
        authority: None,
        dev_auth: true,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_runs_with_every_leg_encrypted_and_few_rights() {
    let logs = tempfile::tempdir().expect("a folder");
    let mut setup = setup(logs.path().to_owned());
    setup.migrate().expect("migrates");
    Stack::shared().sql(AT_WORK);
    setup.urls.database = setup.urls.database.replace("//rushgate:", "//atwork:");
    let gateway = setup.serve(1).await.expect("a gateway");
    let lander = setup.land(1).await.expect("a lander");
    let control = testkit::control::Control::new(&gateway.admin);
    let rules = json!([{"module": "one-per-user"}]);
    control
        .create_campaign(CAMPAIGN, SKU, STOCK, rules)
        .await
        .expect("a campaign");
    let report = load::run(LoadConfig {
        targets: vec![gateway.orders.clone()],
        campaign: CAMPAIGN.to_owned(),
        sku: SKU.to_owned(),
        attempts: 120,
        users: 60,
        connections: 8,
        ..LoadConfig::default()
    });
    let report = report.await.expect("it runs");
    assert_eq!(report.orders.len() as u64, STOCK);
    let landed = || {
        let sql =
            "SELECT COUNT(*) FROM rushgate.orders WHERE campaign_id = 'encrypted' AND state = 'confirmed'";
        let answer = Stack::shared().sql(sql);
        answer.lines().last().and_then(|line| line.parse::<u64>().ok())
    };
    let mut often = tokio::time::interval(Duration::from_millis(100));
    let all = async {
        while landed() != Some(STOCK) {
            often.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), all)
        .await
        .expect("they land");
    gateway.stop().await.expect("ends by itself");
    lander.stop().await.expect("ends by itself");
}
