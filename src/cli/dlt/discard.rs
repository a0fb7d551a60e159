//! `rushgate dlt discard`: gives dead letters up, and their orders with them, for a reason.

use std::io::{self, Write};

use anyhow::{Context, bail};
use serde_json::json;

use super::select::{Letters, PAGE};
use super::{Desk, Discard, asked_for};
use crate::audit::AskedBy;
use crate::letters::{hint, is_discardable, not_discardable};
use crate::record::LetterId;
use crate::store::{Discarded, Stage};

/// Letters that are named in an error; more are counted.
const NAMED_MAX: usize = 3;

/// What became of the letters.
#[derive(Default)]
struct Done {
    given_up: u64,
    landed: u64,
    no_order: u64,
    /// Discarded although their orders have no row.
    without_row: u64,
    moved_on: u64,
    /// Still what they were, and why.
    left: Vec<(LetterId, String)>,
}

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
    let (actor, detail) = (desk.actor(args.by.actor.as_ref()), json!({"reason": args.reason}));
    let mut done = Done::default();
    'pages: while !desk.stopped() {
        let page = letters.next(PAGE).await?;
        if page.is_empty() {
            break;
        }
        if let Some(other) = page.iter().find(|letter| !is_discardable(letter.stage)) {
            bail!(not_discardable(&other.origin, other.stage));
        }
        for letter in &page {
            if desk.stopped() {
                break 'pages;
            }
            let (store, now) = (&desk.store, (desk.clock)());
            let discarded =
                store.discard_dead_letter(now, AskedBy::here(&actor), letter, &detail, args.without_row);
            match discarded.await {
                Ok(discarded) => done.add(&letter.origin, discarded, args.without_row),
                Err(error) => {
                    done.tell(out)?;
                    return Err(error).context("broken off; the same command goes on with what is left");
                }
            }
        }
    }
    if done.is_nothing() && !desk.stopped() {
        bail!("no dead letter matches; `rushgate dlt list` shows what there is");
    }
    done.tell(out)?;
    match desk.stopped() {
        true => bail!("interrupted; the same command goes on with what is left"),
        false => done.what_is_left(),
    }
}

impl Done {
    fn add(&mut self, id: &LetterId, discarded: Discarded, without_row: bool) {
        match discarded {
            Discarded::GivenUp => self.given_up += 1,
            Discarded::Landed => self.landed += 1,
            Discarded::NoOrder => self.no_order += 1,
            Discarded::Unwritten(_) if without_row => self.without_row += 1,
            Discarded::Unwritten(why) => self.left.push((id.clone(), why)),
            Discarded::Overtaken => self.moved_on += 1,
        }
    }

    fn discarded(&self) -> u64 {
        self.given_up + self.landed + self.no_order + self.without_row
    }

    fn is_nothing(&self) -> bool {
        self.discarded() + self.moved_on == 0 && self.left.is_empty()
    }

    /// Says of each kind what follows.
    fn tell(&self, out: &mut dyn Write) -> io::Result<()> {
        let others = match self.moved_on {
            0 => String::new(),
            n => format!("; {n} were moved on by somebody else meanwhile"),
        };
        writeln!(out, "{} discarded{others}.", self.discarded())?;
        for (letters, what) in [
            (
                self.given_up,
                "orders given up: they are revoked, a copy that turns up does not land, and what they held goes back \
                 within a second where a gateway runs (`rushgate reconcile --repair` does it too)",
            ),
            (
                self.landed,
                "orders had landed from another copy, and stay as they are",
            ),
            (
                self.no_order,
                "with no order of their own: no order was touched. `rushgate reconcile --repair` gives back what one of \
                 them held",
            ),
            (
                self.without_row,
                "without a row of their order: `rushgate reconcile --repair` gives back what they held. A copy that turns \
                 up once the database takes it is landed",
            ),
        ] {
            if letters > 0 {
                writeln!(out, "{letters} {what}.")?;
            }
        }
        Ok(())
    }

    fn what_is_left(&self) -> anyhow::Result<()> {
        let Some((id, why)) = self.left.first() else {
            return Ok(());
        };
        let named: Vec<String> = self
            .left
            .iter()
            .take(NAMED_MAX)
            .map(|(id, _)| id.to_string())
            .collect();
        let more = match self.left.len() - named.len() {
            0 => String::new(),
            n => format!(" and {n} more"),
        };
        bail!(
            "{} not discarded ({}{more}): the database refuses the row that says their order is given up (of {id}: {why}). \
             Take away what makes it refuse, and discard them again; or give --without-row, and see to it that no copy of \
             them is read again",
            self.left.len(),
            named.join(", ")
        )
    }
}

/// What can be wrong with it before anything is read.
fn check(args: &Discard) -> anyhow::Result<()> {
    asked_for(&args.which, args.all, "discard")?;
    if args.reason.trim().is_empty() {
        bail!("--reason is empty: the audit trail is to say why");
    }
    if let Some(stage) = args.which.stage.filter(|stage| !is_discardable(*stage)) {
        bail!("{}", whole_stage_refused(stage));
    }
    Ok(())
}

fn whole_stage_refused(stage: Stage) -> String {
    format!(
        "letters of stage {stage} cannot be discarded: only dead, parked and forged ones{}",
        hint(stage)
    )
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
