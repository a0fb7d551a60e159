//! `rushgate audit verify`: is the trail as it was written?

use clap::Args;
use serde_json::{Value, json};

use crate::access::DEFAULT_MERCHANT;
use crate::app::adapters::store;
use crate::audit::{Finding, Head};
use crate::cli::out::{Exit, counted, print, print_json};
use crate::cli::settings::{Operator, Settings};
use crate::store::TrailChecked;

const WRONG: Exit = Exit(1);
const NOT_READ: Exit = Exit(2);

#[derive(Debug, Args)]
pub struct Verify {
    /// A head that was noted before: the chain has to hold that line, as it was then.
    #[arg(long, value_name = "NUMBER:HASH", value_parser = noted)]
    head: Option<(u64, String)>,
    /// Whose head that is.
    #[arg(long, value_name = "ID", requires = "head", default_value = DEFAULT_MERCHANT)]
    merchant: String,
    /// One JSON document.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(super) settings: Settings<Operator>,
}

/// Reads, prints, and says by an [`Exit`] what came of it.
pub(super) async fn verify(args: Verify) -> anyhow::Result<()> {
    let checked = match check(&args).await {
        Ok(checked) => checked,
        Err(error) => {
            eprintln!("rushgate: {error:#}");
            return Err(NOT_READ.into());
        }
    };
    match args.json {
        true => print_json(&document(&checked))?,
        false => print(&text(&checked))?,
    }
    match checked.is_whole() {
        true => Ok(()),
        false => Err(WRONG.into()),
    }
}

async fn check(args: &Verify) -> anyhow::Result<TrailChecked> {
    let noted = args.head.clone().map(|(number, hash)| Head {
        merchant: args.merchant.clone(),
        number,
        hash,
    });
    let store = store(&args.settings.begin()?).await?;
    let checked = store.check_audit(noted.as_ref()).await;
    store.close().await;
    Ok(checked?)
}

fn noted(text: &str) -> Result<(u64, String), String> {
    let wrong = || "write it as `rushgate audit head` prints it: 1207:5f0c…".to_owned();
    let (number, hash) = text.split_once(':').ok_or_else(wrong)?;
    let is_hash = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
    let number = number.parse().map_err(|_| wrong())?;
    match is_hash && number > 0 {
        true => Ok((number, hash.to_ascii_lowercase())),
        false => Err(wrong()),
    }
}

fn text(checked: &TrailChecked) -> String {
    let mut text = String::new();
    for chain in &checked.chains {
        let merchant = &chain.last.merchant;
        let lines = counted(chain.last.number as usize, "line");
        let masked = match chain.masked {
            0 => String::new(),
            masked => format!(", {masked} with the name of an erased buyer masked"),
        };
        text += &match &chain.finding {
            None if chain.last.number == 0 => format!("{merchant}: no line yet\n"),
            None => format!(
                "{merchant}: {lines}, as they were written{masked}; head {}:{}\n",
                chain.last.number, chain.last.hash
            ),
            Some(finding) => found(finding),
        };
    }
    if let Some((rows, first)) = checked.unchained {
        text += &format!(
            "{} in no chain, the first of them with seq {first}: written by a build of before there were chains, or by somebody \
             else. Look at them (rushgate audit show {first}); `rushgate audit seal` puts them into the chain\n",
            counted(rows as usize, "row")
        );
    }
    text
}

fn found(finding: &Finding) -> String {
    let seq = finding
        .seq
        .map_or_else(String::new, |seq| format!(" (seq {seq})"));
    format!(
        "{}: line {}{seq}: {}\n  expected {}\n  found    {}\n",
        finding.merchant, finding.number, finding.what, finding.expected, finding.found
    )
}

fn document(checked: &TrailChecked) -> Value {
    let chains = checked.chains.iter().map(|chain| {
        let finding = chain.finding.as_ref().map(|finding| {
            json!({"number": finding.number, "seq": finding.seq, "what": finding.what,
                "expected": finding.expected, "found": finding.found})
        });
        json!({"merchant": chain.last.merchant, "number": chain.last.number, "hash": chain.last.hash,
            "masked": chain.masked, "finding": finding})
    });
    let unchained = checked
        .unchained
        .map(|(rows, first)| json!({"rows": rows, "first": first}));
    json!({"whole": checked.is_whole(), "chains": chains.collect::<Vec<_>>(), "unchained": unchained})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_as_they_are_printed() {
        let hash = "5F".repeat(32);
        assert_eq!(noted(&format!("7:{hash}")), Ok((7, "5f".repeat(32))));
        for wrong in ["", "7", "7:", "x:5f", "0:5f"] {
            assert!(noted(wrong).is_err(), "{wrong}");
        }
    }
}
