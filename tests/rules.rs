//! The rules of `rules/dist`, as built: each is inspected, and every golden example in it is compiled,
//! merged, checked and played through the interpreter.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rushgate::plan::{CheckedPlan, check, merge};
use rushgate::wasm::{Example, Expected, Host, Inspected, examples};

struct Module {
    name: String,
    bytes: Arc<[u8]>,
    inspected: Inspected,
}

async fn modules(host: &Host) -> Vec<Module> {
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/dist");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&dist)
        .expect("rules/dist is part of the repository")
        .map(|entry| entry.expect("the folder can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "wasm"))
        .collect();
    paths.sort();
    let mut modules = Vec::new();
    for path in paths {
        let name = path
            .file_stem()
            .expect("it has an extension")
            .to_string_lossy()
            .into_owned();
        let bytes: Arc<[u8]> = std::fs::read(&path).expect("the file can be read").into();
        let inspected = host
            .inspect(bytes.clone())
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        modules.push(Module {
            name,
            bytes,
            inspected,
        });
    }
    modules
}

/// The checked plan of an example's parameters in its campaign.
async fn plan_of(host: &Host, module: &Module, example: &Example) -> CheckedPlan {
    let at = format!("{}, example {:?}", module.name, example.name);
    let compiled = host
        .compile(
            &module.inspected,
            module.bytes.clone(),
            &example.context,
            &example.params,
        )
        .await
        .unwrap_or_else(|error| panic!("{at}: {error}"));
    let rule = examples::rule_plan(&module.inspected.descriptor, compiled.plan);
    let merged = merge::merge(vec![rule]).unwrap_or_else(|error| panic!("{at}: {error}"));
    check(merged, examples::check_context(example)).unwrap_or_else(|error| panic!("{at}: {error}"))
}

#[tokio::test]
async fn golden_examples_come_out_as_promised() {
    let host = Host::new().expect("this machine runs WebAssembly");
    let (mut played, mut attempts) = (0, 0);
    let modules = modules(&host).await;
    for module in &modules {
        for example in &module.inspected.descriptor.examples {
            let plan = plan_of(&host, module, example).await;
            examples::play(example, &plan).unwrap_or_else(|mismatch| panic!("{}: {mismatch}", module.name));
            played += 1;
            attempts += example.attempts.len();
        }
    }
    println!(
        "{} modules, {played} examples, {attempts} attempts",
        modules.len()
    );
    assert!(played > 0, "no module brought an example");
}

#[tokio::test]
async fn every_module_is_built_in_and_shows_a_rejection() {
    let host = Host::new().expect("this machine runs WebAssembly");
    let modules = modules(&host).await;
    let built_in: Vec<&str> = rushgate::wasm::builtin().iter().map(|(name, _)| *name).collect();
    for module in &modules {
        let descriptor = &module.inspected.descriptor;
        assert_eq!(descriptor.id, module.name, "a module's file is named by its id");
        assert!(built_in.contains(&format!("{}.wasm", module.name).as_str()));
        let rejects = descriptor.examples.iter().any(|example| {
            example.attempts.iter().any(|attempt| {
                matches!(&attempt.expect, Expected::Rejected(reason)
                    if descriptor.reasons.iter().any(|known| known.code == *reason))
            })
        });
        assert!(rejects, "{}: no example shows what it rejects", module.name);
    }
    assert_eq!(modules.len(), built_in.len());
}
