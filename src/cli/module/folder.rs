//! The folder of a module: its language, its name, and where its build puts the file.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, bail};

/// Bytes of a name, as for every id.
const NAME_BYTES_MAX: usize = crate::campaign::ID_BYTES_MAX;
/// Folders of a module that hold what a build made or fetched.
const MADE: &[&str] = &["dist", "target", "node_modules"];
/// Names that cannot be a crate beside those it needs, or that the language keeps for itself.
const TAKEN: &[&str] = &[
    "alloc",
    "as",
    "async",
    "await",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "fn",
    "for",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "match",
    "mod",
    "move",
    "mut",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "rushgate-rule",
    "schemars",
    "self",
    "serde",
    "serde-json",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "type",
    "unsafe",
    "use",
    "where",
    "while",
    "wit-bindgen",
];

/// Checks the name of a new module: it becomes its id, its folder and its package.
pub(super) fn check_name(name: &str) -> anyhow::Result<()> {
    let word =
        |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if name.len() > NAME_BYTES_MAX || !name.split('-').all(word) {
        bail!(
            "{name:?} is no name for a module: use lower-case words joined by hyphens, at most {NAME_BYTES_MAX} bytes \
             (units-by-tier)"
        );
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        bail!("{name:?} is no name for a module: a package's name cannot start with a digit");
    }
    if TAKEN.contains(&name) {
        bail!(
            "a module cannot be named {name:?}: a package of that name cannot be built; choose another name"
        );
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Rust,
    JavaScript,
}

/// A folder that `rushgate module new` made, or one like it.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) path: PathBuf,
    pub(super) language: Language,
    /// The package's name, which names the file in `dist` too.
    pub(super) name: String,
}

impl Folder {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        if !path.is_dir() {
            bail!("there is no folder {shown}: make one with `rushgate module new NAME`");
        }
        let (language, manifest) = [
            (Language::Rust, "Cargo.toml"),
            (Language::JavaScript, "package.json"),
        ]
        .into_iter()
        .find(|(_, manifest)| path.join(manifest).is_file())
        .with_context(|| {
            format!(
                "{shown} is not the folder of a module: it has neither Cargo.toml nor package.json. Make one with \
                     `rushgate module new NAME`, or name the .wasm file"
            )
        })?;
        let file = path.join(manifest);
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let name = package_name(language, &text).with_context(|| file.display().to_string())?;
        Ok(Self {
            path: path.to_owned(),
            language,
            name,
        })
    }

    /// The file a build writes: `dist/NAME.wasm`.
    pub(super) fn output(&self) -> PathBuf {
        let file = Path::new("dist").join(format!("{}.wasm", self.name));
        match self.path == Path::new(".") {
            true => file,
            false => self.path.join(file),
        }
    }

    /// The newest file the module is made of, where it is newer than the built one.
    pub(super) fn newer_source(&self) -> Option<PathBuf> {
        let built = modified(&self.output())?;
        let (file, changed) = newest(&self.path)?;
        (changed > built).then_some(file)
    }
}

fn package_name(language: Language, text: &str) -> anyhow::Result<String> {
    let name = match language {
        Language::Rust => {
            let manifest: toml::Table = text.parse()?;
            let package = manifest.get("package").and_then(|package| package.get("name"));
            package.and_then(|name| Some(name.as_str()?.to_owned()))
        }
        Language::JavaScript => {
            let manifest: serde_json::Value = serde_json::from_str(text)?;
            manifest["name"].as_str().map(str::to_owned)
        }
    };
    name.context("it names no package, and the file in dist is named by it")
}

fn modified(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).ok()?.modified().ok()
}

/// The newest file of a module's own.
fn newest(folder: &Path) -> Option<(PathBuf, SystemTime)> {
    let entries = std::fs::read_dir(folder).ok()?;
    let own = entries.flatten().filter(|entry| {
        let name = entry.file_name();
        !name.to_string_lossy().starts_with('.') && !MADE.iter().any(|made| name == *made)
    });
    own.filter_map(|entry| match entry.file_type().ok()? {
        kind if kind.is_dir() => newest(&entry.path()),
        kind if kind.is_file() => Some((entry.path(), modified(&entry.path())?)),
        _ => None,
    })
    .max_by_key(|(_, changed)| *changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_words_that_can_be_packages() {
        for good in ["tiers", "n-per-user", "units-by-tier-2"] {
            check_name(good).expect(good);
        }
        for (bad, word) in [
            ("", "lower-case"),
            ("Tiers", "lower-case"),
            ("two__words", "lower-case"),
            ("-a", "lower-case"),
            ("../a", "lower-case"),
            ("a b", "lower-case"),
            ("2-per-user", "digit"),
            ("serde", "another name"),
            ("fn", "another name"),
        ] {
            let error = check_name(bad).expect_err(bad).to_string();
            assert!(error.contains(word), "{error}");
        }
        assert!(check_name(&"a".repeat(NAME_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn a_folder_says_what_it_is() {
        let temp = tempfile::tempdir().expect("a folder");
        let error = Folder::open(&temp.path().join("none"))
            .expect_err("none")
            .to_string();
        assert!(error.contains("there is no folder"), "{error}");
        let error = Folder::open(temp.path()).expect_err("empty").to_string();
        assert!(error.contains("neither Cargo.toml nor package.json"), "{error}");

        std::fs::write(temp.path().join("package.json"), r#"{"name": "a"}"#).expect("written");
        let folder = Folder::open(temp.path()).expect("a folder of a module");
        assert_eq!(
            (folder.language, folder.name.as_str()),
            (Language::JavaScript, "a")
        );
        assert!(folder.output().ends_with("dist/a.wasm"));

        std::fs::write(temp.path().join("Cargo.toml"), "[package]\nname = 1\n").expect("written");
        let error = format!("{:#}", Folder::open(temp.path()).expect_err("no name"));
        assert!(
            error.contains("Cargo.toml") && error.contains("names no package"),
            "{error}"
        );
    }

    #[test]
    fn a_source_newer_than_the_build_is_noticed() {
        let temp = tempfile::tempdir().expect("a folder");
        let write = |file: &str, age: u64| {
            let path = temp.path().join(file);
            std::fs::create_dir_all(path.parent().expect("inside")).expect("made");
            let file = std::fs::File::create(&path).expect("written");
            let when = SystemTime::now() - std::time::Duration::from_secs(age);
            file.set_modified(when).expect("dated");
            path
        };
        write("package.json", 100);
        std::fs::write(temp.path().join("package.json"), r#"{"name": "a"}"#).expect("written");
        write("package.json.bak", 100);
        let folder = Folder::open(temp.path()).expect("a folder of a module");
        assert_eq!(folder.newer_source(), None, "nothing is built");
        let manifest = std::fs::File::options()
            .append(true)
            .open(temp.path().join("package.json"))
            .expect("there");
        manifest
            .set_modified(SystemTime::now() - std::time::Duration::from_secs(100))
            .expect("dated");
        write("dist/a.wasm", 50);
        write("node_modules/x/new.js", 0);
        assert_eq!(folder.newer_source(), None);
        let source = write("src/rule.js", 10);
        assert_eq!(folder.newer_source(), Some(source));
    }
}
