//! What the control plane answers about campaigns, as far as commands read it.

use std::collections::BTreeMap;

use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde::Deserialize;

use crate::campaign::Origins;
use crate::cli::client::{Client, ClientError, segment};
use crate::order::{Hold, Release};
use crate::plan::Folds;
use crate::revision::PinnedRule;

/// A campaign with its figures.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Shown {
    pub(super) id: String,
    pub(super) title: String,
    pub(super) revision: u32,
    pub(super) state: String,
    pub(super) opens_at: jiff::Timestamp,
    pub(super) closes_at: jiff::Timestamp,
    pub(super) retention_days: u32,
    #[serde(default)]
    pub(super) origins: Option<Origins>,
    pub(super) skus: Vec<SkuShown>,
    pub(super) rejected: BTreeMap<String, u64>,
    pub(super) orders_to_kafka: u64,
    pub(super) units_to_database: u64,
    pub(super) redis_whole: bool,
    #[serde(default)]
    pub(super) four_eyes: bool,
    #[serde(default)]
    pub(super) hold: Option<Hold>,
    #[serde(default)]
    pub(super) cancel_by_buyer: bool,
    #[serde(default)]
    pub(super) releases: BTreeMap<String, Release>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct SkuShown {
    pub(super) id: String,
    pub(super) stock: u64,
    #[serde(default)]
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) remaining: i64,
    pub(super) admitted: i64,
    pub(super) landed: i64,
}

/// A revision, as far as a file says what it is.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct RevisionShown {
    pub(super) rules: Vec<PinnedRule>,
    #[serde(default)]
    pub(super) fold: Folds,
    #[serde(default)]
    pub(super) shadow: Vec<PinnedRule>,
    #[serde(default)]
    pub(super) lists: BTreeMap<String, u32>,
    pub(super) explain: Vec<String>,
}

/// What a revision answers that is made or tried.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Made {
    #[serde(default)]
    pub(super) revision: Option<u32>,
    pub(super) explain: Vec<String>,
    #[serde(default)]
    pub(super) diagnostics: Vec<serde_json::Value>,
}

impl Made {
    /// Warnings of its modules, as sentences.
    pub(super) fn warnings(&self) -> impl Iterator<Item = &str> {
        self.diagnostics.iter().filter_map(|one| one["message"].as_str())
    }
}

/// The path of a campaign.
pub(super) fn path(campaign: &str) -> String {
    format!("/campaigns/{}", segment(campaign))
}

pub(super) async fn shown(client: &Client, campaign: &str) -> Result<Shown, ClientError> {
    client.get(&path(campaign)).await
}

/// The same, and the whole answer.
pub(super) async fn shown_with_answer(
    client: &Client,
    campaign: &str,
) -> Result<(Shown, serde_json::Value), ClientError> {
    let path = path(campaign);
    let answer = client.send(Method::GET, &path, None, Bytes::new()).await?;
    Ok((client.read(&path, &answer)?, client.read(&path, &answer)?))
}

/// The same; `None` where there is no such campaign.
pub(super) async fn find(client: &Client, campaign: &str) -> Result<Option<Shown>, ClientError> {
    found(shown(client, campaign).await)
}

/// The active revision of a campaign.
pub(super) async fn revision(client: &Client, shown: &Shown) -> Result<RevisionShown, ClientError> {
    let path = format!("{}/revisions/{}", path(&shown.id), shown.revision);
    client.get(&path).await
}

/// Whether there is a list of this id.
pub(super) async fn has_list(client: &Client, list: &str) -> Result<bool, ClientError> {
    let path = format!("/audiences/{}?limit=1", segment(list));
    let asked = client.get::<serde_json::Value>(&path).await;
    Ok(found(asked)?.is_some())
}

fn found<T>(answer: Result<T, ClientError>) -> Result<Option<T>, ClientError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(ClientError::Refused { document, .. }) if document.is(StatusCode::NOT_FOUND, "unknown") => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
