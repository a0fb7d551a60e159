//! `rushgate seal`: the keys that seal records, and from where on a record has to carry a seal. docs/KEYS.md says how
//! keys are replaced.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::out::user;
use super::settings::{Operator, Settings};
use crate::app::adapters::store;
use crate::app::ending::{self, Passed, is_silent};
use crate::app::reach::{ends, landed, named};
use crate::app::seals::{moment, note_keys};
use crate::audit::{AskedBy, AuditLine};
use crate::clock::now_ms;
use crate::config::Config;
use crate::store::{CutOver, KeyRow, SenderRow, Store, WITHOUT_SEAL};

/// Looks after the seals of records.
#[derive(Debug, Subcommand)]
pub enum Seal {
    /// The keys that were ever used, the cut-over, and who sends records.
    Status(Status),
    /// Decides the cut-over: from there on, a record without a seal is forged. It can only ever come earlier. Refused while
    /// a process sends records without one.
    Require(Require),
    /// Retires a key: a record under it is forged wherever the key is not among seal.keys. Refused while a process has
    /// it, and while records under it may not have landed.
    Retire(Retire),
}

#[derive(Debug, Args)]
pub struct Status {
    #[command(flatten)]
    pub settings: Settings<Operator>,
}

/// Where the cut-over lies in each partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// Behind the last record there is: what is there lands yet.
    End,
    /// Behind the last record that has landed: what waits without a seal is forged.
    Landed,
}

#[derive(Debug, Args)]
pub struct Require {
    #[arg(long, value_enum, default_value_t = From::End)]
    pub from: From,
    /// Also while processes without keys run: they send nothing any more, and the silent ones are taken for dead.
    #[arg(long)]
    pub force: bool,
    /// A silent process without keys of which you know that it is dead, by its id; may be given several times.
    #[arg(long, value_name = "ID")]
    pub gone: Vec<String>,
    /// Who does it, for the audit trail [default: $USER].
    #[arg(long, value_name = "NAME")]
    pub actor: Option<String>,
    #[command(flatten)]
    pub settings: Settings<Operator>,
}

#[derive(Debug, Args)]
pub struct Retire {
    /// The key's id.
    #[arg(value_name = "KEY")]
    pub id: String,
    /// Also while processes have it, and whatever has not landed: those that seal with it send nothing any more.
    #[arg(long)]
    pub force: bool,
    /// A silent process with the key of which you know that it is dead, by its id; may be given several times.
    #[arg(long, value_name = "ID")]
    pub gone: Vec<String>,
    /// Who does it, for the audit trail [default: $USER].
    #[arg(long, value_name = "NAME")]
    pub actor: Option<String>,
    #[command(flatten)]
    pub settings: Settings<Operator>,
}

/// Runs one command.
pub async fn seal(command: Seal) -> anyhow::Result<()> {
    let settings = match &command {
        Seal::Status(args) => &args.settings,
        Seal::Require(args) => &args.settings,
        Seal::Retire(args) => &args.settings,
    };
    let config = settings.begin()?;
    let store = store(&config).await?;
    match &command {
        Seal::Status(_) => {
            let (keys, cut_over) = (store.seal_keys().await?, store.cut_over().await?);
            let (senders, ended) = (store.all_senders().await?, store.ended_seals().await?);
            print!("{}", status(&keys, cut_over.as_ref()));
            print!("{}", shown(&senders, &ended, now_ms()));
        }
        Seal::Require(args) => require(&config, &store, args).await?,
        Seal::Retire(args) => retire(&config, &store, args).await?,
    }
    store.close().await;
    Ok(())
}

async fn require(config: &Config, store: &Store, args: &Require) -> anyhow::Result<()> {
    let Some(keyring) = &config.keyring else {
        bail!("seal.keys names no key: nothing could land any more");
    };
    note_keys(keyring, store).await?;
    // Nobody sends without a seal any more before it is read where those that were sent end.
    let passed = Passed {
        force: args.force,
        gone: args.gone.clone(),
    };
    ending::end(store, WITHOUT_SEAL, &passed).await?;
    let from = match args.from {
        From::End => ends(config).await?,
        From::Landed => landed(config, store).await?,
    };
    let asked: BTreeMap<String, i64> = from.iter().map(|(place, from)| (named(place), *from)).collect();
    let (now, actor) = (now_ms(), args.actor.clone().unwrap_or_else(user));
    let detail = json!({"from": asked, "force": args.force, "gone": args.gone});
    let line = AuditLine::new(now, AskedBy::here(&actor), "seal.require", "records", detail);
    let decided = store.decide_cut_over(&from, now, &[line]).await?;
    print!("{}", status(&store.seal_keys().await?, Some(&decided)));
    Ok(())
}

