//! The command line of `rushgate dlt`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::values;
use crate::cli::settings::{Operator, Settings};
use crate::record::LetterId;
use crate::store::Stage;

/// Looks after dead letters: orders that could not land.
#[derive(Debug, Subcommand)]
pub enum Dlt {
    /// A table of dead letters, and how many of each class there are.
    List(List),
    /// Everything about one: errors, headers of a replay, payload.
    Show(Show),
    /// Sends dead letters back to the topic they came from, key and order kept.
    Replay(Replay),
    /// Writes them as JSON lines, to be repaired and imported.
    Export(Export),
    /// Reads repaired lines, checks them all, and replays them.
    Import(Import),
    /// Gives dead letters up: their orders never land, and what they held may be sold again.
    Discard(Discard),
    /// Makes parked letters dead ones again, as if they had never been replayed.
    Unpark(Unpark),
}

/// Which dead letters.
#[derive(Clone, Debug, Default, Args)]
pub struct Selection {
    /// Ids as `list` prints them.
    #[arg(value_name = "TOPIC/PARTITION/OFFSET")]
    pub ids: Vec<LetterId>,
    /// Of this campaign.
    #[arg(long, value_name = "ID")]
    pub campaign: Option<String>,
    /// With this record key, `<campaign>/<user>`; with `*` or `/` at its end every key that starts so.
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Of this class of errors; may be given more than once.
    #[arg(long, value_name = "CLASS")]
    pub class: Vec<String>,
    /// Whose error contains this.
    #[arg(long, value_name = "TEXT")]
    pub error: Option<String>,
    /// In their stage since this moment or later: RFC 3339, or how long ago (`90s`, `30m`, `2h`, `7d`).
    #[arg(long, value_name = "TIME", value_parser = values::moment)]
    pub since: Option<values::Moment>,
    /// In their stage since before this moment.
    #[arg(long, value_name = "TIME", value_parser = values::moment)]
    pub until: Option<values::Moment>,
    /// retry, dead, replayed, parked, discarded, landed or forged; `dead` where left out, for ids any.
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<Stage>,
    /// At most so many, in order of topic, partition and offset.
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
}

#[derive(Debug, Args)]
pub struct List {
    #[command(flatten)]
    pub which: Selection,
    /// JSON lines, as `export` writes them.
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub settings: Settings<Operator>,
}

#[derive(Debug, Args)]
pub struct Show {
    #[arg(value_name = "TOPIC/PARTITION/OFFSET")]
    pub id: LetterId,
    #[command(flatten)]
    pub settings: Settings<Operator>,
}

/// Who acts.
#[derive(Clone, Debug, Args)]
pub struct By {
    /// Who does it, for the audit trail [default: $USER].
    #[arg(long, value_name = "NAME")]
    pub actor: Option<String>,
}

/// How a replay goes about it.
#[derive(Clone, Debug, Args)]
pub struct Pace {
    /// Records per second at most.
    #[arg(long, value_name = "N/s", default_value = "100", value_parser = values::rate)]
    pub rate: u32,
    /// A record that was replayed so often and failed again is parked instead.
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub max_replays: u32,
}

/// When and where to.
#[derive(Clone, Debug, Default, Args)]
pub struct Way {
    /// Later, by a lander: the first record after so long (`90s`, `10m`, `2h`, `1d`), the others at the rate.
    #[arg(long, value_name = "TIME", value_parser = values::delay)]
    pub delay: Option<i64>,
    /// To a retry topic, which landing reads, or to any other topic, as copies to be looked at.
    #[arg(long, value_name = "TOPIC")]
    pub to: Option<String>,
}

#[derive(Debug, Args)]
pub struct Replay {
    #[command(flatten)]
    pub which: Selection,
    /// Every dead letter of the stage.
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub pace: Pace,
    #[command(flatten)]
    pub way: Way,
    /// Also parked and replayed ones (`--stage`), however often they were replayed.
    #[arg(long)]
    pub force: bool,
    /// Take back what `--delay` asked for, as long as it has not been sent.
    #[arg(long, conflicts_with_all = ["delay", "to", "force"])]
    pub cancel: bool,
    /// Say what would be done and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub by: By,
    #[command(flatten)]
    pub settings: Settings<Operator>,
}

#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    pub which: Selection,
    /// Into this file instead of stdout.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub by: By,
    #[command(flatten)]
    pub settings: Settings<Operator>,
}

#[derive(Debug, Args)]
pub struct Import {
    /// Lines as `export` writes them; `id` and `payload` (or `payload_base64`) are read.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub pace: Pace,
    /// Replay the valid lines where others are not.
    #[arg(long)]
    pub skip_invalid: bool,
    /// Check the lines and say what would be done.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub by: By,
    #[command(flatten)]
    pub settings: Settings<Operator>,
}

#[derive(Debug, Args)]
pub struct Discard {
    #[command(flatten)]
    pub which: Selection,
    /// Every dead letter of the stage.
    #[arg(long)]
    pub all: bool,
    /// Why, for the audit trail.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Also letters whose order the database refuses a row: a copy that turns up later may land then.
    #[arg(long)]
    pub without_row: bool,
    /// Do not ask.
    #[arg(long)]
    pub yes: bool,
    /// Say what would be done and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub by: By,
    #[command(flatten)]
    pub settings: Settings<Operator>,
}

#[derive(Debug, Args)]
pub struct Unpark {
    #[command(flatten)]
    pub which: Selection,
    /// Every parked letter.
    #[arg(long)]
    pub all: bool,
    /// Say what would be done and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub by: By,
    #[command(flatten)]
    pub settings: Settings<Operator>,
}
