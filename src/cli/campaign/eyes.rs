//! Where two people have to agree: revisions and proposals looked at, approved and taken back.

use hyper::Method;
use serde_json::{Value, json};

use super::api::path;
use super::running::did;
use crate::cli::client::{Client, Connection, segment};
use crate::cli::out::{confirm, print, print_json};

/// What is approved, and how.
#[derive(Debug, clap::Args)]
pub struct Approve {
    /// The campaign.
    #[arg(value_name = "ID")]
    campaign: String,
    /// The revision's number.
    #[arg(value_name = "REVISION")]
    revision: u32,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
pub struct ApproveProposal {
    /// The campaign.
    #[arg(value_name = "ID")]
    campaign: String,
    /// The proposal's id.
    #[arg(value_name = "PROPOSAL")]
    proposal: String,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, clap::Args)]
struct How {
    /// Approve this digest, and nothing else; without, what is shown is approved.
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,
    /// Why, for the audit trail.
    #[arg(long)]
    note: Option<String>,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// The control plane's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct Withdraw {
    /// The campaign.
    #[arg(value_name = "ID")]
    campaign: String,
    /// The revision's number.
    #[arg(value_name = "REVISION")]
    revision: u32,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct WithdrawProposal {
    /// The campaign.
    #[arg(value_name = "ID")]
    campaign: String,
    /// The proposal's id.
    #[arg(value_name = "PROPOSAL")]
    proposal: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, clap::Args)]
pub struct Proposals {
    /// The campaign.
    #[arg(value_name = "ID")]
    campaign: String,
    /// The control plane's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn approve(args: &Approve) -> anyhow::Result<()> {
    let client = args.how.connection.client()?;
    let path = format!("{}/revisions/{}", path(&args.campaign), args.revision);
    let shown: Value = client.get(&path).await?;
    let what = format!("revision {} of {}", args.revision, args.campaign);
    agree(
        &client,
        &args.how,
        (&what, &shown),
        &revision(&shown),
        &format!("{path}/approve"),
    )
    .await
}

pub(super) async fn approve_proposal(args: &ApproveProposal) -> anyhow::Result<()> {
    let client = args.how.connection.client()?;
    let all = format!("{}/proposals", path(&args.campaign));
    let list: Value = client.get(&all).await?;
    let mut each = list["proposals"].as_array().into_iter().flatten();
    let found = each.find(|proposal| proposal["id"] == args.proposal.as_str());
    let found = found
        .ok_or_else(|| anyhow::anyhow!("campaign {} has no proposal {}", args.campaign, args.proposal))?;
    let what = format!("proposal {} for {}", args.proposal, args.campaign);
    let path = format!("{all}/{}/approve", segment(&args.proposal));
    agree(&client, &args.how, (&what, found), &proposal(found), &path).await
}

/// Shows it, asks, and approves the digest of what was shown.
async fn agree(
    client: &Client,
    how: &How,
    (what, shown): (&str, &Value),
    told: &str,
    path: &str,
) -> anyhow::Result<()> {
    let digest = how.digest.as_deref().or(shown["digest"].as_str());
    if !how.json {
        print(told)?;
    }
    if !how.yes {
        confirm(&format!("Approve {what}?"))?;
    }
    let mut body = json!({"digest": digest.unwrap_or_default()});
    if let Some(note) = &how.note {
        body["note"] = note.as_str().into();
    }
    let answer = client.change(Method::POST, path, &body, None).await?;
    match how.json {
        true => print_json(&answer),
        false => print(&did(&answer)),
    }
}

pub(super) async fn withdraw(args: &Withdraw) -> anyhow::Result<()> {
    let client = args.connection.client()?;
    let path = format!("{}/revisions/{}/approve", path(&args.campaign), args.revision);
    let answer = client.change(Method::DELETE, &path, &json!({}), None).await?;
    print(&did(&answer))
}

pub(super) async fn withdraw_proposal(args: &WithdrawProposal) -> anyhow::Result<()> {
    let client = args.connection.client()?;
    let path = format!("{}/proposals/{}", path(&args.campaign), segment(&args.proposal));
    client.change(Method::DELETE, &path, &json!({}), None).await?;
    print(&format!("proposal {} is withdrawn", args.proposal))
}

pub(super) async fn proposals(args: &Proposals) -> anyhow::Result<()> {
    let client = args.connection.client()?;
    let list: Value = client.get(&format!("{}/proposals", path(&args.campaign))).await?;
    if args.json {
        return print_json(&list);
    }
    let each = list["proposals"].as_array().into_iter().flatten();
    let lines: Vec<String> = each
        .map(|one| format!("{}  {}\n{}", word(&one["state"]), word(&one["id"]), proposal(one)))
        .collect();
    match lines.is_empty() {
        true => print("nothing was proposed"),
        false => print(&lines.join("\n")),
    }
}

/// A revision as an approver looks at it.
fn revision(shown: &Value) -> String {
    let sentences = |name: &str| {
        let list = shown[name].as_array().into_iter().flatten();
        list.filter_map(Value::as_str)
            .map(|line| format!("\n  {line}"))
            .collect::<String>()
    };
    let changes = shown["changes"].as_array().into_iter().flatten();
    let changes: String = changes
        .filter(|change| change["class"] != "unchanged")
        .map(|change| format!("\n  {}", word(&change["sentence"])))
        .collect();
    format!(
        "made by {}, opens at {}, closes at {}:{}\nagainst the one in force:{}\ndigest {}",
        shown["made_by"]["person"]
            .as_str()
            .unwrap_or("nobody who is named"),
        word(&shown["opens_at"]),
        word(&shown["closes_at"]),
        sentences("explain"),
        if changes.is_empty() {
            "\n  nothing for orders"
        } else {
            &changes
        },
        word(&shown["digest"]),
    )
}

/// A proposal as an approver looks at it.
fn proposal(shown: &Value) -> String {
    format!(
        "{} proposed by {}, against revision {}:\n  {}\ndigest {}",
        word(&shown["kind"]),
        word(&shown["proposed_by"]["person"]),
        shown["against"],
        shown["body"],
        word(&shown["digest"]),
    )
}

fn word(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approver_sees_who_made_what() {
        let shown = json!({"made_by": {"person": "ada"}, "opens_at": "o", "closes_at": "c", "digest": "d",
            "explain": ["At most 2."], "changes": [{"class": "looser", "sentence": "2 and not 1."}, {"class": "unchanged", "sentence": "x"}]});
        assert_eq!(
            revision(&shown),
            "made by ada, opens at o, closes at c:\n  At most 2.\nagainst the one in force:\n  2 and not 1.\ndigest d"
        );
        assert!(revision(&json!({})).starts_with("made by nobody who is named"));
        let shown = json!({"kind": "stock.change", "proposed_by": {"person": "ada"}, "against": 2, "body": {"add": 1}, "digest": "d"});
        assert_eq!(
            proposal(&shown),
            "stock.change proposed by ada, against revision 2:\n  {\"add\":1}\ndigest d"
        );
    }
}