async fn retire(config: &Config, store: &Store, args: &Retire) -> anyhow::Result<()> {
    let own = config.keyring.iter().flat_map(|keyring| keyring.keys());
    if own.into_iter().any(|key| key.id().as_str() == args.id) {
        bail!(
            "key {} is among seal.keys here: take it out of seal.keys of every gateway and lander first",
            args.id
        );
    }
    if !store.seal_keys().await?.iter().any(|key| key.id == args.id) {
        bail!(
            "no key {} was ever used: `rushgate seal status` lists them",
            args.id
        );
    }
    let passed = Passed {
        force: args.force,
        gone: args.gone.clone(),
    };
    ending::end(store, &args.id, &passed).await?;
    if !args.force {
        ending::until_landed(config, store).await?;
    }
    let (now, actor) = (now_ms(), args.actor.clone().unwrap_or_else(user));
    let detail = json!({"force": args.force, "gone": args.gone});
    let line = AuditLine::new(
        now,
        AskedBy::here(&actor),
        "seal.retire",
        args.id.as_str(),
        detail,
    );
    store.retire_seal_key(&args.id, now, &[line]).await?;
    println!("key {} is retired", args.id);
    Ok(())
}

fn status(keys: &[KeyRow], cut_over: Option<&CutOver>) -> String {
    let mut text = String::new();
    for key in keys {
        let retired = key.retired_at.map(|at| format!(", retired at {}", moment(at)));
        let (used, retired) = (moment(key.first_used_at), retired.unwrap_or_default());
        text += &format!("key {}: first used at {used}{retired}\n", key.id);
    }
    match cut_over {
        None => text += "records without a seal are taken: `rushgate seal require` ends that\n",
        Some(cut_over) => {
            let at = moment(cut_over.decided_at);
            text += &format!("since {at} records have to carry a seal; the last ones without end before\n");
            let open = cut_over.from.iter().filter(|(_, from)| **from > 0);
            for (place, from) in open {
                text += &format!("  {}/{from}\n", named(place));
            }
        }
    }
    text
}

/// The processes that send records; `ended` is what nobody is to seal with.
fn shown(senders: &[SenderRow], ended: &BTreeSet<String>, now: i64) -> String {
    let mut text = String::new();
    for of_process in senders.chunk_by(|one, other| one.process == other.process) {
        let row = &of_process[0];
        let seals = match row.key.as_str() {
            WITHOUT_SEAL => "sends without a seal".to_owned(),
            key => format!("seals with {key}"),
        };
        let others = of_process[1..]
            .iter()
            .map(|row| format!(", verifies {}", row.key));
        let state = match (row.stopped, is_silent(row, now), ended.contains(&row.key)) {
            (true, ..) => "; has read that this has ended, and sends nothing any more",
            (_, true, _) => "; silent: killed, or cut off from the database",
            (_, _, true) => "; this has ended, and it has yet to stop",
            _ => "",
        };
        let ago = now.saturating_sub(row.seen_at) / 1000;
        text += &format!(
            "sender {}: {}, {seals}{}; seen at {}, {ago} s ago{state}\n",
            row.process,
            row.name,
            others.collect::<String>(),
            moment(row.seen_at),
        );
    }
    if text.is_empty() {
        text += "no process that sends records is listed\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_lists_who_sends() {
        let row = |process: &str, key: &str, seals, stopped, seen_at| SenderRow {
            process: process.into(),
            name: format!("rushgate serve on {process}"),
            key: key.into(),
            seals,
            stopped,
            seen_at,
        };
        let senders = [
            row("a", "2026b", true, false, 59_000),
            row("a", "2026a", false, false, 59_000),
            row("b", WITHOUT_SEAL, true, false, 29_000),
            row("c", WITHOUT_SEAL, true, true, 58_000),
            row("d", WITHOUT_SEAL, true, false, 60_000),
        ];
        let ended = [WITHOUT_SEAL.to_owned()].into();
        assert_eq!(
            shown(&senders, &ended, 60_000),
            "sender a: rushgate serve on a, seals with 2026b, verifies 2026a; seen at 1970-01-01T00:00:59Z, 1 s ago\n\
             sender b: rushgate serve on b, sends without a seal; seen at 1970-01-01T00:00:29Z, 31 s ago; silent: \
             killed, or cut off from the database\n\
             sender c: rushgate serve on c, sends without a seal; seen at 1970-01-01T00:00:58Z, 2 s ago; has read that \
             this has ended, and sends nothing any more\n\
             sender d: rushgate serve on d, sends without a seal; seen at 1970-01-01T00:01:00Z, 0 s ago; this has ended, \
             and it has yet to stop\n"
        );
        assert_eq!(shown(&[], &ended, 0), "no process that sends records is listed\n");
    }

    #[test]
    fn the_status_says_what_is_taken() {
        let key = KeyRow {
            id: "2026a".into(),
            check_value: String::new(),
            first_used_at: 0,
            retired_at: Some(1000),
        };
        assert_eq!(
            status(&[key], None),
            "key 2026a: first used at 1970-01-01T00:00:00Z, retired at 1970-01-01T00:00:01Z\n\
             records without a seal are taken: `rushgate seal require` ends that\n"
        );
        let cut_over = CutOver {
            decided_at: 0,
            from: [(("o".to_owned(), 0), 7), (("o".to_owned(), 1), 0)].into(),
        };
        assert_eq!(
            status(&[], Some(&cut_over)),
            "since 1970-01-01T00:00:00Z records have to carry a seal; the last ones without end before\n  o/0/7\n"
        );
    }
}
