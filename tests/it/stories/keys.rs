//! Deployments that go over to sealed records, and to another key, while gateways and landers run.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::json;
use tempfile::TempDir;
use testkit::database::{self, Database};
use testkit::server::Server;

use crate::stories::gate::{PATIENCE, POLL};
use crate::stories::role::Role;

/// Services of one deployment's own, and a configuration file for each set of keys.
pub struct Deployment {
    folder: TempDir,
    _redis: Server,
    pub redis_url: String,
    pub db: Database,
    prefix: String,
}

impl Deployment {
    pub async fn start() -> Self {
        let redis = Server::start(&[]);
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (key, fill) in [("a", 1_u8), ("b", 2)] {
            std::fs::write(folder.path().join(key), [fill; 32]).expect("written");
        }
        Self {
            folder,
            redis_url: redis.url(),
            _redis: redis,
            db: database::mariadb().await,
            prefix: format!("keys.{}.{}", std::process::id(), uuid::Uuid::now_v7().simple()),
        }
    }

    /// The file in which these keys are given, the first one sealing.
    fn config(&self, keys: &[&str]) -> PathBuf {
        let named = keys
            .iter()
            .map(|key| format!("{key}:{}", self.folder.path().join(key).display()));
        let text = format!(
            "drain_delay_ms = 0\n[auth]\ninsecure_dev_auth = true\n[kafka]\nprefix = \"{}\"\npartitions = 4\n[seal]\nkeys = \"{}\"\n",
            self.prefix,
            named.collect::<Vec<_>>().join(",")
        );
        let path = self.folder.path().join(format!("with-{}.toml", keys.join("-")));
        // A process may be reading it.
        if !path.exists() {
            std::fs::write(&path, text).expect("written");
        }
        path
    }

    /// Flags, which win over what the environment says of the services of all tests.
    fn flags(&self, keys: &[&str]) -> Vec<String> {
        let brokers = std::env::var("RUSHGATE_KAFKA_BROKERS").expect("a broker: run this through `./x test`");
        let config = self.config(keys).display().to_string();
        let flags = [
            ("--config", config),
            ("--database-url", self.db.url.clone()),
            ("--kafka-brokers", brokers),
        ];
        flags
            .into_iter()
            .flat_map(|(flag, value)| [flag.to_owned(), value])
            .collect()
    }

    pub fn role(&self, role: &str, keys: &[&str]) -> Role {
        self.role_with(role, keys, &[])
    }

    /// The same with more environment.
    pub fn role_with(&self, role: &str, keys: &[&str], env: &[(&str, &str)]) -> Role {
        let mut args = vec![role.to_owned()];
        args.extend(self.flags(keys));
        if role == "serve" {
            args.extend(["--redis-url".to_owned(), self.redis_url.clone()]);
        }
        Role::start_with(&args.iter().map(String::as_str).collect::<Vec<_>>(), env)
    }

    /// A command of an operator who has these keys.
    pub fn run(&self, args: &[&str], keys: &[&str]) -> (Option<i32>, String) {
        let Output {
            status,
            stdout,
            stderr,
        } = Command::new(env!("CARGO_BIN_EXE_rushgate"))
            .args(args)
            .args(self.flags(keys))
            .output()
            .expect("it runs");
        let said = [stdout, stderr].concat();
        (status.code(), String::from_utf8_lossy(&said).into_owned())
    }
}

/// A gateway that serves, with the addresses of its two sides.
pub struct Gateway {
    pub role: Role,
    pub orders: String,
    pub admin: String,
}

impl Gateway {
    pub fn up(role: Role) -> Self {
        let (orders, admin) = (role.url("orders", "serving"), role.url("control", "serving"));
        Self { role, orders, admin }
    }

    pub async fn readyz(&self, status: u16, text: &str) -> String {
        self.role
            .get_until(&format!("{}/readyz", self.admin), status, text)
            .await
    }

