//! Dead letters as the control plane shows them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use serde_json::value::RawValue;

use super::headers::{of_replay, readable};
use super::repair::as_json;
use crate::store::{DeadLetter, LetterTotal};
use crate::wire::Moment;

/// A dead letter, but for its payload.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Letter)]
pub struct LetterView {
    /// `<topic>/<partition>/<offset>` of its record, with `:<position>` where it is not the first order of that. Behind `/letters/`
    /// it is the letter's path.
    pub id: String,
    /// `retry`, `dead`, `replayed`, `parked`, `discarded`, `landed` or `forged`.
    pub stage: &'static str,
    /// Class of the last error.
    pub class: String,
    /// The last error.
    pub error: String,
    /// Landings that were tried.
    pub attempts: i64,
    /// Times it was sent back.
    pub replays: i64,
    /// Key of the record, `<campaign>/<user>`; missing where it is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Missing where the record is no order; so the three below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<i64>,
    /// When it failed first.
    pub failed_at: Moment,
    /// When it came to its stage.
    pub since: Moment,
    /// When a lander is going to send it back; missing where nobody asked for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay_at: Option<Moment>,
    /// To this topic, if not to the one it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay_to: Option<String>,
}

impl From<&DeadLetter> for LetterView {
    fn from(letter: &DeadLetter) -> Self {
        Self {
            id: letter.origin.to_string(),
            stage: letter.stage.as_str(),
            class: letter.class.clone(),
            error: letter.error.clone(),
            attempts: letter.attempts,
            replays: letter.replays,
            key: String::from_utf8(letter.key.clone()).ok(),
            campaign: letter.campaign.clone(),
            order: letter.order.clone(),
            sku: letter.sku.clone(),
            quantity: letter.quantity,
            failed_at: Moment(letter.failed_at),
            since: Moment(letter.changed_at.unwrap_or(letter.failed_at)),
            replay_at: letter.replay_at.map(Moment),
            replay_to: letter.replay_to.clone(),
        }
    }
}

/// A header of the record that a replay makes.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct LetterHeader {
    pub name: String,
    /// A text, or the number that its bytes are.
    pub value: String,
}

/// A dead letter with what it holds: a buyer's order, and so personal data.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct LetterInFull {
    #[serde(flatten)]
    pub letter: LetterView,
    /// When its record was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_at: Option<Moment>,
    /// What a replay carries besides the payload.
    pub headers: Vec<LetterHeader>,
    /// As it was written; missing where it is no JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub payload: Option<Box<RawValue>>,
    /// Of a payload that is no JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payload_base64: Option<String>,
}

impl LetterInFull {
    pub(super) fn of(letter: &DeadLetter, group: &str) -> Self {
        let payload = as_json(&letter.payload);
        let headers = of_replay(letter, group).into_iter();
        Self {
            letter: letter.into(),
            recorded_at: letter.recorded_at.map(Moment),
            headers: headers
                .map(|(name, value)| LetterHeader {
                    value: readable(&name, &value),
                    name: name.into(),
                })
                .collect(),
            payload_base64: payload.is_none().then(|| BASE64.encode(&letter.payload)),
            payload,
        }
    }
}

/// How many letters of a stage and class there are.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
#[schema(as = LetterTotal)]
pub struct TotalView {
    pub stage: &'static str,
    pub class: String,
    pub letters: u64,
}

impl From<LetterTotal> for TotalView {
    fn from(total: LetterTotal) -> Self {
        Self {
            stage: total.stage.as_str(),
            class: total.class,
            letters: total.letters,
        }
    }
}

/// What was done to letters, or would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = LettersDone)]
pub struct Done {
    /// All of it in a sentence.
    pub did: String,
    /// Letters that it was done to, or would be.
    pub letters: u64,
    /// Of a replay: letters that were replayed so often that they are parked instead.
    pub parked: u64,
    /// Letters that somebody else moved on meanwhile, and that are left as they are.
    pub overtaken: u64,
    /// Of a discard: letters whose order the database refuses to give up, and that are left as they are; and why, of the first.
    pub refused: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Of a replay: when a lander sends the first of them, and the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_at: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Moment>,
    /// There are more than one request changes: the same request goes on with them.
    pub more: bool,
}
