//! `rushgate module new`: a folder with a rule that works.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::ValueEnum;

use super::template::Engine;
use super::{folder, print, template};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Id, package and folder of the module: lower-case words joined by hyphens
    name: String,
    /// Language to write it in
    #[arg(long, value_enum, default_value_t = Lang::Rust)]
    lang: Lang,
    /// What runs a JavaScript module [default: spidermonkey]
    #[arg(long, value_enum)]
    engine: Option<Engine>,
    /// Folder to make the module's folder in
    #[arg(long = "in", value_name = "FOLDER", default_value = ".")]
    parent: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Lang {
    /// About 120 KB; needs Rust with the target wasm32-unknown-unknown
    Rust,
    /// Needs Node.js 20 with npm
    Js,
}

impl Engine {
    pub(super) const ALL: [Self; 2] = [Self::Spidermonkey, Self::Quickjs];

    pub(super) fn package(self) -> &'static str {
        match self {
            Self::Spidermonkey => "@bytecodealliance/componentize-js",
            Self::Quickjs => "componentize-qjs",
        }
    }

    pub(super) fn version(self) -> &'static str {
        match self {
            Self::Spidermonkey => "0.23.0",
            Self::Quickjs => "0.4.5",
        }
    }
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let name = args.name.as_str();
    folder::check_name(name)?;
    if !args.parent.is_dir() {
        bail!("there is no folder {}", args.parent.display());
    }
    let files = match (args.lang, args.engine) {
        (Lang::Rust, None) => template::rust(name)?,
        (Lang::Rust, Some(_)) => bail!("--engine is for JavaScript modules: give --lang js with it"),
        (Lang::Js, engine) => template::javascript(name, engine.unwrap_or(Engine::Spidermonkey))?,
    };
    let path = args.parent.join(name);
    write(&path, &files)?;
    let rule = match args.lang {
        Lang::Rust => "src/lib.rs",
        Lang::Js => "rule.js",
    };
    let into = path.strip_prefix(".").unwrap_or(&path).display();
    print(&format!(
        "{into}/{rule} is the rule.\n\n  cd {into}\n  rushgate module build\n  rushgate module test\n  rushgate module push"
    ))
}

/// Writes a new folder; one that is there already is left alone.
fn write(path: &Path, files: &[template::File]) -> anyhow::Result<()> {
    let shown = path.display();
    match std::fs::create_dir(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            bail!("{shown} is there already: choose another name, or remove it first")
        }
        made => made.with_context(|| format!("cannot make the folder {shown}"))?,
    }
    for (file, text) in files {
        let file = path.join(file);
        let parent = file.parent().unwrap_or(path);
        std::fs::create_dir_all(parent)
            .and_then(|()| std::fs::write(&file, text))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_left_alone() {
        let temp = tempfile::tempdir().expect("a folder");
        let args = |name: &str, parent: &Path| Args {
            name: name.into(),
            lang: Lang::Js,
            engine: Some(Engine::Quickjs),
            parent: parent.into(),
        };
        run(&args("tiers", temp.path())).expect("made");
        assert!(temp.path().join("tiers/sdk/rushgate.js").is_file());
        std::fs::write(temp.path().join("tiers/rule.js"), "mine").expect("written");
        let error = run(&args("tiers", temp.path())).expect_err("there already");
        assert!(error.to_string().contains("is there already"), "{error}");
        let rule = std::fs::read_to_string(temp.path().join("tiers/rule.js")).expect("there");
        assert_eq!(rule, "mine");
        let error = run(&args("tiers", &temp.path().join("none"))).expect_err("nowhere");
        assert!(error.to_string().contains("there is no folder"), "{error}");
    }
}
