//! What brings a campaign to its file, step by step: each is tried before any is made.

use std::collections::BTreeSet;

use anyhow::bail;
use hyper::Method;
use serde_json::{Value, json};

use super::api::{Made, path};
use super::diff::Difference;
use super::running::did;
use super::sale::Sale;
use crate::campaign::Sku;
use crate::cli::client::{Client, ClientError};
use crate::order::shown_sku;
use crate::plan::diff::{Change, Class, needs_accept};

/// One change that the control plane makes at once.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// A SKU that is not sold yet.
    Add(Sku),
    /// A SKU, how many units it has in all, and how many it is to have.
    Stock(String, u64, u64),
    /// Another title, other times, pages of other origins.
    Set {
        title: Option<String>,
        times: bool,
        origins: bool,
    },
    /// Other terms for its orders.
    Terms,
    /// A revision that says all that the file does, put in force.
    Revision,
    /// Whether what decides in it needs a second person from then on.
    FourEyes(bool),
}

/// In the order in which they are made: rules may ask for a SKU that comes with them.
pub(super) fn steps(sale: &Sale, difference: &Difference) -> Vec<Step> {
    let mut steps: Vec<Step> = difference.added.iter().cloned().map(Step::Add).collect();
    let stock = difference.stock.iter().cloned();
    steps.extend(stock.map(|(sku, from, to)| Step::Stock(sku, from, to)));
    let times = difference.times && !difference.rules;
    let origins = difference.origins;
    if difference.title.is_some() || times || origins {
        let title = difference.title.as_ref().map(|_| sale.title.clone());
        steps.push(Step::Set {
            title,
            times,
            origins,
        });
    }
    if difference.terms {
        steps.push(Step::Terms);
    }
    if difference.rules {
        steps.push(Step::Revision);
    }
    // What comes before it is decided as it was.
    steps.extend(difference.four_eyes.map(Step::FourEyes));
    steps
}

impl Step {
    /// Has the control plane make the change, or with `dry_run` only say what it would be.
    pub(super) async fn run(
        &self,
        client: &Client,
        sale: &Sale,
        accept: &[String],
        dry_run: bool,
    ) -> Result<Value, ClientError> {
        let (campaign, query) = (path(&sale.id), if dry_run { "?dry_run=true" } else { "" });
        let (method, path, mut body) = match self {
            Self::Add(sku) => (Method::POST, format!("{campaign}/skus{query}"), json!(sku)),
            Self::Stock(sku, from, to) => {
                let body = json!({"sku": sku, "set": to, "expect": from});
                (Method::POST, format!("{campaign}/stock{query}"), body)
            }
            Self::Set {
                title,
                times,
                origins,
            } => {
                let mut body = json!({});
                if let Some(title) = title {
                    body["title"] = title.as_str().into();
                }
                if *times {
                    body["opens_at"] = json!(sale.opens_at);
                    body["closes_at"] = json!(sale.closes_at);
                }
                if *origins {
                    body["origins"] = json!(sale.origins);
                }
                (Method::PATCH, format!("{campaign}{query}"), body)
            }
            Self::Terms => {
                let body = json!({"hold": sale.hold, "cancel_by_buyer": sale.cancel_by_buyer, "releases": sale.releases});
                (Method::PATCH, format!("{campaign}{query}"), body)
            }
            Self::FourEyes(on) => (
                Method::PATCH,
                format!("{campaign}{query}"),
                json!({ "four_eyes": on }),
            ),
            Self::Revision => return revise(client, sale, accept, dry_run).await,
        };
        if !accept.is_empty() {
            body["accept"] = json!(accept);
        }
        client.change(method, &path, &body, None).await
    }

    /// What does the same where the control plane does not have this: times are a revision's.
    pub(super) fn instead(&self) -> Option<Self> {
        match self {
            Self::Set {
                title: None,
                times: true,
                origins: false,
            } => Some(Self::Revision),
            _ => None,
        }
    }

    fn is_of_origins(&self) -> bool {
        matches!(self, Self::Set { origins: true, .. })
    }

