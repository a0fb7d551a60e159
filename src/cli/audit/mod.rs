//! `rushgate audit`: the audit trail, read from the database itself, so that what is said of it depends on no gateway.

mod show;
mod verify;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use serde_json::json;

use super::dlt::values;
use super::out::{counted, print, print_json, quiet_pipe, user};
use super::settings::{Operator, Settings};
use crate::app::adapters::store;
use crate::audit::{AskedBy, AuditView, HeadView};
use crate::clock::now_ms;
use crate::store::{AuditFilter, AuditPlace, Store};
pub use verify::Verify;

/// Lines of a list where nobody says how many.
const LINES: u32 = 50;
/// Lines read from the database at a time.
const PAGE: u32 = 500;

/// Reads the audit trail.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Who changed what, newest first.
    List(List),
    /// Everything about one line.
    Show(Show),
    /// The last line of each chain: noted elsewhere, it shows later that none was cut off.
    Head(Heads),
    /// Writes lines as JSON, oldest first, one behind the other.
    Export(Export),
    /// Reads every chain from end to end, and names the first row that is not as it was written.
    ///
    /// Ends with 0 where all is as it was written, with 1 where something is not, with 2 where it could not be read.
    Verify(Verify),
    /// Puts rows that are in no chain into one: those that builds of before there were chains have written since.
    Seal(SealArgs),
}

/// Which lines.
#[derive(Clone, Debug, Default, Args)]
pub struct Which {
    /// Of this merchant's chain.
    #[arg(long, value_name = "ID")]
    merchant: Option<String>,
    /// By this one: admin, payments, a key's name, who ran a command.
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// This one: campaign.pause; with `*` at its end all that begin so.
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// About this one: a campaign's id, a list's, a letter's.
    #[arg(long, value_name = "ID")]
    target: Option<String>,
    /// At this moment or later: RFC 3339, or how long ago (`90s`, `30m`, `2h`, `7d`).
    #[arg(long, value_name = "TIME", value_parser = values::moment)]
    from: Option<values::Moment>,
    /// Before this moment.
    #[arg(long, value_name = "TIME", value_parser = values::moment)]
    to: Option<values::Moment>,
}

impl Which {
    fn filter(&self, now: i64) -> anyhow::Result<AuditFilter> {
        let (from, to) = (
            self.from.map(|at| at.resolve(now)),
            self.to.map(|at| at.resolve(now)),
        );
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            bail!("--from is not before --to: nothing can match");
        }
        Ok(AuditFilter {
            merchant: self.merchant.clone(),
            actor: self.actor.clone(),
            action: self.action.clone(),
            target: self.target.clone(),
            from,
            to,
        })
    }
}

#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    which: Which,
    /// At most so many.
    #[arg(long, value_name = "N", default_value_t = LINES)]
    limit: u32,
    /// JSON lines, as `export` writes them.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings<Operator>,
}

#[derive(Debug, Args)]
pub struct Show {
    /// As `list` prints it in its first column.
    #[arg(value_name = "SEQ")]
    seq: i64,
    /// As `export` writes it.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings<Operator>,
}

#[derive(Debug, Args)]
pub struct Heads {
    /// One JSON document.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: Settings<Operator>,
}

#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    which: Which,
    /// Into this file, which must not be there; instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings<Operator>,
}

#[derive(Debug, Args)]
pub struct SealArgs {
    /// Why, for the audit trail.
    #[arg(long)]
    note: Option<String>,
    /// Who does it [default: $USER].
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    #[command(flatten)]
    settings: Settings<Operator>,
}

