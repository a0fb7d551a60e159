//! Wrong input to `rushgate module`: what was wrong, and what to do.

use std::path::Path;

use serde_json::{Value, json};
use testkit::forge::{Body, Forge, described};

use super::tool::{Said, command, module, repository, said};
use crate::stories::gate::Gate;

async fn refused(folder: &Path, arguments: &[&str], words: &[&str]) -> Said {
    module(folder, arguments).await.refused(words)
}

#[tokio::test]
async fn names_and_folders_that_cannot_be() {
    let temp = tempfile::tempdir().expect("a folder can be made");
    let here = temp.path();
    refused(here, &["new", "Tiers"], &["\"Tiers\"", "lower-case words"]).await;
    refused(here, &["new", "tiers", "--in", "none"], &["no folder none"]).await;
    refused(here, &["new", "tiers", "--engine", "quickjs"], &["--lang js"]).await;
    module(here, &["new", "tiers"]).await.ok();
    refused(
        here,
        &["new", "tiers", "--lang", "js"],
        &["tiers is there already"],
    )
    .await;
    refused(here, &["build", "none"], &["no folder none", "module new"]).await;
    refused(here, &["build"], &["neither Cargo.toml nor package.json"]).await;
    refused(
        here,
        &["test", "tiers"],
        &["dist/tiers.wasm", "rushgate module build tiers"],
    )
    .await;
    refused(here, &["inspect", "none.wasm"], &["no file none.wasm"]).await;
    let unknown = module(here, &["new", "tiers", "--lang", "cobol"]).await;
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(unknown.err.contains("possible values: rust, js"), "{unknown:?}");
}

#[tokio::test]
async fn files_that_are_no_modules() {
    let temp = tempfile::tempdir().expect("a folder can be made");
    let here = temp.path();
    std::fs::write(here.join("text.wasm"), "hello").expect("written");
    std::fs::write(here.join("core.wasm"), b"\0asm\x01\0\0\0").expect("written");
    for command in ["inspect", "test", "bench"] {
        refused(
            here,
            &[command, "text.wasm"],
            &["text.wasm is no rule module", "00 61 73 6d"],
        )
        .await;
        refused(
            here,
            &[command, "core.wasm"],
            &["core.wasm is no rule module", "wit-bindgen"],
        )
        .await;
    }
}

#[tokio::test]
async fn prechecks_are_played_with_the_examples() {
    let up_to_two =
        "(select (global.get $reject0) (global.get $pass) (i32.gt_u (local.get $quantity) (i32.const 2)))";
    let attempt = |quantity: u32, expect: Value| json!({"user": "ann", "sku": "mug", "quantity": quantity, "expect": expect});
    let no = json!({"rejected": "no"});
    let forged = |check: &str, attempts: Vec<Value>| {
        let context = json!({"campaign": "example", "opens-at-ms": 1_767_225_600_000_u64,
            "closes-at-ms": 1_767_312_000_000_u64, "skus": [{"id": "mug", "stock": 100}], "contract": "1.0.0"});
        let example =
            json!({"name": "two at once", "context": context, "params": "{}", "attempts": attempts});
        let forge = Forge {
            describe: Body::Answer(described(json!({"examples": [example]}))),
            ..Forge::checking(check)
        };
        forge.component()
    };
    let temp = tempfile::tempdir().expect("a folder can be made");
    let here = temp.path();
    let write = |bytes: Vec<u8>| std::fs::write(here.join("m.wasm"), bytes).expect("written");

    write(forged(
        up_to_two,
        vec![attempt(2, json!("admitted")), attempt(3, no.clone())],
    ));
    let shown = module(here, &["test", "m.wasm"]).await.ok();
    assert!(shown.contains("ok    two at once: 2 attempts"), "{shown}");
    assert!(
        shown.contains("1  no: ") && shown.contains("1 of 1 reason seen"),
        "{shown}"
    );

    write(forged(up_to_two, vec![attempt(3, json!("admitted"))]));
    refused(
        here,
        &["test", "m.wasm"],
        &["attempt 0: promised admitted, the plan gives no"],
    )
    .await;
    write(forged("unreachable", vec![attempt(1, no)]));
    refused(
        here,
        &["test", "m.wasm"],
        &["attempt 0: promised no, the plan gives precheck-failed"],
    )
    .await;
}

#[tokio::test]
async fn builds_without_node_or_with_an_error() {
    let temp = tempfile::tempdir().expect("a folder can be made");
    let here = temp.path();
    module(here, &["new", "tiers", "--lang", "js", "--engine", "quickjs"])
        .await
        .ok();
    let mut nowhere = command(env!("CARGO_BIN_EXE_rushgate"), here);
    nowhere.args(["module", "build", "tiers"]).env("PATH", here);
    said(nowhere)
        .await
        .refused(&["node is needed", "not on the PATH", "install Node.js 20"]);

    std::fs::write(here.join("tiers/package.json"), "{").expect("written");
    refused(
        here,
        &["build", "tiers"],
        &["tiers/package.json", "EOF while parsing"],
    )
    .await;
    std::fs::write(here.join("tiers/package.json"), r#"{"name": "tiers"}"#).expect("written");
    std::fs::write(here.join("tiers/build.mjs"), "process.exit(3)").expect("written");
    refused(here, &["build", "tiers"], &["node failed (exit status: 3)"]).await;
    std::fs::write(here.join("tiers/build.mjs"), "").expect("written");
    refused(here, &["build", "tiers"], &["left no tiers/dist/tiers.wasm"]).await;
}

#[tokio::test]
async fn pushes_that_cannot_be() {
    let here = repository().join("rules/dist");
    let down = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", down.local_addr().expect("bound"));
    drop(down);
    let words = [url.as_str(), "Connection refused", "rushgate dev"];
    refused(&here, &["push", "n-per-user.wasm", "--admin-url", &url], &words).await;

    let gate = Gate::dev().await;
    let url = gate.admin.replacen("http:", "https:", 1);
    refused(&here, &["push", "n-per-user.wasm", "--admin-url", &url], &["TLS"]).await;
    let to = ["--admin-url", gate.admin.as_str()];
    let known = module(&here, &[&["push", "n-per-user.wasm"][..], &to].concat())
        .await
        .ok();
    assert!(known.starts_with("known already: n-per-user@"), "{known}");
    let temp = tempfile::tempdir().expect("a folder can be made");
    std::fs::write(temp.path().join("text.wasm"), "hello").expect("written");
    let arguments = [&["push", "text.wasm"][..], &to].concat();
    refused(
        temp.path(),
        &arguments,
        &[
            "POST /admin/v1/modules was refused",
            "(422 not-wasm)",
            "00 61 73 6d",
        ],
    )
    .await;
}