    pub async fn create(&self) {
        let body = json!({
            "id": "spring", "title": "Spring", "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z",
            "skus": [{"id": "mug", "stock": 100_000}], "rules": [{"module": "n-per-user", "params": {"limit": 1}}],
        });
        let url = format!("{}/admin/v1/campaigns", self.admin);
        let begun = Instant::now();
        loop {
            let reply = self.role.http.post(&url, &[], &body).await;
            if reply.status == 201 {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{reply:?}");
            tokio::time::sleep(POLL).await;
        }
    }

    /// What a buyer was told: an order's id, or the status of a refusal.
    pub async fn place(&self, user: &str) -> Result<String, u16> {
        let reply = self.role.place(&self.orders, "spring", user).await;
        match reply.status {
            202 => Ok(reply.json()["order"].as_str().expect("an id").to_owned()),
            status => Err(status),
        }
    }

    pub async fn until_confirmed(&self, user: &str, order: &str) {
        let url = format!("{}/v1/campaigns/spring/orders/{order}", self.orders);
        let token = format!("Bearer dev:{user}");
        let begun = Instant::now();
        loop {
            let reply = self
                .role
                .http
                .get(&url, &[("authorization", token.as_str())])
                .await;
            if reply.status == 200 && reply.json()["state"] == "confirmed" {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{user}: {reply:?}");
            tokio::time::sleep(POLL).await;
        }
    }
}

/// Orders that come one after the other until told to stop; those that were answered 202.
fn buy(
    gateway: &Arc<Gateway>,
    stop: &Arc<AtomicBool>,
    name: &'static str,
) -> tokio::task::JoinHandle<Vec<(String, String)>> {
    let (gateway, stop) = (gateway.clone(), stop.clone());
    tokio::spawn(async move {
        let mut told = Vec::new();
        // As fast as a few hundred confirmations can be asked for afterwards.
        let mut often = tokio::time::interval(POLL);
        for number in 0.. {
            often.tick().await;
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let user = format!("{name}{number}");
            match gateway.place(&user).await {
                Ok(order) => told.push((user, order)),
                // It is not told that anything was ordered.
                Err(status) => assert_eq!(status, 503, "{user}"),
            }
        }
        told
    })
}

const FORGED: &str = "SELECT COUNT(*) FROM dead_letters WHERE stage = 'forged'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_sends_what_is_no_longer_taken_stops_before_it_is_forged() {
    let deployment = Deployment::start().await;
    let (code, said) = deployment.run(&["migrate"], &[]);
    assert_eq!(code, Some(0), "{said}");
    let db = &deployment.db;

    // A gateway and a lander without keys, and a gateway and a lander with one.
    let lander = deployment.role("land", &["a"]);
    let old_lander = deployment.role("land", &[]);
    let old = Arc::new(Gateway::up(deployment.role("serve", &[])));
    let new = Arc::new(Gateway::up(deployment.role("serve", &["a"])));
    new.create().await;
    for gateway in [&old, &new] {
        gateway.readyz(200, "ready").await;
    }
    let (stop, mut told) = (Arc::default(), Vec::new());
    let buyers = [
        buy(&old, &stop, "o"),
        buy(&old, &stop, "p"),
        buy(&new, &stop, "n"),
    ];

    it_is_not_required_while_somebody_has_no_key(&deployment);
    old.readyz(200, "ready").await;

    // By force: they stop first, then it is in force.
    let (code, said) = deployment.run(&["seal", "require", "--force"], &["a"]);
    assert_eq!(code, Some(0), "{said}");
    let ready = old.readyz(503, "[-]seal failed: ").await;
    assert!(
        ready.contains("has no key: it sends nothing any more, give it seal.keys"),
        "{ready}"
    );
    let refused = old.role.place(&old.orders, "spring", "late").await;
    assert_eq!(refused.header("retry-after"), "1");
    refused.refused(503, "unavailable");
    let metrics = format!("{}/metrics", old.admin);
    old.role.get_until(&metrics, 200, "rushgate_seal_halted 1").await;
    let (code, lines) = old_lander.exit();
    assert_eq!(code, Some(1), "{lines:#?}");
    let why = "landing ended: records have to carry a seal, and this process has no key";
    assert!(lines.iter().any(|line| line.contains(why)), "{lines:#?}");
    stop.store(true, Ordering::Relaxed);
    for buyer in buyers {
        told.extend(buyer.await.expect("no panic"));
    }

    // Whoever was told that there is an order has one.
    assert!(
        told.iter().filter(|(user, _)| !user.starts_with('n')).count() > 10,
        "{}",
        told.len()
    );
    for (user, order) in &told {
        new.until_confirmed(user, order).await;
    }
    assert_eq!(db.number(FORGED).await, 0);
    new.readyz(200, "ready").await;
    let (code, lines) = deployment.role("serve", &[]).exit();
    assert_eq!(code, Some(1), "{lines:#?}");
    assert!(
        lines.iter().any(|line| line.contains("have to carry a seal")),
        "{lines:#?}"
    );

    a_key_is_retired(&deployment, &new, lander).await;
}

/// They are named, and nothing changes.
fn it_is_not_required_while_somebody_has_no_key(deployment: &Deployment) {
    let (code, said) = deployment.run(&["seal", "require"], &["a"]);
    assert_eq!(code, Some(1), "{said}");
    for text in [
        "send records without a seal",
        "rushgate serve on",
        "rushgate land on",
        "Nothing was changed",
    ] {
        assert!(said.contains(text), "{text}: {said}");
    }
    let (_, said) = deployment.run(&["seal", "status"], &["a"]);
    assert!(said.contains("records without a seal are taken"), "{said}");
}

/// By force, while a gateway and a lander seal with it.
async fn a_key_is_retired(deployment: &Deployment, gateway: &Gateway, lander: Role) {
    let (code, said) = deployment.run(&["seal", "retire", "a"], &["b"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("these have key a among seal.keys") && said.contains("rushgate serve on"),
        "{said}"
    );
    gateway.place("before").await.expect("it still counts");
    let (code, said) = deployment.run(&["seal", "retire", "a", "--force"], &["b"]);
    assert_eq!(code, Some(0), "{said}");
    let ready = gateway.readyz(503, "[-]seal failed: ").await;
    assert!(
        ready.contains("key a, with which this process seals, is retired"),
        "{ready}"
    );
    assert_eq!(gateway.place("after").await, Err(503));
    let (code, lines) = lander.exit();
    assert_eq!(code, Some(1), "{lines:#?}");
    let left = deployment.db.store.senders("a").await.expect("read");
    assert!(left.iter().all(|row| row.stopped), "{left:?}");
}
