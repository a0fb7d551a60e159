//! `rushgate dlt`: dead letters for people.
//!
//! The table `dead_letters` is the index: what failed, why, how often, and where it stands. From here records go
//! back to their topic, out as lines to be repaired and in again, or are given up; each act is in the audit trail.

mod args;
mod cancel;
mod discard;
mod import;
mod line;
mod progress;
mod run;
mod select;
mod show;
mod unpark;
pub(super) mod values;
mod way;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use super::settings::{Operator, Settings};
use crate::audit::{AskedBy, AuditLine};
use crate::bus::Producer;
use crate::letters::{Item, Replayer, Route};
use crate::store::{LetterFilter, Stage, Store};
use anyhow::{Context, bail};
pub use args::{Discard, Dlt, Export, Import, List, Pace, Replay, Selection, Show, Unpark, Way};
use progress::ReplayProgress;
pub use run::dlt;
use select::{Letters, PAGE};
use serde_json::json;

/// Lines of a list where nobody says how many.
const LIST_LINES: u64 = 50;

impl Dlt {
    fn settings(&self) -> &Settings<Operator> {
        match self {
            Self::List(args) => &args.settings,
            Self::Show(args) => &args.settings,
            Self::Replay(args) => &args.settings,
            Self::Export(args) => &args.settings,
            Self::Import(args) => &args.settings,
            Self::Discard(args) => &args.settings,
            Self::Unpark(args) => &args.settings,
        }
    }

    /// Whether it needs the bus.
    pub fn sends(&self) -> bool {
        match self {
            Self::Replay(args) => !args.dry_run && !args.cancel,
            Self::Import(args) => !args.dry_run,
            _ => false,
        }
    }
}

/// What the commands work with.
pub struct Desk {
    pub store: Store,
    /// Where the command sends.
    pub producer: Option<Arc<dyn Producer>>,
    /// Topics a record may be sent back to.
    pub targets: Vec<String>,
    /// Retry topics, which landing reads as well.
    pub retries: Vec<String>,
    /// The topic of the dead letters.
    pub dead_letters: String,
    /// The landers' consumer group.
    pub group: String,
    /// Who does it where nobody else is named.
    pub user: String,
    /// Whether there is a person to ask.
    pub interactive: bool,
    /// Now, milliseconds since 1970-01-01 UTC.
    pub clock: fn() -> i64,
    /// Turns true when the process is asked to stop.
    pub stop: tokio::sync::watch::Receiver<bool>,
}

/// Runs a command; its answer goes to `out`.
pub async fn run(command: Dlt, mut desk: Desk, out: &mut dyn Write) -> anyhow::Result<()> {
    match command {
        Dlt::List(args) => list(&desk, &args, out).await,
        Dlt::Show(args) => {
            let letter = desk.store.dead_letter(&args.id).await?;
            let missing = || {
                format!(
                    "there is no dead letter {}: `rushgate dlt list` prints ids",
                    args.id
                )
            };
            let text = show::letter(&letter.with_context(missing)?, &desk.group);
            Ok(out.write_all(text.as_bytes())?)
        }
        Dlt::Replay(args) if args.cancel => cancel::run(&desk, &args, out).await,
        Dlt::Replay(args) => replay(&mut desk, &args, out).await,
        Dlt::Export(args) => export(&desk, &args, out).await,
        Dlt::Import(args) => import::run(&mut desk, &args, out).await,
        Dlt::Discard(args) => discard::run(&desk, &args, out).await,
        Dlt::Unpark(args) => unpark::run(&desk, &args, out).await,
    }
}

impl Desk {
    fn actor(&self, named: Option<&String>) -> String {
        named.unwrap_or(&self.user).clone()
    }

    fn replayer(&self, pace: &Pace, actor: Option<&String>, action: &'static str) -> Replayer {
        Replayer {
            store: self.store.clone(),
            producer: self.producer.clone(),
            targets: self.targets.clone(),
            group: self.group.clone(),
            actor: AskedBy::here(&self.actor(actor)).into(),
            action,
            rate: pace.rate,
            max_replays: pace.max_replays,
            force: false,
            route: Route::Back,
            counts: true,
            clock: self.clock,
        }
    }

    fn stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// What a selection without ids would touch.
    async fn count(&self, filter: &LetterFilter) -> anyhow::Result<u64> {
        let totals = self.store.dead_letter_totals(filter).await?;
        Ok(totals.iter().map(|total| total.letters).sum())
    }
}

async fn list(desk: &Desk, args: &List, out: &mut dyn Write) -> anyhow::Result<()> {
    let which = Selection {
        limit: args.which.limit.or(Some(LIST_LINES)),
        ..args.which.clone()
    };
    let now = (desk.clock)();
    let mut letters = Letters::find(&desk.store, &which, now).await?;
    let mut shown = Vec::new();
    loop {
        let page = letters.next(PAGE).await?;
        if page.is_empty() {
            break;
        }
        match args.json {
            true => page
                .iter()
                .try_for_each(|letter| writeln!(out, "{}", line::write(letter)))?,
            false => shown.extend(page),
        }
    }
    if args.json {
        return Ok(());
    }
    if shown.is_empty() {
        let totals = show::totals(&desk.store.dead_letter_totals(&LetterFilter::default()).await?);
        let all = if totals.is_empty() {
            "There are none at all.\n"
        } else {
            "All there are:\n"
        };
        return Ok(write!(out, "No dead letter matches. {all}{totals}")?);
    }
    out.write_all(show::table(&shown).as_bytes())?;
    if which.ids.is_empty() {
        let totals = desk.store.dead_letter_totals(&which.filter(now)).await?;
        let all: u64 = totals.iter().map(|total| total.letters).sum();
        write!(out, "\n{}", show::totals(&totals))?;
        if all > shown.len() as u64 {
            writeln!(out, "{} of {all} are shown; --limit shows more", shown.len())?;
        }
    }
    Ok(())
}

