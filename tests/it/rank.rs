//! Holds the module ranks: a module imports only modules of a lower rank or of an earlier step of its own, and no
//! files import each other in a circle.

use std::collections::BTreeSet;
use std::path::Path;

use testkit::house::{all_imports, circles, files, imports, module_of, rank_of};

#[test]
fn every_module_has_a_rank() {
    let modules: BTreeSet<String> = files().iter().map(|file| module_of(file)).collect();
    let unranked: Vec<_> = modules
        .iter()
        .filter(|name| !matches!(name.as_str(), "lib" | "main") && rank_of(name).is_none())
        .collect();
    assert!(
        unranked.is_empty(),
        "give these modules a rank in testkit/src/house.rs: {unranked:?}"
    );
}

#[test]
fn a_module_imports_only_lower_ranks_and_earlier_steps() {
    let mut wrong = Vec::new();
    for import in all_imports() {
        let from = module_of(&import.file);
        let to = &import.path[0];
        let (Some(from_rank), Some(to_rank)) = (rank_of(&from), rank_of(to)) else {
            continue;
        };
        if from != *to && to_rank >= from_rank {
            wrong.push(format!(
                "{}:{}: {from} (rank and step {from_rank:?}) imports {to} ({to_rank:?})",
                import.file.display(),
                import.line
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let circles = circles();
    assert!(circles.is_empty(), "these files import each other: {circles:?}");
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
