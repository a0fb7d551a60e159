//! `rushgate dlt replay --cancel`: replays that were asked for at a later moment are not asked for any more.

use std::io::Write;

use anyhow::bail;

use super::select::{Letters, PAGE};
use super::{Desk, Replay, asked_for};
use crate::audit::AskedBy;
use crate::store::DeadLetter;

const NOTHING: &str = "no replay is asked for of a letter that matches; `rushgate dlt list` shows when a letter is to be replayed";

pub(super) async fn run(desk: &Desk, args: &Replay, out: &mut dyn Write) -> anyhow::Result<()> {
    asked_for(&args.which, args.all, "cancel")?;
    let now = (desk.clock)();
    args.which.check(now)?;
    let mut letters = Letters::find(&desk.store, &args.which, now).await?;
    letters.only_scheduled(args.which.stage);
    if args.dry_run {
        let tally = letters.tally(is_scheduled).await?;
        return Ok(writeln!(
            out,
            "would cancel replays of {tally}; nothing was done"
        )?);
    }
    let actor = desk.actor(args.by.actor.as_ref());
    let (mut cancelled, mut too_late) = (0_u64, 0_u64);
    while !desk.stopped() {
        let page = letters.next(PAGE).await?;
        if page.is_empty() {
            break;
        }
        if let Some(Err(why)) = page.iter().map(is_scheduled).find(Result::is_err) {
            bail!(why);
        }
        let (now, by) = ((desk.clock)(), AskedBy::here(&actor));
        for done in desk.store.cancel_replays(now, by, &page).await? {
            match done {
                true => cancelled += 1,
                false => too_late += 1,
            }
        }
    }
    if cancelled + too_late == 0 && !desk.stopped() {
        bail!(NOTHING);
    }
    let others = match too_late {
        0 => String::new(),
        n => format!("; {n} had been sent or moved on already"),
    };
    writeln!(
        out,
        "{cancelled} replays cancelled{others}; the letters stay what they are"
    )?;
    match desk.stopped() {
        true => bail!("interrupted; the same command goes on with what is left"),
        false => Ok(()),
    }
}

fn is_scheduled(letter: &DeadLetter) -> Result<(), String> {
    let id = &letter.origin;
    letter.replay_at.map(|_| ()).ok_or_else(|| {
        format!(
            "{id} is in stage {}, and no replay of it is asked for",
            letter.stage
        )
    })
}
