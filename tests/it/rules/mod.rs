//! The rules of `rules/dist`, as built: each is inspected, and every golden example in it is compiled,
//! merged, checked and played, through the interpreter and through the generated script.

mod beyond;
mod counters;
mod extremes;
mod parameters;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rushgate::control::proof::examples;
use rushgate::rejection::is_reserved;
use rushgate::wasm::{Expected, Host, Inspected};

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

#[tokio::test]
async fn golden_examples_come_out_as_promised() {
    let host = Host::new().expect("this machine runs WebAssembly");
    let (mut played, mut attempts) = (0, 0);
    let modules = modules(&host).await;
    for module in &modules {
        let report = examples::play_module(&host, &module.inspected, module.bytes.clone())
            .await
            .unwrap_or_else(|error| panic!("{}: {error}", module.name));
        assert_eq!(report.lies(), Vec::<String>::new(), "{}", module.name);
        assert_eq!(
            report.unseen(),
            Vec::<&str>::new(),
            "{}: no example shows these reasons",
            module.name
        );
        assert_eq!(report.examples.len(), module.inspected.descriptor.examples.len());
        played += report.examples.len();
        attempts += report.attempts();
    }
    println!(
        "{} modules, {played} examples, {attempts} attempts, each through interpreter and script",
        modules.len()
    );
    assert!(played > 0, "no module brought an example");
}

#[tokio::test]
async fn an_example_that_lies_is_told_with_what_came_instead() {
    let host = Host::new().expect("this machine runs WebAssembly");
    let modules = modules(&host).await;
    let honest = modules
        .iter()
        .find(|module| module.name == "n-per-user")
        .expect("it is built in");
    let mut inspected = honest.inspected.clone();
    let example = &mut inspected.descriptor.examples[0];
    let limit = Expected::Rejected("limit-per-user".into());
    let index = example
        .attempts
        .iter()
        .position(|attempt| attempt.expect == limit)
        .expect("it shows the limit");
    example.attempts[index].expect = Expected::Admitted;
    let name = example.name.clone();
    let report = examples::play_module(&host, &inspected, honest.bytes.clone())
        .await
        .expect("the host works");
    let lie = format!("example {name:?}, attempt {index}: promised admitted, the plan gives limit-per-user");
    assert_eq!(report.lies(), [lie]);

    inspected.descriptor.examples[0].params = serde_json::json!({"limit": 0});
    let report = examples::play_module(&host, &inspected, honest.bytes.clone())
        .await
        .expect("the host works");
    assert!(
        report.lies()[0].contains("refuses its own parameters at \"/limit\""),
        "{:?}",
        report.lies()
    );
}

#[tokio::test]
async fn every_module_is_built_in_and_shows_every_reason_it_rejects_for() {
    let host = Host::new().expect("this machine runs WebAssembly");
    let modules = modules(&host).await;
    let built_in: Vec<&str> = rushgate::wasm::builtin().iter().map(|(name, _)| *name).collect();
    for module in &modules {
        let descriptor = &module.inspected.descriptor;
        let version = module.name.split_once('@').map(|(_, version)| version);
        let name = match version {
            Some(version) => format!("{}@{version}", descriptor.id),
            None => descriptor.id.clone(),
        };
        assert_eq!(name, module.name, "a module's file is named by its id");
        assert!(
            version.is_none_or(|version| version == descriptor.version),
            "{name}"
        );
        assert!(built_in.contains(&format!("{}.wasm", module.name).as_str()));
        let attempts = descriptor.examples.iter().flat_map(|example| &example.attempts);
        let shown: BTreeSet<&str> = attempts
            .filter_map(|attempt| match &attempt.expect {
                Expected::Rejected(reason) => Some(reason.as_str()),
                Expected::Admitted => None,
            })
            .collect();
        assert!(!shown.is_empty(), "{}: no example shows a rejection", module.name);
        for reason in &descriptor.reasons {
            let code = reason.code.as_str();
            assert!(shown.contains(code), "{}: no example shows {code}", module.name);
        }
    }
    assert_eq!(modules.len(), built_in.len());
}

/// What revisions pin, and what `id@version` names, stays what it is.
#[test]
fn the_bytes_of_older_versions_never_change() {
    let kept = [(
        "region-quota@1.0.0.wasm",
        "be7b9b4da4dd775daefa3aab6c78f90f9f93535c70e5dc98100dea5341cab25c",
    )];
    let there = rushgate::wasm::builtin().iter();
    let there: Vec<(&str, String)> = there
        .filter(|(file, _)| file.contains('@'))
        .map(|(file, bytes)| (*file, rushgate::wasm::digest(bytes)))
        .collect();
    assert_eq!(there, kept.map(|(file, digest)| (file, digest.to_owned())));
}

#[test]
fn no_module_can_borrow_a_reason_of_the_gateway() {
    for kind in rushgate::wire::problem::ALL {
        assert!(is_reserved(kind.slug), "{} is not reserved", kind.slug);
    }
}
