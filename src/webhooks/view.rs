//! Endpoints as the control plane shows them: never with a secret, but once for a new one.

use serde::Serialize;

use crate::store::WebhookRow;
use crate::wire::Moment;

/// An endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = Webhook)]
pub struct WebhookView {
    pub id: String,
    /// `enabled`, `failing` or `disabled`.
    pub state: &'static str,
    pub url: String,
    /// Whose it is.
    pub merchant: String,
    /// Missing: of all campaigns of its merchant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
    /// Empty: every event.
    pub events: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    pub created_at: Moment,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<Moment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<Moment>,
    /// Missing: somebody disabled it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled_why: Option<String>,
    /// Until when the secret before signs as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_secret_until: Option<Moment>,
    /// Deliveries that wait; of a single endpoint alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<u64>,
}

impl WebhookView {
    pub(super) fn of(row: WebhookRow, now: i64) -> Self {
        let state = match (&row.disabled, row.failing_since) {
            (Some(_), _) => "disabled",
            (None, Some(_)) => "failing",
            (None, None) => "enabled",
        };
        let previous = row.previous.map(|(_, until)| until).filter(|until| *until > now);
        Self {
            state,
            url: row.url,
            merchant: row.merchant,
            campaign: row.campaign,
            events: row.events,
            note: row.note,
            created_at: Moment(row.created_at),
            failing_since: row.failing_since.map(Moment),
            disabled_at: row.disabled.as_ref().map(|disabled| Moment(disabled.at)),
            disabled_why: row.disabled.and_then(|disabled| disabled.why),
            previous_secret_until: previous.map(Moment),
            waiting: None,
            id: row.id,
        }
    }
}

/// A new endpoint, with its secret: nobody is shown it again.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = CreatedWebhook)]
pub struct Created {
    #[serde(flatten)]
    pub webhook: WebhookView,
    pub secret: String,
}

/// Another secret of an endpoint.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = RotatedSecret)]
pub struct Rotated {
    pub id: String,
    pub secret: String,
    /// Until when the one before signs as well.
    pub previous_secret_until: Moment,
}

/// What came of a message that was sent to try an endpoint out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = WebhookTried)]
pub struct Tried {
    pub delivered: bool,
    /// `webhook-id` of the message.
    pub message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The beginning of the body that came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    pub took_ms: u64,
}