/// Runs one command.
pub async fn run(command: Audit) -> anyhow::Result<()> {
    if let Audit::Verify(args) = command {
        return verify::verify(args).await;
    }
    let settings = match &command {
        Audit::List(args) => &args.settings,
        Audit::Show(args) => &args.settings,
        Audit::Head(args) => &args.settings,
        Audit::Export(args) => &args.settings,
        Audit::Seal(args) => &args.settings,
        Audit::Verify(args) => &args.settings,
    };
    let store = store(&settings.begin()?).await?;
    let done = match &command {
        Audit::List(args) => list(&store, args).await,
        Audit::Show(args) => show_one(&store, args).await,
        Audit::Head(args) => heads(&store, args).await,
        Audit::Export(args) => export(&store, args).await,
        Audit::Seal(args) => seal(&store, args).await,
        Audit::Verify(_) => Ok(()),
    };
    store.close().await;
    done
}

async fn list(store: &Store, args: &List) -> anyhow::Result<()> {
    let filter = args.which.filter(now_ms())?;
    let (mut left, mut before, mut found) = (args.limit, i64::MAX, Vec::new());
    while left > 0 {
        let most = left.min(PAGE);
        let page = store
            .audit_page(&filter, AuditPlace::Before(before), most)
            .await?;
        let Some(last) = page.last() else { break };
        before = last.seq;
        left -= page.len() as u32;
        found.extend(page.into_iter().map(AuditView::from));
    }
    if args.json {
        let lines = found.iter().map(serde_json::to_string);
        let lines: Vec<String> = lines.collect::<Result<_, _>>()?;
        return print(&lines.join("\n"));
    }
    match found.is_empty() {
        true => print("no line of the audit trail matches"),
        false => print(&show::table(&found)),
    }
}

async fn show_one(store: &Store, args: &Show) -> anyhow::Result<()> {
    let entry = store.audit_entry(args.seq).await?;
    let missing = || {
        format!(
            "the audit trail has no line {}: `rushgate audit list` prints them",
            args.seq
        )
    };
    let view = AuditView::from(entry.with_context(missing)?);
    match args.json {
        true => print_json(&view),
        false => print(&show::in_full(&view)?),
    }
}

async fn heads(store: &Store, args: &Heads) -> anyhow::Result<()> {
    let heads = store.audit_heads().await?;
    if args.json {
        let heads: Vec<HeadView> = heads.into_iter().map(HeadView::from).collect();
        return print_json(&json!({ "heads": heads }));
    }
    let lines = heads.iter().map(|head| match head.number {
        0 => format!("{}  no line yet", head.merchant),
        number => format!("{}  {number}:{}", head.merchant, head.hash),
    });
    print(&lines.collect::<Vec<_>>().join("\n"))
}

async fn export(store: &Store, args: &Export) -> anyhow::Result<()> {
    let filter = args.which.filter(now_ms())?;
    match &args.output {
        None => quiet_pipe(
            write_lines(store, &filter, &mut std::io::stdout().lock())
                .await
                .map(drop),
        ),
        Some(path) => {
            let file = File::create_new(path);
            let file = file.with_context(|| format!("cannot make {}", path.display()))?;
            let mut file = BufWriter::new(file);
            let written = write_lines(store, &filter, &mut file).await?;
            file.flush().context("the export is not complete")?;
            eprintln!("{} exported", counted(written, "line"));
            Ok(())
        }
    }
}

/// Some lines at a time are in memory.
async fn write_lines(store: &Store, filter: &AuditFilter, out: &mut dyn Write) -> anyhow::Result<usize> {
    let (mut after, mut written) = (0, 0);
    loop {
        let page = store.audit_page(filter, AuditPlace::After(after), PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(written);
        };
        after = last.seq;
        written += page.len();
        for entry in page {
            writeln!(out, "{}", serde_json::to_string(&AuditView::from(entry))?)?;
        }
    }
}

async fn seal(store: &Store, args: &SealArgs) -> anyhow::Result<()> {
    let actor = args.actor.clone().unwrap_or_else(user);
    let by = AskedBy::here(&actor);
    let sealed = store.seal_audit(by, args.note.as_deref(), now_ms()).await?;
    print(&match sealed {
        0 => "every row is in a chain: nothing was done".to_owned(),
        rows => format!(
            "{} put into the chain; a line says so",
            counted(rows as usize, "row")
        ),
    })
}
