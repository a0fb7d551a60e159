//! The house: which module imports which, by rank, and which files do so in a circle. Read from the sources as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Top-level modules by rank; a new module is added here, where its place can be discussed.
pub const RANKS: &[&[&str]] = &[
    &[
        "attempts",
        "audience",
        "campaign",
        "failpoint",
        "lua",
        "order",
        "outbox",
        "pem",
        "plan",
        "record",
        "rejection",
        "revision",
        "ruleset",
        "seal",
        "seldom",
        "wire",
    ],
    &["bus", "clock", "engine", "serving", "store", "wasm"],
    &[
        "admission",
        "control",
        "flow",
        "landing",
        "letters",
        "reconcile",
        "relay",
        "sampling",
    ],
    &["admin", "gateway"],
    &["app", "cli", "config", "doctor", "telemetry"],
];

/// Modules of these ranks may import each other, as long as no file does so in a circle: the core is
/// one vocabulary, and the wiring is one story. Adapters, stages and fronts only meet in data.
pub const OPEN_RANKS: [usize; 2] = [0, 4];

/// The rank of a top-level module, where it has one.
pub fn rank_of(module: &str) -> Option<usize> {
    RANKS.iter().position(|rank| rank.contains(&module))
}

/// One `crate::…` path: the file that names it, and the path's parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Import {
    pub file: PathBuf,
    pub line: usize,
    pub path: Vec<String>,
}

fn source_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("src is readable") {
        let path = entry.expect("an entry is readable").path();
        if path.is_dir() {
            source_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
}

/// Blanks comments and the inside of plain string literals, so that neither counts as an import.
fn code_only(line: &str) -> String {
    let mut code = String::with_capacity(line.len());
    let mut in_text = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' if in_text => {
                chars.next();
            }
            '"' => in_text = !in_text,
            '/' if !in_text && chars.peek() == Some(&'/') => break,
            _ if !in_text => code.push(c),
            _ => {}
        }
    }
    code
}

/// The paths behind a `crate::`, groups in braces unfolded: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn paths_after(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut prefixes: Vec<Vec<String>> = vec![Vec::new()];
    let mut current: Vec<String> = Vec::new();
    let mut name = String::new();
    for c in text.chars() {
        match c {
            c if c.is_alphanumeric() || c == '_' || c == '*' => name.push(c),
            ':' if !name.is_empty() => current.push(std::mem::take(&mut name)),
            ':' => {}
            c if c.is_whitespace() && prefixes.len() > 1 => {}
            '{' if name.is_empty() => {
                let mut prefix = prefixes.last().cloned().unwrap_or_default();
                prefix.append(&mut current);
                prefixes.push(prefix);
            }
            ',' | '}' if prefixes.len() > 1 => {
                if !name.is_empty() {
                    current.push(std::mem::take(&mut name));
                }
                if !current.is_empty() {
                    let mut path = prefixes.last().cloned().unwrap_or_default();
                    path.append(&mut current);
                    found.push(path);
                }
                if c == '}' {
                    prefixes.pop();
                    if prefixes.len() == 1 {
                        return found;
                    }
                }
            }
            _ => break,
        }
    }
    if !name.is_empty() {
        current.push(name);
    }
    if !current.is_empty() {
        found.push(current);
    }
    found
}

/// Everything a text imports by a path from the crate's root.
pub fn imports(file: &Path, text: &str) -> Vec<Import> {
    let code: String = text.lines().map(|line| code_only(line) + "\n").collect();
    code.match_indices("crate::")
        .filter(|(at, _)| !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$'))
        .flat_map(|(at, marker)| {
            let line = code[..at].lines().count().max(1);
            paths_after(&code[at + marker.len()..])
                .into_iter()
                .map(move |path| Import {
                    file: file.to_owned(),
                    line,
                    path,
                })
        })
        .collect()
}

/// The folder of the product's sources.
pub fn source() -> PathBuf {
    let testkit = Path::new(env!("CARGO_MANIFEST_DIR"));
    testkit.parent().expect("the workspace").join("src")
}

/// Every source file, sorted.
pub fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    source_files(&source(), &mut files);
    files
}

