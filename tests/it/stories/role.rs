//! Any role of `rushgate` under test: its log is read line by line, and it is killed when the story ends.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::http::{Http, Reply};
use testkit::output::Output;

use crate::stories::gate::{self, PATIENCE, POLL};

pub struct Role {
    child: Child,
    output: Output,
    pub http: Http,
}

impl Role {
    pub fn start(args: &[&str]) -> Self {
        Self::start_with(args, &[])
    }

    /// The same with more environment.
    pub fn start_with(args: &[&str], env: &[(&str, &str)]) -> Self {
        let mut child = gate::command(args)
            .envs(env.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the rushgate binary starts");
        let output = Output::of(&mut child);
        Self {
            child,
            output,
            http: Http::new(),
        }
    }

    /// The first line it wrote, or writes, with this text.
    pub fn said(&self, text: &str) -> String {
        self.output.said(text, PATIENCE)
    }

    /// The URL that its log names as `name=address`, or its banner as `name http://address`.
    pub fn url(&self, name: &str, at: &str) -> String {
        let line = self.said(at);
        let logged = |word: &str| {
            word.strip_prefix(&format!("{name}="))
                .map(|it| format!("http://{it}"))
        };
        let found = line.split_whitespace().find_map(logged);
        let printed = || {
            line.split_whitespace()
                .find(|word| word.starts_with("http://"))
                .map(str::to_owned)
        };
        found
            .or_else(printed)
            .unwrap_or_else(|| panic!("{name} in {line:?}"))
    }

    pub fn signal(&self, name: &str) {
        gate::signal(&self.child, name);
    }

    /// Waits for the exit code, and gives what was written.
    pub fn exit(mut self) -> (Option<i32>, Vec<String>) {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().expect("the child can be waited for") {
                return (status.code(), self.output.lines());
            }
            std::thread::park_timeout(POLL);
        }
        panic!("still running after {PATIENCE:?}: {:#?}", self.output.lines());
    }

    pub async fn get(&self, url: &str) -> Reply {
        let asked = self.http.get(url, &[("authorization", "Bearer dev:ada")]);
        tokio::time::timeout(PATIENCE, asked).await.expect("answered")
    }

    /// Asks until the answer has this status and text.
    pub async fn get_until(&self, url: &str, status: u16, text: &str) -> String {
        let begun = Instant::now();
        loop {
            let reply = self.get(url).await;
            let body = String::from_utf8_lossy(&reply.body).into_owned();
            if reply.status == status && body.contains(text) {
                return body;
            }
            assert!(begun.elapsed() < PATIENCE, "{url}: {} {body}", reply.status);
            tokio::time::sleep(POLL).await;
        }
    }

    /// An order of one mug.
    pub async fn place(&self, orders: &str, campaign: &str, user: &str) -> Reply {
        let token = format!("Bearer dev:{user}");
        let url = format!("{orders}/v1/campaigns/{campaign}/orders");
        let body = serde_json::json!({"sku": "mug", "quantity": 1});
        let headers = [("authorization", token.as_str())];
        let placed = self.http.post(&url, &headers, &body);
        tokio::time::timeout(PATIENCE, placed).await.expect("answered")
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The state an order was answered with.
pub fn state(order: &Value) -> &str {
    order["state"]
        .as_str()
        .unwrap_or_else(|| panic!("no order: {order}"))
}

/// Nothing listens there.
pub fn refusing() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound")
}

/// Long beside what is measured, short beside [`PATIENCE`].
pub const MOMENT: Duration = Duration::from_millis(300);
