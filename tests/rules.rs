//! The rules of `rules/dist`, as built: each is inspected, and every golden example in it is compiled,
//! merged, checked and played, through the interpreter and through the generated script.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use rushgate::engine::embedded::Embedded;
use rushgate::lua::calls::{self, Restore};
use rushgate::lua::codec::{self, AdmitReply, Fence};
use rushgate::lua::keys::{self, Shard};
use rushgate::lua::{emit, fixed};
use rushgate::plan::{CheckedPlan, check, merge};
use rushgate::wasm::{Example, Expected, Host, Inspected, RESERVED_REASONS, examples};

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

/// Plays an example through the script generated from its plan, in the embedded engine.
fn play_script(at: &str, example: &Example, plan: CheckedPlan) {
    let clock = Arc::new(AtomicI64::new(example.context.opens_at));
    let now = clock.clone();
    let engine = Embedded::with_clock(Arc::new(move || now.load(Ordering::SeqCst) * 1000));
    let shard = Shard::new(&example.context.campaign, 0);
    let key = shard.state();
    let fence = Fence {
        uid: "example".into(),
        epoch: 1,
    };
    let family = emit::emit(Arc::new(plan), 1).unwrap_or_else(|error| panic!("{at}: {error}"));
    for (audience, members) in &example.audiences {
        let members = members.iter().map(String::as_str);
        engine.sadd(&(shard.prefix() + &keys::audience(audience, 1, 0)), members);
    }
    for step in [
        Restore::Begin { uid: "example" },
        Restore::Finish {
            fence: &fence,
            revision: 1,
            plan: &family.plan,
            stock: &examples::state(example).stock,
        },
    ] {
        let reply = engine.run_now(&fixed::RESTORE, &key, calls::restore_args("test", step));
        let restored = reply.map(calls::restore_reply);
        assert_eq!(restored, Ok(Ok(true)), "{at}");
    }
    for (index, step) in examples::steps(example).into_iter().enumerate() {
        clock.store(step.now, Ordering::SeqCst);
        let args = codec::admit_args(&family, &fence, std::iter::once(&step.attempt));
        let reply = engine
            .run_now(&family.admit, &key, args)
            .unwrap_or_else(|error| panic!("{at}: {error}"));
        match codec::admit_reply(&family, std::iter::once(&step.attempt), reply) {
            Ok(AdmitReply::Decided { decisions, .. }) => {
                let found = examples::outcome(&family.plan, &decisions[0]);
                assert_eq!(found, step.expect, "{at}, attempt {index}");
            }
            other => panic!("{at}, attempt {index}: {other:?}"),
        }
    }
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
            play_script(
                &format!("{}, example {:?}", module.name, example.name),
                example,
                plan,
            );
            played += 1;
            attempts += example.attempts.len();
        }
    }
    println!(
        "{} modules, {played} examples, {attempts} attempts, each through interpreter and script",
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

#[test]
fn no_module_can_borrow_a_reason_of_the_gateway() {
    for kind in rushgate::wire::problem::ALL {
        assert!(
            RESERVED_REASONS.contains(&kind.slug),
            "{} is not reserved",
            kind.slug
        );
    }
}
