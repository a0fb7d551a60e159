//! `rushgate merchant`: who owns campaigns, lists, webhooks and modules, over the control plane.

use clap::Subcommand;
use hyper::Method;
use serde_json::{Map, Value, json};

use crate::cli::client::{Connection, segment};
use crate::cli::out::{print, print_json};

/// What can be done with merchants.
#[derive(Debug, Subcommand)]
pub enum Merchant {
    /// Makes a merchant.
    Create(Create),
    /// Changes a merchant's name, or who says who its buyers are.
    Set(Set),
    /// Lists merchants, the newest first.
    List(List),
}

#[derive(Debug, clap::Args)]
pub struct Create {
    /// The merchant's id, which stands for good.
    #[arg(value_name = "ID")]
    merchant: String,
    /// For people; the id where it is left out.
    #[arg(long)]
    name: Option<String>,
    /// The control plane's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
#[group(id = "what", required = true, multiple = true, args = ["name", "issuer", "shared_issuer"])]
pub struct Set {
    /// The merchant's id.
    #[arg(value_name = "ID")]
    merchant: String,
    /// Another name.
    #[arg(long)]
    name: Option<String>,
    /// Whose tokens its buyers have: what those have in iss.
    #[arg(
        long,
        value_name = "ISS",
        requires = "jwks_url",
        conflicts_with = "shared_issuer"
    )]
    issuer: Option<String>,
    /// And in aud; without it, anything.
    #[arg(long, value_name = "AUD", requires = "issuer")]
    audience: Option<String>,
    /// Where the issuer publishes its keys.
    #[arg(long, value_name = "URL", requires = "issuer")]
    jwks_url: Option<String>,
    /// Its buyers have tokens of the deployment's issuer again.
    #[arg(long)]
    shared_issuer: bool,
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

/// Carries out a command. An error says what to do about it.
pub async fn run(command: Merchant) -> anyhow::Result<()> {
    match command {
        Merchant::Create(args) => create(&args).await,
        Merchant::Set(args) => set(&args).await,
        Merchant::List(args) => list(&args).await,
    }
}

async fn create(args: &Create) -> anyhow::Result<()> {
    let mut body = json!({"id": args.merchant});
    if let Some(name) = &args.name {
        body["name"] = name.as_str().into();
    }
    let created: Value = args.connection.client()?.post("/merchants", &body).await?;
    match args.json {
        true => print_json(&created),
        false => print(&format!("Merchant {} is there.", args.merchant)),
    }
}

async fn set(args: &Set) -> anyhow::Result<()> {
    let mut body = Map::new();
    if let Some(name) = &args.name {
        body.insert("name".into(), name.as_str().into());
    }
    if args.shared_issuer {
        body.insert("tokens".into(), Value::Null);
    }
    if let Some(issuer) = &args.issuer {
        let mut tokens = json!({"issuer": issuer, "jwks_url": args.jwks_url});
        if let Some(audience) = &args.audience {
            tokens["audience"] = audience.as_str().into();
        }
        body.insert("tokens".into(), tokens);
    }
    let path = format!("/merchants/{}", segment(&args.merchant));
    let client = args.connection.client()?;
    let changed: Value = client
        .change(Method::PATCH, &path, &Value::from(body), None)
        .await?;
    if args.json {
        return print_json(&changed);
    }
    let whose = match changed["tokens"]["issuer"].as_str() {
        Some(issuer) => {
            format!("Its buyers have tokens of {issuer}: every gateway goes by that within two seconds.")
        }
        None => "Its buyers have tokens of the deployment's issuer.".to_owned(),
    };
    print(&format!("Merchant {} is changed. {whose}", args.merchant))
}

async fn list(args: &List) -> anyhow::Result<()> {
    let client = args.connection.client()?;
    let merchants = client
        .pages("/merchants", "merchants", args.limit as usize)
        .await?;
    if args.json {
        return print_json(&json!({"merchants": merchants}));
    }
    let mut lines = format!("{:24}  {:24}  {:24}  issuer\n", "merchant", "since", "name");
    for merchant in &merchants {
        let text = |name: &str| merchant[name].as_str().unwrap_or_default();
        let issuer = merchant["tokens"]["issuer"].as_str().unwrap_or("of all");
        lines += &format!(
            "{:24}  {:24}  {:24}  {issuer}\n",
            text("id"),
            text("created_at"),
            text("name")
        );
    }
    print(&lines)
}