/// A file's path below the sources.
pub fn name(file: &Path) -> String {
    let below = file.strip_prefix(source()).expect("the file is below src");
    below.to_string_lossy().into_owned()
}

/// The top-level module a file belongs to.
pub fn module_of(file: &Path) -> String {
    let relative = file.strip_prefix(source()).expect("the file is below src");
    let first = relative.components().next().expect("a file has a name");
    let name = first.as_os_str().to_string_lossy();
    name.strip_suffix(".rs").unwrap_or(&name).to_owned()
}

/// What all files import by paths from the root.
pub fn all_imports() -> Vec<Import> {
    files()
        .iter()
        .flat_map(|file| imports(file, &fs::read_to_string(file).expect("a source file is text")))
        .collect()
}

/// The file that a path names: the deepest module file along it.
fn target_file(path: &[String]) -> Option<PathBuf> {
    let mut folder = source();
    let mut found = None;
    for part in path {
        let file = folder.join(format!("{part}.rs"));
        folder = folder.join(part);
        if file.is_file() {
            found = Some(file);
        } else if folder.join("mod.rs").is_file() {
            found = Some(folder.join("mod.rs"));
        } else {
            break;
        }
    }
    found
}

/// The module that a file is.
fn module_path(file: &Path) -> Vec<String> {
    let relative = file.strip_prefix(source()).expect("the file is below src");
    let mut path: Vec<String> = relative
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    path.pop_if(|last| matches!(last.as_str(), "mod" | "lib" | "main"));
    path
}

/// What a file imports of its neighbours by `super::`, as paths from the crate's root. Its tests, at the end, count as little
/// as comments do.
fn neighbours(file: &Path, text: &str) -> Vec<Vec<String>> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let code: String = text.lines().map(|line| code_only(line) + "\n").collect();
    let own = module_path(file);
    let mut found = Vec::new();
    for (at, marker) in code.match_indices("super::") {
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let (mut rest, mut up) = (&code[at + marker.len()..], 1);
        while let Some(further) = rest.strip_prefix("super::") {
            (rest, up) = (further, up + 1);
        }
        let base = &own[..own.len().saturating_sub(up)];
        found.extend(paths_after(rest).into_iter().map(|path| [base, &path].concat()));
    }
    found
}

/// Files by the files that they import.
fn edges() -> BTreeMap<PathBuf, BTreeSet<PathBuf>> {
    let files = files();
    let of = |file: &PathBuf| {
        let text = fs::read_to_string(file).expect("a source file is text");
        let from_root = imports(file, &text).into_iter().map(|import| import.path);
        let targets = from_root.chain(neighbours(file, &text));
        targets
            .filter_map(|path| target_file(&path))
            .filter(|target| target != file)
            .collect()
    };
    files.iter().map(|file| (file.clone(), of(file))).collect()
}

/// Everything that can be reached from a file.
fn reached(edges: &BTreeMap<PathBuf, BTreeSet<PathBuf>>, from: &Path) -> BTreeSet<PathBuf> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&PathBuf> = edges.get(from).into_iter().flatten().collect();
    while let Some(file) = open.pop() {
        if reached.insert(file.clone()) {
            open.extend(edges.get(file).into_iter().flatten());
        }
    }
    reached
}

/// Groups of files that import each other in a circle, by their paths below the sources.
pub fn circles() -> BTreeSet<Vec<String>> {
    let edges = edges();
    let all: BTreeMap<&PathBuf, BTreeSet<PathBuf>> =
        edges.keys().map(|file| (file, reached(&edges, file))).collect();
    let mut circles = BTreeSet::new();
    for (file, reached) in &all {
        if reached.contains(*file) {
            let with_it = all
                .iter()
                .filter(|(other, back)| reached.contains(**other) && back.contains(*file));
            circles.insert(with_it.map(|(other, _)| name(other)).collect());
        }
    }
    circles
}