    /// Why the step does not bring what the file says, of what it answered: units that are sold cannot be taken off.
    pub(super) fn short(&self, answer: &Value) -> Option<String> {
        if let Some(id) = answer["proposal"]["id"].as_str() {
            return Some(format!(
                "{}: it waits for another person (rushgate campaign approve-proposal, {id})",
                self.told()
            ));
        }
        let Self::Stock(sku, _, to) = self else {
            return None;
        };
        let has = answer["stock"].as_u64().filter(|has| has != to)?;
        Some(format!(
            "{} has {has} units and not {to}: the others are sold or on their way to a buyer",
            shown_sku(sku)
        ))
    }

    /// What is otherwise.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Add(sku) => format!("{} is not sold there", shown_sku(&sku.id)),
            Self::Stock(sku, from, to) => format!("{} has {from} units and not {to}", shown_sku(sku)),
            Self::Set { title, .. } => match title {
                Some(title) => format!("the title is not {title:?}"),
                None if self.is_of_origins() => {
                    "pages of other origins may read what is said of it".to_owned()
                }
                None => "it opens and closes at other times".to_owned(),
            },
            Self::Terms => "its orders are held, cancelled or given back otherwise".to_owned(),
            Self::Revision => "it has other rules".to_owned(),
            Self::FourEyes(true) => "nobody has to approve what decides in it".to_owned(),
            Self::FourEyes(false) => "another person has to approve what decides in it".to_owned(),
        }
    }
}

/// A dry run stores nothing; otherwise the revision is put in force, and that is what is answered.
async fn revise(
    client: &Client,
    sale: &Sale,
    accept: &[String],
    dry_run: bool,
) -> Result<Value, ClientError> {
    let campaign = path(&sale.id);
    let query = if dry_run { "?dry_run=true" } else { "" };
    let made: Value = client
        .post(&format!("{campaign}/revisions{query}"), &sale.revision())
        .await?;
    if dry_run {
        return Ok(made);
    }
    let body = json!({"revision": made["revision"], "accept": accept});
    client.post(&format!("{campaign}/activate"), &body).await
}

/// Steps that can be made, and what they would change.
#[derive(Debug, Default)]
pub(super) struct Tried {
    pub(super) steps: Vec<Step>,
    sentences: Vec<String>,
    warnings: Vec<String>,
    /// Counters that would lose what they hold.
    lost: BTreeSet<String>,
}

impl Tried {
    /// Takes what a dry run of a step answered.
    pub(super) fn add(&mut self, step: Step, answer: &Value) -> anyhow::Result<()> {
        let changes: Vec<Change> = match &answer["changes"] {
            Value::Null => Vec::new(),
            changes => serde_json::from_value(changes.clone())?,
        };
        self.lost
            .extend(needs_accept(&changes).map(|(id, _)| id.to_owned()));
        match step {
            Step::Revision => {
                let tried: Made = serde_json::from_value(answer.clone())?;
                let changed = changes.iter().filter(|change| change.class != Class::Unchanged);
                let before = self.sentences.len();
                self.sentences
                    .extend(changed.map(|change| change.sentence.clone()));
                if self.sentences.len() == before {
                    let same = "nothing for orders: the rules are written otherwise, and decide as before";
                    self.sentences.push(same.to_owned());
                }
                self.warnings.extend(tried.warnings().map(str::to_owned));
            }
            _ => self.sentences.extend(did(answer).lines().map(str::to_owned)),
        }
        self.steps.push(step);
        Ok(())
    }

    /// What would change, a sentence per line.
    pub(super) fn told(&self, campaign: &str) -> String {
        let mut text = format!("campaign {campaign} would change:");
        for sentence in &self.sentences {
            text += &format!("\n  {sentence}");
        }
        for warning in &self.warnings {
            text += &format!("\nwarning: {warning}");
        }
        text
    }

    /// What counters lose has to be accepted before anything is changed.
    pub(super) fn accepted(&self, accept: &[String]) -> anyhow::Result<()> {
        let missing = self.lost.iter().filter(|id| !accept.contains(id));
        let missing: Vec<String> = missing.map(|id| format!("--accept {id}")).collect();
        match missing.is_empty() {
            true => Ok(()),
            false => bail!(
                "counters would lose what they hold: to apply it all the same, give {}",
                missing.join(" ")
            ),
        }
    }
}
