//! Wrong input to `rushgate module`: what was wrong, and what to do.

use std::path::Path;

use serde_json::{Value, json};
use testkit::forge::{Body, Forge, described};

use super::tool::{
    Engine, QUICKJS, SPIDERMONKEY, Said, command, javascript_folder, module, repository, said,
};
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
async fn the_configuration_is_read_as_by_every_command() {
    let temp = tempfile::tempdir().expect("a folder can be made");
    let (here, kept) = (temp.path(), temp.path().join("kept"));
    let (good, bad) = (here.join("good.toml"), here.join("bad.toml"));
    std::fs::write(&good, format!("[wasm]\ncache_dir = {kept:?}\n")).expect("written");
    std::fs::write(&bad, "[landing]\nredrive = \"failed\"\n").expect("written");
    let rule = repository().join("rules/dist/order-cap.wasm");
    let ask = async |what: &str, file: &Path, by_flag: bool| {
        let mut rushgate = command("rushgate", here);
        rushgate.args(["module", what]).arg(&rule);
        match by_flag {
            true => rushgate.arg("--config").arg(file),
            false => rushgate.env("RUSHGATE_CONFIG", file),
        };
        rushgate.env_remove("RUSHGATE_WASM_CACHE_DIR");
        said(rushgate).await
    };
    for by_flag in [true, false] {
        ask("inspect", &good, by_flag).await.ok();
        std::fs::remove_dir_all(&kept).expect("it was kept where the configuration says");
        for what in ["inspect", "test", "bench"] {
            ask(what, &bad, by_flag)
                .await
                .refused(&["landing.redrive: \"failed\" is no class of errors"]);
        }
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
async fn what_the_code_of_a_module_threw_is_said() {
    let temp = tempfile::tempdir().expect("a folder can be made");
    let here = temp.path();
    let write = |forge: Forge| std::fs::write(here.join("m.wasm"), forge.component()).expect("written");
    let text = "TypeError: no tiers (rule.js:60)\n\u{1b}[2J";
    let shown = "it threw TypeError: no tiers (rule.js:60) \\u{1b}[2J";

    write(Forge::describing(
        json!({"id": "", "annotations": [["uncaught-exception", text]]}),
    ));
    for command in ["inspect", "test", "bench"] {
        let words = ["m.wasm is no rule module", &format!("describe: {shown}")];
        refused(here, &[command, "m.wasm"], &words).await;
    }
    let gate = Gate::dev().await;
    let push = ["push", "m.wasm", "--admin-url", gate.admin.as_str()];
    refused(here, &push, &["(422 exception)", &format!("describe: {shown}")]).await;

    // While a merchant makes a revision it is the module's fault, and not that of the parameters.
    let thrown = json!({"severity": "error", "code": "uncaught-exception", "message": text});
    write(Forge {
        compile: Body::Answer(json!({"err": [thrown]})),
        ..Forge::default()
    });
    module(here, &push).await.ok();
    let rules = json!({"rules": [{"module": "forged"}]});
    let problem = gate
        .control("/campaigns/demo/revisions", &rules)
        .await
        .refused(422, "invalid");
    assert_eq!(problem["errors"][0]["pointer"], "/rules/0", "{problem}");
    let detail = problem["errors"][0]["detail"].as_str().expect("a detail");
    assert_eq!(detail, format!("module forged@1.0.0: compile: {shown}"));
}

/// What is put before a line of the template of a rule, and what `module test` says of it.
const SLIPS: [(&str, &str, &str); 3] = [
    (
        "    const below = ",
        "const none = () => { throw new Error(\"no tiers at all\", { cause: \"a slip\" }); }; none();",
        "compile: it threw Error: no tiers at all (rule.js:47); caused by a slip",
    ),
    (
        "    const below = ",
        "claim(\"tier\").lookup({ a: 1.5 }, 1);",
        "found 1.5 (rule.js:47)",
    ),
    (
        "    const gold = ",
        "undefined.gold;",
        "is no rule module: describe: it threw TypeError: ",
    ),
];

async fn hold(engine: Engine, slips: &[(&str, &str, &str)]) {
    let folder = javascript_folder(engine).await;
    let here = folder.path();
    module(here, &["new", "slips", "--lang", "js", "--engine", engine.0])
        .await
        .ok();
    let rule = here.join("slips/rule.js");
    let good = std::fs::read_to_string(&rule).expect("the template is there");
    for (before, slip, said) in slips {
        assert!(good.contains(before), "{before}");
        let wrong = good.replacen(before, &format!("    {slip}\n{before}"), 1);
        std::fs::write(&rule, wrong).expect("written");
        module(here, &["build", "slips"]).await.ok();
        let tested = module(here, &["test", "slips"]).await;
        assert_eq!(tested.code, Some(1), "{tested:?}");
        let all = tested.out.clone() + &tested.err;
        assert!(
            all.contains(said) && !all.contains("unreachable"),
            "{slip}: {all}"
        );
    }
    // What runs while it is built, and what is no JavaScript, end the build.
    for (slip, said) in [
        ("throw new Error(\"at the top\");", "at the top"),
        ("const const LIMIT = 1;", "rule.js:2"),
    ] {
        std::fs::write(&rule, format!("\n{slip}\n{good}")).expect("written");
        refused(here, &["build", "slips"], &[said]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slips_of_a_rule_on_quickjs_are_said_with_their_line() {
    hold(QUICKJS, &SLIPS).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slips_of_a_rule_on_spidermonkey_are_said_with_their_line() {
    // Machine code of this engine takes long: one is enough to see how it writes stacks.
    hold(SPIDERMONKEY, &SLIPS[..1]).await;
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
