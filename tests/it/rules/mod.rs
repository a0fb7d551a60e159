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
        let (id, version) = match module.name.split_once('@') {
            None => (module.name.as_str(), descriptor.version.as_str()),
            Some(named) => named,
        };
        assert_eq!(
            (descriptor.id.as_str(), descriptor.version.as_str()),
            (id, version),
            "a module's file is named by its id, and by its version where that is not the newest"
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

/// Revisions pin them by digest, and `id@version` stands for the same bytes for good.
#[test]
fn versions_that_were_released_keep_their_bytes() {
    let released = [
        (
            "audience@1.0.0",
            "a5ba64358642daaf9db29dcd4fe424ba9d6781918ba2be2610ba2d99b379cd26",
        ),
        (
            "cooldown@1.0.0",
            "c0b3ee4accc83312ef261f31c9389857d1ae3153f3e944e2c7af5a489ccbefb7",
        ),
        (
            "order-cap@1.0.0",
            "c64dc398976ebd6fa0c650bb4dc3d549cf9e79ece899b8bc10aab06391e62dbb",
        ),
        (
            "early-access@1.0.0",
            "bcbdbea612779a82e7919eee7eccdf5c12017191159fe691daa151e24bfb3461",
        ),
        (
            "n-per-user@1.0.0",
            "6a42973c31c257ff68afc5180567a9f5604e0db6dfe230686baa5b945cb996e1",
        ),
        (
            "one-per-user@1.0.0",
            "c98c7ccc198c39ac38be142d4a618bf8824da672890ef47e90cbf5fed8a1892e",
        ),
        (
            "per-subject@1.0.0",
            "d559c3aaf962c7cb8636e5914c883f2a4de01dbce91a294bf796cc203f9e36e7",
        ),
        (
            "per-window@1.0.0",
            "a0627140f956ded27506d457ad2f150ebb33b2fbb3fba45424fe96d5289afa12",
        ),
        (
            "region-quota@1.0.0",
            "be7b9b4da4dd775daefa3aab6c78f90f9f93535c70e5dc98100dea5341cab25c",
        ),
        (
            "tiered@1.0.0",
            "2c450595265decb2c3e8d42a2b9d2051eb25f4aea1a37d5976afdf1adabfaee2",
        ),
    ];
    let builtin = rushgate::wasm::builtin();
    for (name, digest) in released {
        let found = builtin.iter().find(|(file, _)| *file == format!("{name}.wasm"));
        let (_, bytes) = found.unwrap_or_else(|| panic!("{name} is gone"));
        assert_eq!(rushgate::wasm::digest(bytes), digest, "{name}");
    }
}

#[test]
fn no_module_can_borrow_a_reason_of_the_gateway() {
    for kind in rushgate::wire::problem::ALL {
        assert!(is_reserved(kind.slug), "{} is not reserved", kind.slug);
    }
}
