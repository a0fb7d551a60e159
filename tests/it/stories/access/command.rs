//! `rushgate key` and `rushgate merchant`, as an operator types them.

use std::process::{Command, Output};

use serde_json::Value;

use super::house::{House, ROOT};

fn run(house: &House, token: &str, args: &[&str]) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_rushgate"))
        .args(args)
        .args(["--admin-url", &house.gate.admin])
        .env("RUSHGATE_ADMIN_TOKEN", token)
        .output()
        .expect("it runs");
    let said = if status.success() { stdout } else { stderr };
    (status.code(), String::from_utf8_lossy(&said).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_from_its_making_to_its_end() {
    let house = House::open("").await;
    let done = |token: &str, args: &[&str]| {
        let (code, said) = run(&house, token, args);
        assert_eq!(code, Some(0), "{args:?}: {said}");
        said
    };
    done(ROOT, &["merchant", "create", "shop-a", "--name", "Shop A"]);
    let merchants: Value = serde_json::from_str(&done(ROOT, &["merchant", "list", "--json"])).expect("JSON");
    assert_eq!(merchants["merchants"][0]["name"], "Shop A");
    let make = [
        "key",
        "create",
        "desk",
        "--person",
        "ada",
        "--merchant",
        "shop-a",
        "--role",
        "merchant",
        "--expires-in-days",
        "30",
        "--json",
    ];
    let made: Value = serde_json::from_str(&done(ROOT, &make)).expect("JSON");
    let (id, key) = (
        made["id"].as_str().expect("an id"),
        made["key"].as_str().expect("a key"),
    );
    // Commands take it where they take the root token.
    let listed = done(key, &["key", "list"]);
    assert!(
        listed.contains(id) && listed.contains("shop-a") && listed.contains("ada"),
        "{listed}"
    );
    let (code, said) = run(&house, key, &["merchant", "create", "shop-b"]);
    assert!(code != Some(0) && said.contains("403"), "{said}");
    done(ROOT, &["key", "revoke", id, "--yes"]);
    let (code, said) = run(&house, key, &["key", "list"]);
    assert!(code != Some(0) && said.contains("revoked"), "{said}");
    let (code, _) = run(&house, ROOT, &["key", "create", "none", "--person", "ada"]);
    assert_eq!(code, Some(2), "a key may do something");
}
