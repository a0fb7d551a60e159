//! The house: which module imports which, by rank, and which files do so in a circle. Read from the sources as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Modules of one rank, in steps: each imports only modules of lower ranks and of earlier steps.
pub struct Rank {
    pub name: &'static str,
    pub steps: &'static [&'static [&'static str]],
}

/// Top-level modules by rank; a new module is added here, where its place can be discussed. The core is one vocabulary, whose
/// words are explained by earlier ones, and the wiring is one story. Adapters and stages only meet in data: each of these ranks is one step.
/// So do fronts, but for the console, which asks the control plane as any client does.
pub const RANKS: &[Rank] = &[
    Rank {
        name: "core",
        steps: &[
            &["access", "failpoint", "metrics", "pem", "seal", "seldom", "wire"],
            &["audit", "campaign"],
            &["order", "rejection"],
            &["audience"],
            &["plan"],
            &["lua", "revision"],
            &["record", "ruleset", "state"],
            &["attempts", "outbox"],
        ],
    },
    Rank {
        name: "adapters",
        steps: &[
            &["bus", "clock", "engine", "needs", "serving", "store", "wasm"],
            &["reaching"],
        ],
    },
    Rank {
        name: "stages",
        steps: &[&[
            "admission",
            "control",
            "events",
            "flow",
            "landing",
            "letters",
            "lifecycle",
            "reconcile",
            "relay",
            "sampling",
            "webhooks",
        ]],
    },
    Rank {
        name: "fronts",
        steps: &[&["admin", "gateway"], &["console"]],
    },
    Rank {
        name: "wiring",
        steps: &[&["telemetry"], &["config"], &["doctor"], &["app"], &["cli"]],
    },
];

/// Rank and step of a top-level module, where it has them.
pub fn rank_of(module: &str) -> Option<(usize, usize)> {
    let step_in = |rank: &Rank| rank.steps.iter().position(|step| step.contains(&module));
    RANKS
        .iter()
        .enumerate()
        .find_map(|(number, rank)| Some((number, step_in(rank)?)))
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

/// The file that a path names, which is the deepest module file along it, and what is left of the path behind that.
fn target_file(path: &[String]) -> Option<(PathBuf, &[String])> {
    let mut folder = source();
    let mut found = None;
    for (depth, part) in path.iter().enumerate() {
        let file = folder.join(format!("{part}.rs"));
        folder = folder.join(part);
        let Some(file) = [file, folder.join("mod.rs")]
            .into_iter()
            .find(|file| file.is_file())
        else {
            break;
        };
        found = Some((file, &path[depth + 1..]));
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

/// A file without its tests, at the end, which count as little as comments do where files import each other.
fn product(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

/// What a file imports of its neighbours by `super::`, as paths from the crate's root.
fn neighbours(file: &Path, text: &str) -> Vec<Vec<String>> {
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

/// Names that a file hands on (`pub use …`), each with the path behind it from the crate's root.
fn handed_on(file: &Path, text: &str) -> BTreeMap<String, Vec<String>> {
    let code: String = text.lines().map(|line| code_only(line) + "\n").collect();
    let mut names = BTreeMap::new();
    for (at, marker) in code.match_indices("use ") {
        let line = code[..at].rfind('\n').map_or(0, |end| end + 1);
        if !code[line..at].trim_start().starts_with("pub") {
            continue;
        }
        let (mut base, mut rest) = (module_path(file), &code[at + marker.len()..]);
        if let Some(from_root) = rest.strip_prefix("crate::") {
            (base, rest) = (Vec::new(), from_root);
        }
        rest = rest.strip_prefix("self::").unwrap_or(rest);
        while let Some(further) = rest.strip_prefix("super::") {
            base.pop();
            rest = further;
        }
        let paths = paths_after(rest).into_iter();
        names.extend(paths.filter_map(|path| Some((path.last()?.clone(), [&base[..], &path].concat()))));
    }
    names
}

/// Files by the files that they import; what a file merely hands on is imported from where it comes from.
fn edges() -> BTreeMap<PathBuf, BTreeSet<PathBuf>> {
    let text = |file: &PathBuf| fs::read_to_string(file).expect("a source file is text");
    let texts: BTreeMap<PathBuf, String> = files()
        .into_iter()
        .map(|file| (file.clone(), text(&file)))
        .collect();
    let handed_on: BTreeMap<&PathBuf, BTreeMap<String, Vec<String>>> = texts
        .iter()
        .map(|(file, text)| (file, handed_on(file, text)))
        .collect();
    let home = |mut path: Vec<String>| loop {
        let (file, rest) = target_file(&path)?;
        let behind = rest.first().and_then(|name| handed_on[&file].get(name));
        match behind.filter(|behind| target_file(behind).is_some_and(|(target, _)| target != file)) {
            Some(behind) => path = [&behind[..], &rest[1..]].concat(),
            None => return Some(file),
        }
    };
    let of = |file: &PathBuf, text: &str| {
        let from_root = imports(file, text).into_iter().map(|import| import.path);
        let targets = from_root.chain(neighbours(file, text));
        targets.filter_map(home).filter(|target| target != file).collect()
    };
    texts
        .iter()
        .map(|(file, text)| (file.clone(), of(file, product(text))))
        .collect()
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
