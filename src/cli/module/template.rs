//! What a new module's folder is made of: the templates, the SDK and the contract, all part of this binary.

use std::collections::BTreeSet;

use anyhow::Context;
use clap::ValueEnum;
use toml::{Table, Value};

/// What runs the JavaScript inside a component, with the npm package that puts both together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Engine {
    /// SpiderMonkey, by componentize-js: about 12 MB
    Spidermonkey,
    /// QuickJS, by componentize-qjs: about 1.2 MB
    Quickjs,
}

/// Stands for the module's name in a template.
const NAME: &str = "{{name}}";
/// Where the SDK lies in a Rust folder: two below it is `wit`, as the SDK expects.
const SDK_FOLDER: &str = "vendor/rushgate-rule";
const SDK_CRATE: &str = "rushgate-rule";
/// What every rule needs beside the SDK.
const RULE_DEPENDENCIES: [&str; 2] = ["schemars", "serde"];

const WIT: &str = include_str!("../../../wit/policy.wit");

macro_rules! sdk {
    ($($file:literal,)*) => {
        [$(($file, include_str!(concat!("../../../rules/sdk/src/", $file))),)*]
    };
}

/// The Rust SDK, file by file.
const SDK_SOURCES: &[(&str, &str)] = &sdk![
    "attribute.rs",
    "bindings.rs",
    "example.rs",
    "expr.rs",
    "id.rs",
    "key.rs",
    "lib.rs",
    "params/attribute.rs",
    "params/count.rs",
    "params/missing.rs",
    "params/mod.rs",
    "params/moment.rs",
    "params/schema.rs",
    "params/skus.rs",
    "params/span.rs",
    "params/window.rs",
    "plan.rs",
    "precheck.rs",
    "rule.rs",
    "rule2.rs",
    "runtime.rs",
    "words.rs",
];

/// A file of a folder: its path inside, and its text.
pub(super) type File = (String, String);

/// A Rust module's folder.
pub(super) fn rust(name: &str) -> anyhow::Result<Vec<File>> {
    let workspace: Table = include_str!("../../../rules/Cargo.toml").parse()?;
    let lock: Table = include_str!("../../../rules/Cargo.lock").parse()?;
    let mut files = vec![
        file("Cargo.toml", &manifest(name, workspace)?),
        file("Cargo.lock", &lock_file(name, lock)?),
        file("src/lib.rs", include_str!("../../../rules/templates/rust/lib.rs")),
        file("build.sh", include_str!("../../../rules/templates/rust/build.sh")),
        file("guest.sh", include_str!("../../../rules/guest.sh")),
        file(
            "README.md",
            &named(include_str!("../../../rules/templates/rust/README.md"), name),
        ),
        file("wit/policy.wit", WIT),
        file(".gitignore", "/target\n/dist\n"),
        file(
            &format!("{SDK_FOLDER}/Cargo.toml"),
            include_str!("../../../rules/sdk/Cargo.toml"),
        ),
    ];
    let sources = SDK_SOURCES.iter();
    files.extend(sources.map(|(path, text)| file(&format!("{SDK_FOLDER}/src/{path}"), text)));
    Ok(files)
}

/// A JavaScript module's folder.
pub(super) fn javascript(name: &str, engine: Engine) -> anyhow::Result<Vec<File>> {
    let (build, int64) = match engine {
        Engine::Spidermonkey => (
            include_str!("../../../rules/templates/js/componentize-js.mjs"),
            include_str!("../../../rules/sdk-js/int64-bigint.js"),
        ),
        Engine::Quickjs => (
            include_str!("../../../rules/templates/js/componentize-qjs.mjs"),
            include_str!("../../../rules/sdk-js/int64-number.js"),
        ),
    };
    Ok(vec![
        file("package.json", &package(name, engine)?),
        file(
            "rule.js",
            &named(include_str!("../../../rules/templates/js/rule.js"), name),
        ),
        file("build.mjs", build),
        file(
            "README.md",
            &named(include_str!("../../../rules/templates/js/README.md"), name),
        ),
        file(
            "sdk/rushgate.js",
            include_str!("../../../rules/sdk-js/rushgate.js"),
        ),
        file("sdk/int64.js", int64),
        file("wit/policy.wit", WIT),
        file(".gitignore", "/node_modules\n/dist\n"),
    ])
}

fn file(path: &str, text: &str) -> File {
    (path.to_owned(), text.to_owned())
}

fn named(template: &str, name: &str) -> String {
    template.replace(NAME, name)
}

/// The manifest: a package that is a workspace of its own, with versions and profile as the built-in rules have them.
fn manifest(name: &str, mut rules: Table) -> anyhow::Result<String> {
    let workspace = table(&mut rules, "workspace")?;
    workspace.remove("members");
    let sdk = table(table(workspace, "dependencies")?, SDK_CRATE)?;
    sdk.insert("path".into(), SDK_FOLDER.into());
    let rest = toml::to_string(&rules)?;
    Ok(format!(
        "# A rule module for rushgate; src/lib.rs says what it does.\n\
         [package]\nname = \"{name}\"\nversion = \"1.0.0\"\n\
         edition.workspace = true\nrust-version.workspace = true\npublish = false\n\n\
         [lib]\ncrate-type = [\"cdylib\"]\n\n\
         [dependencies]\n{SDK_CRATE}.workspace = true\n{}\n\n\
         # Versions and profile as the rules of rushgate have them; the SDK takes its own from here.\n{rest}",
        RULE_DEPENDENCIES
            .map(|dependency| format!("{dependency}.workspace = true"))
            .join("\n"),
    ))
}

