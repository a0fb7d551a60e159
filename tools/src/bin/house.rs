//! `./x house`: the modules by rank, what each imports, and the circles of files that are left.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::Result;
use testkit::house::{RANKS, all_imports, circles, files, module_of};

/// Files, lines and imports of a module.
#[derive(Default)]
struct Room {
    files: usize,
    lines: usize,
    imports: BTreeMap<String, usize>,
}

fn main() -> Result<()> {
    let mut rooms: BTreeMap<String, Room> = BTreeMap::new();
    let mut sizes = Vec::new();
    for file in files() {
        let lines = fs::read_to_string(&file)?.lines().count();
        let room = rooms.entry(module_of(&file)).or_default();
        room.files += 1;
        room.lines += lines;
        sizes.push(lines);
    }
    let known: BTreeSet<String> = rooms.keys().cloned().collect();
    let mut arrows = BTreeSet::new();
    for import in all_imports() {
        let (from, to) = (module_of(&import.file), &import.path[0]);
        if from != *to && known.contains(to) {
            *rooms
                .entry(from.clone())
                .or_default()
                .imports
                .entry(to.clone())
                .or_default() += 1;
            arrows.insert((from, to.clone()));
        }
    }
    for (number, rank) in RANKS.iter().enumerate() {
        println!("## {} (rank {number})", rank.name);
        for name in rank.steps.iter().copied().flatten() {
            let Some(room) = rooms.get(*name) else { continue };
            let imports: Vec<String> = room
                .imports
                .iter()
                .map(|(to, times)| format!("{to} {times}"))
                .collect();
            println!(
                "{name:<12} {:>4} files {:>6} lines   {}",
                room.files,
                room.lines,
                imports.join(", ")
            );
        }
        println!();
    }
    let circles = circles();
    println!("## Circles of files");
    for circle in &circles {
        println!("{}", circle.join(" "));
    }
    sizes.sort_unstable();
    let at = |share: f64| sizes[((sizes.len() as f64 * share) as usize).min(sizes.len() - 1)];
    println!(
        "\n{} modules, {} arrows, {} circles; {} files, {} lines, median {}, p90 {}, largest {}",
        known.len(),
        arrows.len(),
        circles.len(),
        sizes.len(),
        sizes.iter().sum::<usize>(),
        at(0.5),
        at(0.9),
        at(1.0),
    );
    Ok(())
}
