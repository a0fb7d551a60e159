//! What the pages name is there: files and folders in backticks, and the targets of links.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders of the project; a text in backticks that begins with one of them is a path.
const FOLDERS: [&str; 12] = [
    "docs/",
    "examples/",
    "lua/",
    "migrations/",
    "rules/",
    "scripts/",
    "src/",
    "testkit/",
    "tests/",
    "tools/",
    "wit/",
    ".ci/",
];
/// What is made, and not kept.
const MADE: [&str; 2] = ["target", "node_modules"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every page of the project.
fn pages(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the project") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        if path.is_dir() && !name.starts_with('.') && !MADE.contains(&name) {
            pages(&path, found);
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
    found.sort();
}

/// Texts between backticks.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Targets of `[text](target)` that are files.
fn links(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets
        .map(|target| target.split('#').next().unwrap_or(target))
        .filter(|target| !target.is_empty() && !target.contains(':'))
}

/// The path in a quoted text, if it is one and names a single file or folder.
fn path_in(quoted: &str) -> Option<&str> {
    let path = quoted.split([' ', ':']).next()?;
    let is_path = FOLDERS.iter().any(|folder| path.starts_with(folder));
    let is_one = !path.contains(['*', '{', '<', '…', '$']);
    (is_path && is_one).then(|| path.trim_end_matches(['/', '.', ',']))
}

#[test]
fn every_path_that_a_page_names_is_there() {
    let mut found = Vec::new();
    pages(root(), &mut found);
    assert!(found.len() > 10, "{found:?}");
    let mut missing = Vec::new();
    for page in &found {
        let folder = page.parent().expect("a page is in a folder");
        let text = fs::read_to_string(page).expect("a page is text");
        let mut in_code = false;
        for (number, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                in_code = !in_code;
            }
            if in_code || line.starts_with("    ") {
                continue;
            }
            let is_there = |path: &str| root().join(path).exists() || folder.join(path).exists();
            let paths = quoted(line).filter_map(path_in).filter(|path| !is_there(path));
            let links = links(line).filter(|target| !folder.join(target).exists());
            missing.extend(paths.chain(links).map(|path| {
                let page = page.strip_prefix(root()).unwrap_or(page);
                format!("{}:{}: {path}", page.display(), number + 1)
            }));
        }
    }
    assert!(missing.is_empty(), "these are not there:\n{}", missing.join("\n"));
}

#[test]
fn paths_and_links_are_read_right() {
    let line = "see `src/store/landing/careful.rs`, `src/lua/emit`, `tests/*.rs`, `cargo` and [it](../lua/README.md#x) or [out](https://a)";
    let paths: Vec<&str> = quoted(line).filter_map(path_in).collect();
    assert_eq!(paths, ["src/store/landing/careful.rs", "src/lua/emit"]);
    assert_eq!(links(line).collect::<Vec<_>>(), ["../lua/README.md"]);
}