fn table<'a>(of: &'a mut Table, name: &str) -> anyhow::Result<&'a mut Table> {
    let found = of.get_mut(name).and_then(Value::as_table_mut);
    found.with_context(|| format!("the manifest of the rules has no table {name:?}"))
}

/// The versions the built-in rules are built with, of those packages that this one needs.
fn lock_file(name: &str, mut lock: Table) -> anyhow::Result<String> {
    let packages = lock.get_mut("package").and_then(Value::as_array_mut);
    let packages = packages.context("the lock file of the rules has no packages")?;
    let mut needed: BTreeSet<String> = [SDK_CRATE.to_owned()].into();
    needed.extend(RULE_DEPENDENCIES.map(str::to_owned));
    loop {
        let wanted: Vec<String> = packages
            .iter()
            .filter(|package| needed.contains(field(package, "name")))
            .flat_map(dependencies)
            .collect();
        let before = needed.len();
        needed.extend(wanted);
        if needed.len() == before {
            break;
        }
    }
    packages.retain(|package| needed.contains(field(package, "name")));
    let mut own = Table::new();
    own.insert("name".into(), name.into());
    own.insert("version".into(), "1.0.0".into());
    let mut depends = vec![SDK_CRATE];
    depends.extend(RULE_DEPENDENCIES);
    own.insert("dependencies".into(), depends.into());
    packages.push(own.into());
    packages.sort_by(|a, b| field(a, "name").cmp(field(b, "name")));
    Ok(format!(
        "# This file is automatically @generated by Cargo.\n# It is not intended for manual editing.\n{}",
        toml::to_string_pretty(&lock)?
    ))
}

fn field<'a>(package: &'a Value, name: &str) -> &'a str {
    package.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Names of what a package of a lock file depends on; an entry may go on with a version.
fn dependencies(package: &Value) -> Vec<String> {
    let entries = package.get("dependencies").and_then(Value::as_array);
    let names = entries.into_iter().flatten().filter_map(Value::as_str);
    names
        .filter_map(|entry| Some(entry.split(' ').next()?.to_owned()))
        .collect()
}

/// The pinned packages: a component made of the same source is the same tomorrow.
fn package(name: &str, engine: Engine) -> anyhow::Result<String> {
    let mut package = serde_json::json!({
        "name": name,
        "version": "1.0.0",
        "private": true,
        "type": "module",
        "scripts": {"build": "node build.mjs"},
        "engines": {"node": ">=20"},
        "devDependencies": {engine.package(): engine.version()},
    });
    if engine == Engine::Spidermonkey {
        // componentize-js takes any 1.x of it.
        package["overrides"] = serde_json::json!({"@bytecodealliance/jco": "1.35.0"});
    }
    Ok(serde_json::to_string_pretty(&package)? + "\n")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_whole_sdk_goes_along() {
        fn list(folder: &Path, root: &Path, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(folder).expect("a folder of the SDK") {
                let path = entry.expect("an entry").path();
                match path.is_dir() {
                    true => list(&path, root, found),
                    false => {
                        let inside = path.strip_prefix(root).expect("below its root");
                        found.push(inside.to_string_lossy().into_owned());
                    }
                }
            }
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/sdk/src");
        let mut there = Vec::new();
        list(&root, &root, &mut there);
        there.sort();
        let known: Vec<&str> = SDK_SOURCES.iter().map(|(file, _)| *file).collect();
        assert_eq!(there, known, "SDK_SOURCES must name every file of rules/sdk/src");
    }

    #[test]
    fn a_rust_folder_is_a_workspace_of_its_own() {
        let files = rust("my-rule").expect("a folder");
        let text = |path: &str| {
            let found = files.iter().find(|(file, _)| file == path);
            &found.unwrap_or_else(|| panic!("no {path}")).1
        };
        let manifest: Table = text("Cargo.toml").parse().expect("TOML");
        assert_eq!(manifest["package"]["name"].as_str(), Some("my-rule"));
        let workspace = &manifest["workspace"];
        assert_eq!(
            workspace["dependencies"][SDK_CRATE]["path"].as_str(),
            Some(SDK_FOLDER)
        );
        assert!(workspace.get("members").is_none());
        assert!(manifest["profile"]["release"]["lto"].is_str());

        let lock: Table = text("Cargo.lock").parse().expect("TOML");
        let names: Vec<&str> = lock["package"]
            .as_array()
            .expect("packages")
            .iter()
            .map(|package| field(package, "name"))
            .collect();
        assert!(names.is_sorted(), "{names:?}");
        assert!(names.contains(&"my-rule") && names.contains(&SDK_CRATE) && names.contains(&"wit-bindgen"));
        assert!(!names.contains(&"n-per-user"), "{names:?}");
        for (path, text) in &files {
            assert!(!text.contains(NAME), "{path} has a name left open");
        }
    }

    #[test]
    fn a_javascript_folder_pins_its_engine() {
        for engine in [Engine::Spidermonkey, Engine::Quickjs] {
            let files = javascript("my-rule", engine).expect("a folder");
            for (path, text) in &files {
                assert!(!text.contains(NAME), "{path} has a name left open");
            }
            let (_, manifest) = files
                .iter()
                .find(|(path, _)| path == "package.json")
                .expect("one");
            let manifest: serde_json::Value = serde_json::from_str(manifest).expect("JSON");
            assert_eq!(manifest["name"], "my-rule");
            assert_eq!(manifest["devDependencies"][engine.package()], engine.version());
            let (_, build) = files.iter().find(|(path, _)| path == "build.mjs").expect("one");
            assert!(build.contains(&format!("from \"{}\"", engine.package())));
        }
    }
}
