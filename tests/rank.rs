//! Holds the module ranks: a module imports only modules of a lower rank, and the core has no cycle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Top-level modules by rank; a new module is added here, where its place can be discussed.
const RANKS: &[&[&str]] = &[
    &[
        "audience",
        "campaign",
        "failpoint",
        "lua",
        "order",
        "outbox",
        "pem",
        "plan",
        "record",
        "recorded",
        "revision",
        "ruleset",
        "seal",
        "seldom",
        "wire",
    ],
    &["bus", "engine", "serving", "store", "wasm"],
    &[
        "admission",
        "control",
        "flow",
        "landing",
        "reconcile",
        "relay",
        "sample",
    ],
    &["admin", "gateway"],
    &[
        "app",
        "cli",
        "client",
        "config",
        "dlt",
        "doctor",
        "load",
        "module",
        "simulate",
        "telemetry",
    ],
];

/// Modules of these ranks may import each other, as long as no file does so in a circle: the core is
/// one vocabulary, and the wiring is one story. Adapters, stages and fronts only meet in data.
const OPEN_RANKS: [usize; 2] = [0, 4];

fn rank_of(module: &str) -> Option<usize> {
    RANKS.iter().position(|rank| rank.contains(&module))
}

/// One `crate::…` path: the file that names it, and the path's parts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Import {
    file: PathBuf,
    line: usize,
    path: Vec<String>,
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

fn imports(file: &Path, text: &str) -> Vec<Import> {
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

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The top-level module a file belongs to.
fn module_of(file: &Path) -> String {
    let relative = file.strip_prefix(source()).expect("the file is below src");
    let first = relative.components().next().expect("a file has a name");
    let name = first.as_os_str().to_string_lossy();
    name.strip_suffix(".rs").unwrap_or(&name).to_owned()
}

fn all_imports() -> Vec<Import> {
    let mut files = Vec::new();
    source_files(&source(), &mut files);
    files
        .iter()
        .flat_map(|file| imports(file, &fs::read_to_string(file).expect("a source file is text")))
        .collect()
}

#[test]
fn every_module_has_a_rank() {
    let mut files = Vec::new();
    source_files(&source(), &mut files);
    let modules: BTreeSet<String> = files.iter().map(|file| module_of(file)).collect();
    let unranked: Vec<_> = modules
        .iter()
        .filter(|name| !matches!(name.as_str(), "lib" | "main") && rank_of(name).is_none())
        .collect();
    assert!(
        unranked.is_empty(),
        "give these modules a rank in tests/rank.rs: {unranked:?}"
    );
}

#[test]
fn a_module_imports_only_lower_ranks() {
    let mut wrong = Vec::new();
    for import in all_imports() {
        let from = module_of(&import.file);
        let to = &import.path[0];
        let (Some(from_rank), Some(to_rank)) = (rank_of(&from), rank_of(to)) else {
            continue;
        };
        let allowed =
            from == *to || to_rank < from_rank || (to_rank == from_rank && OPEN_RANKS.contains(&from_rank));
        if !allowed {
            wrong.push(format!(
                "{}:{}: {from} (rank {from_rank}) imports {to} (rank {to_rank})",
                import.file.display(),
                import.line
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
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

#[test]
fn files_of_one_rank_import_each_other_without_a_circle() {
    let mut edges: BTreeMap<PathBuf, BTreeSet<PathBuf>> = BTreeMap::new();
    for import in all_imports() {
        if let Some(target) = target_file(&import.path).filter(|target| *target != import.file) {
            edges.entry(import.file.clone()).or_default().insert(target);
        }
    }
    // Take away, again and again, what imports nothing that is left; a circle stays.
    loop {
        let left: BTreeSet<PathBuf> = edges.keys().cloned().collect();
        let before = edges.len();
        edges.retain(|_, targets| {
            targets.retain(|target| left.contains(target));
            !targets.is_empty()
        });
        if edges.len() == before {
            break;
        }
    }
    assert!(
        edges.is_empty(),
        "these files import each other in a circle: {edges:#?}"
    );
}

#[test]
fn groups_and_comments_are_read_right() {
    let text = "use crate::{a::{B, c::D}, e};\n// use crate::no;\nlet x = \"crate::no\"; crate::f::g();\n$crate::no!()";
    let found: Vec<String> = imports(Path::new("x.rs"), text)
        .into_iter()
        .map(|import| import.path.join("::"))
        .collect();
    assert_eq!(found, ["a::B", "a::c::D", "e", "f::g"]);
}
