//! `rushgate dlt discard`: gives dead letters up, for a reason.

use std::io::{self, Write};

use anyhow::bail;
use serde_json::json;

use super::select::{Letters, PAGE};
use super::{Desk, Discard, asked_for};
use crate::store::{Count, LetterMove, Origin, Stage};

pub(super) async fn run(desk: &Desk, args: &Discard, out: &mut dyn Write) -> anyhow::Result<()> {
    check(args)?;
    let now = (desk.clock)();
    args.which.check(now)?;
    let mut letters = Letters::find(&desk.store, &args.which, now).await?;
    if args.dry_run {
        let tally = letters.tally(|letter| match is_discardable(letter.stage) {
            true => Ok(()),
            false => Err(not_discardable(&letter.origin, letter.stage)),
        });
        return Ok(writeln!(out, "would discard {}; nothing was done", tally.await?)?);
    }
    if args.which.ids.is_empty() {
        let matching = desk.count(&args.which.filter(now)).await?;
        confirm(desk, args, matching.min(args.which.limit.unwrap_or(u64::MAX)))?;
    }
    let actor = desk.actor(args.by.actor.as_ref());
    let (mut discarded, mut moved_on) = (0_u64, 0_u64);
    while !desk.stopped() {
        let page = letters.next(PAGE).await?;
        if page.is_empty() {
            break;
        }
        if let Some(other) = page.iter().find(|letter| !is_discardable(letter.stage)) {
            bail!(not_discardable(&other.origin, other.stage));
        }
        let detail = json!({"reason": args.reason});
        let moves: Vec<LetterMove<'_>> = page
            .iter()
            .map(|letter| LetterMove {
                letter,
                to: Stage::Discarded,
                repaired: None,
                count: Count::Keep,
                detail: detail.clone(),
            })
            .collect();
        for moved in desk
            .store
            .move_dead_letters((desk.clock)(), &actor, "dlt.discard", &moves)
            .await?
        {
            match moved {
                true => discarded += 1,
                false => moved_on += 1,
            }
        }
    }
    if discarded + moved_on == 0 && !desk.stopped() {
        bail!("no dead letter matches; `rushgate dlt list` shows what there is");
    }
    let others = match moved_on {
        0 => String::new(),
        n => format!("; {n} were moved on by somebody else meanwhile"),
    };
    writeln!(
        out,
        "{discarded} discarded{others}. `rushgate reconcile --repair` gives back what they held"
    )?;
    match desk.stopped() {
        true => bail!("interrupted; the same command goes on with what is left"),
        false => Ok(()),
    }
}

/// What can be wrong with it before anything is read.
fn check(args: &Discard) -> anyhow::Result<()> {
    asked_for(&args.which, args.all, "discard")?;
    if args.reason.trim().is_empty() {
        bail!("--reason is empty: the audit trail is to say why");
    }
    if let Some(stage) = args.which.stage.filter(|stage| !is_discardable(*stage)) {
        bail!("letters of stage {stage} cannot be discarded: only dead, parked and forged ones");
    }
    Ok(())
}

fn not_discardable(id: &Origin, stage: Stage) -> String {
    format!("{id} is in stage {stage}: only dead, parked and forged letters can be discarded")
}

fn is_discardable(stage: Stage) -> bool {
    matches!(stage, Stage::Dead | Stage::Parked | Stage::Forged)
}

fn confirm(desk: &Desk, args: &Discard, letters: u64) -> anyhow::Result<()> {
    if args.yes || letters == 0 {
        return Ok(());
    }
    if !desk.interactive {
        bail!("{letters} dead letters would be discarded and nobody can be asked here: give --yes");
    }
    eprint!("Discard {letters} dead letters? Their orders will never land. Type yes: ");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    match answer.trim() {
        "yes" => Ok(()),
        _ => bail!("nothing was discarded"),
    }
}
