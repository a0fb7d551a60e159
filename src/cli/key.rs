//! `rushgate key`: who may use the control plane, over the control plane.

use bytes::Bytes;
use clap::Subcommand;
use hyper::Method;
use serde_json::{Value, json};

use crate::cli::client::{Connection, segment};
use crate::cli::out::{confirm, print, print_json};

/// What can be done with keys.
#[derive(Debug, Subcommand)]
pub enum Key {
    /// Makes a key, and shows it: this once, and never again.
    Create(Create),
    /// Lists keys, the newest first, with when each was used last.
    List(List),
    /// Revokes a key: from then on it is nobody's, at every gateway.
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
#[group(id = "may", required = true, multiple = false, args = ["scope", "role"])]
pub struct Create {
    /// What it is for.
    #[arg(value_name = "NAME")]
    name: String,
    /// Who holds it: the audit trail says so.
    #[arg(long)]
    person: String,
    /// What it may do, such as orders:read; may be given more than once. docs/ACCESS.md has them all.
    #[arg(long, value_name = "SCOPE")]
    scope: Vec<String>,
    /// A set of scopes: viewer, operator, merchant, payments or admin.
    #[arg(long)]
    role: Option<String>,
    /// It sees what is this merchant's alone. Without, it sees what the key that makes it sees.
    #[arg(long, value_name = "ID")]
    merchant: Option<String>,
    /// For how many days it is good; without, until it is revoked.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    expires_in_days: Option<u32>,
    /// The control plane's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct List {
    /// So many at most.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// One JSON document.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct Revoke {
    /// The key's id: the part of it between the two underscores.
    #[arg(value_name = "ID")]
    key: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Says what was done as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Carries out a command. An error says what to do about it.
pub async fn run(command: Key) -> anyhow::Result<()> {
    match command {
        Key::Create(args) => create(&args).await,
        Key::List(args) => list(&args).await,
        Key::Revoke(args) => revoke(&args).await,
    }
}

async fn create(args: &Create) -> anyhow::Result<()> {
    let mut body = json!({"name": args.name, "person": args.person});
    match &args.role {
        Some(role) => body["role"] = role.as_str().into(),
        None => body["scopes"] = json!(args.scope),
    }
    if let Some(merchant) = &args.merchant {
        body["merchant"] = merchant.as_str().into();
    }
    if let Some(days) = args.expires_in_days {
        body["expires_in_days"] = days.into();
    }
    let created: Value = args.connection.client()?.post("/keys", &body).await?;
    if args.json {
        return print_json(&created);
    }
    let key = created["key"].as_str().unwrap_or_default();
    print(&format!(
        "{}\n{key}\nNobody is shown it again. It goes into the header Authorization: Bearer <key>, and into RUSHGATE_ADMIN_TOKEN of commands.",
        line(&created)
    ))
}

fn line(key: &Value) -> String {
    let text = |name: &str| key[name].as_str().unwrap_or_default();
    let or = |name: &str, other: &str| key[name].as_str().unwrap_or(other).to_owned();
    let scopes = key["scopes"].as_array().into_iter().flatten();
    let scopes: Vec<&str> = scopes.filter_map(Value::as_str).collect();
    format!(
        "{:16}  {:7}  {:16}  {:16}  {:16}  {:24}  {:24}  {}",
        text("id"),
        text("state"),
        or("merchant", "all"),
        text("person"),
        text("name"),
        or("expires_at", "never ends"),
        or("last_used_at", "never used"),
        scopes.join(",")
    )
}

async fn list(args: &List) -> anyhow::Result<()> {
    let client = args.connection.client()?;
    let keys = client.pages("/keys", "keys", args.limit as usize).await?;
    if args.json {
        return print_json(&json!({"keys": keys}));
    }
    if keys.is_empty() {
        return print("There is no key.");
    }
    let mut lines = format!(
        "{:16}  {:7}  {:16}  {:16}  {:16}  {:24}  {:24}  scopes\n",
        "key", "state", "merchant", "person", "name", "good until", "last used"
    );
    for key in &keys {
        lines += &line(key);
        lines.push('\n');
    }
    print(&lines)
}

async fn revoke(args: &Revoke) -> anyhow::Result<()> {
    if !args.yes {
        confirm(&format!(
            "Key {} is nobody's from then on; what it began ends.",
            args.key
        ))?;
    }
    let client = args.connection.client()?;
    let path = format!("/keys/{}", segment(&args.key));
    client.send(Method::DELETE, &path, None, Bytes::new()).await?;
    match args.json {
        true => print_json(&json!({"id": args.key, "state": "revoked"})),
        false => print(&format!("Key {} is revoked.", args.key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_line() {
        let key = json!({"id": "0123456789abcdef", "state": "good", "person": "ada", "name": "desk", "scopes": ["keys", "payments"]});
        let line = line(&key);
        let words: Vec<&str> = line
            .split("  ")
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .collect();
        assert_eq!(
            words,
            [
                "0123456789abcdef",
                "good",
                "all",
                "ada",
                "desk",
                "never ends",
                "never used",
                "keys,payments"
            ]
        );
    }
}
