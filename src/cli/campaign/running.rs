//! The running sale: paused, resumed, ended, moved, and its stock changed.

use hyper::Method;
use serde_json::{Map, Value, json};

use super::api::path;
use crate::cli::client::Connection;
use crate::cli::dlt::values::timestamp;
use crate::cli::out::{confirm, print, print_json};

/// What every change of a running sale takes.
#[derive(Debug, clap::Args)]
pub struct How {
    /// Why, for the audit trail.
    #[arg(long)]
    note: Option<String>,
    /// Make the change once, however often the command is run with this key.
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// The control plane's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct Pause {
    /// The campaign.
    #[arg(value_name = "ID")]
    campaign: String,
    /// When orders are taken again by themselves; without, somebody has to resume it.
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    resume_at: Option<jiff::Timestamp>,
    /// When it begins; without, now.
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    pause_at: Option<jiff::Timestamp>,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
pub struct Resume {
    /// The campaign.
    #[arg(value_name = "ID")]
    campaign: String,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
pub struct End {
    /// The campaign.
    #[arg(value_name = "ID")]
    campaign: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
pub struct Set {
    /// The campaign.
    #[arg(value_name = "ID")]
    campaign: String,
    /// Another title.
    #[arg(long)]
    title: Option<String>,
    /// When it opens: 2026-12-01T10:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    opens_at: Option<jiff::Timestamp>,
    /// When it closes.
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    closes_at: Option<jiff::Timestamp>,
    /// Whose pages in browsers may read what gateways say of it: https://shop.example,https://m.shop.example; "*" every page, ""
    /// none, "configured" as the configuration says.
    #[arg(long, value_name = "LIST")]
    origins: Option<String>,
    /// Orders that land from now on expire when they are not paid within so many minutes; "none": they do not.
    #[arg(long, value_name = "MINUTES", value_parser = hold, allow_negative_numbers = true)]
    hold: Option<Hold>,
    /// Whether buyers may cancel what they have not paid.
    #[arg(long, value_name = "true|false")]
    cancel_by_buyer: Option<bool>,
    /// What comes back, by reason or state: fraud=stock,refunded=none; of whatever is not named all, and with "" so of everything.
    #[arg(long, value_name = "LIST", value_parser = releases)]
    releases: Option<Releases>,
    /// Whether what decides in it needs the approval of another person.
    #[arg(long, value_name = "true|false")]
    four_eyes: Option<bool>,
    /// A counter that may be re-keyed or dropped, or start at zero; may be given more than once.
    #[arg(long, value_name = "COUNTER")]
    accept: Vec<String>,
    /// Say what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    how: How,
}

/// Minutes; None: no hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hold(Option<u32>);

/// As the API takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Releases(Value);

#[derive(Debug, clap::Args)]
#[group(id = "change", required = true, multiple = false, args = ["add", "remove", "set"])]
pub struct Stock {
    /// The campaign.
    #[arg(value_name = "ID")]
    campaign: String,
    /// The SKU.
    #[arg(value_name = "SKU")]
    sku: String,
    /// So many units more.
    #[arg(long, value_name = "UNITS")]
    add: Option<u64>,
    /// So many units fewer, as far as they are left.
    #[arg(long, value_name = "UNITS")]
    remove: Option<u64>,
    /// So many units in all, sold ones included.
    #[arg(long, value_name = "UNITS")]
    set: Option<u64>,
    /// Only where it has so many units in all.
    #[arg(long, value_name = "UNITS")]
    expect: Option<u64>,
    /// A counter that may be re-keyed or dropped, or start at zero; may be given more than once.
    #[arg(long, value_name = "COUNTER")]
    accept: Vec<String>,
    /// Say what would change, and change nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    how: How,
}

/// A body with those members that are there.
fn body<const N: usize>(members: [(&str, Value); N]) -> Value {
    let given = members.into_iter().filter(|(_, value)| match value {
        Value::Null => false,
        Value::Array(all) => !all.is_empty(),
        _ => true,
    });
    Value::Object(given.map(|(name, value)| (name.to_owned(), value)).collect())
}

/// Sends the change, and says what it did.
async fn change(how: &How, method: Method, path: &str, mut body: Value) -> anyhow::Result<()> {
    if let Some(note) = &how.note {
        body["note"] = note.as_str().into();
    }
    let client = how.connection.client()?;
    let answer = client.change(method, path, &body, how.key.as_deref()).await?;
    match how.json {
        true => print_json(&answer),
        false => print(&did(&answer)),
    }
}

/// What a change did, a sentence per line.
pub(super) fn did(answer: &Value) -> String {
    match &answer["did"] {
        Value::Array(sentences) => {
            let sentences: Vec<&str> = sentences.iter().filter_map(Value::as_str).collect();
            sentences.join("\n")
        }
        sentence => sentence.as_str().unwrap_or_default().to_owned(),
    }
}

pub(super) async fn pause(args: &Pause) -> anyhow::Result<()> {
    let (resume_at, pause_at) = (json!(args.resume_at), json!(args.pause_at));
    let body = body([("resume_at", resume_at), ("pause_at", pause_at)]);
    let path = format!("{}/pause", path(&args.campaign));
    change(&args.how, Method::POST, &path, body).await
}

pub(super) async fn resume(args: &Resume) -> anyhow::Result<()> {
    let path = format!("{}/resume", path(&args.campaign));
    change(&args.how, Method::POST, &path, json!({})).await
}

pub(super) async fn end(args: &End) -> anyhow::Result<()> {
    if !args.yes {
        confirm(&format!("End campaign {} now, for good?", args.campaign))?;
    }
    let path = format!("{}/end", path(&args.campaign));
    change(&args.how, Method::POST, &path, json!({})).await
}

pub(super) async fn set(args: &Set) -> anyhow::Result<()> {
    let mut body = body([
        ("title", json!(args.title)),
        ("opens_at", json!(args.opens_at)),
        ("closes_at", json!(args.closes_at)),
        ("cancel_by_buyer", json!(args.cancel_by_buyer)),
        ("four_eyes", json!(args.four_eyes)),
        ("accept", json!(args.accept)),
    ]);
    if let Some(origins) = &args.origins {
        body["origins"] = self::origins(origins);
    }
    if let Some(Hold(minutes)) = args.hold {
        body["hold"] = minutes.map_or(Value::Null, |minutes| json!({"minutes": minutes}));
    }
    if let Some(Releases(releases)) = &args.releases {
        body["releases"] = releases.clone();
    }
    let path = format!("{}{}", path(&args.campaign), tried(args.dry_run));
    change(&args.how, Method::PATCH, &path, body).await
}

pub(super) async fn stock(args: &Stock) -> anyhow::Result<()> {
    let body = body([
        ("sku", json!(args.sku)),
        ("add", json!(args.add)),
        ("remove", json!(args.remove)),
        ("set", json!(args.set)),
        ("expect", json!(args.expect)),
        ("accept", json!(args.accept)),
    ]);
    let path = format!("{}/stock{}", path(&args.campaign), tried(args.dry_run));
    change(&args.how, Method::POST, &path, body).await
}

/// As the API takes them; what is wrong with one, it says.
fn origins(text: &str) -> Value {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    match text {
        "configured" => Value::Null,
        _ => names.collect(),
    }
}

fn hold(text: &str) -> Result<Hold, String> {
    match text {
        "none" => Ok(Hold(None)),
        minutes => match minutes.parse() {
            Ok(minutes) => Ok(Hold(Some(minutes))),
            Err(_) => Err("it is a whole number of minutes, or none".to_owned()),
        },
    }
}

/// Which reasons and which words there are, the API says.
fn releases(text: &str) -> Result<Releases, String> {
    if text.is_empty() {
        return Ok(Releases(Value::Null));
    }
    let pair = |pair: &str| match pair.split_once('=') {
        Some((why, what)) if !why.trim().is_empty() => Ok((why.trim().to_owned(), Value::from(what.trim()))),
        _ => Err(format!("\"{pair}\" is not of the form fraud=stock")),
    };
    let mut pairs = Map::new();
    for (why, what) in text.split(',').map(pair).collect::<Result<Vec<_>, _>>()? {
        if pairs.insert(why.clone(), what).is_some() {
            return Err(format!("\"{why}\" stands there twice: which one counts?"));
        }
    }
    Ok(Releases(Value::Object(pairs)))
}

fn tried(dry_run: bool) -> &'static str {
    if dry_run { "?dry_run=true" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_is_not_sent_and_what_was_done_is_said() {
        let given = body([("a", json!(None::<u64>)), ("b", json!(1)), ("accept", json!([]))]);
        assert_eq!(given, json!({"b": 1}));
        assert_eq!(
            origins("https://a.example, https://b.example"),
            json!(["https://a.example", "https://b.example"])
        );
        assert_eq!(
            (origins("*"), origins(""), origins("configured")),
            (json!(["*"]), json!([]), Value::Null)
        );
        assert_eq!((hold("15"), hold("none")), (Ok(Hold(Some(15))), Ok(Hold(None))));
        assert!(hold("15m").is_err());
        assert_eq!(
            releases("fraud=stock, refunded=none"),
            Ok(Releases(json!({"fraud": "stock", "refunded": "none"})))
        );
        assert_eq!(releases(""), Ok(Releases(Value::Null)));
        for wrong in ["fraud", "fraud=stock,fraud=none"] {
            assert!(releases(wrong).is_err(), "{wrong}");
        }
        assert_eq!(did(&json!({"did": ["One.", "Two."]})), "One.\nTwo.");
        assert_eq!(did(&json!({"did": "One."})), "One.");
    }
}