async fn replay(desk: &mut Desk, args: &Replay, out: &mut dyn Write) -> anyhow::Result<()> {
    asked_for(&args.which, args.all, "replay")?;
    let now = (desk.clock)();
    args.which.check(now)?;
    let mut replayer = desk.replayer(&args.pace, args.by.actor.as_ref(), "dlt.replay");
    replayer.force = args.force;
    replayer.route = desk.route(args.way.to.as_deref()).await?;
    match &replayer.route {
        Route::Copy { topic } if args.way.delay.is_some() => {
            bail!("--delay is for replays: copies to {topic} are made at once")
        }
        Route::Copy { .. } => {}
        Route::Back | Route::Retry { .. } => check_stage(args)?,
    }
    let mut letters = Letters::find(&desk.store, &args.which, now).await?;
    if !replayer.route.is_copy() {
        tell_others(desk, &args.which, now).await?;
        letters.only_of(&replayer.targets);
    }
    let mut work = ReplayProgress::new(args.dry_run);
    let mut at = args.way.delay.map(|delay| now + delay);
    while !desk.stopped() {
        let most = if at.is_some() { PAGE } else { replayer.batch() };
        let page = letters.next(most).await?;
        if page.is_empty() {
            return work.done(
                out,
                "no dead letter matches; `rushgate dlt list` shows what there is",
            );
        }
        let items: Vec<Item> = page.into_iter().map(Item::from).collect();
        match &mut at {
            None => work.batch(&replayer, &items).await?,
            Some(at) => work.schedule(&replayer, &items, at).await?,
        }
    }
    work.interrupted(out)
}

/// Which stages may be replayed at all.
fn check_stage(args: &Replay) -> anyhow::Result<()> {
    let Some(stage) = args.which.stage else {
        return Ok(());
    };
    match stage {
        Stage::Dead => Ok(()),
        Stage::Discarded | Stage::Landed => {
            bail!("letters of stage {stage} cannot be replayed: they are done with")
        }
        _ if args.force => Ok(()),
        _ => bail!("letters of stage {stage} are replayed with --force alone: somebody should know why"),
    }
}

/// Says how many of those that a filter names came from topics which nothing is written to.
async fn tell_others(desk: &Desk, which: &Selection, now: i64) -> anyhow::Result<()> {
    if !which.ids.is_empty() {
        return Ok(());
    }
    let all = which.filter(now);
    let ours = LetterFilter {
        topics: desk.targets.clone(),
        ..all.clone()
    };
    let others = desk.count(&all).await?.saturating_sub(desk.count(&ours).await?);
    if others > 0 {
        let known = desk.targets.join(", ");
        eprintln!(
            "{others} came from other topics and are left alone: only orders topics are written to: {known}"
        );
    }
    Ok(())
}

async fn export(desk: &Desk, args: &Export, out: &mut dyn Write) -> anyhow::Result<()> {
    let now = (desk.clock)();
    let mut letters = Letters::find(&desk.store, &args.which, now).await?;
    let mut file = args.out.as_deref().map(create).transpose()?;
    note_export(desk, args, now).await?;
    let mut written = 0_u64;
    loop {
        let page = letters.next(PAGE).await?;
        if page.is_empty() {
            break;
        }
        let out: &mut dyn Write = match &mut file {
            Some(file) => file,
            None => &mut *out,
        };
        page.iter()
            .try_for_each(|letter| writeln!(out, "{}", line::write(letter)))?;
        written += page.len() as u64;
    }
    if let Some(file) = &mut file {
        file.flush().context("the export is not complete")?;
    }
    if written == 0 {
        bail!("no dead letter matches; `rushgate dlt list` shows what there is");
    }
    eprintln!("{written} exported");
    Ok(())
}

/// Before a line is written: they hold what buyers ordered, and who took them is worth knowing.
async fn note_export(desk: &Desk, args: &Export, now: i64) -> anyhow::Result<()> {
    let which = &args.which;
    let letters = match which.ids.len() {
        0 => desk.count(&which.filter(now)).await?,
        ids => ids as u64,
    };
    let letters = letters.min(which.limit.unwrap_or(u64::MAX));
    let target = args.out.as_deref();
    let target = target.map_or("stdout".to_owned(), |path| path.display().to_string());
    let actor = desk.actor(args.by.actor.as_ref());
    let detail = json!({ "letters": letters });
    let line = AuditLine::new(now, AskedBy::here(&actor), "dlt.export", target, detail);
    Ok(desk.store.audit(&[line]).await?)
}

fn create(path: &Path) -> anyhow::Result<BufWriter<File>> {
    // What was exported before may be half repaired.
    let file = File::create_new(path);
    let file =
        file.with_context(|| format!("cannot make {} (an export never overwrites)", path.display()))?;
    Ok(BufWriter::new(file))
}

/// Everything is only meant where somebody says so.
fn asked_for(which: &Selection, all: bool, what: &str) -> anyhow::Result<()> {
    match (which.names_some(), all) {
        (false, false) => bail!("say what to {what}: ids, filters such as --campaign or --class, or --all"),
        (true, true) if !which.ids.is_empty() => bail!("give either ids or --all"),
        _ => Ok(()),
    }
}
