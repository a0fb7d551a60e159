//! Signals: the drain of a gateway, a second signal, and a configuration that is read again.

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use serde_json::json;
use tempfile::TempDir;
use testkit::output::Output;

use crate::stories::gate::{self, Gate, PATIENCE, POLL};
use crate::stories::role::{MOMENT, Role, state};

fn config(text: &str) -> (TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("rushgate.toml");
    std::fs::write(&path, text).expect("written");
    let path = path.to_str().expect("a UTF-8 path").to_owned();
    (folder, path)
}

fn dev(path: &str) -> (Role, String, String) {
    let role = Role::start(&["dev", "--config", path]);
    let (orders, admin) = (role.url("orders", "  orders "), role.url("control", "  control "));
    (role, orders, admin)
}

#[tokio::test]
async fn after_sigterm_a_gateway_is_unready_first_and_goes_on() {
    let (_folder, path) = config("drain_delay_ms = 3600000");
    let (role, orders, admin) = dev(&path);
    role.get_until(&format!("{admin}/readyz"), 200, "ready").await;
    role.signal("TERM");
    let text = role
        .get_until(&format!("{admin}/readyz"), 503, "[-]draining failed")
        .await;
    assert!(text.ends_with("not ready\n"), "{text}");
    assert_eq!(role.get(&format!("{admin}/livez")).await.status, 200);
    for user in ["ada", "bob"] {
        let placed = role.place(&orders, "demo", user).await.expect(202);
        assert_eq!(placed.header("connection"), "close");
    }
    role.signal("TERM");
    assert_eq!(role.exit().0, Some(130), "a second signal ends at once");
}

#[tokio::test]
async fn after_the_delay_it_closes_and_ends() {
    let (_folder, path) = config("drain_delay_ms = 300");
    let (role, orders, _) = dev(&path);
    role.place(&orders, "demo", "ada").await.expect(202);
    let asked = Instant::now();
    role.signal("TERM");
    let (code, lines) = role.exit();
    assert_eq!(code, Some(0), "{lines:#?}");
    assert!(asked.elapsed() >= MOMENT, "it went on for the delay");
}

#[tokio::test]
async fn somebody_at_a_terminal_does_not_wait_for_balancers() {
    let (_folder, path) = config("drain_delay_ms = 3600000");
    let gate = Gate::dev_with(Path::new(&path)).await;
    gate.signal("INT");
    assert_eq!(gate.exit(), Some(0));
}

#[tokio::test]
async fn sighup_puts_in_force_what_can_be_and_a_mistake_changes_nothing() {
    let (_folder, path) = config("[admission]\nanswer = \"accepted\"\naccept_wait_ms = 600000\n");
    let (role, orders, _) = dev(&path);
    assert_eq!(
        state(&role.place(&orders, "demo", "u0").await.expect(202).json()),
        "accepted"
    );

    let other = "[admission]\nanswer = \"admitted\"\nqueue = 7\n[log]\nlevel = \"debug\"\n";
    std::fs::write(&path, other).expect("written");
    role.signal("HUP");
    let line = role.said("the configuration was read again");
    for change in [
        r#"admission.answer: \"accepted\" → \"admitted\""#,
        r#"log.level: \"info\" → \"debug\""#,
        "admission.accept_wait_ms: 600000 → 200",
    ] {
        assert!(line.contains(change), "{change} in {line}");
    }
    let later = role.said("take effect with the next start");
    assert!(later.contains("admission.queue"), "{later}");
    assert_eq!(
        state(&role.place(&orders, "demo", "u1").await.expect(202).json()),
        "pending"
    );

    std::fs::write(&path, "[admission]\nanswer = \"accepted\"\nbatch = \"many\"\n").expect("written");
    role.signal("HUP");
    let line = role.said("the configuration stays as it was");
    assert!(line.contains("rushgate.toml:3:9"), "{line}");
    assert_eq!(
        state(&role.place(&orders, "demo", "u2").await.expect(202).json()),
        "pending"
    );

    std::fs::write(&path, "[auth]\njwt_hs256_secret_file = \"/nowhere/secret\"\n").expect("written");
    role.signal("HUP");
    role.said("cannot read /nowhere/secret");
    assert_eq!(
        state(&role.place(&orders, "demo", "u3").await.expect(202).json()),
        "pending"
    );
    role.signal("TERM");
    assert_eq!(role.exit().0, Some(0));
}

#[tokio::test]
async fn a_log_that_nobody_reads_any_more_ends_nothing() {
    let mut child = gate::command(&["dev"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the rushgate binary starts");
    let output = Output::default();
    output.follow(child.stdout.take().expect("piped"));
    let (orders, _) = output.addresses(PATIENCE).expect("it starts");
    drop(child.stderr.take());
    gate::signal(&child, "HUP");
    let http = testkit::http::Http::new();
    let url = format!("{orders}/v1/campaigns/demo/orders");
    for user in ["ada", "bob", "cy"] {
        let token = format!("Bearer dev:{user}");
        let body = json!({"sku": "mug", "quantity": 1});
        http.post(&url, &[("authorization", &token)], &body)
            .await
            .expect(202);
    }
    gate::signal(&child, "TERM");
    let asked = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("the child can be waited for") {
            break status;
        }
        assert!(asked.elapsed() < PATIENCE, "still running");
        std::thread::park_timeout(POLL);
    };
    assert_eq!(status.code(), Some(0));
}
