//! `rushgate dlt import`: repaired lines, all checked before the first is sent.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};

use anyhow::{Context, bail};

use super::line::{self, Checked};
use super::{Desk, Import, ReplayProgress};
use crate::letters::{Item, is_same_order};
use crate::record::LetterId;
use crate::store::{Stage, Store};

/// Wrong lines that are named; more are counted.
const NAMED_MAX: usize = 20;

/// What a file holds.
#[derive(Default)]
struct Read {
    /// In order of origin, each with its line's number.
    items: BTreeMap<LetterId, (usize, Item)>,
    /// Number of the line, and what is wrong.
    wrong: Vec<(usize, String)>,
    /// Lines whose order belongs to another key than the record had.
    other_key: usize,
}

pub(super) async fn run(desk: &mut Desk, args: &Import, out: &mut dyn Write) -> anyhow::Result<()> {
    let file = args.file.display();
    let lines = File::open(&args.file).with_context(|| format!("cannot read {file}"))?;
    let mut read = Read::default();
    for (at, line) in BufReader::new(lines).lines().enumerate() {
        let line = line.with_context(|| format!("cannot read {file}, line {}", at + 1))?;
        if !line.trim().is_empty() {
            let checked = read.check(&desk.store, &line).await?;
            read.take(at + 1, checked);
        }
    }
    for (at, why) in read.wrong.iter().take(NAMED_MAX) {
        eprintln!("{file}:{at}: {why}");
    }
    let (wrong, named) = (read.wrong.len(), read.wrong.len().min(NAMED_MAX));
    if wrong > named {
        eprintln!("{file}: {} more wrong lines", wrong - named);
    }
    if wrong > 0 && !args.skip_invalid {
        bail!(
            "{wrong} lines are wrong: nothing was sent; repair them, or give --skip-invalid to leave them out"
        );
    }
    if read.other_key > 0 {
        eprintln!(
            "{file}: {} orders belong to another buyer than their record's key; they keep its key and partition",
            read.other_key
        );
    }
    let replayer = desk.replayer(&args.pace, args.by.actor.as_ref(), "dlt.import");
    let items: Vec<Item> = read.items.into_values().map(|(_, item)| item).collect();
    let mut work = ReplayProgress::new(args.dry_run);
    for batch in items.chunks(replayer.batch() as usize) {
        if desk.stopped() {
            return work.interrupted(out);
        }
        work.batch(&replayer, batch).await?;
    }
    work.done(out, &format!("{file} holds no line that can be replayed"))
}

impl Read {
    /// Everything that can be wrong with a line, before anything is sent.
    async fn check(&self, store: &Store, line: &str) -> anyhow::Result<Result<Item, String>> {
        let Checked { id, payload, event } = match line::read(line) {
            Ok(checked) => checked,
            Err(why) => return Ok(Err(why)),
        };
        if let Some((first, _)) = self.items.get(&id) {
            return Ok(Err(format!("{id} stands in line {first} already")));
        }
        let Some(letter) = store.dead_letter(&id).await? else {
            return Ok(Err(format!("there is no dead letter {id}")));
        };
        if !matches!(letter.stage, Stage::Dead | Stage::Parked) {
            let stage = letter.stage;
            return Ok(Err(format!(
                "{id} is in stage {stage}; only dead and parked letters are replayed"
            )));
        }
        if let Err(why) = is_same_order(&letter, &event) {
            return Ok(Err(format!("{id}: {why}")));
        }
        let repaired = Some((payload, event));
        Ok(Ok(Item { letter, repaired }))
    }

    fn take(&mut self, at: usize, checked: Result<Item, String>) {
        match checked {
            Err(why) => self.wrong.push((at, why)),
            Ok(item) => {
                let key = item.repaired.as_ref().map(|(_, event)| event.key());
                let same = key.is_some_and(|key| key.as_bytes() == item.letter.key);
                self.other_key += usize::from(!same);
                self.items.insert(item.letter.origin.clone(), (at, item));
            }
        }
    }
}
