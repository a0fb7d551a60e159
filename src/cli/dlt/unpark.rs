//! `rushgate dlt unpark`: parked letters are dead ones again, and may be replayed as often as others.

use std::io::Write;

use anyhow::bail;

use super::select::{Letters, PAGE};
use super::{Desk, Selection, Unpark, asked_for};
use crate::audit::AskedBy;
use crate::letters::unpark;
use crate::store::{LetterMove, Stage};

pub(super) async fn run(desk: &Desk, args: &Unpark, out: &mut dyn Write) -> anyhow::Result<()> {
    asked_for(&args.which, args.all, "unpark")?;
    let now = (desk.clock)();
    args.which.check(now)?;
    if let Some(stage) = args.which.stage.filter(|stage| *stage != Stage::Parked) {
        bail!("letters of stage {stage} are not parked");
    }
    let which = Selection {
        stage: Some(Stage::Parked),
        ..args.which.clone()
    };
    let mut letters = Letters::find(&desk.store, &which, now).await?;
    if args.dry_run {
        let tally = letters.tally(|_| Ok(())).await?;
        return Ok(writeln!(out, "would unpark {tally}; nothing was done")?);
    }
    let actor = desk.actor(args.by.actor.as_ref());
    let mut unparked = 0_u64;
    while !desk.stopped() {
        let page = letters.next(PAGE).await?;
        if page.is_empty() {
            break;
        }
        let moves: Vec<LetterMove<'_>> = page.iter().map(unpark).collect();
        let moved = desk
            .store
            .move_dead_letters((desk.clock)(), AskedBy::here(&actor), "dlt.unpark", &moves)
            .await?;
        unparked += moved.iter().filter(|moved| **moved).count() as u64;
    }
    if unparked == 0 && !desk.stopped() {
        bail!("no parked letter matches; `rushgate dlt list --stage parked` shows what there is");
    }
    writeln!(out, "{unparked} are dead letters again, with no replay counted")?;
    match desk.stopped() {
        true => bail!("interrupted; the same command goes on with what is left"),
        false => Ok(()),
    }
}
