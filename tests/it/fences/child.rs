//! Modules that are looked at by a child: what it answers, what it may take, and that nobody waits for it.

use std::path::Path;
use std::sync::Arc;

use rushgate::campaign::Sku;
use rushgate::wasm::{Config, Context, Host, ModuleError, builtin};
use serde_json::json;
use testkit::forge::hostile::{At, bombs};
use testkit::forge::{Forge, TRAP};

/// A host whose children are this build's binary, and whose machine code lies in `folder`.
pub fn host(folder: Option<&Path>) -> Host {
    let config = Config {
        cache_dir: folder.map(Path::to_owned),
        program: Some(env!("CARGO_BIN_EXE_rushgate").into()),
    };
    Host::with(&config).expect("this machine runs WebAssembly")
}

/// A host whose children cannot be started: it takes what is there already, and nothing else.
fn childless(folder: &Path) -> Host {
    let config = Config {
        cache_dir: Some(folder.to_owned()),
        program: Some("/nowhere/rushgate".into()),
    };
    Host::with(&config).expect("this machine runs WebAssembly")
}

fn context() -> Context {
    Context {
        campaign: "spring".into(),
        opens_at: 1_000,
        closes_at: 2_000,
        skus: vec![Sku::new("mug", 10)],
    }
}

fn code(error: ModuleError) -> (&'static str, String) {
    match error {
        ModuleError::Refused { code, message } | ModuleError::Misbehaved { code, message, .. } => {
            (code, message)
        }
        ModuleError::Params(problems) => panic!("{problems:?}"),
    }
}

#[tokio::test]
async fn a_child_answers_what_this_process_would() {
    let host = host(None);
    let here = Host::new().expect("this machine runs WebAssembly");
    let core = Forge::default().core();
    let core = testkit::forge::with_world(core, "rule-module");
    for bytes in [
        Forge::default().component(),
        Forge::checking("(global.get $pass)").component(),
        core,
    ] {
        let bytes: Arc<[u8]> = bytes.into();
        let (found, cost) = host.inspect_measured(bytes.clone()).await.expect("a good module");
        let (expected, costs) = here.inspect_measured(bytes.clone()).await.expect("a good module");
        assert_eq!(found, expected);
        assert_eq!((cost.fuel, cost.memory_bytes), (costs.fuel, costs.memory_bytes));
        let params = json!({});
        let compiled = host.compile(&found, bytes.clone(), &context(), &params).await;
        let plan = here.compile(&expected, bytes.clone(), &context(), &params).await;
        assert_eq!(compiled, plan);
        if found.descriptor.precheck {
            host.precheck(&found, bytes, "rule", &params)
                .await
                .expect("it can be run");
        }
    }
    let trap = Forge {
        describe: testkit::forge::Body::Text(TRAP.into()),
        ..Forge::default()
    };
    let bytes: Arc<[u8]> = trap.component().into();
    assert_eq!(host.inspect(bytes.clone()).await, here.inspect(bytes).await);
}

#[tokio::test]
async fn what_a_child_has_made_is_loaded_without_one_and_nothing_else_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes: Arc<[u8]> = Forge::checking("(global.get $pass)").component().into();
    let module = host(Some(folder.path()))
        .inspect(bytes.clone())
        .await
        .expect("a good module");

    let another = childless(folder.path());
    let (params, context) = (json!({}), context());
    another
        .compile(&module, bytes.clone(), &context, &params)
        .await
        .expect("its machine code is there");
    another
        .precheck(&module, bytes.clone(), "rule", &params)
        .await
        .expect("this one, too");
    let (found, message) = code(another.inspect(bytes.clone()).await.expect_err("no children"));
    assert_eq!(found, "host");
    assert!(message.contains("/nowhere/rushgate"), "{message}");

    // Where the machine code is gone, this process does not make it.
    std::fs::remove_dir_all(folder.path().join("modules")).expect("it is there");
    let third = childless(folder.path());
    let (found, _) = code(
        third
            .compile(&module, bytes.clone(), &context, &params)
            .await
            .expect_err("it is gone"),
    );
    assert_eq!(found, "host");
    let again = host(Some(folder.path()));
    again
        .compile(&module, bytes, &context, &params)
        .await
        .expect("a child makes it again");
}

#[tokio::test]
async fn built_in_modules_need_no_child() {
    let folder = tempfile::tempdir().expect("a folder");
    let host = childless(folder.path());
    let (_, bytes) = builtin()[0];
    let module = host.inspect(Arc::from(bytes)).await.expect("it is trusted");
    assert_eq!(module.descriptor.id, "one-per-user");
}

/// Those that die fast, also where nothing is optimised; `./x hostile` has all.
#[tokio::test]
async fn bombs_are_refused_with_the_bound_they_pass() {
    let host = host(None);
    for bomb in bombs::bombs().into_iter().filter(|bomb| bomb.fast) {
        let bytes: Arc<[u8]> = (bomb.hostile.make)().into();
        let (found, message) = match host.inspect(bytes).await {
            Err(error) => code(error),
            Ok(_) => ("taken", String::new()),
        };
        println!("{}: {found}: {message}", bomb.hostile.name);
        assert_eq!(
            At::Upload(found),
            bomb.hostile.at,
            "{}: {message}",
            bomb.hostile.name
        );
        assert!(
            message.contains(bomb.says),
            "{message:?} does not say {:?}",
            bomb.says
        );
    }
}

/// An upload that takes for ever holds up no other module, whether that has to be made or not.
#[cfg(unix)]
#[tokio::test]
async fn nobody_waits_for_an_upload() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let known: Arc<[u8]> = Forge::default().component().into();
    let module = host(None).inspect(known.clone()).await.expect("a good module");

    // A child that was told to inspect waits for a sign; any other is a real one.
    let (program, go) = (folder.path().join("program"), folder.path().join("go"));
    let script = format!(
        "#!/bin/sh\ncase \"$2\" in *inspect*) while [ ! -e {} ]; do sleep 0.1; done;; *) exec {} \"$@\";; esac\n",
        go.display(),
        env!("CARGO_BIN_EXE_rushgate"),
    );
    std::fs::write(&program, script).expect("written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).expect("ours");
    let config = Config {
        cache_dir: Some(folder.path().join("wasm")),
        program: Some(program),
    };
    let host = Host::with(&config).expect("this machine runs WebAssembly");
    let upload = tokio::spawn({
        let (host, bytes) = (host.clone(), Forge::checking("(global.get $pass)").component());
        async move { host.inspect(bytes.into()).await }
    });
    // The first time a child makes it, then it is kept.
    for _ in 0..2 {
        host.compile(&module, known.clone(), &context(), &json!({}))
            .await
            .expect("it does not wait");
    }
    assert!(!upload.is_finished());
    std::fs::write(&go, "").expect("written");
    let (found, _) = code(upload.await.expect("no panic").expect_err("no answer"));
    assert_eq!(found, "host");
}
