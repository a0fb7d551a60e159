//! A `rushgate` process under test, reached over HTTP; killed when the story ends.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::http::{Http, Reply};
use testkit::output::Output;

/// Patience with a process that starts or an order that lands.
pub const PATIENCE: Duration = Duration::from_secs(60);
pub const POLL: Duration = Duration::from_millis(20);

pub struct Gate {
    child: Child,
    pub http: Http,
    pub orders: String,
    pub admin: String,
}

impl Gate {
    /// `rushgate dev` in memory.
    pub async fn dev() -> Self {
        Self::start(&["dev"]).await
    }

    /// `rushgate dev --data DIR`.
    pub async fn dev_in(data: &Path) -> Self {
        Self::start(&["dev", "--data", data.to_str().expect("a UTF-8 path")]).await
    }

    /// `rushgate dev` with this configuration file.
    pub async fn dev_with(config: &Path) -> Self {
        Self::start(&["dev", "--config", config.to_str().expect("a UTF-8 path")]).await
    }

    async fn start(args: &[&str]) -> Self {
        Self::spawn(command(args)).await
    }

    /// A command that prints the banner of `rushgate dev`.
    pub async fn spawn(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the rushgate binary starts");
        let output = Output::of(&mut child);
        let addresses = tokio::task::spawn_blocking(move || output.addresses(PATIENCE)).await;
        let (orders, admin) = addresses.expect("no panic").expect("it starts");
        Self {
            child,
            http: Http::new(),
            orders,
            admin,
        }
    }

    pub async fn place(&self, user: &str, body: Value) -> Reply {
        self.place_with(user, &[], body).await
    }

    /// Places in the demo campaign with an `Idempotency-Key`.
    pub async fn place_keyed(&self, user: &str, key: &str, body: Value) -> Reply {
        self.place_with(user, &[("idempotency-key", key)], body).await
    }

    async fn place_with(&self, user: &str, headers: &[(&str, &str)], body: Value) -> Reply {
        self.place_in("demo", user, headers, body).await
    }

    pub async fn place_in(&self, campaign: &str, user: &str, headers: &[(&str, &str)], body: Value) -> Reply {
        let token = format!("Bearer dev:{user}");
        let mut all = vec![("authorization", token.as_str())];
        all.extend_from_slice(headers);
        self.http
            .post(
                &format!("{}/v1/campaigns/{campaign}/orders", self.orders),
                &all,
                &body,
            )
            .await
    }

    /// What a buyer still has; `query` starts with `?` or is empty.
    pub async fn quota(&self, campaign: &str, user: &str, query: &str) -> Reply {
        let token = format!("Bearer dev:{user}");
        let url = format!("{}/v1/campaigns/{campaign}/quota{query}", self.orders);
        self.http.get(&url, &[("authorization", &token)]).await
    }

    /// The order's document once it has this state.
    pub async fn order_in_state(&self, user: &str, location: &str, state: &str) -> Value {
        let token = format!("Bearer dev:{user}");
        let url = format!("{}{location}", self.orders);
        let begun = Instant::now();
        loop {
            let order = self
                .http
                .get(&url, &[("authorization", &token)])
                .await
                .expect(200)
                .json();
            if order["state"] == state {
                return order;
            }
            assert!(begun.elapsed() < PATIENCE, "not {state}: {order}");
            tokio::time::sleep(POLL).await;
        }
    }

    pub async fn create(&self, id: &str, stock: u64, rules: Value) -> Value {
        let body = json!({
            "id": id, "title": id, "opens_at": "2026-01-01T00:00:00Z", "closes_at": "2027-12-31T00:00:00Z",
            "skus": [{"id": "mug", "stock": stock}], "rules": rules,
        });
        self.control("/campaigns", &body).await.expect(201).json()
    }

    /// POST to the control plane.
    pub async fn control(&self, path: &str, body: &Value) -> Reply {
        self.http
            .post(&format!("{}/admin/v1{path}", self.admin), &[], body)
            .await
    }

    pub async fn figures(&self, campaign: &str) -> Value {
        self.http
            .get(&format!("{}/admin/v1/campaigns/{campaign}", self.admin), &[])
            .await
            .expect(200)
            .json()
    }

    /// Sends SIGTERM and waits for the exit code.
    pub fn terminate(self) -> Option<i32> {
        self.signal("TERM");
        self.exit()
    }

    pub fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Waits for the exit code.
    pub fn exit(mut self) -> Option<i32> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("the child can be waited for") {
                return status.code();
            }
            std::thread::park_timeout(POLL);
        }
        panic!("still running {PATIENCE:?} after a signal to end");
    }
}

/// A role on free ports, with an environment of its own.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rushgate"));
    command.args(args).args(["--admin-listen", "127.0.0.1:0"]);
    if args.first() != Some(&"land") {
        command.args(["--listen", "127.0.0.1:0"]);
    }
    command.env_remove("RUSHGATE_ADMIN_TOKEN").env(
        "RUSHGATE_WASM_CACHE_DIR",
        concat!(env!("CARGO_TARGET_TMPDIR"), "/wasm"),
    );
    command
}

pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .status();
    assert!(sent.expect("kill is there").success());
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
