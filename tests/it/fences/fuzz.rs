//! The fuzzer's corpus, replayed without a fuzzer, and some copies of it turned over here and there.

#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::path::{Path, PathBuf};

/// Turned-over copies of the corpus, per target; `descriptor` compiles a module for each.
const COPIES: usize = 2000;
const COPIES_OF_DESCRIPTORS: usize = 100;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("it can be listed").path())
        .collect();
    files.sort();
    files
        .iter()
        .map(|file| std::fs::read(file).expect("it can be read"))
        .collect()
}

/// Some bytes changed, put in, taken out, or taken from another entry.
fn turned_over(random: &mut fastrand::Rng, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut data = corpus[random.usize(..corpus.len())].clone();
    for _ in 0..random.usize(1..6) {
        let at = random.usize(..=data.len());
        match random.u8(..5) {
            0 => data.insert(at, random.u8(..)),
            1 if at < data.len() => drop(data.remove(at)),
            2 => data.truncate(at.max(1)),
            3 => {
                let other = &corpus[random.usize(..corpus.len())];
                data.truncate(at);
                data.extend_from_slice(&other[random.usize(..=other.len())..]);
            }
            _ if at < data.len() => data[at] = random.u8(..),
            _ => data.push(random.u8(..)),
        }
    }
    data
}

#[test]
fn nothing_the_fuzzer_found_breaks_a_promise() {
    for (target, run) in targets::TARGETS {
        let corpus = corpus(target);
        assert!(!corpus.is_empty(), "{target} has no corpus");
        corpus.iter().for_each(|data| targets::run(target, data));
        let mut random = fastrand::Rng::with_seed(7);
        let copies = if *target == "descriptor" {
            COPIES_OF_DESCRIPTORS
        } else {
            COPIES
        };
        for _ in 0..copies {
            run(&turned_over(&mut random, &corpus));
        }
        println!("{target}: {} entries and {copies} copies", corpus.len());
    }
}
